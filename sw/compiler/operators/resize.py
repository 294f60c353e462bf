"""Resizing of maps on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kaniwa.compiler.array.moves import MOST_MOVES
from kaniwa.compiler.array.nearest import Progression, picked, progressions
from kaniwa.compiler.array.pieces import MOST_PIECES, Axis, Piece
from kaniwa.compiler.operators.limits import int8_activations, some_elements
from kaniwa.compiler.operators.movement import integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import copied
from kaniwa.compiler.plan.kinds import UINT8_BILINEAR
from kaniwa.compiler.rewrite.rewriter import UNIT, Rewriter
from kaniwa.errors import UnsupportedError
from kaniwa.golden.onnx.resize import linear_weights
from kaniwa.golden.registry import Call
from kaniwa.golden.tflite.resize import between, between_integer, nearest_index
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]

FRACTION = 10     # bits of a position
LARGEST = 255     # weight; those beyond int8 are added up


def few_distances(graph: Graph, op: Op) -> str | None:
    """Rows, and columns, are copied in up to 256 groups of equal distances."""
    worst = max(map(len, _progressions(graph, op)))
    return None if worst <= MOST_MOVES else (
        f"it copies {worst} groups of rows or columns, each an instruction; resize by a factor")


def _progressions(graph: Graph, op: Op) -> tuple[list[Progression], list[Progression]]:
    """Of rows and of columns."""
    x, y = (graph.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    rows, columns = (progressions(nearest_index(op.attributes, x[axis], y[axis]).tolist())
                     for axis in (1, 2))
    return rows, columns


def _nearest(rewriter: Rewriter, op: Op) -> None:
    """All at once, or the rows and then the columns where that takes fewer moves."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    rows, columns = _progressions(rewriter.graph, op)
    images, height, width, channels = x.shape
    pixel = channels * np.dtype(x.dtype).itemsize
    if len(rows) * len(columns) <= MOST_MOVES:
        copied(rewriter, op, x.id, picked((images, height, width, pixel), rows, columns,
                                         (y.shape[1], y.shape[2])), y.id)
        return
    every = progressions(range(width))
    tall = rewriter.tensor(f"{y.name}:rows", (images, y.shape[1], width, channels), y)
    copied(rewriter, op, x.id, picked((images, height, width, pixel), rows, every,
                                     (y.shape[1], width)), tall)
    every = progressions(range(y.shape[1]))
    copied(rewriter, op, tall, picked((images, y.shape[1], width, pixel), every, columns,
                                     (y.shape[1], y.shape[2])), y.id)


def simple_weights(graph: Graph, op: Op) -> str | None:
    """Its pixels have weights of whole 1/64s, or 1/256s, such as a factor of 2, 4 or 8 has."""
    try:
        pieces = _interpolated(graph, op)
    except UnsupportedError as error:
        return str(error)
    return None if len(pieces) <= MOST_PIECES else (
        f"{len(pieces)} of its pixels have other weights, at most {MOST_PIECES} are taken; resize "
        f"by a factor")


def _interpolated(graph: Graph, op: Op) -> list[Piece]:
    """A depthwise convolution for all pixels with the same weights."""
    x, of_fractions = graph.tensors[op.inputs[0]], op.kind != "RESIZE"
    rows, columns = (_weighted(graph, op, axis) for axis in (1, 2))
    pieces = []
    for down, high in rows:
        for along, wide in columns:
            weights, fraction = np.outer(high, wide), 2 * FRACTION
            while fraction and not (weights & 1).any():
                weights, fraction = weights >> 1, fraction - 1
            if weights.max() > LARGEST:
                raise UnsupportedError(
                    f"its pixels have weights of {fraction} fractional bits; resize by a factor "
                    f"of 2, 4 or 8, or leave it to the host")
            every = np.repeat(weights[..., None], x.shape[3], axis=2)
            every = every.astype(np.int8 if weights.max() < 128 else np.int16)
            pieces.append(Piece(down, along, every, {"fraction": fraction}, of_fractions))
    return pieces


