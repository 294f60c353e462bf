"""What a config came to: its figures or the reason against it, and the configs not beaten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from kaniwa.config import AcceleratorConfig

__all__ = ["OBJECTIVES", "Figures", "Outcome", "best", "front", "is_better"]

# What is to be small -> the unit of a table.
OBJECTIVES = {"latency": "ms", "area": "%", "energy": "uJ"}


@dataclass(frozen=True)
class Figures:
    """What a core costs and does.

    ``cycles``: of one inference of each model. ``clock_mhz``: that of the slowest seed, modelled.
    ``latency``: milliseconds of one inference of each model, one after the other, computing alone.
    ``area``: mean share of the device's LUTs, block RAMs and multipliers, in percent. ``energy``:
    microjoules of the same inferences, by activity. ``used``: resources of the device, by kind.
    """

    cycles: tuple[int, ...]
    clock_mhz: float
    latency: float
    area: float
    energy: float
    used: Mapping[str, int]

    def costs(self, objective: str) -> tuple[float, ...]:
        """The objective first, then the others."""
        return (getattr(self, objective),
                *(getattr(self, name) for name in OBJECTIVES if name != objective))

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"used": dict(self.used), "cycles": list(self.cycles)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Figures:
        """The figures of ``as_dict``."""
        return cls(**{**values, "cycles": tuple(values["cycles"])})


@dataclass(frozen=True)
class Outcome:
    """A config with its figures, or with the reason why it has none: ``why``, of a ``kind``.

    ``needed_bytes``: of device memory, where that was too small. ``target``: the name of a target
    of the board, for that.
    """

    config: AcceleratorConfig | None
    figures: Figures | None
    kind: str = ""
    why: str = ""
    needed_bytes: int | None = None
    target: str = ""
    proposal: Mapping[str, Any] = field(default_factory=dict, compare=False)


def front(outcomes: Iterable[Outcome], objective: str) -> list[Outcome]:
    """Those with figures that no other one is at least as good as in all three costs, the best of
    ``objective`` first; of equal ones the first."""
    kept: list[Outcome] = []
    found = [one for one in outcomes if one.figures]
    for one in sorted(found, key=lambda one: _costs(one, objective)):
        costs = _costs(one, objective)
        if not any(all(a <= b for a, b in zip(_costs(other, objective), costs, strict=True))
                   for other in kept):
            kept.append(one)
    return kept


def best(outcomes: Iterable[Outcome], objective: str) -> Outcome | None:
    """The one with the least ``objective``, of equal ones that with less of the others."""
    found = [one for one in outcomes if one.figures]
    return min(found, key=lambda one: _costs(one, objective), default=None)


def is_better(one: Figures, other: Figures, objective: str) -> bool:
    """True where ``one`` costs less of ``objective``, or as much and less of another cost without
    more of a third one."""
    first, second = one.costs(objective), other.costs(objective)
    return first[0] < second[0] or (
        first != second and all(a <= b for a, b in zip(first, second, strict=True)))


def _costs(one: Outcome, objective: str) -> tuple[float, ...]:
    assert one.figures is not None
    return one.figures.costs(objective)
