"""int8 functions of one int8 operand as tables of 256 entries, filled by the reference kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.errors import ModelError
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op
from kaniwa.passes.elementwise import has_one_value

__all__ = ["FUNCTIONS", "TABLES", "function_table", "why_no_table"]

FUNCTIONS = ("LOGISTIC", "TANH", "ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "PRELU",
             "RELU_N1_TO_1", "RELU_0_TO_1", "EXP", "LOG", "SQRT", "RSQRT", "ABS", "QUANTIZE")
# Those that TFLite lacks, or has for other types.
TABLES = (*FUNCTIONS, "HARD_SIGMOID", "ERF", "SOFTPLUS", "NEG")
EVERY = np.arange(-128, 128).astype(np.int8)


def why_no_table(graph: Graph, op: Op) -> str | None:
    """None if ``op`` is a function of its first operand's value alone, else why it is not."""
    for i in op.inputs[1:]:
        tensor = graph.tensors[i]
        if not has_one_value(tensor):
            return (f"'{tensor.name}' is not one constant value; only a function of one operand "
                    f"becomes a table")
    try:
        function_table(graph, op, op.kind)
    except ModelError:
        name = graph.tensors[op.inputs[0]].name
        return (f"it is not defined for every value of '{name}'; quantize the input with zero "
                f"point -128")
    return None


def function_table(graph: Graph, op: Op, kind: str) -> npt.NDArray[np.int8]:
    """The result of operator ``kind`` for each value of its first operand; index = value + 128.

    Raises ModelError where the reference has no result for some value.
    """
    x, y = (replace(graph.tensors[i], shape=EVERY.shape) for i in (op.inputs[0], op.outputs[0]))
    constants = [graph.tensors[i].data for i in op.inputs[1:]]
    values = [EVERY, *(None if c is None else c.reshape(-1)[:1] for c in constants)]
    tensors = {x.id: x, y.id: y}
    probe = replace(graph, tensors=tuple(tensors.get(t.id, t) for t in graph.tensors))
    (result,) = run_op(probe, replace(op, kind=kind), values)
    return result.astype(np.int8)
