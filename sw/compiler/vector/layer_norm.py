"""LAYER_NORM and RMS_NORM on the vector unit: a row in each lane."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.vector.spaced_rows import spaced_rows
from kaniwa.golden.onnx.layer_norm import RULE, LayerNormNumbers, layer_norm_numbers
from kaniwa.golden.onnx.rms_norm import RmsNormNumbers, rms_norm_numbers
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import table_words
from kaniwa.units.vector.kernels.layer_norm import LayerNormPlaces, LayerNormResult, layer_norm_rows
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["layer_norm_layer", "layer_norm_of", "rms_norm_layer", "rms_norm_of"]

INT32_BYTES = 4


def layer_norm_of(graph: Graph, op: Op) -> LayerNormNumbers | None:
    """The numbers of a LAYER_NORM of int8; None for another rule's, or where there are none."""
    gain, bias = (None if i == -1 else graph.tensors[i].data for i in (*op.inputs[1:], -1)[:2])
    epsilon = op.attributes["epsilon"]
    if op.rule != RULE or gain is None or not isinstance(epsilon, float):
        return None
    scale, step = (quantization(graph.tensors[i]).scale for i in (op.inputs[0], op.outputs[0]))
    return layer_norm_numbers(gain, bias, epsilon, scale, step)


def rms_norm_of(graph: Graph, op: Op) -> RmsNormNumbers | None:
    """The numbers of an RMS_NORM of int8; None for another rule's, or where there are none."""
    gain, epsilon = graph.tensors[op.inputs[1]].data, op.attributes["epsilon"]
    if op.rule != RULE or gain is None or not isinstance(epsilon, float):
        return None
    scale, step = (quantization(graph.tensors[i]).scale for i in (op.inputs[0], op.outputs[0]))
    return rms_norm_numbers(gain, epsilon, scale, step)


def layer_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of a LAYER_NORM."""
    numbers = layer_norm_of(lowering.graph, lowering.op)
    assert numbers is not None      # a limit
    return _rows(lowering, numbers, numbers.biases)


def rms_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of an RMS_NORM."""
    numbers = rms_norm_of(lowering.graph, lowering.op)
    assert numbers is not None      # a limit
    return _rows(lowering, numbers, np.zeros_like(numbers.gains),
                 quantization(lowering.x).zero_point)


def _rows(lowering: Lowering, numbers: LayerNormNumbers | RmsNormNumbers, biases: np.ndarray,
          zero_point: int | None = None) -> Lowered:
    op, stored, config = lowering.op, lowering.stored, lowering.config
    x, y, bounds = lowering.x, quantization(lowering.y), op.attributes["bounds"]
    assert isinstance(bounds, tuple)
    low, high = bounds
    result = LayerNormResult(numbers.epsilon, numbers.shift, numbers.result_bits, low, high,
                             zero_point)
    columns = x.shape[-1]

    words = table_words(np.concatenate([
        numbers.gains, biases + (y.zero_point << numbers.result_bits)]))
    lanes, rows = config.requant_lanes, prod(x.shape) // columns
    lowering = replace(lowering, stored=replace(stored, inputs=stored.inputs[:1]))
    scratch = dict.fromkeys(("totals", "squares", "shifts"), INT32_BYTES * lanes)
    tiles = Tiles(lanes, rows, columns)

    def code(x: int, y: int, table: int, *scratch: int) -> bytes:
        return layer_norm_rows(config, tiles, LayerNormPlaces(x, y, table, *scratch), result)

    return spaced_rows(lowering, tiles, words, code, scratch)
