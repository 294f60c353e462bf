"""Functions of one operand on the accelerator."""

from __future__ import annotations

from kaniwa.compiler.array.functions import interpolated_table, why_no_table
from kaniwa.compiler.array.moves import BLOCKS, CUTS, JOINS, REPEATS
from kaniwa.compiler.operators.limits import (
    bytes_of_one_scale,
    elementwise_int16,
    int8_activations,
    some_elements,
)
from kaniwa.compiler.operators.record import DeviceOperator, Limit
from kaniwa.compiler.operators.rewriting import as_table, as_wide
from kaniwa.compiler.rewrite.uint8_to_int8 import UINT8_FUNCTIONS
from kaniwa.errors import ModelError
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS", "table_operator"]

# Never negative; of what is interpolated between entries that are corrected nothing is known.
POSITIVE = ("RELU", "RELU6", "LOGISTIC", "SOFTMAX")
# Never negative where what they read is not; a variable may be written elsewhere.
KEEPS_SIGN = ("ADD", "MUL", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "TRANSPOSE",
              "RESHAPE", "EXPAND_DIMS", "SQUEEZE", "GATHER", *CUTS, *JOINS, *BLOCKS, *REPEATS)


def function_of_one(graph: Graph, op: Op) -> str | None:
    """It is a function of one operand, others are one constant value, defined for all of int8."""
    return why_no_table(graph, op)


def table_operator(kind: str, int16_limits: tuple[Limit, ...] = (),
                   onnx: bool = False) -> DeviceOperator:
    """An operator as a table of int8; of int16 a program of the vector unit."""
    activations = bytes_of_one_scale if kind in UINT8_FUNCTIONS else int8_activations
    return DeviceOperator(kind, (activations, some_elements, function_of_one), as_table,
                          int16_limits, as_wide if int16_limits else None, onnx=onnx)


def function_of_int16(graph: Graph, op: Op) -> str | None:
    """The function is defined for all of int16."""
    try:
        interpolated_table(graph, op, op.kind)
    except ModelError:
        x = graph.tensors[op.inputs[0]]
        return f"it is not defined for every value of '{x.name}'; quantize that in smaller steps"
    return None


def square_root_of_squares(graph: Graph, op: Op) -> str | None:
    """Its input is never negative: squares, what RELU, LOGISTIC or SOFTMAX gives, and sums, means,
    products and moves of such."""
    x = graph.tensors[op.inputs[0]]
    return None if never_negative(graph, x.id) else (
        f"'{x.name}' may be negative, where it is not defined; leave it to the host, or square "
        f"what it comes from")


def never_negative(graph: Graph, tensor_id: int) -> bool:
    """True where no value of a tensor of int16 is below 0, as far as its producers tell."""
    data = graph.tensors[tensor_id].data
    if data is not None:
        return bool((data >= 0).all())
    made = next((op for op in graph.ops if tensor_id in op.outputs), None)
    if made is None or graph.tensors[tensor_id].dtype != "int16":
        return False
    if made.kind == "MUL" and len(set(made.inputs)) == 1 or made.kind in POSITIVE:
        return True
    sources = made.inputs if made.kind in ("ADD", "MUL", *JOINS) else made.inputs[:1]
    return made.kind in KEEPS_SIGN and all(never_negative(graph, i) for i in sources)


_SIGMOID = elementwise_int16("litert_sigmoid_table")
_INTERPOLATED = (*elementwise_int16("litert_table_int16"), function_of_int16)
_ROOT = (*elementwise_int16("litert_table_int16"), square_root_of_squares)

OPERATORS: tuple[DeviceOperator, ...] = (
    table_operator("LOGISTIC", _SIGMOID),
    table_operator("TANH", _SIGMOID),
    table_operator("ELU"),
    table_operator("GELU", _INTERPOLATED),
    table_operator("EXP", _INTERPOLATED),
    table_operator("LOG", _INTERPOLATED),
    table_operator("SQRT"),
    table_operator("RSQRT", _ROOT),
    DeviceOperator("LOOKUP", (bytes_of_one_scale, some_elements), as_table, onnx=True),
    table_operator("ERF", onnx=True),
    table_operator("SOFTPLUS", onnx=True),
    table_operator("RECIPROCAL", onnx=True),
    table_operator("POW", onnx=True),
    *(table_operator(kind, onnx=True)
      for kind in ("SELU", "CELU", "THRESHOLDED_RELU", "MISH", "SOFTSIGN", "SIN", "COS", "FLOOR",
                   "CEIL", "ROUND", "SIGN")),
)
