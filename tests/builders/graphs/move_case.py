"""Graphs of a single operator that moves bytes."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.graph import Graph, Op, Quantization, Tensor

Q = Quantization((0.1,), (3,))


def moved(kind: str, xs: list[tuple[int, ...]], ys: list[tuple[int, ...]], dtype: str = "int8",
          **attributes: object) -> Graph:
    """A single operator of such operands and results."""
    tensors = tuple(Tensor(i, f"{'x' if i < len(xs) else 'y'}{i}", shape, dtype, Q, None)
                    for i, shape in enumerate((*xs, *ys)))
    inputs, outputs = tuple(range(len(xs))), tuple(range(len(xs), len(tensors)))
    return Graph("moved", tensors, (Op(kind, "move", inputs, outputs, attributes, "exact", 0),),
                 inputs, outputs, "0" * 64)


def cut(shape: tuple[int, ...], begin: tuple[int, ...], end: tuple[int, ...],
        stride: tuple[int, ...] | None = None, dtype: str = "int8") -> Graph:
    """A STRIDED_SLICE; axes of one element are dropped."""
    stride = stride or (1,) * len(shape)
    counts = [len(range(*bounds)) for bounds in zip(begin, end, stride, strict=True)]
    return moved("STRIDED_SLICE", [shape], [tuple(n for n in counts if n > 1)], dtype,
                 begin=begin, end=end, stride=stride)


def padded(shape: tuple[int, ...], paddings: tuple[tuple[int, int], ...],
           dtype: str = "int8") -> Graph:
    """A PAD."""
    result = tuple(size + sum(pads) for size, pads in zip(shape, paddings, strict=True))
    return moved("PAD", [shape], [result], dtype, paddings=paddings)


def mirrored(shape: tuple[int, ...], paddings: tuple[tuple[int, int], ...],
             mode: str = "REFLECT", dtype: str = "int8") -> Graph:
    """A MIRROR_PAD."""
    result = tuple(size + sum(pads) for size, pads in zip(shape, paddings, strict=True))
    return moved("MIRROR_PAD", [shape], [result], dtype, paddings=paddings, mode=mode)


def tiled(shape: tuple[int, ...], multiples: tuple[int, ...], dtype: str = "int8") -> Graph:
    """A TILE."""
    result = tuple(size * times for size, times in zip(shape, multiples, strict=True))
    return moved("TILE", [shape], [result], dtype, multiples=multiples)


def broadcast(shape: tuple[int, ...], wide: tuple[int, ...], dtype: str = "int8") -> Graph:
    """A BROADCAST_TO."""
    return moved("BROADCAST_TO", [shape], [wide], dtype, shape=wide)


def to_batch(shape: tuple[int, ...], block: tuple[int, ...],
             paddings: tuple[tuple[int, int], ...], dtype: str = "int8") -> Graph:
    """A SPACE_TO_BATCH_ND."""
    sizes = [(n + sum(pads)) // b for n, pads, b in zip(shape[1:], paddings, block, strict=False)]
    result = (shape[0] * prod(block), *sizes, shape[-1])
    return moved("SPACE_TO_BATCH_ND", [shape], [result], dtype, block=block, paddings=paddings)


def to_space(shape: tuple[int, ...], block: tuple[int, ...],
             crops: tuple[tuple[int, int], ...], dtype: str = "int8") -> Graph:
    """A BATCH_TO_SPACE_ND."""
    sizes = [n * b - sum(cut) for n, b, cut in zip(shape[1:], block, crops, strict=False)]
    result = (shape[0] // prod(block), *sizes, shape[-1])
    return moved("BATCH_TO_SPACE_ND", [shape], [result], dtype, block=block, crops=crops)


def gathered(shape: tuple[int, ...], axis: int, indices: list[int] | list[list[int]],
             dtype: str = "int8", batch_dims: int = 0) -> Graph:
    """A GATHER by constant indices."""
    places = np.array(indices, np.int32)
    result = (*shape[:axis], *places.shape[batch_dims:], *shape[axis + 1:])
    graph = moved("GATHER", [shape], [result], dtype, axis=axis, batch_dims=batch_dims)
    constant = Tensor(2, "indices", places.shape, "int32", None, places)
    return replace(graph, tensors=(*graph.tensors, constant),
                   ops=(replace(graph.ops[0], inputs=(0, 2)),))


def resized(shape: tuple[int, int, int, int], size: tuple[int, int], dtype: str = "int8", *,
            kind: str = "RESIZE_NEAREST_NEIGHBOR", align_corners: bool = False,
            half_pixel_centers: bool = False) -> Graph:
    """A RESIZE_NEAREST_NEIGHBOR, or RESIZE_BILINEAR."""
    graph = moved(kind, [shape], [(shape[0], *size, shape[3])], dtype,
                  align_corners=align_corners, half_pixel_centers=half_pixel_centers)
    if kind == "RESIZE_NEAREST_NEIGHBOR":
        return graph
    rule = "float32" if dtype == "uint8" else "litert_bilinear"
    return replace(graph, ops=(replace(graph.ops[0], rule=rule),))
