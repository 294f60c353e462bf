"""The table of supported operators, put together from the families."""

from __future__ import annotations

from kaniwa.importers.families import (
    activation,
    arithmetic,
    convolution,
    functions,
    matrix,
    movement,
    pooling,
    slices,
    softmax,
)
from kaniwa.importers.info import OperatorInfo

__all__ = ["OperatorInfo", "OPERATORS"]

FAMILIES = (
    convolution,
    matrix,
    arithmetic,
    pooling,
    activation,
    functions,
    softmax,
    movement,
    slices,
)

OPERATORS: dict[str, OperatorInfo] = {
    info.kind: info for family in FAMILIES for info in family.OPERATORS
}
