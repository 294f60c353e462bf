"""Widths of the items of a MODES block, looked up before the items are taken."""

from itertools import accumulate

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.weights.items import starts_layout, widths_layout
from kaniwa.isa.formats import WIDTH_BITS
from kaniwa.isa.modes import AHEAD, GROUPS, MODE_BITS, MODES

__all__ = ["ModeAhead"]


class ModeAhead(Component):
    """Goes an item on with ``advance``: ``after`` has the widths of the item that comes next.

    ``starts`` and ``bytes`` are of the item behind that one: units before each of its groups, from
    its first byte on, and how many it has. ``begin`` takes the ``table`` of widths and the modes of
    the ``first`` items. With ``filling`` an advance goes on to the next of those, else ``modes``
    are those of the item four behind the one that is taken. So three advances with ``filling`` make
    ``after`` the second item's widths: between the second one and the third it has the first's.
    """

    def __init__(self, config: AcceleratorConfig):
        self._starts = starts_layout(config)
        super().__init__({
            "begin": In(1),
            "table": In(data.ArrayLayout(WIDTH_BITS, MODES)),
            "first": In(8 * AHEAD),
            "advance": In(1),
            "filling": In(1),
            "modes": In(8),
            "after": Out(widths_layout(config)),
            "starts": Out(self._starts),
            "bytes": Out(range(2 + 8 * GROUPS)),
        })

    def elaborate(self, platform):
        m = Module()
        table = Signal.like(self.table, reset_less=True)
        modes = Signal(8 * AHEAD, reset_less=True)      # of the item behind ``behind``, and more
        behind = Signal.like(self.after, reset_less=True)
        after = Signal.like(self.after, reset_less=True)
        before = accumulate(behind, initial=1)          # the first unit has the modes
        # The bytes of ``behind`` are summed in front of a register, by halves: the step to the next
        # item waits for them. A one below the lowest bits carries the modes' unit in.
        found = [table[modes.word_select(group, MODE_BITS)] for group in range(GROUPS)]
        low, high = sum(found[:GROUPS // 2]), sum(found[GROUPS // 2:])
        size = Signal.like(self.bytes, reset_less=True)
        m.d.comb += [
            self.after.eq(after),
            *(start.eq(units) for start, units in zip(self.starts, before, strict=False)),
            self.bytes.eq(size),
        ]
        with m.If(self.advance):
            m.d.sync += [
                after.eq(behind),
                *(width.eq(entry) for width, entry in zip(behind, found, strict=True)),
                size.eq((Cat(C(1, 1), low) + Cat(C(1, 1), high))[1:]),
                modes.eq(Mux(self.filling, modes >> 8, self.modes)),
            ]
        with m.If(self.begin):
            m.d.sync += [table.eq(self.table), modes.eq(self.first)]
        return m
