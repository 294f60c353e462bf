"""Operators to layers: zero points folded into biases, scales into proved multipliers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from kaniwa.compiler.array.convolution import convolution_layer, max_pool_layer
from kaniwa.compiler.array.copies import copy_layer, transpose_layer
from kaniwa.compiler.array.pieces import pieces_layer
from kaniwa.compiler.array.tables import elementwise_layer
from kaniwa.compiler.int16.functions import wide_layer
from kaniwa.compiler.int16.products import wide_product_layer
from kaniwa.compiler.int16.softmax import wide_softmax_layer
from kaniwa.compiler.int16.sums import bytes_layer, wide_sums_layer
from kaniwa.compiler.plan.kinds import WIDE, WIDE_BYTES, WIDE_SUMS
from kaniwa.compiler.plan.layers import Layer
from kaniwa.compiler.plan.lowering import Lowered, Lowering
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.recurrent.cell_unit import cell_layer
from kaniwa.compiler.recurrent.input_sums import cell_unit_sums_layer, sums_layer
from kaniwa.compiler.recurrent.onnx_cells import (
    KINDS as ONNX_CELLS,
    onnx_cell_layer,
    onnx_sums_layer,
)
from kaniwa.compiler.recurrent.recurrent import lstm_layer
from kaniwa.compiler.rewrite.refusal import Refused
from kaniwa.compiler.vector.layer_norm import (
    instance_norm_layer,
    layer_norm_layer,
    map_norm_layer,
    rms_norm_layer,
)
from kaniwa.compiler.vector.products import product_layer
from kaniwa.compiler.vector.softmax import softmax_layer
from kaniwa.errors import CompileError, UnsupportedError

__all__ = ["LOWERINGS", "lower"]

Lower = Callable[[Lowering], Lowered]


def _of_int16(narrow: Lower, wide: Lower) -> Lower:
    """``wide`` for operators whose bytes ``legalize`` has taken apart or that read int16."""
    def lowered(lowering: Lowering) -> Lowered:
        is_wide = lowering.x.dtype == "int16" or "operands" in lowering.op.attributes
        return (wide if is_wide else narrow)(lowering)

    return lowered


def _of_onnx(tflite: Lower, onnx: Lower) -> Lower:
    """``onnx`` for the cells of ONNX models."""
    def lowered(lowering: Lowering) -> Lowered:
        return (onnx if lowering.origin.kind in ONNX_CELLS else tflite)(lowering)

    return lowered


# By the kinds that ``legalize`` leaves.
LOWERINGS: Mapping[str, Lower] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution_layer),
    "MAX_POOL_2D": max_pool_layer,
    **dict.fromkeys(("ADD", "MUL", "TABLE"), elementwise_layer),
    "TRANSPOSE": transpose_layer,
    "COPY": copy_layer,
    "PIECES": pieces_layer,
    "SOFTMAX": _of_int16(softmax_layer, wide_softmax_layer),
    "LAYER_NORM": layer_norm_layer,
    "GROUP_NORM": map_norm_layer,
    "INSTANCE_NORM": instance_norm_layer,
    "RMS_NORM": rms_norm_layer,
    "BATCH_MATMUL": _of_int16(product_layer, wide_product_layer),
    "SUMS": _of_onnx(sums_layer, onnx_sums_layer),
    "LSTM": _of_onnx(lstm_layer, onnx_cell_layer),
    "SEQUENCE_SUMS": cell_unit_sums_layer,
    "SEQUENCE": cell_layer,
    WIDE: wide_layer,
    WIDE_BYTES: bytes_layer,
    WIDE_SUMS: wide_sums_layer,
}


def lower(plan: Plan) -> Plan:
    """Make a layer of each operator; RESHAPE becomes another name of its input's memory.

    Raises Refused for accumulators that may leave int32 or roundings that the requantizer cannot
    reproduce.
    """
    graph = plan.graph
    reasons: dict[int, str] = {}
    storage = {t.id: t.id for t in graph.tensors if t.data is not None}
    storage.update((i, i) for i in graph.inputs)
    layers: list[Layer] = []
    tensors = list(graph.tensors)
    for op in graph.ops:
        output = op.outputs[0]
        if op.kind == "RESHAPE":
            storage[output] = storage[op.inputs[0]]
            continue
        storage.update((i, i) for i in op.outputs)
        stored = replace(op, inputs=tuple(i if i == -1 else storage[i] for i in op.inputs))
        position = int(str(op.attributes["position"]))
        lowering = Lowering(plan.model, graph, plan.config, op, stored, len(tensors),
                            position in plan.time_multiplexed)
        try:
            layer, streams = LOWERINGS[op.kind](lowering)
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
