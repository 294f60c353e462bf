"""What becomes of a result in real numbers: integers by rule ``qdq``, or float32 for the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.elementwise import lower_elementwise, lower_identity, lower_pool
from kaniwa.importers.onnx.families.functions import (
    FUNCTIONS,
    float_function,
    lower_function,
    lower_mean,
)
from kaniwa.importers.onnx.families.movement import lower_concat
from kaniwa.importers.onnx.families.normalization import lower_layer_normalization
from kaniwa.importers.onnx.families.recurrent import lower_recurrent
from kaniwa.importers.onnx.families.weighted import lower_convolution, lower_matrix
from kaniwa.importers.onnx.values import (
    REAL,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Stored,
    Value,
)

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
    if pending.label in builder.real:
        return builder.real[pending.label]
    if node.kind in TO_FLOAT:
        result = LOWERS[node.kind](builder, pending, REAL, pending.label).stored
    elif node.kind == "Identity":
        result = _clamped(builder, pending, pending.operands[0])
    elif node.kind in FUNCTIONS:
        result = float_function(builder, pending)
        if pending.clamps:
            result = _clamped(builder, pending, Floats(result))
    else:
        raise builder.fail(f"{what} is the result of node {node.index} {node.kind} '{node.name}', "
                           "which is not quantised; put QuantizeLinear and DequantizeLinear "
                           "behind that node")
    builder.real[pending.label] = result
    return result


def _clamped(builder: Builder, pending: Pending, x: Value | None) -> Stored:
    """``x`` with the clamps of ``pending``, in float32: its product with 1."""
    one = Known(np.ones((), np.int8), Steps((1.0,), (0,), "int8"))
    product = replace(pending, node=replace(pending.node, kind="Mul"), operands=(x, one))
    return lower_elementwise(builder, product, REAL, pending.label).stored
