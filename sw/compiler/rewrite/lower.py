"""Operators to layers: zero points folded into biases, scales into proved multipliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from kaniwa.compiler.array.copies import copy_layer, transpose_layer
from kaniwa.compiler.array.elementwise import has_one_value, sum_of, table_of
from kaniwa.compiler.array.functions import TABLES, argument, function_table
from kaniwa.compiler.int16.functions import wide_layer
from kaniwa.compiler.int16.products import wide_product_layer
from kaniwa.compiler.int16.softmax import wide_softmax_layer
from kaniwa.compiler.int16.sums import bytes_layer, digit_rescale, wide_sums_layer
from kaniwa.compiler.plan.accumulators import accumulator_range
from kaniwa.compiler.plan.bounds import INT8, activation_bounds
from kaniwa.compiler.plan.layer import (
    Geometry,
    Layer,
    Plan,
    VectorLayer,
    describe,
    paddings,
    pair,
    quantization,
    source_of,
)
from kaniwa.compiler.plan.rescale import (
    Rule,
    average_pool,
    average_pool_half_up,
    double_rounding,
    exact,
    float_half_away,
    float_half_even,
    mean,
    prove,
)
from kaniwa.compiler.plan.vector_kinds import VECTOR_KINDS, WIDE, WIDE_BYTES, WIDE_SUMS
from kaniwa.compiler.recurrent.cell_unit import cell_layer
from kaniwa.compiler.recurrent.onnx_cells import (
    KINDS as ONNX_CELLS,
    onnx_cell_layer,
    onnx_sums_layer,
)
from kaniwa.compiler.recurrent.recurrent import lstm_layer, sums_layer
from kaniwa.compiler.rewrite.legalize import as_map
from kaniwa.compiler.rewrite.refusal import Refused
from kaniwa.compiler.vector.layer_norm import layer_norm_layer
from kaniwa.compiler.vector.products import product_layer
from kaniwa.compiler.vector.softmax import softmax_layer
from kaniwa.errors import CompileError, UnsupportedError
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.isa import Mode

__all__ = ["lower"]

ONE_PIXEL = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))}


def lower(plan: Plan) -> Plan:
    """Make a layer of each operator; RESHAPE becomes another name of its input's memory.

    Raises Refused for accumulators that may leave int32 or roundings that the requantizer cannot
    reproduce.
    """
    graph = plan.graph
    reasons: dict[int, str] = {}
    storage = {t.id: t.id for t in graph.tensors if t.data is not None}
    storage.update((i, i) for i in graph.inputs)
    layers: list[Layer | VectorLayer] = []
    tensors = list(graph.tensors)
    for op in graph.ops:
        output = op.outputs[0]
        if op.kind == "RESHAPE":
            storage[output] = storage[op.inputs[0]]
            continue
        storage.update((i, i) for i in op.outputs)
        stored = replace(op, inputs=tuple(i if i == -1 else storage[i] for i in op.inputs))
        position = int(str(op.attributes["position"]))
        try:
            layer, streams = _lower_op(plan, op, stored, len(tensors))
            layers.append(replace(layer, part=plan.part_of[position], positions=(position,)))
        except (CompileError, UnsupportedError) as error:
            reasons.setdefault(position, str(error))
        else:
            storage.update((t.id, t.id) for t in streams)
            tensors += streams
    if reasons:
        raise Refused(reasons)
    return replace(plan, graph=replace(graph, tensors=tuple(tensors)), storage=storage,
                   layers=tuple(layers))


def _lower_op(plan: Plan, op: Op, stored: Op,
              first_id: int) -> tuple[Layer | VectorLayer, list[Tensor]]:
    """The layer, and tensors of its own, from ``first_id`` on."""
    where = describe(plan.model, replace(op, kind=str(op.attributes["source_kind"])))
    if op.kind in VECTOR_KINDS:
        wide = plan.graph.tensors[op.inputs[0]].dtype == "int16"
        make: Callable[..., tuple[VectorLayer, list[Tensor]]]
        if op.kind == "SOFTMAX":
            make = wide_softmax_layer if wide else softmax_layer
        elif op.kind == "LAYER_NORM":
            make = layer_norm_layer
        else:
            make = wide_product_layer if "operands" in op.attributes else product_layer
        return make(plan.graph, op, stored, plan.config, where, first_id)
    if op.kind in ("SUMS", "LSTM", "SEQUENCE"):
        cell = plan.model.ops[int(str(op.attributes["position"]))]
        make_sums, make_steps = ((onnx_sums_layer, onnx_cell_layer) if cell.kind in ONNX_CELLS
                                 else (sums_layer, lstm_layer))
        given = plan.model, cell, op, stored, plan.config, where
        if op.kind == "SEQUENCE":
            return cell_layer(*given), []
        if op.kind == "SUMS":
            return make_sums(*given), []
        return make_steps(*given, first_id, op.attributes["position"] in plan.stepwise)
    if op.kind == WIDE:
        return wide_layer(plan.graph, op, stored, plan.config, first_id)
    if op.kind == WIDE_BYTES:
        return bytes_layer(plan.graph, op, stored, plan.config), []
    if op.kind == WIDE_SUMS:
        return wide_sums_layer(plan.graph, op, stored, plan.config, where, first_id)
    if op.kind == "COPY":
        return copy_layer(op, stored, plan.config, where, first_id)
    return _lower_alone(plan, op, stored, where), []


def _lower_alone(plan: Plan, op: Op, stored: Op, where: str) -> Layer | VectorLayer:
    graph, config = plan.graph, plan.config
    if op.kind in ("ADD", "MUL", "TABLE"):
        return _lower_elementwise(graph, op, stored, config.multiplier_bits, where)
    if op.kind == "TRANSPOSE":
        return transpose_layer(graph, op, stored, config, where)
    if op.kind == "MAX_POOL_2D":
        return _lower_max_pool(graph, op, stored, config.multiplier_bits, where)
    return _lower_convolution(graph, op, stored, config.multiplier_bits, where)


def _lower_convolution(graph: Graph, op: Op, stored: Op, bits: int, where: str) -> Layer:
    x, w, y = (graph.tensors[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    assert w.data is not None
    dense = op.kind == "CONV_2D"
    weights = w.data if dense else w.data[0]
    kernel = weights.shape[1:3] if dense else weights.shape[:2]
    by_channel = (weights.reshape(weights.shape[0], -1) if dense
                  else weights.reshape(-1, weights.shape[2]).T).astype(np.int64)
    bias = np.zeros(len(by_channel), np.int64)
    if len(op.inputs) > 2 and op.inputs[2] != -1:
        data = graph.tensors[op.inputs[2]].data
        assert data is not None
        bias += data
    pad_value = quantization(x).zero_point
    digit = op.attributes.get("digit")
    if isinstance(digit, int):      # of a sum, whose biases are complete
        accumulator_range(by_channel, bias, where)
        bias, rescale = digit_rescale(digit, bias)
    else:
        output_zero_point = quantization(y).zero_point
        if op.rule in ("litert_average_pool", "litert_uint8_average_pool"):
            output_zero_point = 0      # the mean of the stored values, zero point included
        else:
            bias -= pad_value * by_channel.sum(axis=1)
        low, high = accumulator_range(by_channel, bias, where)
        rescale = prove(_rule(op, x, w, y, len(bias), where), low, high, output_zero_point,
                        _bounds(op, y), bits, where)
    mode = Mode.DENSE if dense else Mode.DEPTHWISE
    geometry = _geometry(op, x, y, (kernel[0], kernel[1]))
    return Layer(op.name, str(op.attributes["source_kind"]), mode, stored.inputs[0], op.outputs[0],
                 geometry, np.ascontiguousarray(weights), bias, pad_value, rescale, _macs(op, y),
                 source_of(op), removed=_removed(op))


def _rule(op: Op, x: Tensor, w: Tensor, y: Tensor, channels: int, where: str) -> Rule:
    sx, sy = quantization(x).scale, quantization(y).scale
    if op.rule in ("litert_double_rounding", "litert_float_half_away"):
        reals = np.float64(sx) * np.array(quantization(w).scales, np.float64) / np.float64(sy)
        reals = np.broadcast_to(reals, channels)
        return (double_rounding if op.rule == "litert_double_rounding" else float_half_away)(reals)
    if op.rule == "litert_uint8_double_rounding":      # the first product is in float32
        with np.errstate(over="ignore", under="ignore"):
            product = np.float32(sx) * np.array(quantization(w).scales, np.float32)
        reals = product.astype(np.float64) / np.float64(sy)
        return double_rounding(np.broadcast_to(reals, channels))
    if op.rule == "qdq":
        count = (prod(pair(op, "filter")) if "filter" in op.attributes
                 else int(str(op.attributes.get("count", 1))))
        reals = sx * np.array(quantization(w).scales, np.float64) / (count * sy)
        return float_half_even(np.broadcast_to(reals, channels))
    if op.rule == "litert_activation":      # LiteRT divides these scales in float32
        return double_rounding(np.full(channels, np.float32(sx) / np.float32(sy), np.float64))
    if op.rule == "litert_mean":
        return mean(sx / sy, int(str(op.attributes["count"])), channels)
    if op.rule == "litert_average_pool":
        return average_pool(prod(pair(op, "filter")), channels)
    if op.rule == "litert_uint8_average_pool":
        return average_pool_half_up(prod(pair(op, "filter")), channels)
    raise UnsupportedError(f"{where}: unknown rounding rule '{op.rule}'")


def _lower_max_pool(graph: Graph, op: Op, stored: Op, bits: int, where: str) -> Layer:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    channels = x.shape[3]
    every = np.zeros(channels, np.int64)
    rescale = prove(exact(channels), every - 128, every + 127, 0, _bounds(op, y), bits, where)
    return Layer(op.name, op.kind, Mode.MAX_POOL, stored.inputs[0], op.outputs[0],
                 _geometry(op, x, y, pair(op, "filter")), None, every, -128, rescale, 0,
                 source_of(op), removed=_removed(op))


def _lower_elementwise(graph: Graph, op: Op, stored: Op, bits: int, where: str) -> Layer:
    """A depthwise layer that passes its input on to the ADD, the MUL or the table behind it."""
    y = graph.tensors[op.outputs[0]]
    shape = as_map(y.shape)
    channels = shape[3]
    every = np.zeros(channels, np.int64)
    rescale = prove(exact(channels), every - 128, every + 127, 0, INT8, bits, where)
    geometry = _geometry(replace(op, attributes=ONE_PIXEL), y, y, (1, 1))
    bounds = _bounds(op, y)
    add, table, source = None, None, stored.inputs[0]
    source_kind = str(op.attributes["source_kind"])
    if source_kind in TABLES:
        table = function_table(graph, op, source_kind)
        source = stored.inputs[argument(graph, op)]
    elif op.kind == "TABLE":
        table = table_of(graph, op, bounds, where)
        source = next(stored.inputs[p] for p, i in enumerate(op.inputs)
                      if not has_one_value(graph.tensors[i]))
    else:
        add = replace(sum_of(graph, op, stored.inputs[1], bounds, bits, where),
                      repeated=prod(graph.tensors[op.inputs[1]].shape) < prod(shape))
    return Layer(op.name, source_kind, Mode.DEPTHWISE, source,
                 op.outputs[0], geometry, np.ones((1, 1, channels), np.int8), every, 0, rescale, 0,
                 source_of(op), add, identity=True, table=table, removed=_removed(op))


def _geometry(op: Op, x: Tensor, y: Tensor, kernel: tuple[int, int]) -> Geometry:
    ifm, ofm = as_map(x.shape), as_map(y.shape)
    (top, _), (left, _) = paddings(op)
    return Geometry(ifm[0], ifm[1:], ofm[1:], kernel, pair(op, "stride"), pair(op, "dilation"),
                    (top, left))


def _macs(op: Op, y: Tensor) -> int:
    """The model's, with those of removed channels."""
    removed = _removed(op)
    return prod(y.shape) * int(str(op.attributes["taps"])) + (removed["macs"] if removed else 0)


def _removed(op: Op) -> Mapping[str, Any] | None:
    value = op.attributes.get("removed")
    return value if isinstance(value, Mapping) else None


def _bounds(op: Op, y: Tensor) -> tuple[int, int]:
    q, bounds = quantization(y), op.attributes.get("bounds")
    if isinstance(bounds, tuple):      # rule qdq has its clamp as integers
        return bounds
    return activation_bounds(str(op.attributes.get("activation", "NONE")), q.scale, q.zero_point)