def _weighted(graph: Graph, op: Op, axis: int) -> list[tuple[Axis, tuple[int, ...]]]:
    """Along an axis the results with the same weights, of FRACTION bits, equally far apart."""
    size, wanted = (graph.tensors[i].shape[axis] for i in (op.inputs[0], op.outputs[0]))
    scales: Any = op.attributes.get("scales", ())
    if op.kind == "RESIZE" and scales[axis] == 1:
        return [(Axis(size, 1, 0, 0, 1), (1 << FRACTION,))]
    if op.kind == "RESIZE":
        neighbors, weights = linear_weights(Call(graph, op, ()), axis)
        (low, high), part = neighbors.T, _whole(weights[:, 1])
    elif op.rule == UINT8_BILINEAR:
        low, high, real = between(op.attributes, size, wanted)
        part = _whole(real)
    else:
        low, high, part = between_integer(op.attributes, size, wanted)
    found = dict[tuple[int, ...], list[tuple[int, int]]]()
    for result, (first, last, upper) in enumerate(zip(
            low.tolist(), high.tolist(), part.tolist(), strict=True)):
        whole = 1 << FRACTION
        own = (whole,) if first == last or not upper else (whole - upper, upper)
        found.setdefault(own, []).append((result, first))
    return [(axis, own) for own, places in found.items() for axis in _apart(places)]


def _whole(parts: np.ndarray) -> np.ndarray:
    """Fractions as integers of FRACTION bits; raises UnsupportedError for others."""
    numbers = np.ldexp(parts.astype(np.float64), FRACTION)
    if (numbers != np.rint(numbers)).any():
        raise UnsupportedError("its pixels lie between fractions of the others; resize by a "
                               "factor of 2, 4 or 8, or leave it to the host")
    return numbers.astype(np.int64)


def _apart(places: list[tuple[int, int]]) -> Iterator[Axis]:
    """Results and the first inputs of their windows, in runs that are equally far apart."""
    while places:
        (to, first), count, steps = places[0], 1, (1, 1)
        if len(places) > 1:
            steps = places[1][0] - to, places[1][1] - first
        while count < len(places) and places[count] == (to + count * steps[0],
                                                        first + count * steps[1]):
            count += 1
        yield Axis(count, steps[1], -first, to, steps[0])
        places = places[count:]


def _bilinear(rewriter: Rewriter, op: Op) -> None:
    x = rewriter.tensors[op.inputs[0]]
    one = rewriter.tensor(f"{op.name}:one", (1,), None, np.ones(1, np.int8), UNIT)
    rewriter.emit(op, "PIECES", (x.id, one), {
        **op.attributes, "pieces": tuple(_interpolated(rewriter.graph, op)), "taps": 0, "macs": 0})


def linear_of_maps(graph: Graph, op: Op) -> str | None:
    """It is linear, over rows and columns of a map."""
    x, y = (graph.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    if op.attributes["mode"] != "linear" or op.attributes["coordinates"] == "tf_crop_and_resize":
        return (f"its mode is {op.attributes['mode']} with coordinates "
                f"{op.attributes['coordinates']}; only linear ones of whole maps are taken")
    scales: Any = op.attributes["scales"]
    return None if len(x) == 4 and (scales[0], scales[3]) == (1, 1) else (
        f"it resizes {list(x)} to {list(y)}; only rows and columns of maps may be")


OPERATORS = (
    DeviceOperator("RESIZE_NEAREST_NEIGHBOR", (integers_moved, some_elements, few_distances),
                   _nearest),
    DeviceOperator("RESIZE_BILINEAR", (int8_activations, some_elements, simple_weights), _bilinear),
    DeviceOperator("RESIZE", (int8_activations, some_elements, linear_of_maps, simple_weights),
                   _bilinear, onnx=True),
)
