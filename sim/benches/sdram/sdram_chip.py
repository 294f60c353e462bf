"""An SDRAM chip at its pins, which refuses what its data sheet forbids."""

from __future__ import annotations

from dataclasses import dataclass, field

from kaniwa.sdram_parts import BANKS, REFRESH_NS, Part

__all__ = ["SdramChip", "NOTHING", "ACTIVATE", "READ", "REFRESH", "PRECHARGE", "WRITE",
           "LOAD_MODE"]

# Asserted pins ras, cas, we: bits 0, 1, 2. From the truth table of the data sheets.
NOTHING, ACTIVATE, READ, REFRESH = 0, 1, 2, 3
PRECHARGE, WRITE, LOAD_MODE = 5, 6, 7
MODE_CLOCKS = 2
POSTPONED = 8      # refreshes that may be late


@dataclass
class _Bank:
    row: int | None = None
    activated: float = -1e9      # ns
    closed: float = -1e9
    written: float = -1e9        # the last word


@dataclass
class SdramChip:
    """A chip of ``part`` with a clock of ``mhz``; ``power_up_ns`` go before its first command.

    ``clock`` is to be called once a clock. A broken rule raises AssertionError. Memory is noise
    until written, the same for each address. ``refreshes``: how many came.
    """

    part: Part
    mhz: float
    power_up_ns: float
    refreshes: int = 0
    now: int = -1
    memory: dict[tuple[int, int, int], int] = field(default_factory=dict)
    banks: list[_Bank] = field(default_factory=lambda: [_Bank() for _ in range(BANKS)])

    def __post_init__(self) -> None:
        self._busy_until = 0.0                       # tRFC, mode
        self._last_activate = -1e9
        self._mode: tuple[int, int, bool] | None = None   # burst, CAS latency, writes are single
        self._closed_all = False
        self._reads: dict[int, tuple[int, int, int]] = {}   # on the bus, by clock
        self._writes: dict[int, tuple[int, int, int]] = {}
        self._masks: dict[int, int] = {}

    def clock(self, command: int, bank: int, address: int, mask: int,
              driven: int | None) -> int | None:
        """One clock: what is at the pins; ``driven``: the word there, unless nobody drives it.

        Returns the word that the chip drives in this clock.
        """
        self.now += 1
        time = self.now * 1000 / self.mhz
        self._masks[self.now] = mask
        self._masks.pop(self.now - 4, None)
        if command != NOTHING:
            self._do(command, bank, address, time)
        self._write(mask, driven, time)
        return self._read(driven)

    def word(self, bank: int, row: int, column: int) -> int:
        """What memory holds in a column."""
        return self.memory.get((bank, row, column), self.noise(bank, row, column))

    def noise(self, bank: int, row: int, column: int) -> int:
        """What a column has until it is written."""
        value = (bank << 40 ^ row << 20 ^ column) * 0x9E3779B97F4A7C15 >> 24
        return value & (1 << 8 * self.part.width) - 1

    def _do(self, command: int, number: int, address: int, time: float) -> None:
        part, bank = self.part, self.banks[number]
        assert time >= self.power_up_ns, "a command before the chip is powered up"
        assert time >= self._busy_until - 1e-6, "a command within tRFC, or behind the mode"
        if command == ACTIVATE:
            assert self._mode, "a row is opened before the mode is loaded"
            assert bank.row is None, "a row is opened in a bank with an open one"
            assert time >= bank.closed + part.t_rp - 1e-6, "tRP"
            assert time >= bank.activated + part.t_rc - 1e-6, "tRC"
            assert time >= self._last_activate + part.t_rrd - 1e-6, "tRRD"
            assert address < part.rows, "no such row"
            bank.row, bank.activated = address, time
            self._last_activate = time
        elif command in (READ, WRITE):
            self._column(command, number, address, time)
        elif command == PRECHARGE:
            for each in range(BANKS) if address >> 10 & 1 else (number,):
                self._close(each, time)
            self._closed_all = self._closed_all or bool(address >> 10 & 1)
        elif command == REFRESH:
            self._all_closed(time)
            self._busy_until = time + part.t_rfc
            self.refreshes += 1
        elif command == LOAD_MODE:
            self._all_closed(time)
            assert self._closed_all and self.refreshes >= POSTPONED, "the start's order"
            assert number == 0 and not address & 0b1_1000_1000, "a reserved mode"
            cas = address >> 4 & 7
            assert cas in (2, 3) and self.mhz <= (part.cl2_mhz if cas == 2 else part.cl3_mhz)
            self._mode = (1 << (address & 7), cas, bool(address >> 9 & 1))
            self._busy_until = time + MODE_CLOCKS * 1000 / self.mhz
            self.refreshes = 0
        else:
            raise AssertionError(f"command {command}")

    def _all_closed(self, time: float) -> None:
        for bank in self.banks:
            assert bank.row is None, "a row is open"
            assert time >= bank.closed + self.part.t_rp - 1e-6, "tRP"
            assert time >= bank.activated + self.part.t_rc - 1e-6, "tRC"

    def _column(self, command: int, number: int, address: int, time: float) -> None:
        part, bank = self.part, self.banks[number]
        assert self._mode and bank.row is not None, "a column of a closed row"
        assert time >= bank.activated + part.t_rcd - 1e-6, "tRCD"
        assert not address >> 10 & 1, "precharge of its own is not modelled"
        assert address < part.columns, "no such column"
        length, cas, single = self._mode
        first = address - address % length     # a burst stays within its own columns
        places = [(number, bank.row, first + (address + i) % length) for i in range(length)]
        # A column command ends the burst before it.
        self._writes = {}
        if command == WRITE:
            assert not any(clock >= self.now for clock in self._reads), "words are on the bus"
            if single:
                places = places[:1]
            self._writes = {self.now + i: place for i, place in enumerate(places)}
        else:
            self._reads = {clock: place for clock, place in self._reads.items()
                           if clock < self.now + cas}
            self._reads |= {self.now + cas + i: place for i, place in enumerate(places)}

    def _close(self, number: int, time: float) -> None:
        part, bank = self.part, self.banks[number]
        if bank.row is None:
            return
        assert time >= bank.activated + part.t_ras - 1e-6, "tRAS"
        wait = max(part.t_wr, part.wr_clocks * 1000 / self.mhz)
        assert time >= bank.written + wait - 1e-6, "tWR"
        _, cas, _ = self._mode or (0, 0, False)
        assert not any(place[0] == number and clock >= self.now + cas
                       for clock, place in self._reads.items()), "a read is cut off"
        self._writes = {clock: place for clock, place in self._writes.items()
                        if place[0] != number}
        bank.row, bank.closed = None, time

    def _write(self, mask: int, driven: int | None, time: float) -> None:
        place = self._writes.pop(self.now, None)
        if place is None:
            return
        kept = self.word(*place)
        for byte in range(self.part.width):
            if not mask >> byte & 1:
                assert driven is not None, "nobody drives a word that is written"
                kept = kept & ~(255 << 8 * byte) | driven & 255 << 8 * byte
                self.banks[place[0]].written = time
        self.memory[place] = kept

    def _read(self, driven: int | None) -> int | None:
        place = self._reads.pop(self.now, None)
        if place is None:
            return None
        assert driven is None, "two drive the data pins"
        # A mask is for the word two clocks later: the pins then are not driven.
        assert not self._masks.get(self.now - 2, 0), "a read is masked"
        return self.word(*place)

    def late_refreshes(self) -> float:
        """How many refreshes are missing since the start."""
        return self.now * 1000 / self.mhz * self.part.refreshes / REFRESH_NS - self.refreshes
