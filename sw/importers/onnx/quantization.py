"""Scales and integers of an ONNX model: of its constants, and of values that are computed."""

from __future__ import annotations

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Stored,
    Value,
)

__all__ = ["ACTIVATIONS", "FLOAT_MAX", "steps_of", "activation_steps", "quantized_constant",
           "dequantize",
           "dequantized", "clamp_bounds", "in_steps", "in_other_steps", "keeps_steps",
           "known_constant", "real_constant", "real_numbers"]

ACTIVATIONS = ("int8", "uint8", "int16", "uint16")
FLOAT_MAX = float(np.finfo(np.float32).max)


def steps_of(builder: Builder, scale: Value, zero_point: Value | None, dtype: str | None,
             rank: int, axis: int) -> Steps:
    """The quantization that two operands give; ``dtype`` is that of the integers, if known."""
    if not isinstance(scale, Known) or not (zero_point is None or isinstance(zero_point, Known)):
        raise builder.fail("its scale and zero point must be constants; export with static "
                           "quantisation")
    scales = scale.data
    if scales.dtype != np.float32 or scales.ndim > 1 or not scales.size:
        raise builder.fail(f"scale is {scales.dtype}{list(scales.shape)}; only float32 numbers and "
                           "vectors are supported: quantise by tensor or by channel")
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise builder.fail("scales must be positive and finite", ModelError)
    found = dtype if zero_point is None else str(zero_point.data.dtype)
    found = found or "uint8"
    if dtype is not None and found != dtype:
        raise builder.fail(f"zero point is {found}, the integers are {dtype}", ModelError)
    zeros = np.zeros(scales.shape, np.int64) if zero_point is None else zero_point.data
    if zeros.dtype.kind not in "iu" or zeros.size != scales.size:
        raise builder.fail(f"{scales.size} scales but zero points {zeros.dtype}"
                           f"{list(zeros.shape)}", ModelError)
    if scales.size == 1:
        position = None
    else:
        position = 0 if rank == 1 else axis + rank if axis < 0 else axis
        if not 0 <= position < rank:
            raise builder.fail(f"axis {axis} does not fit {rank} dimensions", ModelError)
    return Steps(tuple(scales.astype(np.float64).reshape(-1).tolist()),
                 tuple(int(z) for z in zeros.reshape(-1)), found, position)


def activation_steps(builder: Builder, node: Node, scale: Value | None, zero_point: Value | None,
                     dtype: str | None, rank: int) -> Steps:
    """The quantization of an activation: one scale, 8 or 16 bits."""
    assert scale is not None
    if node.attributes.get("block_size") or node.attributes.get("output_dtype"):
        named = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}
        dtype = dtype or named.get(node.attributes.get("output_dtype", 0))
        if node.attributes.get("block_size") or dtype is None:
            raise builder.fail("only 8 and 16 bits, quantised by tensor, are supported for "
                               "activations")
    steps = steps_of(builder, scale, zero_point, dtype, rank, int(node.attributes.get("axis", 1)))
    if steps.dtype not in ACTIVATIONS:
        raise builder.fail(f"activations of {steps.dtype} are not supported; quantise them to 8 or "
                           "16 bits")
    if len(steps.scales) > 1:
        raise builder.fail(f"an activation has {len(steps.scales)} scales; quantise activations "
                           "by tensor")
    return steps


def quantized_constant(builder: Builder, node: Node, x: Known) -> Known:
    _, scale, zero_point = builder.operands(node, 2, 3)
    assert scale is not None
    steps = steps_of(builder, scale, zero_point, None, x.data.ndim,
                     int(node.attributes.get("axis", 1)))
    if steps.dtype not in (*ACTIVATIONS, "int32"):
        raise builder.fail(f"constants of {steps.dtype} are not supported; quantise to int8")
    _check_axis(builder, steps, x.data.shape)
    shape = [1] * x.data.ndim
    if steps.axis is not None:
        shape[steps.axis] = -1
    limits = np.iinfo(steps.dtype)
    # What was dequantised before is real numbers, in steps of their own.
    real = x.data if x.steps is None else x.real
    return Known(_rounded(builder, real, steps, shape, (limits.min, limits.max)))


def in_steps(builder: Builder, real: np.ndarray, steps: Steps,
             bounds: tuple[int, int] | tuple[float, float]) -> Known:
    """Real numbers in ``steps``, one scale, as QuantizeLinear rounds them; ``bounds`` are those of
    the integers after the shift."""
    low, high = (int(edge) + steps.shift for edge in bounds)
    return Known(_rounded(builder, real, steps, [1] * real.ndim, (low, high)), steps)


def _rounded(builder: Builder, data: np.ndarray, steps: Steps, shape: list[int],
             limits: tuple[int, int]) -> np.ndarray:
    """Integers of the dtype of ``steps``, whose scales are of ``shape``, between ``limits``."""
    if not np.isfinite(data).all():
        raise builder.fail("quantises a constant that is not finite", ModelError)
    scales = np.array(steps.scales, np.float32).reshape(shape)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.rint(data.astype(np.float32) / scales)
    ratio = np.clip(ratio, -(2.0**31), 2.0**31).astype(np.int64)
    zeros = np.array(steps.zero_points, np.int64).reshape(shape)
    return np.clip(ratio + zeros, *limits).astype(steps.dtype)


def _check_axis(builder: Builder, steps: Steps, shape: tuple[int, ...]) -> None:
    if steps.axis is not None and shape[steps.axis] != len(steps.scales):
        raise builder.fail(f"{len(steps.scales)} scales do not fit axis {steps.axis} of "
                           f"{list(shape)}", ModelError)


