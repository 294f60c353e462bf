"""The ONNX rows of ``kaniwa operators``."""

from __future__ import annotations

from typing import Any

from kaniwa.compiler.operators.table import OPERATORS as ON_DEVICE
from kaniwa.compiler.plan.kinds import VECTOR_KINDS
from kaniwa.golden.onnx.recurrent import GATES
from kaniwa.importers.onnx.table import CASES, OPERATORS, OnnxOperator

__all__ = ["onnx_operator_table", "ONNX_REFERENCE"]

ONNX_REFERENCE = "ONNX Runtime 1.31.1 CPU, graph optimisation off"
_CELL = ("on the accelerator, with a vector unit, of 8 bits, up to 256 cells, W and R quantised by "
         "tensor")
LIMITS = {
    "FULLY_CONNECTED": "on the accelerator weights are constant",
    "DIV": "on the accelerator a divisor is one constant number",
    "SOFTMAX": "on the accelerator, with a vector unit, rows of at most 16,384",
    "LAYER_NORM": "on the accelerator, with a vector unit, in rows of at most 4,096",
    "GROUP_NORM": "on the accelerator, with a vector unit, one group of up to 65,536 values",
    "INSTANCE_NORM": "on the accelerator, with a vector unit, of up to 65,536 values a channel",
    "RMS_NORM": "on the accelerator, with a vector unit, in rows of at most 4,096",
    "LSTM": _CELL,
    "GRU": f"{_CELL}, with linear_before_reset",
}


def onnx_operator_table() -> list[dict[str, Any]]:
    """Rows as those of ``operator_table``; ``mapping`` names graph operators."""
    return [{"operator": op.kind, "where": _where(op),
             "mapping": "as " + " or ".join(op.becomes) if op.becomes else "nothing to do",
             "rule": op.rule, "rules": {"int8": op.rule, "uint8": op.rule},
             "reference": ONNX_REFERENCE, "cases": CASES,
             "limits": [*op.limits, *(LIMITS[k] for k in op.becomes if k in LIMITS)]}
            for op in sorted(OPERATORS, key=lambda op: op.kind)]


def _where(op: OnnxOperator) -> str:
    """Unit of the accelerator for an operator, else the host; "none" for what moves nothing."""
    if not op.becomes or op.becomes == ("RESHAPE",):
        return "none"
    if all(k in (*VECTOR_KINDS, *GATES) for k in op.becomes):
        return "vector"
    of_array = (ON_DEVICE[kind] for kind in op.becomes if kind in ON_DEVICE)
    return "array" if op.rule != "onnx" and any(
        not own.rules or op.rule in own.rules for own in of_array) else "host"
