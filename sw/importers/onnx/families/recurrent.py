"""LSTM, GRU and RNN of quantised ONNX models: one operator for each result in use."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.errors import ModelError
from kaniwa.golden.onnx.recurrent import GATES
from kaniwa.golden.onnx.recurrent_fixed import RULE as FIXED_POINT, cell_numbers
from kaniwa.golden.registry import Call
from kaniwa.graph import Graph, Op
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, operand
from kaniwa.importers.onnx.quantization import clamp_bounds, known_constant, real_constant
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

__all__ = ["RESULTS", "recurrent", "lower_recurrent"]

RESULTS = {"LSTM": ("Y", "Y_h", "Y_c"), "GRU": ("Y", "Y_h"), "RNN": ("Y", "Y_h")}
PLAIN = (b"tanh", b"relu", b"sigmoid")      # activations that an RNN may have
ACTIVATIONS = {"LSTM": (b"sigmoid", b"tanh", b"tanh"), "GRU": (b"sigmoid", b"tanh"),
               "RNN": (b"tanh",)}
BACKWARDS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}
OPERANDS = ("", "W", "R", "B", "", "initial_h", "initial_c")
WEIGHTS, LENGTHS, STATES, PEEPHOLES = (1, 2), 4, (5, 6), 7      # positions of the operands


def recurrent(builder: Builder, node: Node) -> list[Value]:
    """LSTM, GRU or RNN with constant weights; its results wait for their steps."""
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
    count, rows = len(backwards), GATES.get(node.kind, 1) * size
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
    kinds = {**dict.fromkeys(WEIGHTS, _weights), **dict.fromkeys(STATES, _state)}
    others = tuple(kinds.get(i, real_constant)(builder, node, OPERANDS[i], operands[i], shape)
                   for i, shape in shapes.items() if i < len(operands))
    attributes = {"backwards": backwards,
                  "linear_before_reset": bool(node.attributes.get("linear_before_reset", 0))}
    if node.kind == "RNN":
        attributes = {"backwards": backwards, "activations": tuple(
            a.decode().lower()
            for a in node.attributes.get("activations", (b"tanh",) * count))}
    return [Pending(
        replace(node, outputs=(output,), attributes={**attributes, "result": name}),
        (x, *others), (count, batch, size) if name != "Y" else (steps, count, batch, size))
        for name, output in zip(names, node.outputs, strict=False)]


def _backwards(builder: Builder, node: Node) -> tuple[bool, ...]:
    """Truth for each direction that runs from the last step to the first; checks the attributes."""
    given = node.attributes
    direction = given.get("direction", b"forward")
    if direction not in BACKWARDS:
        raise builder.fail("direction must be forward, reverse or bidirectional", ModelError)
    backwards = BACKWARDS[direction]
    usual = ACTIVATIONS[node.kind] * len(backwards)
    activations = given.get("activations", usual)
    found = tuple(a.lower() for a in activations)
    if node.kind == "RNN" and (len(found) != len(usual) or not set(found) <= set(PLAIN)):
        raise builder.fail("activations other than Tanh, Relu and Sigmoid are not supported; "
                           "export with these")
    if node.kind != "RNN" and found != usual:
        raise builder.fail("activations other than Sigmoid and Tanh in their usual places are not "
                           "supported; export with these")
    for name in ("clip", "layout", "input_forget"):
        if given.get(name, 0):
            raise builder.fail(f"{name} is not supported; export without it")
    return backwards


def _weights(builder: Builder, node: Node, what: str, value: Value | None,
             shape: tuple[int, ...]) -> Dequantized | Floats | None:
    """``real_constant``, or int8 where it has 8 bits and one scale."""
    known = known_constant(builder, what, value, shape)
    if known is None or known.steps is None or len(known.steps.scales) > 1 or (
            known.steps.dtype not in ("int8", "uint8")):
        return real_constant(builder, node, what, value, shape)
    name = f"{next(o for o in node.outputs if o)}:{what}"
    form = tuple(range(len(shape)))
    index = builder.constant(known, name, form, len(shape))
    return Dequantized(Stored(name, shape, {form: index}), known.steps)


def _state(builder: Builder, node: Node, what: str, value: Value | None,
           shape: tuple[int, ...]) -> Dequantized | Floats | None:
    """A first state: a constant, or a result."""
    if value is None or isinstance(value, Known):
        return real_constant(builder, node, what, value, shape)
    state = operand(builder, value, what)
    if state.stored.shape != shape:
        raise builder.fail(f"{what} is {list(state.stored.shape)}, expected {list(shape)}",
                           ModelError)
    return state


@lowers("LSTM", "GRU", "RNN", to_float=True)
def lower_recurrent(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To LSTM, GRU or RNN, which gives the one result that is waiting.

    The rule is ``qdq_fixed_point`` where that has numbers for the constants.
    """
    inputs = []
    for value in pending.operands:
        assert value is None or isinstance(value, (Dequantized, Floats))
        inputs.append(-1 if value is None else builder.form(
            value.stored, tuple(range(len(value.stored.shape)))))
    index, result = builder.made(name, pending.shape, tuple(range(len(pending.shape))), steps)
    attributes = {**pending.node.attributes, "bounds": clamp_bounds(pending.clamps, steps)}
    rule = steps.rule
    if rule == "qdq" and steps.bits == 8 and pending.node.kind in GATES:
        op = Op(pending.node.kind, name, tuple(inputs), (index,), attributes, FIXED_POINT)
        values = [None if i == -1 else builder.tensors[i].data for i in inputs]
        call = Call(Graph("", tuple(builder.tensors), (op,), (), (), ""), op, values)
        if all(cell_numbers(call, d) for d in range(len(pending.node.attributes["backwards"]))):
            rule = FIXED_POINT
    builder.emit(pending.node.kind, tuple(inputs), index, attributes, rule)
    return result
