"""Device memory of the emulator: on-chip bytes, and outside memory that grows as it is used."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import OUTSIDE, ErrorCode

__all__ = ["EmulatedMemory", "Fault", "UnitMemory", "strided"]

PAGE = 1 << 16


class Fault(Exception):
    """Error that the core would report as ``code``; the emulator adds the instruction's index."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class EmulatedMemory:
    """Byte-addressed: below ``memory_bytes`` on chip, from OUTSIDE on outside if there is any.

    ``dtype`` is what is kept for each byte: uint8 for its value.
    """

    def __init__(self, config: AcceleratorConfig, outside: bool,
                 dtype: npt.DTypeLike = np.uint8) -> None:
        self._local = np.zeros(config.memory_bytes, dtype)
        self._outside = np.zeros(PAGE if outside else 0, dtype)
        self._limit = config.outside_limit if outside else 0

    def view(self, address: int, length: int) -> np.ndarray:
        """The ``length`` bytes from ``address`` on, to read or write; not kept across calls.

        Raises Fault (ADDRESS) where one of them does not exist.
        """
        if address < OUTSIDE:
            if not 0 <= address <= address + length <= len(self._local):
                raise Fault(ErrorCode.ADDRESS, f"{_span(address, length)} leave the on-chip memory "
                                               f"of {len(self._local):#x} bytes")
            return self._local[address:address + length]
        if not self._limit:
            raise Fault(ErrorCode.ADDRESS, f"{_span(address, length)} are outside memory, "
                                           "and there is none")
        start = address - OUTSIDE
        if start + length > self._limit:
            raise Fault(ErrorCode.ADDRESS, f"{_span(address, length)} leave the {self._limit:#x} "
                                           "bytes of outside memory that the core addresses")
        if start + length > len(self._outside):
            self._grow(start + length)
        return self._outside[start:start + length]

    def _grow(self, size: int) -> None:
        # np.zeros maps pages without touching them, so a far address costs no memory.
        grown = np.zeros(max(2 * len(self._outside), -(-size // PAGE) * PAGE), self._outside.dtype)
        grown[:len(self._outside)] = self._outside
        self._outside = grown


class UnitMemory:
    """Device memory as the units beside the array have it in one run.

    ``constants``: the spans (first address, one past the last) that the program was decoded from;
    an instruction of a unit must not write there, for what was decoded stays.
    """

    def __init__(self, memory: EmulatedMemory, constants: Sequence[tuple[int, int]]) -> None:
        self._memory = memory
        self._first: list[int] = []     # of the constants, as spans apart from each other
        self._end: list[int] = []
        for first, end in sorted(constants):
            if self._end and first <= self._end[-1]:
                self._end[-1] = max(self._end[-1], end)
            else:
                self._first.append(first)
                self._end.append(end)

    def view(self, address: int, length: int) -> np.ndarray:
        """The ``length`` bytes from ``address`` on, to read. Raises Fault."""
        return self._memory.view(address, length)

    def writable(self, address: int, length: int) -> np.ndarray:
        """The same to write. Raises Fault, too, where one of them is the program's."""
        before = bisect_left(self._first, address + length) - 1
        if before >= 0 and self._end[before] > address:
            raise Fault(ErrorCode.ILLEGAL_FIELD, f"byte {address:#x} is written by a unit and "
                                                 "belongs to the program")
        return self._memory.view(address, length)


def strided(memory: EmulatedMemory, address: int, shape: tuple[int, ...],
            pitches: tuple[int, ...]) -> np.ndarray:
    """The bytes at ``address`` + indices * pitches, as a view of ``memory``; Raises Fault."""
    length = 1 + sum((size - 1) * pitch for size, pitch in zip(shape, pitches, strict=True))
    data = memory.view(address, length)
    return as_strided(data, shape, [pitch * data.itemsize for pitch in pitches])


def _span(address: int, length: int) -> str:
    return f"bytes {address:#x}..{address + length - 1:#x}"
