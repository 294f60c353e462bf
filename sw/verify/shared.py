"""Inferences of ``verify`` given to workers, and what each found put together in their order."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kaniwa.errors import UnsupportedError
from kaniwa.parallel.workers import Work, Workers

__all__ = ["Counts", "check_same", "put_together", "shared"]

AT_ONCE = 32     # inferences that go to a worker together, at most


@dataclass
class Counts:
    """What was found in an inference, or in several.

    ``tensors``: ids of those compared. ``mismatches``: elements that differ, with
    ``apart_mismatches`` beside them in what depends on a framework's own operators. ``kinds``: the
    operators that made those that differ, and how many each. ``first``: the first difference, as
    ``verify`` gives it.
    """

    tensors: set[int] = field(default_factory=set)
    mismatches: int = 0
    apart_mismatches: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first: dict[str, Any] | None = None

    def add(self, inference: int, other: Any) -> None:
        """Take in what was found in the inference of this number, behind all before it."""
        self.tensors |= other.tensors
        self.mismatches += other.mismatches
        self.apart_mismatches += other.apart_mismatches
        self.kinds += other.kinds
        if self.first is None and other.first is not None:
            self.first = {"inference": inference, **other.first}


def shared(function: Callable[..., Any], opened: Callable[[], Any] | None = None) -> Work:
    """The work of an inference: ``function`` gives its counts, with what ``opened`` gave."""
    return Work(function, opened, "inference {}".format, "inferences", AT_ONCE)


def put_together(workers: Workers, progress: Callable[[str], None] | None, total: Counts,
                 work: Work, items: Sequence[Any]) -> None:
    """Add to ``total`` the counts of each of the ``items``, an inference each."""
    with contextlib.closing(workers.map(work, items, progress)) as results:
        for inference, counts in enumerate(results):
            total.add(inference, counts)


def check_same(found: str, wanted: str) -> None:
    """Raise UnsupportedError where the reference ``found`` here is not that of the command."""
    if found != wanted:
        raise UnsupportedError(f"its reference is {found}, that of this command is {wanted}: "
                               "install the same on both")
