"""Operators that remember: UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF."""

from __future__ import annotations

import math
from typing import Any

from kaniwa.golden.tflite.recurrent import (
    BIAS,
    CELL_STATE,
    GATE_SCALE,
    GATES,
    HIDDEN_STATE,
    INPUT_WEIGHTS,
    NORMALIZATION,
    PEEPHOLES,
    PROJECTION,
    PROJECTION_BIAS,
    RECURRENT_WEIGHTS,
)
from kaniwa.graph import Tensor
from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, quantization_of, shape_of
from kaniwa.importers.options import activation

__all__ = ["OPERATORS"]

LARGEST_INPUT = 1 << 16  # of a dot product, so that zero points alone do not leave int32


def _lstm(options: Any, op: Operands) -> dict[str, object]:
    if len(op.intermediates) != 5:
        raise OptionError(f"has {len(op.intermediates)} intermediate tensors, must have 5")
    q = op.intermediates[4].quantization
    if q is None or op.intermediates[4].dtype != "int8":
        raise OptionError(f"intermediate '{op.intermediates[4].name}' must be quantised int8")
    sums = [GATE_SCALE] * len(GATES)
    for number in range(len(GATES)):
        if op.optional(NORMALIZATION + number) is not None:
            between = op.intermediates[number]
            if between.quantization is None:
                raise OptionError(f"intermediate '{between.name}' must be quantised")
            sums[number] = between.quantization.scale
    return {
        "gate_scales": tuple(sums),
        "activation": activation(options),
        "cell_clip": float(options.CellClip()),
        "projection_clip": float(options.ProjClip()),
        "time_major": bool(options.TimeMajor()),
        "hidden": (q.scale, q.zero_point),
    }


def lstm_operands(op: Operands) -> str | None:
    """All operands of a gate are there, or none of the input gate's."""
    missing = [i for i in (HIDDEN_STATE, CELL_STATE) if op.inputs[i] is None]
    for number, name in enumerate(GATES):
        given = [op.inputs[i + number] is not None
                 for i in (INPUT_WEIGHTS, RECURRENT_WEIGHTS, BIAS)]
        if not all(given) and (any(given) or name != "input"):
            missing.append(INPUT_WEIGHTS + number)
    if op.inputs[PROJECTION] is None and op.inputs[PROJECTION_BIAS] is not None:
        missing.append(PROJECTION)
    peepholes = {name: op.inputs[i] is not None for name, i in PEEPHOLES.items()}
    wrong = op.inputs[INPUT_WEIGHTS] is None and peepholes.pop("input")
    if wrong or len(set(peepholes.values())) > 1:
        missing.append(PEEPHOLES["forget"])
    norms = [op.optional(NORMALIZATION + number) is not None for number in range(len(GATES))]
    expected = [op.inputs[INPUT_WEIGHTS] is not None, True, True, True]
    if any(norms) and norms != expected:
        missing.append(NORMALIZATION)
    return f"operands of a gate are missing: input {missing[0]}" if missing else None


def lstm_shapes(op: Operands) -> str | None:
    """The shapes of states and weights fit the input and each other."""
    if len(op.x.shape) != 3:
        return f"input {shape_of(op.x)} must have 3 dimensions"
    batches = op.x.shape[1 if op.attributes["time_major"] else 0]
    h, c = op.present(HIDDEN_STATE), op.present(CELL_STATE)
    if len(h.shape) != 2 or len(c.shape) != 2:
        return f"states {shape_of(h)} and {shape_of(c)} must have 2 dimensions"
    units, outputs = c.shape[1], h.shape[1]
    expected: dict[int, tuple[int, ...]] = {
        HIDDEN_STATE: (batches, outputs),
        CELL_STATE: (batches, units),
        PROJECTION: (outputs, units),
        PROJECTION_BIAS: (outputs,),
        **{i: (units,) for i in PEEPHOLES.values()},
    }
    for number in range(4):
        expected[INPUT_WEIGHTS + number] = (units, op.x.shape[2])
        expected[RECURRENT_WEIGHTS + number] = (units, outputs)
        expected[BIAS + number] = expected[NORMALIZATION + number] = (units,)
    for position, shape in expected.items():
        tensor = op.optional(position)
        if tensor is not None and tensor.shape != shape:
            return f"{shape_of(tensor)} should be {list(shape)}"
    if op.optional(PROJECTION) is None and units != outputs:
        return f"states {shape_of(h)} and {shape_of(c)} differ without a projection"
    return consistency.output_shape(op.output, (*op.x.shape[:2], outputs))


