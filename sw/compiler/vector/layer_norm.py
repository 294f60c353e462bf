"""LAYER_NORM, GROUP_NORM of one group and RMS_NORM on the vector unit: a row in each lane."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import quantization
from kaniwa.compiler.vector.spaced_rows import spaced_rows
from kaniwa.golden.onnx.layer_norm import (
    RULE,
    LayerNormNumbers,
    layer_norm_numbers,
    map_norm_numbers,
)
from kaniwa.golden.onnx.rms_norm import RmsNormNumbers, rms_norm_numbers
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import table_words
from kaniwa.units.vector.kernels.layer_norm import LayerNormPlaces, LayerNormResult, layer_norm_rows
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["layer_norm_layer", "layer_norm_of", "map_norm_layer", "map_norm_of", "rms_norm_layer",
           "rms_norm_of"]

INT32_BYTES = 4
REGISTERS_OF_ROW = 256      # columns that registers hold at once


def layer_norm_of(graph: Graph, op: Op) -> LayerNormNumbers | None:
    """The numbers of a LAYER_NORM of int8; None for another rule's, or where there are none."""
    gain, bias = (None if i == -1 else graph.tensors[i].data for i in (*op.inputs[1:], -1)[:2])
    epsilon = op.attributes["epsilon"]
    if op.rule != RULE or gain is None or not isinstance(epsilon, float):
        return None
    scale, step = (quantization(graph.tensors[i]).scale for i in (op.inputs[0], op.outputs[0]))
    return layer_norm_numbers(gain, bias, epsilon, scale, step)


def map_norm_of(graph: Graph, op: Op) -> LayerNormNumbers | None:
    """The numbers of a GROUP_NORM of one group of int8, of one image; else None."""
    x, gain, bias = (graph.tensors[i] for i in op.inputs)
    epsilon = op.attributes["epsilon"]
    if op.rule != RULE or gain.data is None or bias.data is None or (
            not isinstance(epsilon, float) or op.attributes["groups"] != 1 or x.shape[0] != 1):
        return None
    return map_norm_numbers(gain.data, bias.data, epsilon, quantization(x).scale,
                            quantization(graph.tensors[op.outputs[0]]).scale, prod(x.shape))


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
    return _rows(lowering, _result(lowering, numbers), numbers.gains, numbers.biases)


def map_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of a GROUP_NORM of one group. A row is as many pixels as registers hold."""
    numbers, shape = map_norm_of(lowering.graph, lowering.op), lowering.x.shape
    assert numbers is not None      # a limit
    channels, pixels = shape[-1], prod(shape) // shape[-1]
    together = max(n for n in range(1, max(REGISTERS_OF_ROW // channels, 1) + 1) if pixels % n == 0)
    return _rows(lowering, replace(_result(lowering, numbers), is_map=True),
                 *(np.tile(values, together) for values in (numbers.gains, numbers.biases)))


def rms_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of an RMS_NORM."""
    numbers = rms_norm_of(lowering.graph, lowering.op)
    assert numbers is not None      # a limit
    result = replace(_result(lowering, numbers), zero_point=quantization(lowering.x).zero_point)
    return _rows(lowering, result, numbers.gains, np.zeros_like(numbers.gains))


def _result(lowering: Lowering, numbers: LayerNormNumbers | RmsNormNumbers) -> LayerNormResult:
    bounds = lowering.op.attributes["bounds"]
    assert isinstance(bounds, tuple)
    low, high = bounds
    return LayerNormResult(numbers.epsilon, numbers.shift, numbers.result_bits, low, high)


def _rows(lowering: Lowering, result: LayerNormResult, gains: np.ndarray,
          biases: np.ndarray) -> Lowered:
    """The layer over rows that are as long as ``gains``."""
    stored, config, y = lowering.stored, lowering.config, quantization(lowering.y)
    columns, lanes = len(gains), config.requant_lanes
    rows = prod(lowering.x.shape) // columns
    in_last = np.arange(lanes) < (rows % lanes or lanes)
    words = table_words(np.concatenate([
        in_last.astype(np.int64)[:lanes if result.is_map else 0],
        gains, biases + (y.zero_point << result.bits)]))
    lowering = replace(lowering, stored=replace(stored, inputs=stored.inputs[:1]))
    scratch = dict.fromkeys(("totals", "squares", "shifts"), INT32_BYTES * lanes)
    tiles = Tiles(lanes, rows, columns)

    def code(x: int, y: int, table: int, *scratch: int) -> bytes:
        return layer_norm_rows(config, tiles, LayerNormPlaces(x, y, table, *scratch), result)

    return spaced_rows(lowering, tiles, words, code, scratch)
