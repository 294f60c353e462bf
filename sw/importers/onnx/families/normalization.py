"""LayerNormalization of quantised ONNX models."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.errors import ModelError
from kaniwa.golden.onnx.layer_norm import RULE as FIXED_POINT, layer_norm_numbers
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, operand
from kaniwa.importers.onnx.quantization import clamp_bounds, real_constant
from kaniwa.importers.onnx.values import Dequantized, Floats, Integers, Pending, Steps, Value

__all__ = ["layer_normalization", "lower_layer_normalization"]


def layer_normalization(builder: Builder, node: Node) -> Value:
    """LayerNormalization over the last axis, with constant Scale and B; waits for its steps."""
    values = builder.operands(node, 2, 3)
    if any(node.outputs[1:]):
        raise builder.fail("Mean and InvStdDev are not supported; leave these results out")
    x = operand(builder, values[0], "its input")
    shape = x.stored.shape
    axis = node.attributes.get("axis", -1)
    if not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        raise builder.fail(f"axis {axis} does not fit {list(shape)}", ModelError)
    if axis not in (-1, len(shape) - 1):
        raise builder.fail(f"axis {axis} has others behind it; only the last axis is supported")
    epsilon = node.attributes.get("epsilon", 1e-5)
    if not isinstance(epsilon, float) or not 0 <= epsilon < float("inf"):
        raise builder.fail(f"epsilon {epsilon} must be a number from 0 on", ModelError)
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
    if isinstance(x, Dequantized) and rule == "qdq":
        gain, bias = (None if i == -1 else builder.tensors[i].data for i in (*inputs[1:], -1)[:2])
        assert gain is not None
        if layer_norm_numbers(gain, bias, epsilon, x.steps.scales[0], steps.scales[0]):
            rule = FIXED_POINT
    builder.emit("LAYER_NORM", tuple(inputs), index, {
        "epsilon": epsilon, "bounds": clamp_bounds(pending.clamps, steps)}, rule)
    return result
