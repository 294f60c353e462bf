"""Where, IsNaN and IsInf of quantised ONNX models.

PyTorch writes them around the softmax of an attention: rows without a finite score, whose results
are no numbers, become zeros, and scores of tokens that are not to be seen become a number below all
others. Quantised numbers are finite, so that the first has nothing to do. The second chooses by a
constant: integers of one scale are then limited to what a constant has in their place.
"""

from __future__ import annotations

import numpy as np

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.lookahead import wanted_steps
from kaniwa.importers.onnx.pending import quantized_to
from kaniwa.importers.onnx.quantization import FLOAT_MAX, in_steps
from kaniwa.importers.onnx.values import Dequantized, Integers, Known, Pending, Steps, Value

__all__ = ["never", "where"]


def never(builder: Builder, node: Node) -> Known:
    """IsNaN and IsInf: False for what is quantised, and for a softmax of that."""
    x = builder.operands(node, 1, 1)[0]
    of_softmax = isinstance(x, Pending) and x.node.kind == "Softmax" and isinstance(
        x.operands[0], Dequantized)
    if not (of_softmax or isinstance(x, (Dequantized, Integers))):
        raise builder.fail("its input is not quantised; quantise the model to int8 in QDQ form, "
                           "weights and activations")
    assert x is not None
    return Known(np.zeros(builder.shape_of(x), bool))


def where(builder: Builder, node: Node) -> Value:
    """Where, by a constant condition: one of its values, or one of them and a number."""
    condition, *values = builder.operands(node, 3, 3)
    if not isinstance(condition, Known) or condition.data.dtype != bool:
        raise builder.fail("its condition is computed; only a constant is supported")
    x, y = (value for value in values if value is not None)
    shape = np.broadcast_shapes(condition.data.shape, builder.shape_of(x), builder.shape_of(y))
    if condition.data.all() or not condition.data.any():
        chosen = x if condition.data.all() else y
        if builder.shape_of(chosen) == shape:
            return chosen
    chosen, number, place = (x, y, condition.data) if isinstance(y, Known) else (
        y, x, ~condition.data)
    if isinstance(chosen, Known) or not isinstance(number, Known) or number.data.size != 1:
        raise builder.fail("it chooses between two computed values; only between one and a number "
                           "is supported")
    steps = wanted_steps(builder, node, len(shape))
    if builder.shape_of(chosen) != shape or steps is None:
        raise builder.fail("its result is not quantised, or larger than its computed value; put "
                           "QuantizeLinear and DequantizeLinear behind the node")
    return _limited(builder, node, chosen, place, float(number.real.reshape(())), steps)


def _limited(builder: Builder, node: Node, chosen: Value, place: np.ndarray, number: float,
             steps: Steps) -> Dequantized:
    """``chosen`` in ``steps`` where ``place`` is True, else ``number``: the smaller of it and a
    constant, and the larger of that and another one."""
    name = node.outputs[0]
    label = chosen.label if isinstance(chosen, Pending) else f"{name}:chosen"
    if isinstance(chosen, Integers):
        raise builder.fail("chooses integers; only real numbers are supported")
    result = quantized_to(builder, chosen, steps, label)
    limits = np.iinfo(steps.dtype)
    own = int(in_steps(builder, np.array(np.clip(number, -FLOAT_MAX, FLOAT_MAX)), steps,
                       steps.bounds).data)
    for kind, end, idle in (("MINIMUM", limits.max, own == limits.max),
                            ("MAXIMUM", limits.min, own == limits.min)):
        if idle:
            continue
        form = result.stored.first
        constant = Known(np.where(place, end, own).astype(steps.dtype), steps)
        last = kind == "MAXIMUM" or own == limits.min
        label = name if last else f"{name}:{kind.lower()}"
        operands = (builder.form(result.stored, form),
                    builder.constant(constant, f"{label}:limit", form, len(form)))
        index, result = builder.made(label, result.stored.shape, form, steps)
        builder.emit(kind, operands, index, {"activation": "NONE", "bounds": steps.bounds},
                     steps.rule)
    return Dequantized(result.stored, steps)
