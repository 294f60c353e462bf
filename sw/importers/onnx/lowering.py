"""What becomes of a result in real numbers: integers by rule ``qdq``, or float32 for the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.elementwise import lower_elementwise, lower_identity, lower_pool
from kaniwa.importers.onnx.functions import (
    FUNCTIONS,
    float_function,
    lower_function,
    lower_mean,
)
from kaniwa.importers.onnx.movement import lower_concat
from kaniwa.importers.onnx.normalization import lower_layer_normalization
from kaniwa.importers.onnx.recurrent import lower_recurrent
from kaniwa.importers.onnx.values import REAL, Integers, Known, Pending, Steps, Stored
from kaniwa.importers.onnx.weighted import lower_convolution, lower_matrix

__all__ = ["lower", "lower_float"]

Lower = Callable[[Builder, Pending, Steps, str], Integers]
LOWERS: dict[str, Lower] = {
    "Conv": lower_convolution,
    "Gemm": lower_matrix,
    "MatMul": lower_matrix,
    "Add": lower_elementwise,
    "Sub": lower_elementwise,
    "Mul": lower_elementwise,
    "Div": lower_elementwise,
    "AveragePool": lower_pool,
    "GlobalAveragePool": lower_pool,
    "Concat": lower_concat,
    "Identity": lower_identity,
    "ReduceMean": lower_mean,
    "LayerNormalization": lower_layer_normalization,
    "LSTM": lower_recurrent,
    "GRU": lower_recurrent,
    **dict.fromkeys(FUNCTIONS, lower_function),
}


# What golden computes from integers and gives in float32.
TO_FLOAT = ("Conv", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "AveragePool",
            "GlobalAveragePool", "ReduceMean", "LayerNormalization", "LSTM", "GRU")


def lower(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """The operators that make ``pending`` integers of these ``steps``: the model's ``name``."""
    function = LOWERS.get(pending.node.kind)
    if function is None:
        raise builder.fail("its quantised form is not supported; leave it in float32 behind the "
                           "model's last DequantizeLinear", node=pending.node)
    return function(builder, pending, steps, name)


def lower_float(builder: Builder, pending: Pending, what: str) -> Stored:
    """The operator with a float32 result, which the host runs."""
    node = pending.node
    if node.kind == "Identity":      # a clamp: the product with 1 has one
        one = Known(np.ones((), np.int8), Steps((1.0,), (0,), "int8"))
        node = replace(node, kind="Mul")
        pending = replace(pending, node=node, operands=(*pending.operands, one))
    if node.kind in TO_FLOAT:
        if pending.label not in builder.real:
            builder.real[pending.label] = LOWERS[node.kind](builder, pending, REAL,
                                                            pending.label).stored
        return builder.real[pending.label]
    if node.kind not in FUNCTIONS or pending.clamps:
        raise builder.fail(f"{what} is the result of node {node.index} {node.kind} '{node.name}', "
                           "which is not quantised; put QuantizeLinear and DequantizeLinear "
                           "behind that node")
    return float_function(builder, pending)
