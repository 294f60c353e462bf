"""Faults of a network: datagrams that are lost, doubled, late, cut or damaged, from a seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import astuple, dataclass, fields
from typing import Any, NamedTuple

__all__ = ["Datagram", "DatagramFaults", "FaultyPath"]

LONGEST_GARBAGE = 60


class Datagram(NamedTuple):
    """What goes from or to the host at ``address``."""

    address: Any
    content: bytes


@dataclass(frozen=True)
class DatagramFaults:
    """Chance of each fault a datagram.

    A ``delayed`` one comes up to ``longest_delay`` datagrams later, a ``swapped`` one behind the
    next. ``cut`` takes bytes off the end, ``damaged`` changes a bit, and with ``garbage`` another
    datagram comes too, of bytes that mean nothing.
    """

    lost: float = 0.0
    doubled: float = 0.0
    swapped: float = 0.0
    delayed: float = 0.0
    cut: float = 0.0
    damaged: float = 0.0
    garbage: float = 0.0
    longest_delay: int = 2000

    @property
    def kinds(self) -> list[str]:
        """Names of the faults."""
        return [field.name for field in fields(self)][:-1]


class FaultyPath:
    """One direction. ``counts`` has the faults so far, by kind. Time is counted in datagrams."""

    def __init__(self, faults: DatagramFaults | None = None, seed: int = 0) -> None:
        self._faults = faults or DatagramFaults()
        self._rng = random.Random(seed)
        self._late: list[tuple[int, Datagram]] = []    # and how many have to pass before it
        self._passed = 0
        self.counts: Counter[str] = Counter()

    def pass_on(self, datagram: Datagram) -> list[Datagram]:
        """What comes out at the other end now that ``datagram`` went in."""
        self._passed += 1
        came = self._with_fault(datagram, self._kind())
        came += [late for due, late in self._late if due <= self._passed]
        self._late = [(due, late) for due, late in self._late if due > self._passed]
        return came

    def _kind(self) -> str:
        *chances, _ = astuple(self._faults)
        return self._rng.choices(["", *self._faults.kinds], [1 - sum(chances), *chances])[0]

    def _with_fault(self, datagram: Datagram, kind: str) -> list[Datagram]:
        rng, (address, content) = self._rng, datagram
        self.counts[kind] += bool(kind)
        if kind == "lost":
            return []
        if kind in ("swapped", "delayed"):
            wait = 1 if kind == "swapped" else rng.randint(1, self._faults.longest_delay)
            self._late.append((self._passed + wait, datagram))
            return []
        if kind == "cut":
            return [Datagram(address, content[:rng.randrange(len(content))])]
        if kind == "damaged":
            bit = rng.randrange(8 * len(content))
            changed = int.from_bytes(content, "little") ^ 1 << bit
            return [Datagram(address, changed.to_bytes(len(content), "little"))]
        further = {"doubled": [datagram], "garbage": [
            Datagram(address, rng.randbytes(rng.randrange(LONGEST_GARBAGE)))]}
        return [datagram, *further.get(kind, [])]
