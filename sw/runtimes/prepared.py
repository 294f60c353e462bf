"""What both runtimes give: an operator that is ready to run, and the reason where there is none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Form", "Prepared", "Refusal", "one_line"]

LONGEST = 300      # characters of a framework's message


class Refusal(Exception):
    """The runtime does not take an operator or its operands' values: one line says why."""


@dataclass(frozen=True)
class Form:
    """Dtype and shape of a result; a size is None where it depends on values."""

    dtype: str
    shape: tuple[int | None, ...]


class Prepared(Protocol):
    """An operator that its runtime has taken. ``run`` may be called from several threads."""

    @property
    def results(self) -> tuple[Form, ...]:
        """The forms of its results, as the runtime infers them."""

    def run(self, values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """The results for these operands; raises Refusal where the runtime does not take them."""


def one_line(error: Exception) -> str:
    """The message of a framework, shortened, without the place in a model of one operator."""
    text = " ".join(re.sub(r"Node number 0 \(\w+\) failed to \w+\.", "", str(error)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
