"""LSTM and GRU of quantised ONNX models: for the host, one operator for each result in use."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.errors import ModelError
from kaniwa.golden.onnx_recurrent import GATES
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.quantization import clamp_bounds, operand, real_constant
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Value,
)

__all__ = ["RESULTS", "recurrent", "lower_recurrent"]

RESULTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h")}
ACTIVATIONS = {"LSTM": (b"sigmoid", b"tanh", b"tanh"), "GRU": (b"sigmoid", b"tanh")}
BACKWARDS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}
OPERANDS = ("", "W", "R", "B", "", "initial_h", "initial_c")
LENGTHS, STATES, PEEPHOLES = 4, (5, 6), 7      # positions of the operands


def recurrent(builder: Builder, node: Node) -> list[Value]:
    """LSTM or GRU with constant weights and first states; its results wait for their steps."""
    names = RESULTS[node.kind]
    operands = builder.operands(node, 3, 8 if node.kind == "LSTM" else 6)
    if len(node.outputs) > len(names):
        raise builder.fail(f"has {len(node.outputs)} outputs", ModelError)
    backwards = _backwards(builder, node)
    x = operand(builder, operands[0], "its input")
    if len(x.stored.shape) != 3:
        raise builder.fail(f"its input is {list(x.stored.shape)}, expected [steps, batch, "
                           "features]", ModelError)
    steps, batch, features = x.stored.shape
    weights = operands[2]
    size = weights.data.shape[-1] if isinstance(weights, Known) and weights.data.ndim else 0
    count, rows = len(backwards), GATES[node.kind] * size
    if node.attributes.get("hidden_size", size) != size:
        raise builder.fail(f"hidden_size is not {size}, the columns of R", ModelError)
    lengths = operands[LENGTHS]
    if lengths is not None and not (isinstance(lengths, Known) and (lengths.data == steps).all()):
        raise builder.fail("sequence_lens is not supported; leave it out or make it a constant of "
                           f"{steps} steps each")
    if operands[-1] is not None and len(operands) > PEEPHOLES:
        raise builder.fail("peepholes (P) are not supported; export without them")
    shapes = {1: (count, rows, features), 2: (count, rows, size), 3: (count, 2 * rows),
              **dict.fromkeys(STATES, (count, batch, size))}
    constants = tuple(real_constant(builder, node, OPERANDS[i], operands[i], shape)
                      for i, shape in shapes.items() if i < len(operands))
    attributes = {"backwards": backwards,
                  "linear_before_reset": bool(node.attributes.get("linear_before_reset", 0))}
    return [Pending(
        replace(node, outputs=(output,), attributes={**attributes, "result": name}),
        (x, *constants), (count, batch, size) if name != "Y" else (steps, count, batch, size))
        for name, output in zip(names, node.outputs, strict=False)]


def _backwards(builder: Builder, node: Node) -> tuple[bool, ...]:
    """Which directions run from the last step to the first; limits of the attributes."""
    given = node.attributes
    direction = given.get("direction", b"forward")
    if direction not in BACKWARDS:
        raise builder.fail("direction must be forward, reverse or bidirectional", ModelError)
    backwards = BACKWARDS[direction]
    usual = ACTIVATIONS[node.kind] * len(backwards)
    activations = given.get("activations", usual)
    if usual != tuple(a.lower() for a in activations):
        raise builder.fail("activations other than Sigmoid and Tanh in their usual places are not "
                           "supported; export with these")
    for name in ("clip", "layout", "input_forget"):
        if given.get(name, 0):
            raise builder.fail(f"{name} is not supported; export without it")
    return backwards


def lower_recurrent(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To LSTM or GRU, which gives the one result that is waiting."""
    x, *constants = pending.operands
    assert isinstance(x, (Dequantized, Floats))
    inputs = [builder.form(x.stored, (0, 1, 2))]
    for constant in constants:
        assert constant is None or isinstance(constant, Floats)
        inputs.append(-1 if constant is None else constant.stored.forms[constant.stored.first])
    index, result = builder.made(name, pending.shape, tuple(range(len(pending.shape))), steps)
    builder.emit(pending.node.kind, tuple(inputs), index, {
        **pending.node.attributes, "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result
