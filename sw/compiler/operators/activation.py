"""Activations on the accelerator."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.compiler.operators import slopes
from kaniwa.compiler.operators.functions import table_operator
from kaniwa.compiler.operators.limits import BYTES, elementwise_int16
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_wide, unit_depthwise
from kaniwa.compiler.plan.operands import as_map
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, Rewriter
from kaniwa.graph import Op

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


_INT16 = elementwise_int16("litert_double_rounding")

OPERATORS = (
    DeviceOperator("RELU", BYTES, _relu, _INT16, as_wide),
    DeviceOperator("RELU6", BYTES, _relu, _INT16, as_wide),
    table_operator("RELU_N1_TO_1"),
    table_operator("RELU_0_TO_1"),
    table_operator("LEAKY_RELU"),
    *slopes.OPERATORS,
    table_operator("HARD_SWISH"),
    table_operator("HARD_SIGMOID", onnx=True),
)
