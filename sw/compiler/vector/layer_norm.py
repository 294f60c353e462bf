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
from kaniwa.golden.onnx.rms_norm import rms_norm_numbers
from kaniwa.graph import Graph, Op
from kaniwa.units.vector.kernels.elementary import table_words
from kaniwa.units.vector.kernels.layer_norm import (
    SHORT_ROW,
    LayerNormPlaces,
    LayerNormResult,
    layer_norm_rows,
)
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["instance_norm_layer", "instance_norm_of", "layer_norm_layer", "layer_norm_of",
           "map_norm_layer", "map_norm_of", "rms_norm_layer", "rms_norm_of"]

INT32_BYTES = 4


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
    shape = graph.tensors[op.inputs[0]].shape
    return _of_so_many(graph, op, prod(shape)) if (
        op.attributes["groups"] == shape[0] == 1) else None


def instance_norm_of(graph: Graph, op: Op) -> LayerNormNumbers | None:
    """The numbers of an INSTANCE_NORM of int8; None where there are none."""
    return _of_so_many(graph, op, graph.tensors[op.inputs[0]].shape[-1])


def _of_so_many(graph: Graph, op: Op, count: int) -> LayerNormNumbers | None:
    """The numbers of a norm over ``count`` values."""
    x, gain, bias = (graph.tensors[i] for i in op.inputs)
    epsilon = op.attributes["epsilon"]
    if op.rule != RULE or gain.data is None or bias.data is None or (
            not isinstance(epsilon, float)):
        return None
    return map_norm_numbers(gain.data, bias.data, epsilon, quantization(x).scale,
                            quantization(graph.tensors[op.outputs[0]]).scale, count)


def rms_norm_of(graph: Graph, op: Op) -> LayerNormNumbers | None:
    """The numbers of an RMS_NORM of int8; None for another rule's, or where there are none."""
    gain, epsilon = graph.tensors[op.inputs[1]].data, op.attributes["epsilon"]
    if op.rule != RULE or gain is None or not isinstance(epsilon, float):
        return None
    scale, step = (quantization(graph.tensors[i]).scale for i in (op.inputs[0], op.outputs[0]))
    return rms_norm_numbers(gain, epsilon, scale, step)


def layer_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of a LAYER_NORM."""
    return _rows(lowering, layer_norm_of(lowering.graph, lowering.op))


def map_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of a GROUP_NORM of one group. A row is as many pixels as registers hold."""
    shape = lowering.x.shape
    pixels, most = prod(shape[:-1]), max(SHORT_ROW // shape[-1], 1)
    together = max(n for n in range(1, most + 1) if pixels % n == 0)
    return _rows(lowering, map_norm_of(lowering.graph, lowering.op), is_map=True,
                 together=together)


def rms_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of an RMS_NORM."""
    return _rows(lowering, rms_norm_of(lowering.graph, lowering.op),
                 zero_point=quantization(lowering.x).zero_point)


def instance_norm_layer(lowering: Lowering) -> Lowered:
    """The layer of an INSTANCE_NORM."""
    return _rows(lowering, instance_norm_of(lowering.graph, lowering.op), by_row=True)


def _rows(lowering: Lowering, numbers: LayerNormNumbers | None, zero_point: int | None = None,
          is_map: bool = False, together: int = 1, by_row: bool = False) -> Lowered:
    """The layer, of which a row has ``together`` times as many columns as there are gains; or rows
    have a gain each, in turn."""
    stored, config, y = lowering.stored, lowering.config, quantization(lowering.y)
    bounds = lowering.op.attributes["bounds"]
    assert numbers is not None and isinstance(bounds, tuple)      # a limit
    low, high = bounds
    result = LayerNormResult(numbers.epsilon, numbers.shift, numbers.result_bits, low, high,
                             zero_point, is_map, by_row)
    lanes = config.requant_lanes
    columns = lowering.x.shape[-1] if by_row else len(numbers.gains) * together
    rows = prod(lowering.x.shape) // columns
    if by_row:
        together = rows // len(numbers.gains)
    biases = numbers.biases + (y.zero_point << numbers.result_bits)
    in_last_tile = (np.arange(lanes) < (rows % lanes or lanes)).astype(np.int64)
    fill = (0, -rows % lanes if by_row else 0)
    words = table_words(np.concatenate([
        in_last_tile[:lanes if is_map else 0], *(
            np.pad(np.tile(values, together), fill) for values in (numbers.gains, biases))]))
    lowering = replace(lowering, stored=replace(stored, inputs=stored.inputs[:1]))
    scratch = dict.fromkeys(("totals", "squares", "shifts"), INT32_BYTES * lanes)
    tiles = Tiles(lanes, rows, columns)

    def code(x: int, y: int, table: int, *scratch: int) -> bytes:
        return layer_norm_rows(config, tiles, LayerNormPlaces(x, y, table, *scratch), result)

    return spaced_rows(lowering, tiles, words, code, scratch)
