"""Sums, products, activations, means and pooling of quantised ONNX models."""

from __future__ import annotations

from dataclasses import replace
from math import inf, prod

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.codes import clamped_integers
from kaniwa.importers.onnx.families.weighted import with_bias
from kaniwa.importers.onnx.families.windows import Window, as_map, from_map, map_result, window_of
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, movable, operand, quantized_floats
from kaniwa.importers.onnx.quantization import clamp_bounds, in_other_steps, real_numbers
from kaniwa.importers.onnx.values import (
    REAL,
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Permutation,
    Steps,
    Value,
    common_form,
    moved,
)

__all__ = ["average_pool", "clamp", "elementwise", "extreme", "identity_of", "lower_elementwise",
           "lower_identity", "lower_lp_pool", "lower_pool", "lp_pool", "max_pool", "slopes"]

KINDS = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Max": "MAXIMUM",
         "Min": "MINIMUM", "slopes": "PRELU"}


def elementwise(builder: Builder, node: Node) -> Value:
    """Add, Sub, Mul, Div of operands, quantised or left in float32.

    A constant that is added behind weights becomes their bias.
    """
    a, b = builder.operands(node, 2, 2)
    if node.kind == "Add":
        for first, second in ((a, b), (b, a)):
            if isinstance(first, Pending) and isinstance(second, Known):
                biased = with_bias(first, second, node.outputs[0])
                if biased is not None:
                    return biased
    for x, other in ((a, b), (b, a))[:2 if node.kind == "Mul" else 1]:
        factor = _factor(node, other)
        # One number in more dimensions than the operand has gives it those.
        if factor and isinstance(x, Dequantized) and (
                len(builder.shape_of(other or x)) <= len(x.stored.shape)):
            scale = x.steps.scales[0] * factor
            if 2.0**-100 < scale < 2.0**100:      # float32 has it with all its bits
                return in_other_steps(builder, x, replace(x.steps, scales=(scale,)),
                                      node.outputs[0])
    return _of_two(builder, node, (a, b))


def _of_two(builder: Builder, node: Node, values: tuple[Value | None, Value | None]) -> Pending:
    operands = tuple(_quantised(builder, v, f"operand {i}") for i, v in enumerate(values))
    if all(isinstance(v, Known) for v in operands):
        raise builder.fail("both operands are constants; fold them when exporting")
    shapes = [builder.shape_of(v) for v in operands]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise builder.fail(f"{list(shapes[0])} and {list(shapes[1])} do not broadcast",
                           ModelError) from None
    return Pending(node, operands, shape)


def extreme(builder: Builder, node: Node) -> Value:
    """Max and Min of any number of operands, two at a time; with a number it is a clamp."""
    if not 1 <= len(node.inputs) <= 64:
        raise builder.fail(f"has {len(node.inputs)} operands, 1 to 64 are supported")
    # What is computed comes first: their order changes nothing.
    first, *others = sorted(builder.operands(node, len(node.inputs), len(node.inputs)),
                            key=lambda value: isinstance(value, Known))
    name, last = node.outputs[0], len(others) - 1
    assert first is not None
    result: Value = first if others else identity_of(node, operand(builder, first, "its input"))
    for i, other in enumerate(others):
        own = name if i == last else f"{name}:{i}"
        if isinstance(other, Known) and other.data.size == 1 and (
                other.data.ndim <= len(builder.shape_of(result))):
            edge = _edge(builder, node, other, "a constant", 0.0)
            low, high = (edge, inf) if node.kind == "Max" else (-inf, edge)
            result = _clamped_to(builder, node, result, low, high, own)
        else:
            result = _of_two(builder, replace(node, outputs=(own,)), (result, other))
    return result


def slopes(builder: Builder, node: Node, x: Value | None, slope: Value) -> Pending:
    """PRelu with several slopes: by channel, or as they broadcast."""
    x = operand(builder, x, "its input")
    pending = _of_two(builder, replace(node, kind="slopes"), (x, slope))
    if pending.shape != x.stored.shape:
        raise builder.fail(f"slopes {list(builder.shape_of(slope))} do not fit "
                           f"{list(x.stored.shape)}", ModelError)
    return pending


def _factor(node: Node, value: Value | None) -> float | None:
    """Positive number that a product or quotient with a constant multiplies by, or None: the same
    integers stand for the result, in other steps."""
    if node.kind not in ("Mul", "Div") or not isinstance(value, Known) or value.steps or (
            value.data.dtype != np.float32 or value.data.shape not in ((), (1,))):
        return None
    number = float(value.data.reshape(()))
    if not 0 < number < float("inf"):
        return None
    return number if node.kind == "Mul" else 1 / number


