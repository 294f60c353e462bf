"""Layers of convolutions, of what becomes one (means, averages, RELU), and of maximum pooling."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.compiler.array.attributes import bounds_of, geometry_of, macs_of, removed_of
from kaniwa.compiler.array.elementwise import product_scale
from kaniwa.compiler.int16.sums import digit_rescale
from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.fields import weight_zero_point
from kaniwa.compiler.plan.kinds import UINT8_BILINEAR
from kaniwa.compiler.plan.large_biases import with_small_biases
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import pair, quantization, source_of
from kaniwa.compiler.plan.rescale import (
    Rule,
    average_pool,
    average_pool_half_up,
    double_rounding,
    exact,
    float_half_away,
    float_half_even,
    float_half_up,
    mean,
    prove,
    quotient,
    quotient_half_even,
)
from kaniwa.errors import UnsupportedError
from kaniwa.graph import Tensor
from kaniwa.isa import Mode

__all__ = ["convolution_layer", "max_pool_layer", "rule_of"]


def convolution_layer(lowering: Lowering) -> Lowered:
    """The layer of a CONV_2D or DEPTHWISE_CONV_2D.

    Raises CompileError for accumulators that may leave int32 or cannot be rescaled exactly.
    """
    op, x, y, where = lowering.op, lowering.x, lowering.y, lowering.where
    tensors, dense = lowering.graph.tensors, lowering.op.kind == "CONV_2D"
    w = tensors[op.inputs[1]]
    assert w.data is not None
    weights = w.data if dense else w.data[0]
    kernel = weights.shape[1:3] if dense else weights.shape[:2]
    by_channel = (weights.reshape(weights.shape[0], -1) if dense
                  else weights.reshape(-1, weights.shape[2]).T).astype(np.int64)
    bias = np.zeros(len(by_channel), np.int64)
    if len(op.inputs) > 2 and op.inputs[2] != -1:
        data = tensors[op.inputs[2]].data
        assert data is not None
        bias += data
    pad_value = quantization(x).zero_point
    digit = op.attributes.get("digit")
    if isinstance(digit, int):      # of a sum, whose biases are complete
        accumulator_range(by_channel, bias, where)
        bias, rescale = digit_rescale(digit, bias)
    else:
        output_zero_point = quantization(y).zero_point
        if op.rule in ("litert_average_pool", "litert_uint8_average_pool"):
            output_zero_point = 0      # the mean of the stored values, zero point included
        else:
            bias -= pad_value * by_channel.sum(axis=1)
        rule, bounds = rule_of(lowering, w, len(bias)), bounds_of(op, y)
        if op.rule == "qdq":      # of real sums; LiteRT's own are int32
            rule, bias = with_small_biases(rule, by_channel, bias, (
                bounds[0] - output_zero_point, bounds[1] - output_zero_point))
        low, high = accumulator_range(by_channel, bias, where)
        rescale = prove(rule, low, high, output_zero_point, bounds,
                        lowering.config.multiplier_bits, where)
    zero_point = weight_zero_point(weights, lowering.config) if dense else 0
    if zero_point:
        weights = (weights + zero_point).astype(np.int8)
    return ArrayLayer(
        op.name, lowering.source_kind, Mode.DENSE if dense else Mode.DEPTHWISE,
        lowering.stored.inputs[0], y.id, geometry_of(op, x, y, (kernel[0], kernel[1])),
        np.ascontiguousarray(weights), bias, pad_value, rescale, macs_of(op, y), source_of(op),
        removed=removed_of(op), weight_zero_point=zero_point), []


def rule_of(lowering: Lowering, w: Tensor, channels: int) -> Rule:
    """The rescaling of so many channels by the operator's rule, with the scales of weights."""
    op = lowering.op
    sx, sy = quantization(lowering.x).scale, quantization(lowering.y).scale
    if op.rule in ("litert_double_rounding", "litert_float_half_away"):
        reals = np.float64(sx) * np.array(quantization(w).scales, np.float64) / np.float64(sy)
        reals = np.broadcast_to(reals, channels)
        return (double_rounding if op.rule == "litert_double_rounding" else float_half_away)(reals)
    if op.rule == "litert_uint8_double_rounding":      # the first product is in float32
        with np.errstate(over="ignore", under="ignore"):
            product = np.float32(sx) * np.array(quantization(w).scales, np.float32)
        reals = product.astype(np.float64) / np.float64(sy)
        return double_rounding(np.broadcast_to(reals, channels))
    if op.rule == "qdq" and (ties := op.attributes.get("ties")) is not None:
        return quotient(prod(pair(op, "filter")), channels, away=ties == "away")
    if op.rule == "qdq" and "fraction" in op.attributes:      # weights of a RESIZE
        return quotient_half_even(sx, int(str(op.attributes["fraction"])), sy, channels)
    if op.rule == "qdq" and "filter" in op.attributes and sx == sy:      # a mean of equal steps
        return quotient_half_even(1, 0, prod(pair(op, "filter")), channels)
    if op.rule == "qdq":
        count = (prod(pair(op, "filter")) if "filter" in op.attributes
                 else int(str(op.attributes.get("count", 1))))
        reals = sx * np.array(quantization(w).scales, np.float64) / (count * sy)
        return float_half_even(np.broadcast_to(reals, channels))
    if op.rule == "litert_mul":      # slopes, which are operands
        return double_rounding(np.full(channels, product_scale(
            quantization(lowering.x), quantization(w), quantization(lowering.y))))
    if op.rule == "litert_activation":      # LiteRT divides these scales in float32
        return double_rounding(np.full(channels, np.float32(sx) / np.float32(sy), np.float64))
    if op.rule == "litert_mean":
        return mean(sx / sy, int(str(op.attributes["count"])), channels)
    if op.rule == "litert_average_pool":
        return average_pool(prod(pair(op, "filter")), channels)
    if op.rule == "litert_uint8_average_pool":
        return average_pool_half_up(prod(pair(op, "filter")), channels)
    if op.rule in ("litert_bilinear", UINT8_BILINEAR):      # by powers of two
        reals = np.full(channels, np.ldexp(1.0, -int(str(op.attributes["fraction"]))))
        return (float_half_away if op.rule == "litert_bilinear" else float_half_up)(reals)
    raise UnsupportedError(f"{lowering.where}: unknown rounding rule '{op.rule}'")


def max_pool_layer(lowering: Lowering) -> Lowered:
    """The layer of a MAX_POOL_2D."""
    op, x, y = lowering.op, lowering.x, lowering.y
    channels = x.shape[3]
    every = np.zeros(channels, np.int64)
    rescale = prove(exact(channels), every - 128, every + 127, 0, bounds_of(op, y),
                    lowering.config.multiplier_bits, lowering.where)
    return ArrayLayer(
        op.name, op.kind, Mode.MAX_POOL, lowering.stored.inputs[0], y.id,
        geometry_of(op, x, y, pair(op, "filter")), None, every, -128, rescale, 0, source_of(op),
        removed=removed_of(op)), []
