"""Functions of one operand and means over axes of quantised ONNX models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from kaniwa.errors import ModelError
from kaniwa.golden.onnx.softmax import RULE as FIXED_POINT, SMALLEST_STEP
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.elementwise import lower_pool, slopes
from kaniwa.importers.onnx.families.reductions import reduced_axes
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import floats, lowers, lowers_floats, operand
from kaniwa.importers.onnx.quantization import clamp_bounds, dequantized
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Permutation,
    Steps,
    Stored,
    Value,
)

__all__ = ["FUNCTIONS", "function", "softmax", "lower_function", "float_function", "mean",
           "lower_mean"]

# ONNX's name → the graph's, and its numbers where the node does not say them.
FUNCTIONS: dict[str, tuple[str, Mapping[str, float]]] = {
    "Sigmoid": ("LOGISTIC", {}),
    "Tanh": ("TANH", {}),
    "Elu": ("ELU", {"alpha": 1.0}),
    "LeakyRelu": ("LEAKY_RELU", {"alpha": 0.01}),
    "PRelu": ("LEAKY_RELU", {}),
    "HardSigmoid": ("HARD_SIGMOID", {"alpha": 0.2, "beta": 0.5}),
    "HardSwish": ("HARD_SWISH", {}),
    "Gelu": ("GELU", {}),
    "Exp": ("EXP", {}),
    "Log": ("LOG", {}),
    "Sqrt": ("SQRT", {}),
    "Erf": ("ERF", {}),
    "Softplus": ("SOFTPLUS", {}),
    "Abs": ("ABS", {}),
    "Neg": ("NEG", {}),
    "Reciprocal": ("RECIPROCAL", {}),
    "Pow": ("POW", {}),
    "Selu": ("SELU", {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    "Celu": ("CELU", {"alpha": 1.0}),
    "ThresholdedRelu": ("THRESHOLDED_RELU", {"alpha": 1.0}),
    "Mish": ("MISH", {}),
    "Softsign": ("SOFTSIGN", {}),
    "Sin": ("SIN", {}),
    "Cos": ("COS", {}),
    "Floor": ("FLOOR", {}),
    "Ceil": ("CEIL", {}),
    "Round": ("ROUND", {}),
    "Sign": ("SIGN", {}),
    "Softmax": ("SOFTMAX", {}),
    "LogSoftmax": ("LOG_SOFTMAX", {}),
}

# Whose second operand is a number: what the graph calls it, and the line for another one.
SECOND = {"PRelu": ("alpha", "its slopes must be constants; use LeakyRelu"),
          "Pow": ("exponent", "only one constant exponent is supported; use Mul, Exp and Log")}


def function(builder: Builder, node: Node) -> Value:
    """A function of one operand: waits for steps, or for a reader that wants float32."""
    attributes: dict[str, object] = {}
    values = builder.operands(node, 1, 2)
    root = values[0]
    if node.kind == "Reciprocal" and isinstance(root, Pending) and root.node.kind == "Sqrt" and (
            not root.clamps):
        power = replace(node, kind="Pow", attributes={"exponent": -0.5})
        return Pending(power, root.operands, root.shape)
    for key, default in FUNCTIONS[node.kind][1].items():
        attributes[key] = node.attributes.get(key, default)
    if node.kind in SECOND:
        (key, refusal), number = SECOND[node.kind], values[1]
        if node.kind == "PRelu" and number is not None and prod(builder.shape_of(number)) != 1:
            return slopes(builder, node, values[0], number)
        if not isinstance(number, Known) or number.data.size != 1:
            raise builder.fail(refusal)
        attributes[key] = float(number.real.reshape(()))
    if node.kind == "Gelu":
        attributes["approximate"] = node.attributes.get("approximate", b"none") == b"tanh"
    return _pending(builder, node, values[0], attributes)


def softmax(builder: Builder, node: Node) -> Value:
    """Softmax and LogSoftmax over one axis, as since opset 13."""
    value = builder.operands(node, 1, 1)[0]
    assert value is not None
    shape = builder.shape_of(value)
    opset = node.attributes.get("opset", builder.opset)      # QLinearSoftmax has its own
    axis = node.attributes.get("axis", -1 if opset >= 13 else 1)
    if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        raise builder.fail(f"axis {axis} does not fit {list(shape)}", ModelError)
    axis %= len(shape)
    if opset < 13 and prod(shape[axis + 1:]) != 1:
        raise builder.fail("works on several axes; convert the model to opset 13 or newer")
    return _pending(builder, node, value, {"axis": axis})


def _pending(builder: Builder, node: Node, value: Value | None,
             attributes: Mapping[str, object]) -> Pending:
    x = value if isinstance(value, (Dequantized, Floats, Pending)) else dequantized(
        builder, value, "its input")
    return Pending(replace(node, attributes=attributes), (x,), builder.shape_of(x))


def _attributes(pending: Pending, form: Permutation) -> dict[str, object]:
    """The operator's, for an operand in this form."""
    attributes = dict(pending.node.attributes)
    if "axis" in attributes:
        axis = attributes["axis"]
        assert isinstance(axis, int)
        attributes["axis"] = form.index(axis)
    return attributes


