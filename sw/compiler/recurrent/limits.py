"""What the accelerator takes of recurrent cells; see ``limits``."""

from __future__ import annotations

from math import prod

from kaniwa.golden.onnx.recurrent import STATES
from kaniwa.golden.onnx.recurrent_fixed import RULE as FIXED_POINT
from kaniwa.golden.tflite.recurrent import (
    BIAS,
    CELL_STATE,
    GATES,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    NORMALIZATION,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT_WEIGHTS,
)
from kaniwa.graph import Graph, Op

__all__ = ["int8_cell", "known_cell", "own_sequences", "plain_cell", "short_gates"]


def int8_cell(graph: Graph, op: Op) -> str | None:
    """Input, hidden state and output are int8, the cell state int16; constant weights and biases.
    """
    weights, biases, peepholes = (
        [i for position in positions if (i := op.inputs[position]) != -1] for positions in (
            (*range(INPUT_WEIGHTS, RECURRENT_WEIGHTS + len(GATES)), PROJECTION),
            (*range(BIAS, BIAS + len(GATES)), PROJECTION_BIAS), PEEPHOLES.values()))
    for ids, dtype in (((op.inputs[0], op.inputs[HIDDEN_STATE], op.outputs[0]), "int8"),
                       ((op.inputs[CELL_STATE],), "int16"), (weights, "int8"),
                       (biases, "int32"), (peepholes, "int16")):
        for i in ids:
            tensor = graph.tensors[i]
            if tensor.dtype != dtype:
                return f"'{tensor.name}' is {tensor.dtype}; quantize the model to int8"
    computed = next((i for i in (*weights, *biases, *peepholes)
                     if graph.tensors[i].data is None), None)
    return None if computed is None else (
        f"'{graph.tensors[computed].name}' is computed; make it constant")


def plain_cell(graph: Graph, op: Op) -> str | None:
    """The cell has no layer normalisation."""
    normalized = any(op.inputs[NORMALIZATION + gate] != -1 for gate in range(len(GATES)))
    return "it has layer normalisation; export it without" if normalized else None


def own_sequences(graph: Graph, op: Op) -> str | None:
    """Sequences of a batch come one after the other, have a step, and states that only they use."""
    shape = graph.tensors[op.inputs[0]].shape
    batch = shape[1 if op.attributes["time_major"] else 0]
    if batch > 1:      # ``sequences_apart`` has left it alone
        return (f"it runs {batch} sequences at once, whose states are used elsewhere; export it "
                f"with a batch of 1")
    return None if prod(shape) else "its input has no elements; fix the model's shapes"


def short_gates(graph: Graph, op: Op) -> str | None:
    """With a vector unit of R lanes: at most 32 R cells, and 32 R outputs."""
    return None      # what R is, ``lower`` knows


def known_cell(graph: Graph, op: Op) -> str | None:
    """It is of rule qdq_fixed_point: of 8 bits, with W and R quantised by tensor."""
    if op.rule == FIXED_POINT:
        return None
    parts = dict(zip(("its input", "W", "R"), op.inputs, strict=False))
    states = op.inputs[STATES[0]:]
    parts |= {name: i for name, i in zip(("initial_h", "initial_c"), states, strict=False)
              if i != -1 and graph.tensors[i].data is None}
    for what, i in {**parts, "its result": op.outputs[0]}.items():
        if graph.tensors[i].dtype == "float32":
            return (f"{what} is float32; quantize it by tensor (ONNX Runtime's quantize_static "
                    f"does if op_types_to_quantize names {op.kind})")
    if op.kind == "GRU" and not op.attributes["linear_before_reset"]:
        return "it is without linear_before_reset; export it with that"
    return (f"rule {FIXED_POINT} has no numbers for it: its first states, steps or scales are too "
            f"large")
