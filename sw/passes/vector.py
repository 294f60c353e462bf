"""Operators that the vector unit does: a program each, by kernels of ``kaniwa.vector``."""

from __future__ import annotations

from math import prod

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.golden.softmax import exponential_table
from kaniwa.graph import Graph, Op
from kaniwa.layer import VectorLayer, quantization
from kaniwa.rescale import quantize_multiplier
from kaniwa.vector import kernels, kernels_attention
from kaniwa.vector.isa import BLOCK_WORDS, Width
from kaniwa.vector.kernels import Place, Rescaling

__all__ = ["VECTOR_KINDS", "vector_code", "vector_layer"]

VECTOR_KINDS = ("SOFTMAX", "BATCH_MATMUL")
# As many exponentials may add up to what the reference is not defined for.
SOFTMAX_COLUMNS = 511


def vector_layer(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig,
                 where: str) -> VectorLayer:
    """The layer of an operator of VECTOR_KINDS; ``stored`` has the tensors whose memory it uses.

    Raises CompileError where the unit of ``config`` cannot hold it.
    """
    make = {"SOFTMAX": _softmax, "BATCH_MATMUL": _matmul}[op.kind]
    return make(graph, op, stored, config, where)


def vector_code(layer: VectorLayer, config: AcceleratorConfig, reads: tuple[int, ...], ofm: int,
                table: int) -> bytes:
    """The layer's program for these addresses, in whole words of memory."""
    code = layer.code(reads, ofm, table)
    return code + bytes(-len(code) % config.read_bytes)


def _softmax(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig,
             where: str) -> VectorLayer:
    x = graph.tensors[op.inputs[0]]
    columns = int(str(op.attributes["columns"]))
    pitch = x.shape[-1] if x.shape else 1
    rows = prod(x.shape) // pitch
    lanes, most = config.requant_lanes, min(config.requant_lanes * BLOCK_WORDS, SOFTMAX_COLUMNS)
    if columns > most:
        raise CompileError(f"{where}: a row of {columns} is longer than the {most} that the vector "
                           f"unit of {lanes} lanes takes")
    table = exponential_table(beta=float(str(op.attributes["beta"])), scale=quantization(x).scale)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        return kernels.softmax(config, rows, columns, (pitch, pitch),
                               Place(reads[0], Width.INT8), Place(ofm, Width.INT8), table)

    return VectorLayer(op.name, op.kind, stored.inputs[:1], op.outputs[0], code,
                       kernels.table_words(np.roll(table, 1)),
                       () if op.source_index is None else (op.source_index,))


def _matmul(graph: Graph, op: Op, stored: Op, config: AcceleratorConfig,
            where: str) -> VectorLayer:
    a, b, y = (graph.tensors[i] for i in (*op.inputs, op.outputs[0]))
    rows, depth = a.shape[-2:]
    size = kernels_attention.Products(prod(a.shape[:-2]), rows, depth, b.shape[-1])
    problem = kernels_attention.why_no_matmul(config, size)
    if problem is not None:
        raise CompileError(f"{where}: {problem}")
    left, right, out = (quantization(tensor) for tensor in (a, b, y))
    # LiteRT multiplies these scales in float32.
    real = float(np.float32(left.scale) * np.float32(right.scale)) / out.scale
    end = Rescaling(quantize_multiplier(real), out.zero_point)

    def code(reads: tuple[int, ...], ofm: int, table: int) -> bytes:
        first, second, scratch = (Place(address, Width.INT8) for address in reads)
        return kernels_attention.batch_matmul(
            config, size, first, second, Place(ofm, Width.INT8),
            (left.zero_point, right.zero_point), end, scratch.address)

    return VectorLayer(op.name, op.kind, stored.inputs, op.outputs[0], code, b"",
                       () if op.source_index is None else (op.source_index,),
                       macs=size.batch * rows * depth * int(str(op.attributes["columns"])),
                       scratch=kernels_attention.matmul_scratch(config, size))
