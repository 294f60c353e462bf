"""Changes of type on the accelerator."""

from __future__ import annotations

from kaniwa.compiler.operators.functions import table_operator
from kaniwa.compiler.operators.limits import elementwise_int16
from kaniwa.compiler.operators.record import DeviceOperator

__all__ = ["OPERATORS"]

OPERATORS: tuple[DeviceOperator, ...] = (
    table_operator("QUANTIZE", elementwise_int16("litert_double_rounding")),
)
