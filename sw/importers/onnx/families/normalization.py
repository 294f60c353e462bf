"""Normalizations of rows, and by channel, of quantised ONNX models."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.golden.onnx.layer_norm import (
    RULE as FIXED_POINT,
    layer_norm_numbers,
    map_norm_numbers,
)
from kaniwa.golden.onnx.rms_norm import rms_norm_numbers
from kaniwa.graph import Quantization
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, operand
from kaniwa.importers.onnx.quantization import clamp_bounds, real_constant
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Value,
    channel_last,
    moved,
)

LARGEST_WEIGHT = 127

__all__ = ["batch_normalization", "group_normalization", "layer_normalization",
           "lower_batch_normalization", "lower_group_normalization", "lower_layer_normalization",
           "lower_root_normalization", "root_normalization"]


def layer_normalization(builder: Builder, node: Node) -> Value:
    """LayerNormalization over the last axis, with constant Scale and B; waits for its steps."""
    values = builder.operands(node, 2, 3)
    if any(node.outputs[1:]):
        raise builder.fail("Mean and InvStdDev are not supported; leave these results out")
    x = operand(builder, values[0], "its input")
    shape = x.stored.shape
    _last_axis(builder, node, shape)
    epsilon = _epsilon(builder, node)
    constants = tuple(real_constant(builder, node, what, value, shape[-1:])
                      for what, value in zip(("Scale", "B"), values[1:], strict=False))
    return Pending(replace(node, outputs=node.outputs[:1], attributes={"epsilon": epsilon}),
                   (x, *constants), shape)


@lowers("LayerNormalization", to_float=True)
def lower_layer_normalization(builder: Builder, pending: Pending, steps: Steps,
                              name: str) -> Integers:
    """To LAYER_NORM, of rule ``qdq_fixed_point`` where that has numbers for its constants."""
    x, *constants = pending.operands
    assert isinstance(x, (Dequantized, Floats))
    form = tuple(range(len(pending.shape)))
    inputs = [builder.form(x.stored, form)]
    for constant in constants:
        assert constant is None or isinstance(constant, Floats)
        inputs.append(-1 if constant is None else constant.stored.forms[constant.stored.first])
    index, result = builder.made(name, pending.shape, form, steps)
    epsilon = pending.node.attributes["epsilon"]
    assert isinstance(epsilon, float)
    rule = steps.rule
    if isinstance(x, Dequantized) and x.steps.bits == steps.bits == 8:
        gain, bias = (None if i == -1 else builder.tensors[i].data for i in (*inputs[1:], -1)[:2])
        assert gain is not None
        if layer_norm_numbers(gain, bias, epsilon, x.steps.scales[0], steps.scales[0]):
            rule = FIXED_POINT
    builder.emit("LAYER_NORM", tuple(inputs), index, {
        "epsilon": epsilon, "bounds": clamp_bounds(pending.clamps, steps)}, rule)
    return result


def root_normalization(builder: Builder, node: Node) -> Value:
    """RMSNormalization over the last axis, SimplifiedLayerNormalization, which is the same with a
    second result, and LpNormalization of order 2 along any axis."""
    gain: Value | None
    if node.kind == "LpNormalization":
        (value,) = builder.operands(node, 1, 1)
        x = operand(builder, value, "its input")
        if node.attributes.get("p", 2) != 2:
            raise builder.fail("p must be 2")
        shape = x.stored.shape
        axis = _axis(builder, node, shape)
        gain = Known(np.full(shape[axis], shape[axis] ** -0.5, np.float32))
        epsilon = 0.0
    else:
        value, gain = builder.operands(node, 2, 2)
        if any(node.outputs[1:]):
            raise builder.fail("InvStdDev is not supported; leave this result out")
        x = operand(builder, value, "its input")
        shape = x.stored.shape
        axis, epsilon = _last_axis(builder, node, shape), _epsilon(builder, node)
    scale = real_constant(builder, node, "Scale", gain, (shape[axis],))
    return Pending(replace(node, outputs=node.outputs[:1],
                           attributes={"epsilon": epsilon, "axis": axis}), (x, scale), shape)


@lowers("RMSNormalization", "SimplifiedLayerNormalization", "LpNormalization", to_float=True)
def lower_root_normalization(builder: Builder, pending: Pending, steps: Steps,
                             name: str) -> Integers:
    """To RMS_NORM, its axis last; of rule ``qdq_fixed_point`` where that has numbers for it."""
    x, scale = pending.operands
    assert isinstance(x, (Dequantized, Floats)) and isinstance(scale, Floats)
    axis, epsilon = (pending.node.attributes[key] for key in ("axis", "epsilon"))
    form = (*(i for i in range(len(pending.shape)) if i != axis), axis)
    source, gain = builder.form(x.stored, form), builder.form(scale.stored, scale.stored.first)
    index, result = builder.made(name, pending.shape, form, steps)
    rule = steps.rule
    if isinstance(x, Dequantized) and x.steps.bits == steps.bits == 8 and rms_norm_numbers(
            _numbers(builder, scale), epsilon, x.steps.scales[0], steps.scales[0]):
        rule = FIXED_POINT
    builder.emit("RMS_NORM", (source, gain), index, {
        "epsilon": epsilon, "bounds": clamp_bounds(pending.clamps, steps)}, rule)
    return result


def _axis(builder: Builder, node: Node, shape: tuple[int, ...]) -> int:
    axis = node.attributes.get("axis", -1)
    if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        raise builder.fail(f"axis {axis} does not fit {list(shape)}", ModelError)
    return axis % len(shape)


def _last_axis(builder: Builder, node: Node, shape: tuple[int, ...]) -> int:
    axis = _axis(builder, node, shape)
    if axis != len(shape) - 1:
        raise builder.fail(f"axis {axis} has others behind it; only the last axis is supported")
    return axis


def _epsilon(builder: Builder, node: Node) -> float:
    epsilon = node.attributes.get("epsilon", 1e-5)
    if not isinstance(epsilon, float) or not 0 <= epsilon < float("inf"):
        raise builder.fail(f"epsilon {epsilon} must be a number from 0 on", ModelError)
    return epsilon


def _of_channels(builder: Builder, x: Value | None) -> Dequantized | Floats:
    x = operand(builder, x, "its input")
    if len(x.stored.shape) < 2:
        raise builder.fail(f"its input {list(x.stored.shape)} has no channels", ModelError)
    return x


def batch_normalization(builder: Builder, node: Node) -> Value:
    """BatchNormalization by constant means and variances."""
    value, *others = builder.operands(node, 5, 5)
    if node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        raise builder.fail("training_mode is not supported; export the model for inference")
    x, epsilon = _of_channels(builder, value), _epsilon(builder, node)
    constants = tuple(
        real_constant(builder, node, what, value, x.stored.shape[1:2])
        for what, value in zip(("scale", "B", "mean", "var"), others, strict=True))
    return Pending(replace(node, outputs=node.outputs[:1], attributes={"epsilon": epsilon}),
                   (x, *constants), x.stored.shape)


def group_normalization(builder: Builder, node: Node) -> Value:
    """InstanceNormalization, and GroupNormalization with a gain a channel or a group."""
    value, *others = builder.operands(node, 3, 3)
    x, epsilon = _of_channels(builder, value), _epsilon(builder, node)
    channels = x.stored.shape[1]
    groups = node.attributes.get("num_groups") if node.kind == "GroupNormalization" else channels
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise builder.fail(f"{groups} groups do not fit {channels} channels", ModelError)
    constants = []
    for what, other in zip(("scale", "bias"), others, strict=True):
        if isinstance(other, Known) and other.data.shape == (groups,) != (channels,):
            other = Known(np.repeat(other.real, channels // groups).astype(np.float32))
        constants.append(real_constant(builder, node, what, other, (channels,)))
    attributes = {"epsilon": epsilon, "groups": groups}
    return Pending(replace(node, attributes=attributes), (x, *constants), x.stored.shape)


@lowers("BatchNormalization", to_float=True)
def lower_batch_normalization(builder: Builder, pending: Pending, steps: Steps,
                              name: str) -> Integers:
    """To DEPTHWISE_CONV_2D of one pixel for quantised values, else to BATCH_NORM, channels last."""
    return _as_convolution(builder, pending, steps, name) or _by_channel(
        builder, pending, steps, name, "BATCH_NORM", steps.rule)


def _as_convolution(builder: Builder, pending: Pending, steps: Steps,
                    name: str) -> Integers | None:
    """Weights of 127, -127 or 0 with a scale a channel, and what is added as a bias; or None."""
    x, *constants = pending.operands
    if not isinstance(x, Dequantized) or not x.steps.bits == steps.bits == 8:
        return None
    gain, bias, mean, variance = (_numbers(builder, value) for value in constants)
    with np.errstate(all="ignore"):
        factor = gain / np.sqrt(variance + pending.node.attributes["epsilon"])
    added = bias - mean * factor
    used = np.abs(factor) > 2.0**-30
    if not (np.isfinite(factor) & np.isfinite(added) & (used | (factor == 0))).all():
        return None
    # A channel that is multiplied by 0 has any scale in which its bias is fine enough.
    any_scale = steps.scales[0] / x.steps.scales[0] / LARGEST_WEIGHT
    scales = np.where(used, np.abs(factor) / LARGEST_WEIGHT, any_scale)
    in_steps = added / (scales * x.steps.scales[0])
    if np.abs(in_steps).max() >= 2.0**31 - 1:
        return None
    rounded = np.rint(in_steps)
    error = float((np.abs(in_steps - rounded) * scales).max()) * x.steps.scales[0] / steps.scales[0]
    count, zeros, many = len(factor), (0,) * len(factor), len(factor) > 1
    weights = builder.tensor(
        f"{name}:weights", (1, 1, 1, count), "int8",
        Quantization(tuple(scales.tolist()), zeros, 3 if many else None),
        np.sign(factor) * LARGEST_WEIGHT)
    offset = builder.tensor(
        f"{name}:bias", (count,), "int32",
        Quantization(tuple((scales * x.steps.scales[0]).tolist()), zeros, 0 if many else None),
        rounded)
    form = channel_last(len(pending.shape))
    source = builder.form(x.stored, form)
    index, result = builder.made(name, pending.shape, form, steps)
    map_of = index
    if len(form) != 4:      # a row of pixels
        shape = (1, 1, prod(moved(pending.shape, form)[:-1]), count)
        source = builder.reshaped(source, shape, f"{name}:pixels")
        map_of = builder.tensor(f"{name}:map", shape, *steps.stored_as)
        builder.store(name, map_of, pending.shape, form, steps)     # the same values
    builder.emit("DEPTHWISE_CONV_2D", (source, weights, offset), map_of, {
        "stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "activation": "NONE",
        "bounds": clamp_bounds(pending.clamps, steps), "depth_multiplier": 1,
        **({"bias_error": error} if error else {})}, steps.rule)
    if map_of != index:
        builder.emit("RESHAPE", (map_of,), index, {"shape": builder.tensors[index].shape}, "exact")
    return result


def _numbers(builder: Builder, value: Value | None) -> np.ndarray:
    """A float32 constant of the graph, in float64."""
    assert isinstance(value, Floats)
    data = builder.tensors[builder.form(value.stored, value.stored.first)].data
    assert data is not None
    return data.astype(np.float64)


@lowers("InstanceNormalization", "GroupNormalization", to_float=True)
def lower_group_normalization(builder: Builder, pending: Pending, steps: Steps,
                              name: str) -> Integers:
    """To GROUP_NORM, channels last, or INSTANCE_NORM, channels before what they have; one group and
    single channels are of rule ``qdq_fixed_point`` where that has numbers for them."""
    (x, *constants), attributes = pending.operands, pending.node.attributes
    rule, of_channel = steps.rule, prod(pending.shape[2:])
    if isinstance(x, Dequantized) and x.steps.bits == steps.bits == 8:
        gain, bias = (_numbers(builder, value) for value in constants)
        numbers = gain, bias, attributes["epsilon"], x.steps.scales[0], steps.scales[0]
        if attributes["groups"] == pending.shape[0] == 1:
            if map_norm_numbers(*numbers, prod(pending.shape)):
                rule = FIXED_POINT
        elif attributes["groups"] == pending.shape[1] and map_norm_numbers(*numbers, of_channel):
            return _of_single_channels(builder, pending, steps, name)
    return _by_channel(builder, pending, steps, name, "GROUP_NORM", rule)


def _by_channel(builder: Builder, pending: Pending, steps: Steps, name: str, kind: str,
                rule: str) -> Integers:
    x, *constants = pending.operands
    assert isinstance(x, (Dequantized, Floats))
    form = channel_last(len(pending.shape))
    inputs = [builder.form(x.stored, form)]
    for constant in constants:
        assert isinstance(constant, Floats)
        inputs.append(builder.form(constant.stored, constant.stored.first))
    index, result = builder.made(name, pending.shape, form, steps)
    builder.emit(kind, tuple(inputs), index, {
        **pending.node.attributes, "bounds": clamp_bounds(pending.clamps, steps)}, rule)
    return result


def _of_single_channels(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To INSTANCE_NORM of [N, C, L]."""
    x, *constants = pending.operands
    assert isinstance(x, Dequantized)
    form, shape = tuple(range(len(pending.shape))), (*pending.shape[:2], prod(pending.shape[2:]))
    source = builder.reshaped(builder.form(x.stored, form), shape, f"{name}:channels")
    inputs = [source]
    for constant in constants:
        assert isinstance(constant, Floats)
        inputs.append(builder.form(constant.stored, constant.stored.first))
    index, result = builder.made(name, pending.shape, form, steps)
    of_rows = index
    if shape != pending.shape:
        of_rows = builder.tensor(f"{name}:rows", shape, *steps.stored_as)
        builder.store(name, of_rows, pending.shape, form, steps)     # the same values
    builder.emit("INSTANCE_NORM", tuple(inputs), of_rows, {
        "epsilon": pending.node.attributes["epsilon"],
        "bounds": clamp_bounds(pending.clamps, steps)}, FIXED_POINT)
    if of_rows != index:
        builder.emit("RESHAPE", (of_rows,), index, {"shape": pending.shape}, "exact")
    return result
