"""Operators that the vector unit does: a program each, by kernels of ``kaniwa.vector``."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.reduction import mean_multiplier
from kaniwa.golden.softmax import exponential_table
from kaniwa.graph import Graph, Op
from kaniwa.layer import VectorLayer, quantization
from kaniwa.vector import kernels
from kaniwa.vector.isa import BLOCK_WORDS, Width
from kaniwa.vector.kernels import Place, Rescaling

__all__ = ["VECTOR_KINDS", "VECTOR_RULES", "vector_code", "vector_layer"]

# Rule that the kernel of a kind reproduces.
VECTOR_RULES = {"SOFTMAX": "litert_softmax", "MEAN": "litert_mean"}
VECTOR_KINDS = tuple(VECTOR_RULES)
# As many exponentials may add up to what the reference is not defined for.
SOFTMAX_COLUMNS = 511


def vector_layer(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig,
                 where: str) -> VectorLayer:
    """The layer of an operator of VECTOR_KINDS; ``stored`` has the tensors whose memory it uses.

    Raises CompileError where the unit of ``config`` cannot hold it.
    """
    make = {"SOFTMAX": _softmax, "MEAN": _mean}[op.kind]
    return make(graph, op, stored, config, where)


def vector_code(layer: VectorLayer, config: AcceleratorConfig, reads: tuple[int, ...], ofm: int,
                table: int) -> bytes:
    """The layer's program for these addresses, in whole words of memory."""
    code = layer.code(reads, ofm, table)
    return code + bytes(-len(code) % config.read_bytes)


def _softmax(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig,
             where: str) -> VectorLayer:
    x = graph.tensors[op.inputs[0]]
    columns = x.shape[-1] if x.shape else 1
    rows = prod(x.shape) // columns
    lanes, most = config.requant_lanes, min(config.requant_lanes * BLOCK_WORDS, SOFTMAX_COLUMNS)
    if columns > most:
        raise CompileError(f"{where}: a row of {columns} is longer than the {most} that the vector "
                           f"unit of {lanes} lanes takes")
    if rows > 1 and columns % lanes:
        raise CompileError(f"{where}: {rows} rows of {columns}: the vector unit takes several only "
                           f"of a multiple of its {lanes} lanes")
    table = exponential_table(beta=float(str(op.attributes["beta"])), scale=quantization(x).scale)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return kernels.softmax(config, rows, columns, (columns, columns),
                               Place(reads[0], Width.INT8), Place(ofm, Width.INT8), table)

    return VectorLayer(op.name, op.kind, stored.inputs[:1], op.outputs[0], code,
                       kernels.table_words(np.roll(table, 1)),
                       () if op.source_index is None else (op.source_index,))


def _mean(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig, where: str) -> VectorLayer:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    axes, lanes = op.attributes["axes"], config.requant_lanes
    assert isinstance(axes, tuple)
    channels = x.shape[-1] if x.shape else 1
    count = prod(x.shape) // channels
    if len(x.shape) - 1 in axes or prod(x.shape[i] for i in axes) != count:
        raise CompileError(f"{where}: a mean over axes {list(axes)} of {list(x.shape)}: the vector "
                           f"unit takes those over all but the last one")
    if count > 1 and channels % lanes:
        raise CompileError(f"{where}: {channels} channels: the vector unit takes a multiple of its "
                           f"{lanes} lanes")
    scales = quantization(x), quantization(y)
    end = Rescaling(mean_multiplier(scales[0].scale / scales[1].scale, count),
                    scales[1].zero_point)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return kernels.mean(config, count, channels, channels, Place(reads[0], Width.INT8),
                            Place(ofm, Width.INT8), scales[0].zero_point, end)

    return VectorLayer(op.name, op.kind, stored.inputs[:1], op.outputs[0], code, b"",
                       () if op.source_index is None else (op.source_index,))
