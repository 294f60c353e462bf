"""A march test of device memory, block by block, that names the bits that are wrong.

March C- (van de Goor, 1993) with a block for a word: a block is read whole, then written whole.
Its two values are a pattern of the address and the complement, so that neighbours differ, and a
block that is written or read in another one's place is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["BLOCK_BYTES", "FaultyRange", "MarchResult", "march", "march_passes"]

BLOCK_BYTES = 4096
NEIGHBOURS = 128    # faulty bytes at most so far apart are one range: the widest memory word
SHOWN = 4           # ranges in a sentence


class Memory(Protocol):
    """Memory under test: a device, or something in front of one."""

    def write(self, address: int, data: bytes) -> None: ...

    def read(self, address: int, count: int) -> bytes: ...


@dataclass(frozen=True)
class _Element:
    """One pass over memory: in each block read (and check) one value, then write one.

    Values: False is the pattern ``key``, True its complement; None: no read, or no write.
    """

    upwards: bool
    key: int
    read: bool | None
    write: bool | None


MARCH_C_MINUS = (
    _Element(True, 0, None, False), _Element(True, 0, False, True), _Element(True, 0, True, False),
    _Element(False, 0, False, True), _Element(False, 0, True, False),
    _Element(False, 0, False, None))


def _both_values(key: int) -> tuple[_Element, ...]:
    return (_Element(True, key, None, False), _Element(True, key, False, True),
            _Element(False, key, True, None))


# Two bits of a block that depend on each other show where the patterns give them two values: for
# each pattern more, half of the pairs that are left.
FULL = MARCH_C_MINUS + _both_values(1) + _both_values(2)
QUICK = _both_values(0)


@dataclass(frozen=True)
class FaultyRange:
    """Faulty bytes from ``first`` to ``last``, ``step`` apart (0: irregularly), ``count`` in all.

    ``high`` and ``low`` have the bits that were read as 1 and as 0 where the other was written.
    """

    first: int
    last: int
    step: int
    count: int
    high: int
    low: int

    def __str__(self) -> str:
        where = f"{self.first:#x}" if self.count == 1 else f"{self.first:#x}..{self.last:#x}"
        if self.step > 1 and self.count > 2:
            where += f" (each {self.step} bytes)"
        elif self.step != 1 and self.count > 1:
            where += f" ({self.count:,} bytes in it)"
        parts = [f"{_bits(bits)} {what}" for bits, what in (
            (self.high & ~self.low, "stuck at 1"), (self.low & ~self.high, "stuck at 0"),
            (self.high & self.low, "wrong both ways")) if bits]
        return f"{where}: {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values; bits as lists of their numbers."""
        return {"first": self.first, "last": self.last, "step": self.step, "count": self.count,
                "read_as_1": _numbers(self.high), "read_as_0": _numbers(self.low)}


@dataclass(frozen=True)
class MarchResult:
    """Findings of a march over ``size`` bytes from ``start``; ``moved``: bytes written and read."""

    start: int
    size: int
    moved: int
    faults: tuple[FaultyRange, ...]

    def __str__(self) -> str:
        if not self.faults:
            return f"{self.size >> 10} KiB from {self.start:#x}, each bit with both values"
        more = len(self.faults) - SHOWN
        return ("; ".join(str(fault) for fault in self.faults[:SHOWN])
                + (f"; and {more} ranges more" if more > 0 else ""))


def march_passes(quick: bool) -> int:
    """Multiple of the memory's size that a march moves."""
    return sum((element.read is not None) + (element.write is not None)
               for element in (QUICK if quick else FULL))


def march(memory: Memory, start: int, size: int, *, quick: bool = False,
          progress: Callable[[float], None] | None = None) -> MarchResult:
    """Test ``size`` bytes of ``memory`` from ``start`` on; what they held is lost.

    It moves 18 times the memory's size; ``quick`` (each bit with both values once, and address
    faults) 4 times. ``progress`` is told the share that is done, 0 to 1.
    """
    high, low = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    elements = QUICK if quick else FULL
    total = size * march_passes(quick)
    moved = 0
    for element in elements:
        for at, count in _blocks(size, element.upwards):
            pattern = _pattern(start + at, count, element.key)
            if element.read is not None:
                found = np.frombuffer(memory.read(start + at, count), np.uint8)
                expected = ~pattern if element.read else pattern
                high[at:at + count] |= found & ~expected
                low[at:at + count] |= expected & ~found
                moved += count
            if element.write is not None:
                memory.write(start + at, (~pattern if element.write else pattern).tobytes())
                moved += count
            if progress is not None:
                progress(moved / total)
    return MarchResult(start, size, moved, tuple(_ranges(start, high, low)))


def _blocks(size: int, upwards: bool) -> Iterator[tuple[int, int]]:
    starts = range(0, size, BLOCK_BYTES)
    for at in starts if upwards else reversed(starts):
        yield at, min(BLOCK_BYTES, size - at)


def _pattern(address: int, count: int, key: int) -> np.ndarray:
    """A byte for each address, by mixing its bits; every ``key`` gives others."""
    values = np.arange(address, address + count, dtype=np.uint64) + np.uint64(key << 40)
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (29, 0xC4CEB9FE1A85EC53)):
        values = (values ^ values >> np.uint64(shift)) * np.uint64(factor)
    return (values >> np.uint64(56)).astype(np.uint8)


def _ranges(start: int, high: np.ndarray, low: np.ndarray) -> Iterator[FaultyRange]:
    faulty = np.flatnonzero(high | low)
    if not len(faulty):
        return
    for part in np.split(faulty, np.flatnonzero(np.diff(faulty) > NEIGHBOURS) + 1):
        steps = np.unique(np.diff(part))
        yield FaultyRange(
            start + int(part[0]), start + int(part[-1]), int(steps[0]) if len(steps) == 1 else 0,
            len(part), int(np.bitwise_or.reduce(high[part])), int(np.bitwise_or.reduce(low[part])))


def _numbers(bits: int) -> list[int]:
    return [n for n in range(8) if bits >> n & 1]


def _bits(bits: int) -> str:
    numbers = _numbers(bits)
    if len(numbers) == 8:
        return "all bits"
    return f"bit{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
