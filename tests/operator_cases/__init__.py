"""Random cases of every operator: many one-operator models in one file, golden against LiteRT.

A family's file registers a function that draws one case; ``OperatorInfo.cases`` of the importer's
table says how many there are. Scales are drawn so that LiteRT's C++ is defined.
"""

from __future__ import annotations

from operator_cases import (
    activation,
    arithmetic,
    convolution,
    functions,
    matrix,
    movement,
    pooling,
    recurrent,
    reduction,
    slices,
    softmax,
    variables,
)
from operator_cases.cases import DRAWS, Cases, differences

__all__ = ["DRAWS", "Cases", "differences"]

FAMILIES = (
    activation,
    arithmetic,
    convolution,
    functions,
    matrix,
    movement,
    pooling,
    reduction,
    recurrent,
    slices,
    softmax,
    variables,
)
assert all(family.__doc__ for family in FAMILIES)
