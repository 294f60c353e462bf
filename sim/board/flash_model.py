"""An SPI flash at its pins, cycle by cycle, that notices what a data sheet forbids."""

from __future__ import annotations

import random

__all__ = ["FlashChip"]

BLANK = 0xFF
READ, RELEASE = 0x03, 0xAB     # commands of all such chips


class FlashChip:
    """A chip with ``data`` from ``offset`` on, blank elsewhere, in deep power-down at first.

    ``rest``: cycles without ``cs`` that it wants before a command, the first one and those behind
    a RELEASE among them. ``half``: least cycles that the clock is high or low. ``late``: cycles
    behind a fall of the clock in which its output is what ``noise`` gives.
    ``reads`` are the addresses of READ, ``clocks`` counts those without ``cs`` before the first
    command. Raises AssertionError where a rule is broken.
    """

    def __init__(self, data: bytes | bytearray, offset: int, *, rest: int, half: int = 1,
                 late: int = 0, noise: random.Random | None = None) -> None:
        self.data, self.offset = data, offset
        self.rest, self.half, self.late = rest, half, late
        self.reads: list[int] = []
        self.clocks = 0
        self.awake = False
        self._noise = noise or random.Random(0)
        self._before = (0, 0, 0)
        self._since_cs = self._since_clock = self._since_fall = 0
        self._bits: list[int] = []
        self._address: int | None = None
        self._out = 0

    def byte(self, address: int) -> int:
        """What is at an address."""
        at = address - self.offset
        return self.data[at] if 0 <= at < len(self.data) else BLANK

    def cycle(self, cs: int, sck: int, copi: int) -> int:
        """Take the levels of a cycle; gives that of ``cipo`` in the next one."""
        was_cs, was_sck, was_copi = self._before
        self._before = cs, sck, copi
        self._since_cs, self._since_clock = self._since_cs + 1, self._since_clock + 1
        self._since_fall += 1
        if sck and was_sck:
            assert copi == was_copi, "data in changes while the clock is high"
        if sck != was_sck:
            assert self._since_clock >= self.half or not (cs and was_cs), "the clock is too fast"
            self._since_clock = 0
        if cs != was_cs:
            assert not sck, "the chip is selected or left while the clock is high"
            self._select(cs)
        elif sck and not was_sck:
            self._rise(cs, copi)
        elif was_sck and not sck and cs:
            self._since_fall = 0
            self._fall()
        return self._out if self._since_fall >= self.late else self._noise.getrandbits(1)

    def _select(self, cs: int) -> None:
        if cs:
            assert self._since_cs >= self.rest, "too little rest before a command"
            self._bits, self._address = [], None
        elif self._bits[:8] == _bits(RELEASE) and len(self._bits) == 8:
            self.awake = True
        else:
            assert self._address is not None, f"a command that is not whole: {self._bits}"
        self._since_cs = 0

    def _rise(self, cs: int, copi: int) -> None:
        if not cs:
            self.clocks += not self.awake
            return
        self._bits.append(copi)
        if len(self._bits) == 32:
            assert self.awake, "a READ while the chip sleeps"
            assert self._bits[:8] == _bits(READ), f"a command that is no READ: {self._bits[:8]}"
            self._address = int("".join(map(str, self._bits[8:])), 2)
            self.reads.append(self._address)

    def _fall(self) -> None:
        if self._address is None:
            return
        given = len(self._bits) - 32     # of the bits that the clock has taken out by now
        byte = self.byte((self._address + given // 8) % (1 << 24))
        self._out = byte >> 7 - given % 8 & 1


def _bits(byte: int) -> list[int]:
    return [byte >> 7 - i & 1 for i in range(8)]
