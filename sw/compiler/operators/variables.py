"""Variables on the accelerator: the state is in memory."""

from __future__ import annotations

from kaniwa.compiler.operators.limits import some_elements
from kaniwa.compiler.operators.movement import as_view, integers_moved
from kaniwa.compiler.operators.record import DeviceOperator

__all__ = ["OPERATORS"]

OPERATORS = (
    DeviceOperator("READ_VARIABLE", (integers_moved, some_elements), as_view),
)