def _quantised(builder: Builder, value: Value | None, what: str) -> Value:
    if not isinstance(value, Known):
        return operand(builder, value, what)
    if value.steps is None and value.data.size == 1 and value.data.dtype == np.float32:
        return _one_number(builder, value, what)
    return real_numbers(builder, value, what)


def _one_number(builder: Builder, value: Known, what: str) -> Known:
    """A number that is not quantised, as 1, -1 or 0 in steps of its size."""
    number = float(value.data.reshape(()))
    if not np.isfinite(number):
        raise builder.fail(f"{what} is not finite", ModelError)
    sign = np.full(value.data.shape, np.sign(number), np.int8)
    return Known(sign, Steps((abs(number) or 1.0,), (0,), "int8"))


@lowers("Add", "Sub", "Mul", "Div", "Max", "Min", "slopes", to_float=True)
def lower_elementwise(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To ADD, SUB, MUL, DIV, MAXIMUM or MINIMUM; the larger operand chooses between layouts."""
    stored = [v.stored for v in pending.operands if isinstance(v, (Dequantized, Floats))]
    form = common_form(sorted(stored, key=lambda s: -prod(s.shape)), len(pending.shape))
    inputs = tuple(_operand(builder, v, form, f"{name}:{i}")
                   for i, v in enumerate(pending.operands))
    index, result = builder.made(name, pending.shape, form, steps)
    builder.emit(KINDS[pending.node.kind], inputs, index, {
        "activation": "NONE", "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result


def _operand(builder: Builder, value: Value | None, form: Permutation, name: str) -> int:
    if isinstance(value, Known):
        return builder.constant(value, name, form, len(form))
    assert isinstance(value, (Dequantized, Floats))
    shape = value.stored.shape
    if len(shape) == len(form):
        return builder.form(value.stored, form)
    source = builder.form(value.stored, tuple(range(len(shape))))
    wide = builder.reshaped(source, (1,) * (len(form) - len(shape)) + shape, f"{name}:wide")
    target = moved(builder.tensors[wide].shape, form)
    tensor = builder.tensors[wide]
    new = builder.tensor(name, target, tensor.dtype, tensor.quantization)
    return builder.emit("TRANSPOSE", (wide,), new, {"permutation": form}, "exact")


def clamp(builder: Builder, node: Node) -> Value:
    """Relu and Clip: part of what is before them."""
    if node.kind == "Relu":
        value, low, high = builder.operands(node, 1, 1)[0], 0.0, inf
    else:
        value, least, most = builder.operands(node, 1, 3)
        low, high = _edge(builder, node, least, "min", -inf), _edge(builder, node, most, "max", inf)
    return _clamped_to(builder, node, value, low, high, node.outputs[0])


def _clamped_to(builder: Builder, node: Node, value: Value | None, low: float, high: float,
                name: str) -> Pending | Integers:
    if isinstance(value, Pending):
        return value.clamped(low, high, name)
    if isinstance(value, Integers):
        return clamped_integers(builder, node, value, (low, high), name)
    return identity_of(node, operand(builder, value, "its input")).clamped(low, high, name)


def identity_of(node: Node, value: Dequantized | Floats) -> Pending:
    """The same numbers, waiting for a quantization."""
    same = Node(node.index, "Identity", "", node.name, node.inputs, node.outputs, {})
    return Pending(same, (value,), value.stored.shape)


def _edge(builder: Builder, node: Node, value: Value | None, attribute: str,
          default: float) -> float:
    if value is None:
        return float(node.attributes.get(attribute, default))
    if not isinstance(value, Known) or value.data.size != 1:
        raise builder.fail(f"{attribute} must be a constant number")
    number = float(value.real.reshape(()))
    if number != number:
        raise builder.fail(f"{attribute} is not a number", ModelError)
    return number


@lowers("Identity")
def lower_identity(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To QUANTIZE: the same numbers in other steps, clamped."""
    source, bounds = pending.operands[0], clamp_bounds(pending.clamps, steps)
    assert isinstance(source, (Dequantized, Floats))
    if isinstance(source, Floats):
        return quantized_floats(builder, source, steps, name, bounds)
    return builder.requantized(source, steps, name, bounds)


def average_pool(builder: Builder, node: Node) -> Pending:
    """AveragePool, and GlobalAveragePool as one whose window is the whole map."""
    x = operand(builder, builder.operands(node, 1, 1)[0], "its input")
    shape = x.stored.shape
    if len(shape) not in (3, 4):
        raise builder.fail(f"works on {len(shape) - 2} dimensions; one and two are supported")
    kernel = _kernel(builder, node, shape)
    window = window_of(builder, node, shape[2:], kernel)
    return Pending(node, (x,), (*shape[:2], *window.sizes[-len(kernel):]))


def _kernel(builder: Builder, node: Node, shape: tuple[int, ...]) -> tuple[int, ...]:
    if node.kind.startswith("Global"):
        return shape[2:]
    kernel = node.attributes.get("kernel_shape")
    if not isinstance(kernel, tuple) or len(kernel) != len(shape) - 2 or not all(
            isinstance(k, int) and 1 <= k <= 1 << 16 for k in kernel):
        raise builder.fail("kernel_shape does not fit its input", ModelError)
    return kernel


@lowers("AveragePool", "GlobalAveragePool", to_float=True)
def lower_pool(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To AVERAGE_POOL_2D on channel-last maps."""
    x, node = pending.operands[0], pending.node
    assert isinstance(x, (Dequantized, Floats))
    kernel = _kernel(builder, node, x.stored.shape)
    window = window_of(builder, node, x.stored.shape[2:], kernel)
    counted = bool(node.attributes.get("count_include_pad", 0))
    more: dict[str, object] = {}
    if counted and window.padding != window.explicit:
        counted, more = False, {"counted": window.explicit}
    source = as_map(builder, x)
    output = map_result(builder, pending, window.sizes, pending.shape[1], steps, name)
    builder.emit("AVERAGE_POOL_2D", (source,), output, {
        "filter": window.kernel, "stride": window.stride, "padding": window.padding,
        "activation": "NONE", "count_padding": counted,
        "bounds": clamp_bounds(pending.clamps, steps), **_dilated(window), **more}, steps.rule)
    return from_map(builder, pending, output, steps, name)


def lp_pool(builder: Builder, node: Node) -> Value:
    """LpPool and GlobalLpPool: the p-th root of the sum of p-th powers of magnitudes."""
    pending = average_pool(builder, node)
    power = node.attributes.get("p", 2)
    if not isinstance(power, int) or not 1 <= power <= 64:
        raise builder.fail(f"p is {power}, expected a number of 1 to 64", ModelError)
    return pending


@lowers("LpPool", "GlobalLpPool", to_float=True)
def lower_lp_pool(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To LP_POOL_2D on channel-last maps."""
    x, node = pending.operands[0], pending.node
    assert isinstance(x, (Dequantized, Floats))
    kernel = _kernel(builder, node, x.stored.shape)
    window = window_of(builder, node, x.stored.shape[2:], kernel)
    output = map_result(builder, pending, window.sizes, pending.shape[1], steps, name)
    builder.emit("LP_POOL_2D", (as_map(builder, x),), output, {
        **window.attributes, "filter": window.kernel, "power": node.attributes.get("p", 2),
        "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return from_map(builder, pending, output, steps, name)


def _dilated(window: Window) -> dict[str, object]:
    return {} if window.dilation == (1, 1) else {"dilation": window.dilation}


def max_pool(builder: Builder, node: Node) -> Value:
    """MaxPool: of integers, for they are in the order of the numbers that they stand for."""
    value = builder.operands(node, 1, 1)[0]
    x = movable(builder, value)
    shape = x.stored.shape
    if len(shape) not in (3, 4):
        raise builder.fail(f"works on {len(shape) - 2} dimensions; one and two are supported")
    if len(node.outputs) > 1:
        raise builder.fail("the indices of its maxima are not supported")
    kernel = _kernel(builder, node, shape)
    window = window_of(builder, node, shape[2:], kernel)
    extents = zip(window.kernel, window.dilation, window.padding, strict=True)
    if any(max(pads) > (size - 1) * dilation for size, dilation, pads in extents):
        raise builder.fail("padding as large as the kernel is not supported; pad less")
    pending = Pending(node, (x,), (*shape[:2], *window.sizes[-len(kernel):]))
    name = node.outputs[0]
    source = as_map(builder, x)
    steps = REAL if isinstance(x, Floats) else x.steps
    output = map_result(builder, pending, window.sizes, shape[1], steps, name)
    builder.emit("MAX_POOL_2D", (source,), output, {
        "filter": window.kernel, "stride": window.stride, "padding": window.padding,
        "activation": "NONE", **_dilated(window)}, "exact")
    return replace(x, stored=from_map(builder, pending, output, steps, name).stored)
