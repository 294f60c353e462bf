"""The rows that are open in an SDRAM chip, and when its commands may be given."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.sdram.signatures import ROW_PINS
from kaniwa.hw.sdram.waits import Waits
from kaniwa.sdram_parts import BANKS, ChipTiming

__all__ = ["Banks", "place_layout"]


def place_layout() -> data.StructLayout:
    """A row of a bank."""
    return data.StructLayout({"bank": range(BANKS), "row": ROW_PINS})


class Banks(Component):
    """Keeps what rows are open, and how long the chip's rules keep each command waiting.

    ``activate``, ``precharge``, ``read``, ``write``: the command for ``place`` that is given in
    this cycle; ``precharge_all`` and ``refresh`` are for all banks. At most one of them is 1.
    ``may_*``: that command may be given now, by the rules of the data sheet; for ``place`` where
    it is of a bank. ``hit`` and ``conflict`` are flip-flops: of each of ``seek`` a cycle before,
    whether its row is open, or another row of its bank. ``any_open``: of all banks.
    """

    def __init__(self, timing: ChipTiming, *, words_read: int, words_written: int, seeks: int):
        self._timing = timing
        self._read, self._written = words_read, words_written
        kinds = ("activate", "precharge", "read", "write")
        super().__init__({
            "place": In(place_layout()),
            **{kind: In(1) for kind in (*kinds, "precharge_all", "refresh")},
            **{f"may_{kind}": Out(1) for kind in (*kinds, "precharge_all", "refresh")},
            "seek": In(data.ArrayLayout(place_layout(), seeks)),
            "hit": Out(seeks),
            "conflict": Out(seeks),
            "any_open": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        open_ = Signal(BANKS)
        rows = [Signal(ROW_PINS, name=f"row_{bank}", reset_less=True) for bank in range(BANKS)]
        m.d.comb += self.any_open.eq(open_.any())
        with m.If(self.precharge_all):
            m.d.sync += open_.eq(0)
        for bank, row in enumerate(rows):
            with m.If(self.place.bank == bank):
                with m.If(self.activate):
                    m.d.sync += [open_[bank].eq(1), row.eq(self.place.row)]
                with m.If(self.precharge):
                    m.d.sync += open_[bank].eq(0)
        for number, place in enumerate(self.seek):
            is_open = open_.bit_select(place.bank, 1)
            same = Array(rows)[place.bank] == place.row
            m.d.sync += [self.hit[number].eq(is_open & same),
                         self.conflict[number].eq(is_open & ~same)]
        self._wait_of_banks(m)
        self._wait_of_all(m)
        return m

    def _wait_of_banks(self, m):
        """tRAS, tWR and tRC, tRP, tRFC."""
        timing = self._timing
        close, open_ = [], []
        for bank in range(BANKS):
            here = self.place.bank == bank
            m.submodules[f"close_{bank}"] = closing = Waits(
                timing.ras, self._read, self._written - 1 + timing.wr)
            m.submodules[f"open_{bank}"] = opening = Waits(timing.rc, timing.rp, timing.rfc)
            activate, precharge = self.activate & here, self.precharge & here
            m.d.comb += [
                closing.given.eq(Cat(activate, self.read & here, self.write & here)),
                opening.given.eq(Cat(activate, precharge | self.precharge_all, self.refresh)),
            ]
            close.append(closing.over)
            open_.append(opening.over)
        m.d.comb += [
            self.may_precharge.eq(Cat(close).bit_select(self.place.bank, 1)),
            self.may_precharge_all.eq(Cat(close).all()),
            self.may_refresh.eq(Cat(open_).all()),
        ]
        m.submodules.any_row = any_row = Waits(timing.rrd)
        m.d.comb += [
            any_row.given.eq(self.activate),
            self.may_activate.eq(Cat(open_).bit_select(self.place.bank, 1) & any_row.over),
        ]

    def _wait_of_all(self, m):
        """tRCD, which only the row waits for that was opened last, and the data pins.

        Between a read's words and a write's nobody drives the pins for a clock.
        """
        timing, read, written = self._timing, self._read, self._written
        m.submodules.row = row = Waits(timing.rcd)
        m.submodules.reads = reads = Waits(read, written)
        m.submodules.writes = writes = Waits(timing.cas + read + 1, written)
        m.d.comb += [
            row.given.eq(self.activate),
            *(waits.given.eq(Cat(self.read, self.write)) for waits in (reads, writes)),
            self.may_read.eq(row.over & reads.over),
            self.may_write.eq(row.over & writes.over),
        ]
