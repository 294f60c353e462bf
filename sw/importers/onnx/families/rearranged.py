"""DepthToSpace, SpaceToDepth, Expand and Tile of ONNX models: integers are moved as they are."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.movement import in_shape
from kaniwa.importers.onnx.families.slices import integers, same_kind
from kaniwa.importers.onnx.file import MAXIMUM_ELEMENTS, Node
from kaniwa.importers.onnx.pending import movable
from kaniwa.importers.onnx.values import Moved, Value, channel_last, moved

__all__ = ["depth_to_space", "space_to_depth", "expand", "tile"]


def _block(builder: Builder, node: Node, shape: tuple[int, ...]) -> int:
    block = node.attributes.get("blocksize")
    if not isinstance(block, int) or not 1 <= block <= 1 << 10 or len(shape) != 4:
        raise builder.fail(f"blocks of {block} do not fit {list(shape)}", ModelError)
    return block


def depth_to_space(builder: Builder, node: Node) -> Value:
    """DepthToSpace: DCR on channel-last maps; CRD exchanges channels and blocks before."""
    value = movable(builder, builder.operands(node, 1, 1)[0])
    shape, name = value.stored.shape, node.outputs[0]
    block = _block(builder, node, shape)
    n, c, h, w = shape
    if c % block**2:
        raise builder.fail(f"blocks of {block} do not fit {list(shape)}", ModelError)
    source = builder.form(value.stored, channel_last(4))
    if node.attributes.get("mode", b"DCR") == b"CRD":
        tensor = builder.tensors[source]
        parts = builder.reshaped(source, (n, h, w, c // block**2, block**2), f"{name}:parts")
        swapped = builder.tensor(f"{name}:swapped", (n, h, w, block**2, c // block**2),
                                 tensor.dtype, tensor.quantization)
        builder.emit("TRANSPOSE", (parts,), swapped, {"permutation": (0, 1, 2, 4, 3)}, "exact")
        source = builder.reshaped(swapped, (n, h, w, c), f"{name}:blocks")
    return _as_blocks(builder, node, value, source, (n, c // block**2, h * block, w * block))


def space_to_depth(builder: Builder, node: Node) -> Value:
    """SpaceToDepth on channel-last maps."""
    value = movable(builder, builder.operands(node, 1, 1)[0])
    shape = value.stored.shape
    block = _block(builder, node, shape)
    n, c, h, w = shape
    if h % block or w % block:
        raise builder.fail(f"blocks of {block} do not fit {list(shape)}", ModelError)
    source = builder.form(value.stored, channel_last(4))
    return _as_blocks(builder, node, value, source, (n, c * block**2, h // block, w // block))


def _as_blocks(builder: Builder, node: Node, value: Moved, source: int,
               result: tuple[int, ...]) -> Value:
    form, name, tensor = channel_last(4), node.outputs[0], builder.tensors[source]
    index = builder.tensor(name, moved(result, form), tensor.dtype, tensor.quantization)
    kind = "DEPTH_TO_SPACE" if node.kind == "DepthToSpace" else "SPACE_TO_DEPTH"
    builder.emit(kind, (source,), index, {"block": node.attributes["blocksize"]}, "exact")
    return same_kind(builder, value, index, name, result, form)


def _grown(builder: Builder, value: Moved, rank: int, name: str) -> Moved:
    """With axes of 1 in front, up to ``rank``."""
    shape = value.stored.shape
    return in_shape(builder, value, (1,) * (rank - len(shape)) + shape, f"{name}:grown")


def expand(builder: Builder, node: Node) -> Value:
    """Expand: repeated where an axis is 1."""
    x, second = builder.operands(node, 2, 2)
    value, wanted = movable(builder, x), integers(builder, second, "its shape") or []
    try:
        result = np.broadcast_shapes(value.stored.shape, tuple(max(n, -1) for n in wanted))
    except ValueError:
        result = ()
    if len(result) < len(wanted) or prod(result) > MAXIMUM_ELEMENTS:
        raise builder.fail(f"shape {wanted[:8]} does not fit {list(value.stored.shape)}",
                           ModelError)
    if result == value.stored.shape:
        return value
    name = node.outputs[0]
    value = _grown(builder, value, len(result), name)
    form = value.stored.first
    tensor = builder.tensors[builder.form(value.stored, form)]
    shape = moved(result, form)
    index = builder.tensor(name, shape, tensor.dtype, tensor.quantization)
    builder.emit("BROADCAST_TO", (tensor.id,), index, {"shape": shape}, "exact")
    return same_kind(builder, value, index, name, result, form)


def tile(builder: Builder, node: Node) -> Value:
    """Tile: every axis so many times."""
    x, second = builder.operands(node, 2, 2)
    value, times = movable(builder, x), integers(builder, second, "its repeats") or []
    shape = value.stored.shape
    if len(times) != len(shape) or any(not 1 <= t <= 1 << 16 for t in times):
        raise builder.fail(f"repeats {times[:8]} do not fit {list(shape)}", ModelError)
    result = tuple(n * t for n, t in zip(shape, times, strict=True))
    form, name = value.stored.first, node.outputs[0]
    tensor = builder.tensors[builder.form(value.stored, form)]
    index = builder.tensor(name, moved(result, form), tensor.dtype, tensor.quantization)
    builder.emit("TILE", (tensor.id,), index, {
        "multiples": tuple(times[axis] for axis in form)}, "exact")
    return same_kind(builder, value, index, name, result, form)
