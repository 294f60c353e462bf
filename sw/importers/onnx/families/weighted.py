"""Conv, Gemm and MatMul of quantised ONNX models."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.graph import Quantization
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.windows import as_map, from_map, map_result, window_of
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, operand, transposed
from kaniwa.importers.onnx.quantization import clamp_bounds, dequantized, real_numbers
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Value,
)

__all__ = ["bias_of", "constant_weights", "convolution", "gemm", "integers_of",
           "lower_convolution", "lower_matrix", "matmul", "real_input", "tensor_of", "with_bias"]

INT32 = np.iinfo(np.int32)
SAME_SCALE = 1e-6      # float32 rounds the product of two scales by 6e-8


def convolution(builder: Builder, node: Node) -> Value:
    """Conv over one or two dimensions, any groups, strides, dilations and padding."""
    x, w, bias = builder.operands(node, 2, 3)
    x = real_input(builder, x, "its input")
    weights = constant_weights(builder, w)
    shape = x.stored.shape
    if len(shape) not in (3, 4):
        raise builder.fail(f"works on {len(shape) - 2} dimensions; one and two are supported")
    if len(shape) != weights.data.ndim:
        raise builder.fail(f"weights {list(weights.data.shape)} do not fit input {list(shape)}",
                           ModelError)
    channels, depth, *kernel = weights.data.shape
    groups = node.attributes.get("group", 1)
    if not isinstance(groups, int) or groups < 1 or depth * groups != shape[1] or channels % groups:
        raise builder.fail(f"weights {list(weights.data.shape)} in {groups} groups do not fit "
                           f"input {list(shape)}", ModelError)
    if tuple(node.attributes.get("kernel_shape", kernel)) != tuple(kernel):
        raise builder.fail("kernel_shape is not that of its weights", ModelError)
    window = window_of(builder, node, shape[2:], tuple(kernel))
    result = (shape[0], channels, *window.sizes[-len(kernel):])
    return Pending(node, (x, weights, bias), result)


def real_input(builder: Builder, value: Value | None, what: str) -> Dequantized | Floats:
    """Real numbers, float32 where the quantiser has left a part of the model so."""
    return (operand if builder.quantised else dequantized)(builder, value, what)


def constant_weights(builder: Builder, value: Value | None) -> Known:
    """Constant weights, of 8 bits with a scale a tensor or a channel, or left in float32."""
    if not isinstance(value, Known):
        raise builder.fail("its weights are computed; only constant weights are supported")
    if not value.data.size:
        raise builder.fail(f"its weights {list(value.data.shape)} are empty", ModelError)
    return real_numbers(builder, value, "its weights")


def integers_of(builder: Builder, weights: Known,
              axis: int) -> tuple[np.ndarray, Quantization | None]:
    """Weights as int8, with zero points of 0 where the range allows, scales along ``axis``; or
    float32, which have no quantization."""
    steps = weights.steps
    if steps is None or steps.dtype not in ("int8", "uint8", "int4", "uint4"):
        return weights.real.astype(np.float32), None
    if steps.axis not in (None, axis):
        raise builder.fail(f"its weights have scales along axis {steps.axis}, expected {axis}, the "
                           "output channels")
    shape = [1] * weights.data.ndim
    shape[axis] = -1
    zeros = np.array(steps.zero_points, np.int64)
    centered = weights.data.astype(np.int64) - zeros.reshape(shape)
    if centered.min() >= -128 and centered.max() <= 127:
        return centered.astype(np.int8), Quantization(steps.scales, (0,) * len(steps.scales), 0)
    shift = steps.shift
    stored = (weights.data.astype(np.int64) - shift).astype(np.int8)
    return stored, Quantization(steps.scales, tuple(int(z) - shift for z in zeros), 0)


def bias_of(builder: Builder, value: Value | None, x: Dequantized | Floats,
          weights: Quantization | None, channels: int, steps: Steps,
          name: str) -> tuple[int, dict[str, object]]:
    """The bias's id, or -1; and attributes.

    A result, an input or weights in float32 take the bias in float32, else it becomes int32 in
    steps of sx * sw, and ``bias_error`` is what rounding it to those moved a result by at most, in
    the output's steps.
    """
    if value is None:
        return -1, {}
    if not isinstance(value, Known):
        raise builder.fail("its bias is computed; only constants are supported")
    if value.data.size not in (1, channels) or value.data.ndim > 2:
        raise builder.fail(f"bias {list(value.data.shape)} does not fit {channels} channels",
                           ModelError)
    if isinstance(x, Floats) or weights is None:
        return _float_bias(builder, value, channels, name), {}
    scales = x.steps.scales[0] * np.array(weights.scales, np.float64)
    error = 0.0
    exact = value.steps is not None and bool(
        (np.abs(np.array(value.steps.scales) / scales - 1) < SAME_SCALE).all()
        and not any(value.steps.zero_points))
    if exact:
        rounded = value.data.reshape(-1).astype(np.float64)
    else:
        # Real numbers, or steps of their own: to the nearest of the accumulator's.
        real = value.real.reshape(-1) / scales
        rounded = np.rint(real)
        with np.errstate(invalid="ignore"):      # infinities are refused below
            error = float((np.abs(real - rounded) * scales / steps.scales[0]).max())
    if steps.dtype == "float32" and not exact:
        return _float_bias(builder, value, channels, name), {}
    rounded = np.broadcast_to(rounded, channels)
    if not np.isfinite(rounded).all() or rounded.min() < INT32.min or rounded.max() > INT32.max:
        raise builder.fail("its bias does not fit int32 in steps of input scale * weight scale; "
                           "quantise the bias, or choose larger weight scales")
    q = Quantization(tuple(scales.tolist()), (0,) * len(scales), None if len(scales) == 1 else 0)
    index = builder.tensor(f"{name}:bias", (channels,), "int32", q, rounded.astype(np.int32))
    return index, {"bias_error": error} if error > 0 else {}


def _float_bias(builder: Builder, value: Known, channels: int, name: str) -> int:
    real = real_numbers(builder, value, "its bias").real.reshape(-1)
    return builder.tensor(f"{name}:bias", (channels,), "float32", None,
                          np.broadcast_to(real, channels))


def tensor_of(builder: Builder, name: str, data: np.ndarray, q: Quantization | None,
               axis: int) -> int:
    """Weights in the graph's layout; ``axis`` is theirs, where there are scales along one."""
    if q is not None:
        q = Quantization(q.scales, q.zero_points, axis if len(q.scales) > 1 else None)
    return builder.tensor(f"{name}:weights", data.shape, str(data.dtype), q, data)


