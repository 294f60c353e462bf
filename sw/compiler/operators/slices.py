"""Operators that take parts of a tensor, or put something around it, on the accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from kaniwa.compiler.array.gathers import picking, picks, runs_of
from kaniwa.compiler.array.moves import MOST_MOVES, Move, gathered, taken
from kaniwa.compiler.array.padding import fill_of
from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_copies, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import copied, cut_from, padded_with
from kaniwa.compiler.plan.operands import Pair
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, UNIT, Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def in_order(graph: Graph, op: Op) -> str | None:
    """It takes elements in their order."""
    backwards = any(step < 0 for _, _, step in taken(op, graph.tensors[op.inputs[0]].shape))
    return "it takes elements backwards; reverse what it gives" if backwards else None


def constant_places(graph: Graph, op: Op) -> str | None:
    """Its indices are constants inside the axis, in up to 256 runs of neighbors, or of channels."""
    x, tensor = (graph.tensors[i] for i in op.inputs)
    axis = int(str(op.attributes["axis"]))
    if tensor.data is None:
        return f"indices '{tensor.name}' are computed; make them constant"
    size = x.shape[axis]
    if tensor.data.size and not 0 <= int(tensor.data.min()) <= int(tensor.data.max()) < size:
        return f"indices '{tensor.name}' leave the {size} positions of the axis; correct the model"
    if op.attributes["batch_dims"]:
        return "it has other indices for each of a batch; gather from each alone"
    runs = runs_of(places := tensor.data.reshape(-1).tolist())
    by_matrix = x.dtype != "int16" and picks(x.shape, axis, places)
    return None if runs <= MOST_MOVES or by_matrix else (
        f"it copies {runs} runs of neighbors, each an instruction; gather fewer, or leave it to "
        "the host")


def few_runs(graph: Graph, op: Op) -> str | None:
    """Along an axis there are up to 256 runs of neighbors."""
    worst = max((len(moves) for *_, moves in _mirrored(graph.tensors[op.inputs[0]].shape, op)),
                default=0)
    return None if worst <= MOST_MOVES else (
        f"it copies {worst} runs of an axis, each an instruction; pad less, or leave it to the "
        "host")


def constant_fill(graph: Graph, op: Op) -> str | None:
    """The value around what is padded is a constant."""
    wrong = next((graph.tensors[i] for i in op.inputs[1:] if graph.tensors[i].data is None), None)
    return None if wrong is None else f"padding value '{wrong.name}' is computed; make it constant"


def _pad(rewriter: Rewriter, op: Op) -> None:
    around: Any = op.attributes["paddings"], fill_of(rewriter.graph, op)
    padded_with(rewriter, op, op.inputs[0], around, op.outputs[0])


def _slice(rewriter: Rewriter, op: Op) -> None:
    bounds = taken(op, rewriter.tensors[op.inputs[0]].shape)
    cut_from(rewriter, op, op.inputs[0], bounds, op.outputs[0])


def _mirror(rewriter: Rewriter, op: Op) -> None:
    """A COPY for each axis that is padded: of all that is there, and of each run around it."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    parts, source = list(_mirrored((*x.shape, np.dtype(x.dtype).itemsize), op)), x.id
    for number, (shape, moves) in enumerate(parts):
        made = y.id if number == len(parts) - 1 else rewriter.tensor(
            f"{y.name}:{number}", shape[:-1], y)
        copied(rewriter, op, source, moves, made)
        source = made
    if not parts:
        rewriter.renamed(op, x.id, y)


def _mirrored(shape: tuple[int, ...], op: Op) -> Iterator[tuple[tuple[int, ...], list[Move]]]:
    """For each axis that MIRROR_PAD pads the shape behind it, and the moves."""
    paddings, mode = op.attributes["paddings"], op.attributes["mode"]
    assert isinstance(paddings, tuple) and isinstance(mode, str)
    for axis, pads in enumerate(paddings):
        if any(pads):
            places = _around(shape[axis], pads, mode.lower())
            moves = gathered(shape, axis, places)
            shape = (*shape[:axis], len(places), *shape[axis + 1:])
            yield shape, moves


def _gather(rewriter: Rewriter, op: Op) -> None:
    """A COPY of each run of neighbors, or a convolution that picks channels."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    indices, axis = rewriter.tensors[op.inputs[1]].data, int(str(op.attributes["axis"]))
    assert indices is not None      # ``constant_places``
    places = indices.reshape(-1).tolist()
    weights = picking(x.shape, axis, places, rewriter.config) if x.dtype == "int8" else None
    if weights is None:
        shape = (*x.shape, np.dtype(x.dtype).itemsize)
        copied(rewriter, op, x.id, gathered(shape, axis, places), y.id)
        return
    pixels = prod(x.shape[:-1])
    source = rewriter.reshaped(op, x.id, (1, 1, pixels, x.shape[-1]))
    made = rewriter.tensor(f"{y.name}:picked", (1, 1, pixels, len(places)), x)
    ones = rewriter.tensor(f"{op.name}:ones", weights.shape, None, weights, UNIT)
    rewriter.emit(op, "CONV_2D", (source, ones), {
        **op.attributes, "padding": NO_PADDING, "dilation": (1, 1), "stride": (1, 1), "taps": 0},
        made, "litert_double_rounding")
    rewriter.renamed(op, made, y)


def _around(size: int, pads: Pair, mode: Any) -> list[int]:
    """The positions of an axis that lie side by side behind np.pad in this ``mode``."""
    places: list[int] = np.pad(np.arange(size), pads, mode=mode).tolist()
    return places


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("SPLIT", _MOVED, as_copies),
    DeviceOperator("SPLIT_V", _MOVED, as_copies),
    DeviceOperator("SLICE", (*_MOVED, in_order), _slice),
    DeviceOperator("STRIDED_SLICE", (*_MOVED, in_order), _slice),
    DeviceOperator("GATHER", (*_MOVED, constant_places), _gather),
    DeviceOperator("MIRROR_PAD", (*_MOVED, few_runs), _mirror),
    DeviceOperator("PAD", _MOVED, _pad),
    DeviceOperator("PADV2", (*_MOVED, constant_fill), _pad),
)
