"""How a model is quantised: bits, ranges, one scale a tensor or a channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from kaniwa.errors import InputError

__all__ = ["ACTIVATIONS", "METHODS", "WEIGHTS", "Progress", "Recipe"]

Progress = Callable[[str], None]     # is told the next stage
Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = ("minmax", "percentile", "entropy")
WEIGHTS = ("int8", "int4")
ACTIVATIONS = ("int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class Recipe:
    """Linear quantisation: real = scale * (integer - zero point).

    ``method`` finds the range of an activation from the calibration's values: all of them
    (``minmax``), all but the outermost (``percentile``, which says how many per cent are kept), or
    those that lose the least information (``entropy``: Kullback and Leibler's divergence, after
    Migacz, "8-bit inference with TensorRT", GTC 2017). Symmetric means a zero point of 0.
    ``in_float``: regular expressions; operators in whose names, or results' names, one of them is
    found stay in float32.
    """

    method: Method = "minmax"
    percentile: float = 99.99
    weights: str = "int8"
    activations: str = "int8"
    by_channel: bool = True
    symmetric_weights: bool = True
    symmetric_activations: bool = False
    in_float: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value, known in (("calibration method", self.method, METHODS),
                                   ("weights", self.weights, WEIGHTS),
                                   ("activations", self.activations, ACTIVATIONS)):
            if value not in known:
                raise InputError(f"{what} are one of {', '.join(known)}, not {value!r}")
        if not isinstance(self.percentile, int | float) or not 50 < self.percentile <= 100:
            raise InputError(f"a percentile is above 50 and at most 100, not {self.percentile!r}")
        for pattern in self.in_float:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"{pattern!r} is no regular expression: {error}") from None

    def stays_in_float(self, names: Iterable[str]) -> bool:
        """True for an operator with these names."""
        return any(re.search(pattern, name) for pattern in self.in_float for name in names)

    def check_found(self, names: Iterable[str]) -> None:
        """Raise InputError for a pattern of ``in_float`` that is in none of all the names."""
        every = list(names)
        for pattern in self.in_float:
            if not any(re.search(pattern, name) for name in every):
                raise InputError(f"{pattern!r} is found in no operator's name, or result's; the "
                                 "table behind quantising names the results")
