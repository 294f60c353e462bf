"""Functional coverage bins, check counts and measurements of a bench run; mergeable as JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

__all__ = ["Tally"]


class Tally:
    """Counts bins hit and checks made; ``save`` and ``load`` move it between processes.

    ``measures``: under each name the values measured, for a report of their maximum and mean.
    """

    def __init__(self) -> None:
        self.bins: Counter[str] = Counter()
        self.checks = 0
        self.measures: dict[str, list[float]] = {}

    def measure(self, name: str, value: float) -> None:
        """Keep a measured value."""
        self.measures.setdefault(name, []).append(value)

    def merge(self, other: Tally) -> None:
        """Add the counts of ``other``."""
        self.bins.update(other.bins)
        self.checks += other.checks
        for name, values in other.measures.items():
            self.measures.setdefault(name, []).extend(values)

    def save(self, path: Path) -> None:
        """Write the counts to ``path``, replacing it at once."""
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(
            {"bins": dict(self.bins), "checks": self.checks, "measures": self.measures}))
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Tally:
        """The counts in ``path``; none if the file does not exist."""
        tally = cls()
        if path.exists():
            values = json.loads(path.read_text())
            tally.bins.update(values["bins"])
            tally.checks = values["checks"]
            tally.measures = values["measures"]
        return tally
