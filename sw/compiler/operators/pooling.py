"""Pooling on the accelerator."""

from __future__ import annotations

from math import prod

from kaniwa.compiler.operators.limits import (
    BYTES,
    int16_of_one_scale,
    known_activation,
    rule_of_int16,
    same_quantization,
    some_elements,
    summed_int16,
    unpadded,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import check_window, unit_depthwise
from kaniwa.compiler.plan.kinds import WIDE
from kaniwa.compiler.plan.operands import pair
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]

LARGEST_WINDOW = 12      # each element is an operand of a program, with a pointer of its own


def small_window(graph: Graph, op: Op) -> str | None:
    """The window has at most 12 elements."""
    window = pair(op, "filter")
    return None if prod(window) <= LARGEST_WINDOW else (
        f"a window of {window[0]} x {window[1]} has more than {LARGEST_WINDOW} elements; pool in "
        f"two steps")


def _average_pool(rewriter: Rewriter, op: Op) -> None:
    check_window(rewriter, op, pair(op, "filter"))
    unit_depthwise(rewriter, op, pair(op, "filter"), op.rule)


def _max_pool(rewriter: Rewriter, op: Op) -> None:
    check_window(rewriter, op, pair(op, "filter"))
    rewriter.emit(op, "MAX_POOL_2D", op.inputs, {"dilation": (1, 1), **op.attributes, "taps": 0})


def _max_pool_of_int16(rewriter: Rewriter, op: Op) -> None:
    """The largest of the elements of a window, each of which is a tensor."""
    check_window(rewriter, op, pair(op, "filter"))
    inputs = rewriter.elements(op, pair(op, "filter"))
    rewriter.emit(op, WIDE, tuple(inputs), {**op.attributes, "taps": 0})


OPERATORS = (
    DeviceOperator("AVERAGE_POOL_2D", (*BYTES, same_quantization, unpadded), _average_pool,
                   (*summed_int16("litert_average_pool"), same_quantization, unpadded)),
    DeviceOperator("MAX_POOL_2D", (*BYTES, same_quantization), _max_pool, (
        int16_of_one_scale, some_elements, rule_of_int16("exact"), known_activation,
        same_quantization, unpadded, small_window), _max_pool_of_int16),
)