@lowers(*FUNCTIONS)
def lower_function(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To an operator of rule ``qdq``, a softmax of bytes to one of ``qdq_fixed_point``."""
    x = operand(builder, pending.operands[0], "its input")
    form = x.stored.first
    source = builder.form(x.stored, form)
    index, result = builder.made(name, pending.shape, form, steps)
    fixed = (pending.node.kind == "Softmax" and isinstance(x, Dequantized)
             and x.steps.bits == steps.bits == 8 and steps.scales[0] >= SMALLEST_STEP)
    builder.emit(FUNCTIONS[pending.node.kind][0], (source,), index, {
        **_attributes(pending, form), "bounds": clamp_bounds(pending.clamps, steps)},
        FIXED_POINT if fixed else steps.rule)
    return result


@lowers_floats(*FUNCTIONS)
def float_function(builder: Builder, pending: Pending) -> Stored:
    """To an operator on float32, which the host runs."""
    source = floats(builder, pending.operands[0], "its input")
    form = source.first
    tensor = builder.tensors[builder.form(source, form)]
    name = pending.node.outputs[0]
    index = builder.tensor(name, tensor.shape, "float32")
    builder.emit(FUNCTIONS[pending.node.kind][0], (tensor.id,), index,
                 _attributes(pending, form), "onnx")
    return Stored(name, pending.shape, {form: index})


def mean(builder: Builder, node: Node) -> Value:
    """ReduceMean; over rows and columns it is a global average pooling."""
    value, second = builder.operands(node, 1, 2)
    x = operand(builder, value, "its input")
    axes, shape = reduced_axes(builder, node, second, x.stored.shape)
    if not axes:
        return x
    return Pending(replace(node, attributes={"axes": axes}), (x,), shape)


@lowers("ReduceMean", to_float=True)
def lower_mean(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To AVERAGE_POOL_2D over whole maps, else to MEAN."""
    x, axes = pending.operands[0], pending.node.attributes["axes"]
    assert isinstance(x, (Dequantized, Floats))
    shape = x.stored.shape
    identity = tuple(range(len(pending.shape)))
    if len(shape) == 4 and axes == (2, 3):
        node = Node(pending.node.index, "GlobalAveragePool", "", pending.node.name,
                    pending.node.inputs, pending.node.outputs, {})
        kept = len(pending.shape) == 4
        pooled = lower_pool(builder, Pending(node, (x,), (*shape[:2], 1, 1), pending.clamps),
                            steps, name if kept else f"{name}:map")
        if kept:
            return pooled
        pooled_id = next(iter(pooled.stored.forms.values()))
        builder.store(name, pooled_id, pending.shape, identity, steps)      # the same values
        flat = builder.reshaped(pooled_id, pending.shape, name)
        return Integers(builder.store(name, flat, pending.shape, identity, steps), steps)
    source = builder.form(x.stored, tuple(range(len(shape))))
    index, result = builder.made(name, pending.shape, identity, steps)
    builder.emit("MEAN", (source,), index, {
        "axes": axes, "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result