def _constant(tensor: Tensor | None, dtype: str) -> str | None:
    """Complaint about a tensor that is no constant of this dtype with one scale, zero point 0."""
    if tensor is None:
        return None
    if tensor.data is None or tensor.dtype != dtype:
        return f"'{tensor.name}' must be constant {dtype}"
    q = tensor.quantization
    if q is None:
        return None if dtype == "int32" else f"'{tensor.name}' has no scale"
    if any(q.zero_points) or len(q.scales) > 1 and dtype != "int32":
        return f"'{tensor.name}' needs one scale and zero point 0"
    return None


def lstm_constants(op: Operands) -> str | None:
    """Weights are constant int8, of one value a unit int16, biases int32, with zero point 0."""
    dtypes = {PROJECTION: "int8", PROJECTION_BIAS: "int32"}
    dtypes |= dict.fromkeys(PEEPHOLES.values(), "int16")
    for number in range(4):
        dtypes[INPUT_WEIGHTS + number] = dtypes[RECURRENT_WEIGHTS + number] = "int8"
        dtypes[BIAS + number], dtypes[NORMALIZATION + number] = "int32", "int16"
    found = (_constant(op.optional(position), dtype) for position, dtype in dtypes.items())
    return next((wrong for wrong in found if wrong), None)


def lstm_states(op: Operands) -> str | None:
    """The hidden state is int8; the cell state int16 with scale 2^-15 to 2^-9, zero point 0."""
    h, c = op.present(HIDDEN_STATE), op.present(CELL_STATE)
    if h.dtype != "int8" or h.quantization is None:
        return f"state '{h.name}' must be quantised int8"
    q = c.quantization
    if c.dtype != "int16" or q is None or q.zero_point:
        return f"state '{c.name}' must be quantised int16 with zero point 0"
    fraction, exponent = math.frexp(q.scale)
    good = fraction == 0.5 and -15 <= exponent - 1 <= -9
    return None if good else f"state '{c.name}' has scale {q.scale:g}, must be 2^-15 to 2^-9"


def lstm_output(op: Operands) -> str | None:
    """The output of an LSTM is quantised as its hidden state."""
    out, h = quantization_of(op.output), quantization_of(op.present(HIDDEN_STATE))
    good = (out.scale, out.zero_point) == (h.scale, h.zero_point)
    return None if good else f"output '{op.output.name}' differs in quantization from the state"


def lstm_form(op: Operands) -> str | None:
    """An LSTM has TANH; peepholes only without a projection to another size."""
    if op.attributes["activation"] != "TANH":
        return f"fused activation {op.attributes['activation']} must be TANH"
    units, outputs = op.present(CELL_STATE).shape[1], op.present(HIDDEN_STATE).shape[1]
    peepholes = op.inputs[PEEPHOLES["output"]] is not None
    good = not peepholes or units == outputs
    return None if good else "peepholes with a projection to another size are not supported"


