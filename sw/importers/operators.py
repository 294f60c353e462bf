"""The table of supported operators, put together from the families."""

from __future__ import annotations

from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.tflite.families import (
    activation,
    arithmetic,
    comparison,
    conversion,
    convolution,
    detection,
    functions,
    matrix,
    movement,
    pooling,
    recurrent,
    reduction,
    resize,
    slices,
    softmax,
    variables,
)

__all__ = ["OperatorInfo", "OPERATORS"]

FAMILIES = (
    convolution,
    matrix,
    arithmetic,
    comparison,
    reduction,
    conversion,
    pooling,
    activation,
    functions,
    softmax,
    recurrent,
    variables,
    movement,
    slices,
    resize,
    detection,
)

OPERATORS: dict[str, OperatorInfo] = {
    info.kind: info for family in FAMILIES for info in family.OPERATORS
}