def dequantize(builder: Builder, node: Node) -> Value:
    """DequantizeLinear: integers as the real numbers that they stand for; nothing is computed."""
    x, scale, zero_point = builder.operands(node, 2, 3)
    assert x is not None and scale is not None
    if isinstance(x, Known):
        if node.attributes.get("block_size"):
            raise builder.fail("weights quantised by blocks are not supported; quantise them by "
                               "tensor or by channel")
        if x.data.dtype.kind not in "iu" or x.data.dtype.itemsize > 4:
            raise builder.fail(f"dequantises {x.data.dtype}", ModelError)
        steps = steps_of(builder, scale, zero_point, str(x.data.dtype), x.data.ndim,
                         int(node.attributes.get("axis", 1)))
        _check_axis(builder, steps, x.data.shape)
        return Known(x.data, steps)
    if not isinstance(x, Integers):
        raise builder.fail("dequantises numbers that were not quantised", ModelError)
    steps = activation_steps(builder, node, scale, zero_point, x.steps.dtype, len(x.stored.shape))
    if steps == x.steps:
        return Dequantized(x.stored, steps)
    return in_other_steps(builder, x, steps, node.outputs[0])


def in_other_steps(builder: Builder, x: Integers | Dequantized, steps: Steps,
                   name: str) -> Dequantized:
    """The same integers under another scale: another name of the same memory."""
    form = x.stored.first
    source = builder.form(x.stored, form)
    index, other = builder.made(name, x.stored.shape, form, steps)
    builder.emit("RESHAPE", (source,), index, {"shape": builder.tensors[index].shape}, "exact")
    return Dequantized(other.stored, steps)


def clamp_bounds(clamps: tuple[tuple[float, float], ...],
                 steps: Steps) -> tuple[int, int] | tuple[float, float]:
    """Part of the range of ``steps`` that activations behind a result leave: integers, or reals.

    Rounding is monotone and done in one piece, so clamping before and after it is the same.
    """
    low, high = -np.inf, np.inf
    for least, most in clamps:
        low, high = (min(max(edge, least), most) for edge in (low, high))
    if steps.dtype == "float32":
        return max(low, -FLOAT_MAX), min(high, FLOAT_MAX)
    first, last = steps.bounds
    zero_point = steps.zero_points[0] - steps.shift

    def edge(bound: float) -> int:
        with np.errstate(over="ignore"):
            ratio = np.rint(np.float32(bound) / np.float32(steps.scales[0]))
        return int(np.clip(float(np.clip(ratio, -(2.0**40), 2.0**40)) + zero_point, first, last))

    return edge(low), edge(high)


def dequantized(builder: Builder, value: Value | None, what: str) -> Dequantized:
    """``value`` as quantised numbers; raises UnsupportedError naming the operand ``what``."""
    if isinstance(value, Dequantized):
        return value
    if isinstance(value, Pending) and value.node.kind == "Identity" and isinstance(
            source := value.operands[0], Dequantized):
        if keeps_steps(value.clamps, source.steps):
            bounds = clamp_bounds(value.clamps, source.steps)
            if bounds == source.steps.bounds:
                return source
            result = builder.requantized(source, source.steps, f"{value.node.outputs[0]}", bounds)
            return Dequantized(result.stored, result.steps)
    if isinstance(value, Pending):
        raise builder.fail(f"{what} is the result of node {value.node.index} {value.node.kind} "
                           f"'{value.node.name}', which is not quantised; put QuantizeLinear and "
                           "DequantizeLinear behind that node")
    if isinstance(value, Integers):
        raise builder.fail(f"{what} is quantised, but not dequantised; put DequantizeLinear before "
                           "the node")
    raise builder.fail(f"{what} is not quantised; quantise the model to int8 in QDQ form, weights "
                       "and activations")


def keeps_steps(clamps: tuple[tuple[float, float], ...], steps: Steps) -> bool:
    """True where the clamps' ends are whole steps, or outside what the integers can be."""
    low, high = ((edge - z) * steps.scales[0] for edge, z in zip(
        (np.iinfo(steps.dtype).min, np.iinfo(steps.dtype).max), (steps.zero_points[0],) * 2,
        strict=True))
    return all(edge <= low or edge >= high or edge == 0 for pair in clamps for edge in pair)


def known_constant(builder: Builder, what: str, value: Value | None,
                   shape: tuple[int, ...]) -> Known | None:
    """A constant operand of finite numbers, called ``what`` in messages."""
    if value is None:
        return None
    if not isinstance(value, Known):
        raise builder.fail(f"{what} is computed; only a constant is supported")
    real_numbers(builder, value, what)
    if value.data.shape != shape:
        raise builder.fail(f"{what} is {list(value.data.shape)}, expected {list(shape)}",
                           ModelError)
    return value


def real_numbers(builder: Builder, value: Known, what: str) -> Known:
    """A constant of finite real numbers, quantised or float32, called ``what`` in messages."""
    if value.steps is None and value.data.dtype != np.float32:
        raise builder.fail(f"{what} is {value.data.dtype}, expected float32")
    with np.errstate(all="ignore"):
        finite = np.isfinite(value.real.astype(np.float32)).all()
    if not finite:
        raise builder.fail(f"{what} is not finite", ModelError)
    return value


def real_constant(builder: Builder, node: Node, what: str, value: Value | None,
                  shape: tuple[int, ...]) -> Floats | None:
    """``known_constant`` as a float32 tensor of the graph."""
    known = known_constant(builder, what, value, shape)
    if known is None:
        return None
    name = f"{next(o for o in node.outputs if o)}:{what}"
    index = builder.tensor(name, shape, "float32", data=known.real.astype(np.float32))
    return Floats(Stored(name, shape, {tuple(range(len(shape))): index}))
