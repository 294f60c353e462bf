"""Layers that pass their input on to an ADD, a MUL or a table behind the requantizer."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.array.attributes import bounds_of, geometry_of, removed_of
from kaniwa.compiler.array.elementwise import has_one_value, sum_of, table_of
from kaniwa.compiler.array.functions import argument, function_table
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.operands import as_map, source_of
from kaniwa.compiler.plan.rescale import bytes_kept
from kaniwa.isa import Mode

__all__ = ["elementwise_layer"]

COMBINED = ("ADD", "SUB", "MUL")      # of two operands; others are functions of one
ONE_PIXEL = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0))}


def elementwise_layer(lowering: Lowering) -> Lowered:
    """The depthwise layer of an ADD, MUL or TABLE."""
    graph, op, y, where = lowering.graph, lowering.op, lowering.y, lowering.where
    bits, inputs = lowering.config.multiplier_bits, lowering.stored.inputs
    shape = as_map(y.shape)
    channels = shape[3]
    every = np.zeros(channels, np.int64)
    rescale = bytes_kept(channels, bits, where)
    geometry = geometry_of(replace(op, attributes=ONE_PIXEL), y, y, (1, 1))
    bounds = bounds_of(op, y)
    add, table, source = None, None, inputs[0]
    given = op.attributes.get("table")
    if isinstance(given, tuple):
        table = np.array(given, np.int8)
    elif op.kind == "TABLE" and lowering.source_kind not in COMBINED:
        table = function_table(graph, op, lowering.source_kind)
        source = inputs[argument(graph, op)]
    elif op.kind == "TABLE":
        table = table_of(graph, op, bounds, where)
        source = next(inputs[p] for p, i in enumerate(op.inputs)
                      if not has_one_value(graph.tensors[i]))
    else:
        add = replace(sum_of(graph, op, inputs[1], bounds, bits, where),
                      repeated=prod(graph.tensors[op.inputs[1]].shape) < prod(shape))
    return ArrayLayer(
        op.name, lowering.source_kind, Mode.DEPTHWISE, source, y.id, geometry,
        np.ones((1, 1, channels), np.int8), every, 0, rescale, 0, source_of(op), add,
        identity=True, table=table, removed=removed_of(op)), []