def lstm_in_range(op: Operands) -> str | None:
    """Products of an LSTM's scales are below 2^8 of their sum's."""
    if max(*op.x.shape, *op.output.shape, op.present(CELL_STATE).shape[1]) > LARGEST_INPUT:
        return f"has more than {LARGEST_INPUT} inputs or units"
    for name in ("cell_clip", "projection_clip"):
        if not math.isfinite(float(str(op.attributes[name]))):
            return f"{name} must be a number"
    x, h = quantization_of(op.x).scale, quantization_of(op.present(HIDDEN_STATE)).scale
    cell = quantization_of(op.present(CELL_STATE)).scale
    hidden, sums = op.attributes["hidden"], op.attributes["gate_scales"]
    assert isinstance(hidden, tuple) and isinstance(sums, tuple)
    terms = [(x, INPUT_WEIGHTS + i, sums[i]) for i in range(4)]
    terms += [(h, RECURRENT_WEIGHTS + i, sums[i]) for i in range(4)]
    terms += [(cell, i, sums[GATES.index(name)]) for name, i in PEEPHOLES.items()]
    terms += [(1.0, NORMALIZATION + i, 1.0) for i in range(4)]
    terms.append((hidden[0], PROJECTION, h))
    for scale, position, total in terms:
        weights = op.optional(position)
        if weights is not None and scale * quantization_of(weights).scale >= 2.0**8 * total:
            return f"the scale of '{weights.name}' is too large"
    good = 0.999 * hidden[0] > 2.0**-30 and -128 <= hidden[1] <= 127
    return None if good else "the hidden state's scale or zero point is out of range"


def _svdf(options: Any, op: Operands) -> dict[str, object]:
    return {"rank": int(options.Rank()), "activation": activation(options)}


def svdf_shapes(op: Operands) -> str | None:
    """The shapes of features, times and state fit the input and the rank."""
    rank = op.integer("rank")
    x, features, times = op.x.shape, op.present(1).shape, op.present(2).shape
    if rank < 1 or len(x) != 2 or len(features) != 2 or len(times) != 2:
        return f"rank {rank} and input {shape_of(op.x)} make no sense"
    filters, memory = times
    if features != (filters, x[1]) or filters % rank:
        return f"{shape_of(op.present(1))} does not fit its input and {shape_of(op.present(2))}"
    expected = ((op.optional(3), (filters // rank,)), (op.present(4), (x[0], filters * memory)),
                (op.output, (x[0], filters // rank)))
    for tensor, shape in expected:
        if tensor is not None and tensor.shape != shape:
            return f"{shape_of(tensor)} should be {list(shape)}"
    return None


def svdf_constants(op: Operands) -> str | None:
    """Feature weights are constant int8, time weights int16, the bias int32; zero points are 0."""
    found = (_constant(op.optional(i), dtype) for i, dtype in
             ((1, "int8"), (2, "int16"), (3, "int32")))
    return next((wrong for wrong in found if wrong), None)


def svdf_state(op: Operands) -> str | None:
    """SVDF's state is int16 with zero point 0; its activation is RELU."""
    state = op.present(4)
    if state.dtype != "int16" or state.quantization is None or state.quantization.zero_point:
        return f"state '{state.name}' must be quantised int16 with zero point 0"
    name = op.attributes["activation"]
    return None if name == "RELU" else f"fused activation {name} must be RELU"


def svdf_in_range(op: Operands) -> str | None:
    """Products of SVDF's scales are below 2^8 of their sum's; there are at most 2^16 inputs."""
    x, features, times, state, out = (
        quantization_of(t).scale
        for t in (op.x, op.present(1), op.present(2), op.present(4), op.output))
    if op.x.shape[1] > LARGEST_INPUT:
        return f"has more than {LARGEST_INPUT} inputs"
    good = x * features < 2.0**8 * state and state * times < 2.0**8 * out
    return None if good else "the scales of weights are too large"


OPERATORS = (
    OperatorInfo(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        {"int8": "litert_lstm_8x8_16"},
        "UnidirectionalSequenceLSTMOptions",
        True,
        _lstm,
        (consistency.operand_count(20, 24, 1), lstm_operands, lstm_shapes),
        (
            limits.one_dtype(0),
            limits.quantized(0),
            lstm_constants,
            lstm_states,
            lstm_output,
            lstm_form,
            lstm_in_range,
        ),
        variables=(HIDDEN_STATE, CELL_STATE),
        cases=40,
    ),
    OperatorInfo(
        "SVDF",
        {"int8": "litert_svdf"},
        "SVDFOptions",
        True,
        _svdf,
        (consistency.operand_count(5, 5, 3), svdf_shapes),
        (limits.one_dtype(0), limits.quantized(0), svdf_constants, svdf_state, svdf_in_range),
        variables=(4,),
        cases=40,
    ),
)
