"""What compressed networks cost, side by side, and which of them no other one beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kaniwa.compression.arguments import choice, share
from kaniwa.errors import InputError

__all__ = ["GOALS", "Measured", "best", "front", "report", "table"]

Value = float | int | str
GOALS = ("cycles", "bytes")


@dataclass(frozen=True)
class Measured:
    """A network: ``accuracy`` 0..1, ``bytes`` of the program's constants, ``cycles`` of an
    inference, and the ``choice`` that made it, by name. Raises InputError for wrong values."""

    accuracy: float
    bytes: int
    cycles: int
    choice: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        share("accuracy", self.accuracy)
        for what, value in (("bytes", self.bytes), ("cycles", self.cycles)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"{what}: expected a whole number from 0 on, found {value!r}")

    @property
    def costs(self) -> tuple[float, int, int]:
        """What is to be small: accuracy, negated, bytes and cycles."""
        return -self.accuracy, self.bytes, self.cycles

    def is_no_worse(self, other: Measured) -> bool:
        """True where ``other`` is better in nothing."""
        return all(a <= b for a, b in zip(self.costs, other.costs, strict=True))

    def beats(self, other: Measured) -> bool:
        """True where it is nowhere worse than ``other`` and somewhere better."""
        return self.costs != other.costs and self.is_no_worse(other)


def front(rows: Sequence[Measured]) -> list[Measured]:
    """The rows that no other one beats, the most accurate ones first; of equal ones the first."""
    kept: list[Measured] = []
    for row in sorted(rows, key=lambda row: (-row.accuracy, row.cycles, row.bytes)):
        if not any(other.is_no_worse(row) for other in kept):
            kept.append(row)
    return kept


def best(rows: Sequence[Measured], least_accuracy: float, goal: str = "cycles") -> Measured | None:
    """The row with the fewest ``goal`` ("cycles" or "bytes") that is accurate enough, or None.

    Raises InputError.
    """
    share("least accuracy", least_accuracy)
    choice("goal", goal, GOALS)
    other = GOALS[goal == GOALS[0]]
    enough = [row for row in rows if row.accuracy >= least_accuracy]
    return min(enough, key=lambda row: (getattr(row, goal), getattr(row, other), -row.accuracy),
               default=None)


def report(rows: Sequence[Measured]) -> list[dict[str, Any]]:
    """Plain values of all rows, for JSON: ``pareto`` says which ones no other one beats."""
    kept = {id(row) for row in front(rows)}
    return [{"choice": dict(row.choice), "accuracy": row.accuracy, "bytes": row.bytes,
             "cycles": row.cycles, "pareto": id(row) in kept} for row in rows]


def table(rows: Sequence[Measured]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head and the rows of a table, as ``kaniwa.commands.tables.show_table`` takes them.

    Values that are the same in all rows are left out of the choices.
    """
    names = sorted({name for row in rows for name in row.choice})
    names = [name for name in names if len({row.choice.get(name) for row in rows}) > 1]
    kept = {id(row) for row in front(rows)}
    return (*names, "accuracy", "bytes", "cycles", "pareto"), [
        (*(str(row.choice.get(name, "")) for name in names), f"{row.accuracy:.1%}",
         f"{row.bytes:,}", f"{row.cycles:,}", "yes" if id(row) in kept else "")
        for row in rows]
