"""Ways to rewrite that operators of several families share."""

from __future__ import annotations

import numpy as np

from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.plan.operands import describe, paddings, pair
from kaniwa.compiler.rewrite.rewriter import UNIT, Rewriter
from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.graph import Op

__all__ = ["as_it_is", "as_table", "as_wide", "check_window", "unit_depthwise"]


def check_window(rewriter: Rewriter, op: Op, kernel: tuple[int, ...]) -> None:
    """Refuse padding as large as the window: some windows would see no input at all."""
    where = describe(rewriter.graph, op)
    x, y = (rewriter.tensors[i].shape for i in (op.inputs[0], op.outputs[0]))
    sizes = []
    for size, length, stride, dilation, pads in zip(
            x[1:3], kernel, pair(op, "stride"), pair(op, "dilation", (1, 1)), paddings(op),
            strict=True):
        extent = (length - 1) * dilation + 1
        if max(pads) >= extent:
            raise UnsupportedError(f"{where}: padding {max(pads)} must be smaller than the "
                                   f"kernel's extent of {extent}")
        sizes.append((size + sum(pads) - extent) // stride + 1)
    if y[:3] != (x[0], *sizes):
        raise ModelError(f"{where}: output shape {list(y)} does not fit its input {list(x)}, "
                         f"expected {[x[0], *sizes]} and channels")


def unit_depthwise(rewriter: Rewriter, op: Op, kernel: tuple[int, int], rule: str) -> None:
    """A depthwise convolution with weights of 1."""
    shape = (1, *kernel, rewriter.tensors[op.inputs[0]].shape[3])
    ones = rewriter.tensor(f"{op.name}:ones", shape, None, np.ones(shape, np.int8), UNIT)
    rewriter.emit(op, "DEPTHWISE_CONV_2D", (op.inputs[0], ones),
                  {"dilation": (1, 1), **op.attributes, "taps": 0}, rule=rule)


def as_table(rewriter: Rewriter, op: Op) -> None:
    """A function of one operand, as a table behind the layer that makes it."""
    rewriter.emit(op, "TABLE", op.inputs, {**op.attributes, "taps": 0})


def as_it_is(rewriter: Rewriter, op: Op) -> None:
    """The operator itself, which the vector unit has."""
    rewriter.emit(op, op.kind, op.inputs, {**op.attributes, "taps": 0})


def as_wide(rewriter: Rewriter, op: Op) -> None:
    """An operator of int16, element by element, on the vector unit."""
    rewriter.emit(op, WIDE, op.inputs, {**op.attributes, "taps": 0})
