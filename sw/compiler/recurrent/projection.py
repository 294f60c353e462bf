"""The projection of a recurrent step: a product of constant weights, to the hidden state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.bounds import INT8
from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.plan.rescale import double_rounding, prove
from kaniwa.compiler.plan.streams import Stages
from kaniwa.compiler.recurrent.lstm_operands import constant, optional, scale_of
from kaniwa.golden.tflite.recurrent import HIDDEN_STATE, PROJECTION, PROJECTION_BIAS
from kaniwa.graph import Graph, Op

__all__ = ["project"]


def project(stages: Stages, model: Graph, cell: Op, source: int, to: int, pitch: int) -> None:
    """A stage from int8 [cells] ``source`` to a row of ``to``; rows are ``pitch`` bytes apart.

    Raises CompileError for sums that may leave int32 or cannot be rescaled exactly.
    """
    hidden = cell.attributes["hidden"]
    assert isinstance(hidden, tuple)
    scale, zero_point = hidden[0], -hidden[1]      # LiteRT's, of what is projected
    weights = constant(model, cell, PROJECTION).astype(np.int64)
    outputs, cells = weights.shape
    bias = -zero_point * weights.sum(axis=1)
    added = optional(model, cell, PROJECTION_BIAS)
    if added is not None:
        bias += added
    real = (scale_of(model, cell, PROJECTION) * np.float32(scale)
            / scale_of(model, cell, HIDDEN_STATE))
    low, high = accumulator_range(weights, bias, stages.where)
    state = quantization(model.tensors[cell.inputs[HIDDEN_STATE]])
    rescale = prove(double_rounding(np.full(outputs, float(real))), low, high, state.zero_point,
                    _bounds(model, cell), stages.config.multiplier_bits, stages.where)
    layer = stages.layer(source, to, (1, 1, cells), (1, 1, outputs), rescale, batch=1)
    stages.add(replace(
        layer, weights=weights.astype(np.int8).reshape(outputs, 1, 1, cells), bias=bias,
        lanes=stages.config.out_lanes,
        places=ScatteredOutput(0, pitch, pitch, outputs, outputs, 0)),
        result_advance=pitch)


def _bounds(model: Graph, cell: Op) -> tuple[int, int]:
    """The part of int8 within the projection's clip; LiteRT limits values with zero point."""
    clip = np.float32(float(str(cell.attributes["projection_clip"])))
    if clip <= 0:
        return INT8
    bound = min(int(clip / np.float32(quantization(model.tensors[cell.outputs[0]]).scale)), 127)
    return -bound, bound
