"""Activations on the accelerator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.array.functions import why_no_table
from kaniwa.compiler.array.slopes import prelu_by_channel
from kaniwa.compiler.operators.functions import table_operator
from kaniwa.compiler.operators.limits import (
    BYTES,
    elementwise_int16,
    int8_activations,
    some_elements,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_table, as_wide, unit_depthwise
from kaniwa.compiler.plan.operands import as_map
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def _relu(rewriter: Rewriter, op: Op) -> None:
    x, y = rewriter.tensors[op.inputs[0]], rewriter.tensors[op.outputs[0]]
    shape = as_map(x.shape)
    attributes = {**op.attributes, "stride": (1, 1), "padding": NO_PADDING,
                  "activation": op.kind}
    wide = y.id if y.shape == shape else rewriter.tensor(f"{y.name}:map", shape, y)
    mapped = replace(op, inputs=(rewriter.reshaped(op, x.id, shape),), outputs=(wide,),
                     attributes=attributes)
    unit_depthwise(rewriter, mapped, (1, 1), "litert_activation")
    rewriter.renamed(op, wide, y)


def slopes_by_channel(graph: Graph, op: Op) -> str | None:
    """Slopes are constants: one, or one a channel."""
    slopes, channels = graph.tensors[op.inputs[1]], graph.tensors[op.inputs[0]].shape[-1:]
    if has_one_value(slopes):
        return why_no_table(graph, op)
    if slopes.data is None or slopes.shape[-1:] != channels or slopes.data.size != channels[0]:
        return (f"slopes '{slopes.name}' {list(slopes.shape)} are not constants, one a channel; "
                f"share them along other axes")
    return None if np.isfinite(slopes.data).all() else f"slopes '{slopes.name}' are not finite"


def _prelu(rewriter: Rewriter, op: Op) -> None:
    one = has_one_value(rewriter.tensors[op.inputs[1]])
    (as_table if one else prelu_by_channel)(rewriter, op)


_INT16 = elementwise_int16("litert_double_rounding")

OPERATORS = (
    DeviceOperator("RELU", BYTES, _relu, _INT16, as_wide),
    DeviceOperator("RELU6", BYTES, _relu, _INT16, as_wide),
    table_operator("RELU_N1_TO_1"),
    table_operator("RELU_0_TO_1"),
    table_operator("LEAKY_RELU"),
    DeviceOperator("PRELU", (int8_activations, some_elements, slopes_by_channel), _prelu),
    table_operator("HARD_SWISH"),
    table_operator("HARD_SIGMOID", onnx=True),
)
