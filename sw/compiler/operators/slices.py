"""Operators that take parts of a tensor, or put something around it, on the accelerator."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.array.moves import moves
from kaniwa.compiler.array.padding import FILLER, fill_of, fills, padded, split_axes
from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_copies, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def short_cut(graph: Graph, op: Op) -> str | None:
    """It cuts one or two axes, and takes neighbors."""
    return None if moves(graph, op) is not None else (
        "it cuts more than two axes, or leaves elements out between those it takes; slice in two "
        "steps")


def constant_fill(graph: Graph, op: Op) -> str | None:
    """The value around what is padded is a constant."""
    wrong = next((graph.tensors[i] for i in op.inputs[1:] if graph.tensors[i].data is None), None)
    return None if wrong is None else f"padding value '{wrong.name}' is computed; make it constant"


def _pad(rewriter: Rewriter, op: Op) -> None:
    """A COPY for two axes each, with the bytes of an element as one more axis."""
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    paddings = op.attributes["paddings"]
    assert isinstance(paddings, tuple)
    size, source, shape = np.dtype(x.dtype).itemsize, x.id, x.shape
    parts = split_axes(paddings)
    if not parts:
        rewriter.renamed(op, x.id, y)
        return
    value = np.full(FILLER // size, fill_of(rewriter.graph, op), x.dtype)
    filler = rewriter.tensor(f"{op.name}:fill", value.shape, x, value)
    for part in parts:
        inner, gaps = fills((*shape, size), (*part, (0, 0)))
        shape = padded(shape, part)
        result = y.id if part is parts[-1] else rewriter.tensor(f"{y.name}:part", shape, y)
        rewriter.emit(op, "COPY", (source, *[filler] * len(gaps)), {
            **op.attributes, "taps": 0, "moves": (inner, *gaps)}, result)
        source = result


_MOVED = (integers_moved, some_elements)

OPERATORS = (
    DeviceOperator("SPLIT", _MOVED, as_copies),
    DeviceOperator("SPLIT_V", _MOVED, as_copies),
    DeviceOperator("SLICE", (*_MOVED, short_cut), as_copies),
    DeviceOperator("STRIDED_SLICE", (*_MOVED, short_cut), as_copies),
    DeviceOperator("PAD", _MOVED, _pad),
    DeviceOperator("PADV2", (*_MOVED, constant_fill), _pad),
)
