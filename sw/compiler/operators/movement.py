"""Operators that only move data, on the accelerator."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from kaniwa.compiler.array.batch_blocks import to_batch, to_space
from kaniwa.compiler.array.exchanges import exchanges
from kaniwa.compiler.array.gathers import picks
from kaniwa.compiler.array.moves import JOINS, MOST_MOVES, PADS, moves
from kaniwa.compiler.array.padding import fill_of, padded
from kaniwa.compiler.array.repeats import times_of
from kaniwa.compiler.operators.limits import not_int8, some_elements
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import copied, cut_from, gathered_along, moved, padded_with
from kaniwa.compiler.plan.kinds import UINT8_JOIN
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS", "as_copies", "as_view", "integers_moved"]

Shape = tuple[int, ...]


def integers_moved(graph: Graph, op: Op) -> str | None:
    """All that is moved is int8, uint8 or int16."""
    operands = op.inputs if op.kind in (*JOINS, *PADS) else op.inputs[:1]
    wrong = next((t for i in (*operands, *op.outputs)
                  for t in (graph.tensors[i],) if t.dtype not in ("int8", "int16")), None)
    return None if wrong is None else not_int8(graph, op, wrong)


def same_steps(graph: Graph, op: Op) -> str | None:
    """Operands have the result's scale and zero point, unless CONCATENATION joins uint8."""
    result = graph.tensors[op.outputs[0]]
    if op.rule == UINT8_JOIN:
        return None
    wrong = next((t for i in op.inputs for t in (graph.tensors[i],)
                  if t.quantization != result.quantization), None)
    return None if wrong is None else (
        f"'{wrong.name}' has another scale or zero point than '{result.name}'; give them the same")


def short_reversal(graph: Graph, op: Op) -> str | None:
    """It reverses up to 256 positions, or channels."""
    x = graph.tensors[op.inputs[0]]
    shape, axis = _reversed(x.shape, op)
    count = shape[axis]
    return None if count <= MOST_MOVES or picks(x.dtype, shape, axis, count) else (
        f"it reverses {count} positions, each an instruction; leave it to the host")


def few_positions(graph: Graph, op: Op) -> str | None:
    """A block has up to 256 positions."""
    count = prod(_numbers(op, "block"))
    return None if count <= MOST_MOVES else (
        f"a block has {count} positions, each an instruction; leave it to the host")


def _transpose(rewriter: Rewriter, op: Op) -> None:
    """Exchanges of two groups of neighboring axes, one or several."""
    source, y = op.inputs[0], rewriter.tensors[op.outputs[0]]
    *before, last = exchanges(rewriter.tensors[source].shape, op.attributes["permutation"]) or (
        (1, 1, 1, prod(y.shape)),)
    for number, view in enumerate(before):
        outer, first, second, run = view
        made = rewriter.tensor(f"{y.name}:exchanged{number}", (outer, second, first, run), y)
        moved(rewriter, op, source, view, made)
        source = made
    moved(rewriter, op, source, last, y.id)


