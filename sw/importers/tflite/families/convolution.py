"""Convolutions."""

from __future__ import annotations

from typing import Any

from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, shape_of
from kaniwa.importers.options import explicit_paddings, window
from kaniwa.importers.shapes import explicit_padding, output_size
from kaniwa.importers.weights import BIAS_TYPE, weighted

__all__ = ["OPERATORS"]

RULES = {"int8": "litert_double_rounding", "uint8": "litert_double_rounding",
         "int16": "litert_int16", "float32": "float32"}


def _conv(options: Any, op: Operands) -> dict[str, object]:
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    return {**window(options, op), "dilation": dilation,
            BIAS_TYPE: options.QuantizedBiasType()}


def _depthwise(options: Any, op: Operands) -> dict[str, object]:
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    return {**window(options, op), "dilation": dilation,
            "depth_multiplier": options.DepthMultiplier()}


def _without_bias_type(op: Operands) -> dict[str, object]:
    return {name: v for name, v in explicit_paddings(op).items() if name != BIAS_TYPE}


def _transpose(options: Any, op: Operands) -> dict[str, object]:
    shape = op.numbers(0)
    if shape != op.output.shape or len(shape) != 4:
        raise OptionError(f"output {shape_of(op.output)} should be {list(shape)}")
    return {**window(options, op), BIAS_TYPE: options.QuantizedBiasType()}


def _transpose_shapes(op: Operands) -> str | None:
    """Operands are the output's shape, weights, input and bias."""
    weights, x, y = op.present(1), op.present(2), op.output
    if len(weights.shape) != 4 or len(x.shape) != 4:
        return f"{shape_of(weights)} and {shape_of(x)} must have 4 dimensions"
    if min(op.pair("stride")) < 1:
        return f"stride {op.pair('stride')} must be at least 1"
    oc, *kernel, ic = weights.shape
    back = [output_size(str(op.attributes["padding"]), n, k, s)
            for n, k, s in zip(y.shape[1:3], kernel, op.pair("stride"), strict=True)]
    if (y.shape[0], *back, ic) != x.shape or y.shape[3] != oc:
        return f"{shape_of(x)} and weights {shape_of(weights)} do not give {shape_of(y)}"
    bias = op.inputs[3] if len(op.inputs) > 3 else None
    if bias is not None and bias.shape != (oc,):
        return f"bias {shape_of(bias)} should be [{oc}]"
    return None


def _transpose_padding(op: Operands) -> dict[str, object]:
    padding = tuple(
        explicit_padding(str(op.attributes["padding"]), n, k, s) for n, k, s in zip(
            op.output.shape[1:3], op.present(1).shape[1:3], op.pair("stride"), strict=True))
    return {"stride": op.pair("stride"), "padding": padding,
            "activation": op.attributes["activation"]}


def whole_groups(op: Operands) -> str | None:
    """With groups, the output channels are a multiple of their number."""
    groups = op.x.shape[3] // op.weights.shape[3]
    if op.weights.shape[0] % groups:
        return f"has {groups} groups and {op.weights.shape[0]} output channels"
    return None


def stride_in_range(op: Operands) -> str | None:
    """Strides and kernels are at most 4096 in each direction."""
    worst = max(*op.pair("stride"), *op.present(1).shape[1:3])
    return None if worst <= 4096 else f"stride or kernel of {worst} is too large"


_SHAPES = (
    consistency.operand_count(2, 3),
    consistency.ranks(4, 4),
    consistency.positive_options,
)

OPERATORS = (
    OperatorInfo(
        "CONV_2D", RULES, "Conv2DOptions", True, _conv,
        (*_SHAPES, consistency.conv_channels, consistency.window_shape, consistency.bias_shape),
        (*weighted(0, 1, 0), limits.window_in_range, whole_groups),
        _without_bias_type,
    ),
    OperatorInfo(
        "DEPTHWISE_CONV_2D", RULES, "DepthwiseConv2DOptions", True, _depthwise,
        (*_SHAPES, consistency.depthwise_channels, consistency.window_shape,
         consistency.bias_shape),
        (*weighted(0, 1, 3), limits.window_in_range),
        explicit_paddings,
    ),
    OperatorInfo(
        "TRANSPOSE_CONV", RULES, "TransposeConvOptions", True, _transpose,
        (consistency.operand_count(3, 4, optional=3), _transpose_shapes),
        (*weighted(2, 1, 0), stride_in_range),
        _transpose_padding,
        {0: "output shape"},
        decides=2,
    ),
)
