"""Convolutions."""

from __future__ import annotations

from typing import Any

from kaniwa.importers import consistency, limits, weights
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands
from kaniwa.importers.options import explicit_paddings, window

__all__ = ["OPERATORS"]


def _conv(options: Any, op: Operands) -> dict[str, object]:
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    return {**window(options, op), "dilation": dilation}


def _depthwise(options: Any, op: Operands) -> dict[str, object]:
    return {**_conv(options, op), "depth_multiplier": options.DepthMultiplier()}


def no_groups(op: Operands) -> str | None:
    """Convolutions have one group: the weights' input channels are the input's."""
    groups = op.x.shape[3] // op.weights.shape[3]
    return None if groups == 1 else f"has {groups} groups, must have 1"


OPERATORS = (
    OperatorInfo(
        "CONV_2D",
        {"int8": "litert_double_rounding"},
        "Conv2DOptions",
        True,
        _conv,
        (
            consistency.operand_count(2, 3),
            consistency.ranks(4, 4),
            consistency.positive_options,
            consistency.conv_channels,
            consistency.window_shape,
            consistency.bias_shape,
        ),
        (*weights.WEIGHTED, limits.window_in_range, no_groups),
        explicit_paddings,
    ),
    OperatorInfo(
        "DEPTHWISE_CONV_2D",
        {"int8": "litert_double_rounding"},
        "DepthwiseConv2DOptions",
        True,
        _depthwise,
        (
            consistency.operand_count(2, 3),
            consistency.ranks(4, 4),
            consistency.positive_options,
            consistency.depthwise_channels,
            consistency.window_shape,
            consistency.bias_shape,
        ),
        (*weights.WEIGHTED, limits.window_in_range),
        explicit_paddings,
    ),
)