def _blocks(rewriter: Rewriter, op: Op) -> None:
    """Rows of a block and the columns of blocks change places."""
    x, y = (rewriter.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    block = int(str(op.attributes["block"]))
    images, rows, columns, channels = y if op.kind == "SPACE_TO_DEPTH" else x
    first, second = (block, columns) if op.kind == "SPACE_TO_DEPTH" else (columns, block)
    moved(rewriter, op, op.inputs[0], (images * rows, first, second, channels // block),
          op.outputs[0])


def _tile(rewriter: Rewriter, op: Op) -> None:
    rewriter.repeat_axes(op, op.inputs[0], _numbers(op, "multiples"), op.outputs[0])


def _broadcast(rewriter: Rewriter, op: Op) -> None:
    x, y = (rewriter.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    rewriter.repeat_axes(op, op.inputs[0], times_of(x, y), op.outputs[0])


def _to_batch(rewriter: Rewriter, op: Op) -> None:
    """Padded, then a COPY of each position in a block."""
    x, block = rewriter.tensors[op.inputs[0]], _numbers(op, "block")
    paddings: Any = op.attributes["paddings"]
    paddings = ((0, 0), *paddings, (0, 0))
    images, *sizes, channels = padded(x.shape, paddings)
    source = rewriter.tensor(f"{op.name}:padded", (images, *sizes, channels), x)
    padded_with(rewriter, op, x.id, (paddings, fill_of(rewriter.graph, op)), source)
    shape = (images, *sizes, channels * np.dtype(x.dtype).itemsize)
    copied(rewriter, op, source, to_batch(shape, block), op.outputs[0])


def _to_space(rewriter: Rewriter, op: Op) -> None:
    """A COPY of each position in a block, then cropped."""
    x, y, block = (*(rewriter.tensors[i] for i in (op.inputs[0], op.outputs[0])),
                   _numbers(op, "block"))
    crops: Any = op.attributes["crops"]
    batch, *sizes, channels = x.shape
    whole = (batch // prod(block), *(n * b for n, b in zip(sizes, block, strict=True)), channels)
    made = y.id if whole == y.shape else rewriter.tensor(f"{op.name}:whole", whole, y)
    shape = (*x.shape[:-1], channels * np.dtype(x.dtype).itemsize)
    copied(rewriter, op, x.id, to_space(shape, block), made)
    if made != y.id:
        first = (0, *(before for before, _ in crops), 0)
        cut_from(rewriter, op, made, [(begin, size, 1) for begin, size in zip(
            first, y.shape, strict=True)], y.id)


def _numbers(op: Op, name: str) -> Shape:
    numbers: Any = op.attributes[name]
    return tuple(numbers)


def _reverse(rewriter: Rewriter, op: Op) -> None:
    form = shape, axis = _reversed(rewriter.tensors[op.inputs[0]].shape, op)
    gathered_along(rewriter, op, op.inputs[0], form, range(shape[axis])[::-1], op.outputs[0])


def _reversed(shape: Shape, op: Op) -> tuple[Shape, int]:
    """The shape with the axes that are reversed, which are neighbors, as one, and that one."""
    axes = _numbers(op, "axes")
    first, last = min(axes), max(axes) + 1
    return (*shape[:first], prod(shape[first:last]), *shape[last:]), first


def as_copies(rewriter: Rewriter, op: Op) -> None:
    """A COPY for each result, from each operand."""
    for result, made in zip(op.outputs, moves(rewriter.graph, op), strict=True):
        sources = op.inputs if op.kind in JOINS else op.inputs[:1] * len(made)
        rewriter.emit(op, "COPY", sources, {
            **op.attributes, "taps": 0, "moves": tuple(made)}, result)


def _join(rewriter: Rewriter, op: Op) -> None:
    """Copies of the operands; those of uint8 with other steps than the result's by tables."""
    y, inputs = rewriter.tensors[op.outputs[0]], list(op.inputs)
    for number, i in enumerate(op.inputs):
        x = rewriter.tensors[i]
        if op.rule == UINT8_JOIN and x.quantization != y.quantization:
            inputs[number] = rewriter.tensor(f"{y.name}:{number}", x.shape, y)
            rewriter.emit(op, "TABLE", (i,), {**op.attributes, "taps": 0}, inputs[number])
    (parts,) = moves(rewriter.graph, op)
    rewriter.emit(op, "COPY", tuple(inputs), {
        **op.attributes, "taps": 0, "moves": tuple(parts)}, y.id)


def as_view(rewriter: Rewriter, op: Op) -> None:
    """Another name of the first operand's bytes."""
    source, output = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    if source.data is None:
        rewriter.alias(op, source.id, output.id)
        return
    rewriter.tensors[output.id] = replace(output, data=source.data.reshape(output.shape))


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("TRANSPOSE", _MOVED, _transpose),
    DeviceOperator("REVERSE_V2", (*_MOVED, short_reversal), _reverse),
    DeviceOperator("CONCATENATION", (*_MOVED, same_steps), _join),
    DeviceOperator("PACK", (*_MOVED, same_steps), as_copies),
    DeviceOperator("UNPACK", _MOVED, as_copies),
    DeviceOperator("SPACE_TO_DEPTH", _MOVED, _blocks),
    DeviceOperator("DEPTH_TO_SPACE", _MOVED, _blocks),
    DeviceOperator("SPACE_TO_BATCH_ND", (*_MOVED, few_positions), _to_batch),
    DeviceOperator("BATCH_TO_SPACE_ND", (*_MOVED, few_positions), _to_space),
    DeviceOperator("TILE", _MOVED, _tile),
    DeviceOperator("BROADCAST_TO", _MOVED, _broadcast),
    DeviceOperator("RESHAPE", _MOVED, as_view),
    DeviceOperator("EXPAND_DIMS", _MOVED, as_view),
    DeviceOperator("SQUEEZE", _MOVED, as_view),
)