@lowers("Conv", to_float=True)
def lower_convolution(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To CONV_2D or DEPTHWISE_CONV_2D on channel-last maps."""
    x, known, bias = pending.operands
    assert isinstance(x, (Dequantized, Floats)) and isinstance(known, Known)
    window = window_of(builder, pending.node, x.stored.shape[2:], known.data.shape[2:])
    data, q = integers_of(builder, known, 0)
    channels, depth = data.shape[:2]
    data = data.reshape(channels, depth, *window.kernel)
    groups = x.stored.shape[1] // depth
    attributes: dict[str, object] = {**window.attributes, "activation": "NONE",
                                     "bounds": clamp_bounds(pending.clamps, steps)}
    if depth == 1 and groups > 1:
        kind, layout, axis = "DEPTHWISE_CONV_2D", data.transpose(1, 2, 3, 0), 3
        attributes["depth_multiplier"] = channels // groups
    else:
        kind, layout, axis = "CONV_2D", data.transpose(0, 2, 3, 1), 0
    weights = tensor_of(builder, name, layout, q, axis)
    offset, rounding = bias_of(builder, bias, x, q, channels, steps, name)
    source = as_map(builder, x)
    output = map_result(builder, pending, window.sizes, channels, steps, name)
    builder.emit(kind, (source, weights, offset), output, attributes | rounding, steps.rule)
    return from_map(builder, pending, output, steps, name)


def gemm(builder: Builder, node: Node) -> Value:
    """Gemm with constant weights, which take alpha in, and a bias, which takes beta."""
    x, w, bias = builder.operands(node, 2, 3)
    x = real_input(builder, x, "its input")
    if node.attributes.get("transA", 0):
        x = transposed(builder, x, (1, 0), f"{node.outputs[0]}:x") if len(
            x.stored.shape) == 2 else x
    weights = _times(builder, constant_weights(builder, w), node.attributes.get("alpha", 1.0))
    if isinstance(bias, Known):
        bias = _times(builder, bias, node.attributes.get("beta", 1.0))
    if len(x.stored.shape) != 2 or weights.data.ndim != 2:
        raise builder.fail(f"multiplies {list(x.stored.shape)} by {list(weights.data.shape)}",
                           ModelError)
    outputs, depth = weights.data.shape[::1 if node.attributes.get("transB", 0) else -1]
    if depth != x.stored.shape[1]:
        raise builder.fail(f"weights {list(weights.data.shape)} do not fit input "
                           f"{list(x.stored.shape)}", ModelError)
    if isinstance(bias, Known) and bias.data.shape not in (
            (), (1,), (outputs,), (1, 1), (1, outputs)):
        raise builder.fail(f"a bias {list(bias.data.shape)} has numbers of its own for each row; "
                           "add it behind the node")
    return Pending(node, (x, weights, bias), (x.stored.shape[0], outputs))


def _times(builder: Builder, known: Known, factor: float) -> Known:
    """A constant times a number: in other steps, its integers negated where that is negative."""
    if factor == 1:
        return known
    if not np.isfinite(factor):
        raise builder.fail(f"multiplies by {factor}", ModelError)
    if factor < 0 and known.steps is not None:
        known, factor = _negated(known, known.steps), -factor
    steps = known.steps
    if steps is not None and 2.0**-100 < factor * min(steps.scales) and factor * max(
            steps.scales) < 2.0**100:
        return Known(known.data, replace(steps, scales=tuple(s * factor for s in steps.scales)))
    return Known((known.real * factor).astype(np.float32))


def _negated(known: Known, steps: Steps) -> Known:
    """A quantised constant times -1, in the same type."""
    shape = [1] * known.data.ndim
    if steps.axis is not None:
        shape[steps.axis] = -1
    limits, own = np.iinfo(known.data.dtype), np.array(steps.zero_points, np.int64)
    data = 2 * own.reshape(shape) - known.data.astype(np.int64)
    if data.min() >= limits.min and data.max() <= limits.max:
        return Known(data.astype(known.data.dtype), steps)
    # The complement of all bits: -1 less the integer, as -1 less the zero point.
    zeros = ~own.astype(known.data.dtype)
    return Known(~known.data, replace(steps, zero_points=tuple(int(z) for z in zeros)))


def matmul(builder: Builder, node: Node) -> Value:
    """MatMul of quantised numbers with a constant matrix, or with other numbers."""
    operands = [
        constant_weights(builder, value) if isinstance(value, Known)
        else real_input(builder, value, f"its {name} operand")
        for name, value in zip(("first", "second"), builder.operands(node, 2, 2), strict=True)]
    a, b = operands
    first, second = map(builder.shape_of, operands)
    if isinstance(b, Known) and len(second) == 2 and second[:1] == first[-1:]:
        return Pending(node, (a, b, None), (*first[:-1], second[1]))
    if min(len(first), len(second)) < 2:
        raise builder.fail(f"multiplies {list(first)} by {list(second)}; matrices are supported")
    if first[-1] != second[-2]:
        raise builder.fail(f"multiplies {list(first)} by {list(second)}", ModelError)
    try:
        batch = np.broadcast_shapes(first[:-2], second[:-2])
    except ValueError:
        raise builder.fail(f"multiplies {list(first)} by {list(second)}", ModelError) from None
    return Pending(node, (a, b), (*batch, first[-2], second[-1]))


def with_bias(pending: Pending, bias: Known, name: str) -> Pending | None:
    """``pending`` with a constant added a channel, where it has none yet; else None.

    The model calls the sum ``name``.
    """
    node = pending.node
    if pending.clamps or len(pending.operands) != 3 or pending.operands[2] is not None:
        return None
    rank = len(pending.shape)
    axis = 1 if node.kind == "Conv" else rank - 1
    shape = (1,) * (rank - bias.data.ndim) + bias.data.shape
    expected = tuple(pending.shape[axis] if i == axis else 1 for i in range(rank))
    if bias.data.ndim > rank or shape != expected or (
            bias.steps is not None and bias.steps.axis is not None):
        return None
    flat = Known(bias.data.reshape(-1), bias.steps)
    return Pending(node, (*pending.operands[:2], flat), pending.shape, name=name)


@lowers("Gemm", "MatMul", to_float=True)
def lower_matrix(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To FULLY_CONNECTED, or BATCH_MATMUL where no constant matrix is the second operand."""
    bounds = clamp_bounds(pending.clamps, steps)
    a, b = pending.operands[:2]
    identity = tuple(range(len(pending.shape)))
    if len(pending.operands) == 2:
        inputs = tuple(_matrices(builder, value, f"{name}:{number}")
                       for number, value in enumerate(pending.operands))
        output, result = builder.made(name, pending.shape, identity, steps)
        builder.emit("BATCH_MATMUL", inputs, output, {"bounds": bounds}, steps.rule)
        return result
    assert isinstance(a, (Dequantized, Floats)) and isinstance(b, Known)
    by_row = pending.node.kind == "Gemm" and pending.node.attributes.get("transB", 0)
    data, q = integers_of(builder, b, 0 if by_row else 1)
    data = data if by_row else data.T
    source, data = _flat_source(builder, a, data)
    weights = tensor_of(builder, name, data, q, 0)
    offset, rounding = bias_of(builder, pending.operands[2], a, q, len(data), steps, name)
    output, result = builder.made(name, pending.shape, identity, steps)
    builder.emit("FULLY_CONNECTED", (source, weights, offset), output,
                 {"activation": "NONE", "keep_num_dims": len(pending.shape) != 2,
                  "bounds": bounds, **rounding}, steps.rule)
    return result


def _matrices(builder: Builder, value: Value | None, name: str) -> int:
    """An operand of BATCH_MATMUL as the model has it."""
    if isinstance(value, Known):
        rank = value.data.ndim
        return builder.constant(value, name, tuple(range(rank)), rank)
    assert isinstance(value, (Dequantized, Floats))
    return builder.form(value.stored, tuple(range(len(value.stored.shape))))


def _flat_source(builder: Builder, x: Dequantized | Floats,
                 weights: np.ndarray) -> tuple[int, np.ndarray]:
    """The input's id, and the weights' columns in its order.

    A flattened channel-last map is not transposed: the columns of the weights are.
    """
    stored = x.stored
    source = stored.source
    if stored.forms or source is None or source.shape[0] != stored.shape[0]:
        return builder.form(stored, tuple(range(len(stored.shape)))), weights
    form = source.first
    if form[0] != 0:
        return builder.form(stored, tuple(range(len(stored.shape)))), weights
    columns = np.arange(prod(source.shape[1:])).reshape(1, *source.shape[1:]).transpose(form)
    flat = builder.reshaped(builder.form(source, form), stored.shape, f"{stored.name}:flat")
    return flat, np.ascontiguousarray(weights[:, columns.reshape(-1)])
