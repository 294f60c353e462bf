"""Cast, and quantisation whose steps are found while the model runs, of ONNX models."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.weighted import convolution, matmul
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import floats, movable
from kaniwa.importers.onnx.quantization import dequantize, in_other_steps
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

__all__ = ["cast", "dynamic_quantize", "dequantize_any", "of_integers"]

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
          9: "bool"}


def cast(builder: Builder, node: Node) -> Value:
    """Cast: 8-bit integers as real numbers of step 1, others on the host."""
    value = builder.operands(node, 1, 1)[0]
    dtype = DTYPES.get(node.attributes.get("to", 0))
    if dtype is None:
        raise builder.fail(f"casts to type {node.attributes.get('to')}; use float32 or integers")
    if dtype == "float32":
        if isinstance(value, (Dequantized, Pending)):
            return value
        if isinstance(value, Integers):
            return _plain(builder, value, 0, node.outputs[0])
    moved = movable(builder, value)
    if isinstance(moved, Integers):
        moved = _plain(builder, moved, 0, f"{node.outputs[0]}:plain")
    stored = floats(builder, moved, "its input")
    return _cast(builder, stored, dtype, node.outputs[0])


def _cast(builder: Builder, stored: Stored, dtype: str, name: str) -> Floats:
    source = builder.tensors[builder.form(stored, stored.first)]
    if source.dtype == dtype:
        return Floats(stored, dtype)
    index = builder.tensor(name, source.shape, dtype)
    builder.emit("CAST", (source.id,), index, {}, "exact")
    return Floats(builder.store(name, index, stored.shape, stored.first), dtype)


def _plain(builder: Builder, value: Integers, zero_point: int, name: str) -> Dequantized:
    """The integers less a zero point, as real numbers."""
    steps = Steps((1.0,), (zero_point,), value.steps.dtype)
    if value.steps == steps:
        return Dequantized(value.stored, steps)
    return in_other_steps(builder, value, steps, name)


def dynamic_quantize(builder: Builder, node: Node) -> list[Value]:
    """DynamicQuantizeLinear: bytes, scale and zero point, made on the host."""
    x = floats(builder, builder.operands(node, 1, 1)[0], "its input")
    form, values = x.first, list[Value]()
    source = builder.form(x, form)
    kinds = (("uint8", x.shape), ("float32", ()), ("uint8", ()))
    names = [name or f"{node.outputs[0]}:{i}" for i, name in enumerate((*node.outputs, "", ""))]
    indices = []
    for (dtype, shape), name in zip(kinds, names, strict=False):
        own = form if shape else ()
        indices.append(builder.tensor(name, tuple(shape[a] for a in own), dtype))
        values.append(Floats(builder.store(name, indices[-1], shape, own), dtype))
    builder.emit_all("DYNAMIC_QUANTIZE", (source,), tuple(indices), {}, "onnx")
    return values[:len(node.outputs)]


def dynamic_dequantize(builder: Builder, node: Node) -> Value:
    """DequantizeLinear with a computed scale, in float32 on the host."""
    x, scale, zero_point = builder.operands(node, 2, 3)
    name = node.outputs[0]
    less = _less(builder, x, zero_point, name)
    factor = floats(builder, _real(builder, scale, f"{name}:scale"), "its scale")
    if factor.shape not in ((), (1,)):
        raise builder.fail("a computed scale must be one number; quantise by tensor")
    return Pending(replace(node, kind="Mul"), (less, Floats(factor)), less.stored.shape)


def dequantize_any(builder: Builder, node: Node) -> Value:
    """DequantizeLinear by constants, or by what DynamicQuantizeLinear has found."""
    values = builder.operands(node, 2, 3)
    if isinstance(values[0], Known) or isinstance(values[1], Known):
        return dequantize(builder, node)
    return dynamic_dequantize(builder, node)


def _less(builder: Builder, x: Value | None, zero_point: Value | None, name: str) -> Floats:
    """Integers less a zero point that is computed, float32: exact."""
    numbers = _real(builder, x, f"{name}:numbers")
    if zero_point is None:
        return numbers
    zero = _real(builder, zero_point, f"{name}:zero")
    form = numbers.stored.first
    inputs = (builder.form(numbers.stored, form), builder.form(zero.stored, zero.stored.first))
    index = builder.tensor(f"{name}:less", builder.tensors[inputs[0]].shape, "float32")
    builder.emit("SUB", inputs, index, {"activation": "NONE", "bounds": (-2.0**32, 2.0**32)},
                 "onnx")
    return Floats(Stored(f"{name}:less", numbers.stored.shape, {form: index}))


def _real(builder: Builder, value: Value | None, name: str) -> Floats:
    """Integers or real numbers as float32."""
    if isinstance(value, Known):
        identity = tuple(range(value.data.ndim))
        index = builder.tensor(name, value.data.shape, "float32", None, value.real)
        return Floats(Stored(name, value.data.shape, {identity: index}))
    if isinstance(value, Integers):
        value = _plain(builder, value, 0, f"{name}:plain")
    return _cast(builder, floats(builder, value, "its operand"), "float32", name)


def of_integers(builder: Builder, node: Node) -> Value:
    """MatMulInteger and ConvInteger: the product of integers less their zero points."""
    x, w, zero_point, weights_zero = builder.operands(node, 2, 4)
    if not isinstance(w, Known) or w.steps is not None or w.data.dtype.kind not in "iu":
        raise builder.fail("its weights are computed; only constant weights are supported")
    if weights_zero is not None and not isinstance(weights_zero, Known):
        raise builder.fail("the zero point of its weights must be a constant")
    if zero_point is not None and prod(builder.shape_of(zero_point)) != 1:
        raise builder.fail("the zero point of its input must be one number; quantise it by tensor")
    zeros = (0,) if weights_zero is None else tuple(
        int(z) for z in weights_zero.data.reshape(-1))
    conv = node.kind == "ConvInteger"
    axis = None if len(zeros) == 1 else 0 if conv else w.data.ndim - 1
    if axis is not None and w.data.shape[axis] != len(zeros):
        raise builder.fail(f"{len(zeros)} zero points do not fit weights {list(w.data.shape)}")
    weights = Known(w.data, Steps((1.0,) * len(zeros), zeros, str(w.data.dtype), axis))
    name = node.outputs[0]
    if isinstance(x, Integers) and (zero_point is None or isinstance(zero_point, Known)):
        zero = 0 if zero_point is None else int(zero_point.data.reshape(-1)[0])
        real: Value = _plain(builder, x, zero, f"{name}:plain")
    else:
        real = _less(builder, x, zero_point, name)
    inner = replace(node, kind="Conv" if conv else "MatMul", inputs=(f"{name}:x", f"{name}:w"))
    builder.values[inner.inputs[0]], builder.values[inner.inputs[1]] = real, weights
    return (convolution if conv else matmul)(builder, inner)
