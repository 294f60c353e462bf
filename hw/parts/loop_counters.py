"""The counters of the array's nested loops."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.isa import FIELDS

__all__ = ["LOOPS", "LoopCounters"]

# Innermost first, of all modes but COLUMN; the fields of the instruction that hold the counts.
LOOPS = ("chunks", "segments", "kernel_rows", "blocks", "ofm_columns", "ofm_rows")


class LoopCounters(Component):
    """Nested loops, one step of the innermost a cycle without gaps.

    ``start`` (with the counts, which then stay) sets all to their first step, valid from the next
    cycle on; ``advance`` goes to the next step. ``lasts[i]``: this is the last round of loop i,
    ``ends[i]``: and the last one of all loops inside it. After the last step they begin anew.
    ``limits``: loops with fewer rounds than their field can hold, and the most that they have.

    ``lasts`` and ``ends`` come from flip-flops; without ``ahead``, which takes fewer cells, each
    end is formed from the ``lasts``.

    With ``listed`` the innermost loop may have a list in place of a count: while ``is_listed``,
    ``next_last`` says with ``start`` and ``advance`` whether the next step is its last one.
    """

    def __init__(self, loops: tuple[str, ...] = LOOPS, limits: dict[str, int] | None = None, *,
                 ahead: bool = True, listed: bool = False):
        assert ahead or not listed
        self._loops = loops
        self._ahead = ahead
        self._listed = listed
        widths = {name: FIELDS[name].width for name in loops}
        widths |= {name: limit.bit_length() for name, limit in (limits or {}).items()}
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "counts": In(data.StructLayout(
                {name: unsigned(width) for name, width in widths.items()})),
            "lasts": Out(len(loops)),
            "ends": Out(len(loops)),
            **({"is_listed": In(1), "next_last": In(1)} if listed else {}),
        })

    def elaborate(self, platform):
        m = Module()
        inner_end = Const(1)
        next_lasts = []
        for index, name in enumerate(self._loops):
            if self._ahead:
                last, following = self._round_ahead(m, name, inner_end)
                # Whether the next step is in the last round of this loop and of those inside it.
                next_lasts.append(Mux(self.start | inner_end, following, last))
                end = Signal(name=f"{name}_end", reset_less=True)
                with m.If(self.start | self.advance):
                    m.d.sync += end.eq(Cat(next_lasts).all())
            else:
                last = self._round(m, name, inner_end)
                end = inner_end & last
            m.d.comb += [self.lasts[index].eq(last), self.ends[index].eq(end)]
            inner_end = self.ends[index]
        return m

    def _round(self, m, name, inner_end):
        """One loop: whether this is its last round."""
        count = self.counts[name]
        # Two ahead of the round (counted from 0), so that ``last`` is known a step early.
        ahead = Signal(max(len(count), 2), name=f"{name}_ahead", reset_less=True)
        last = Signal(name=f"{name}_last", reset_less=True)
        with m.If(self.start | (self.advance & inner_end)):
            with m.If(self.start | last):
                m.d.sync += [ahead.eq(2), last.eq(count == 1)]
            with m.Else():
                m.d.sync += [ahead.eq(ahead + 1), last.eq(ahead == count)]
        return last

    def _round_ahead(self, m, name, inner_end):
        """The same, and whether the round after ``start`` or this one is the last."""
        count = self.counts[name]
        ahead = Signal(max(len(count), 2), name=f"{name}_ahead", reset_less=True)   # 3 ahead
        last = Signal(name=f"{name}_last", reset_less=True)
        next_last = Signal(name=f"{name}_next_last", reset_less=True)
        following = Mux(self.start, count == 1, next_last)
        if self._listed and name == self._loops[0]:
            following = Mux(self.is_listed, self.next_last, following)
        with m.If(self.start | (self.advance & inner_end)):
            m.d.sync += last.eq(following)
            with m.If(self.start | last):
                m.d.sync += [ahead.eq(3), next_last.eq((count == 1) | (count == 2))]
            with m.Else():
                m.d.sync += [ahead.eq(ahead + 1), next_last.eq(ahead == count)]
        return last, following
