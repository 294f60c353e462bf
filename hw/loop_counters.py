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
    """

    def __init__(self, loops: tuple[str, ...] = LOOPS, limits: dict[str, int] | None = None):
        self._loops = loops
        widths = {name: FIELDS[name].width for name in loops}
        widths |= {name: limit.bit_length() for name, limit in (limits or {}).items()}
        super().__init__({
            "start": In(1),
            "advance": In(1),
            "counts": In(data.StructLayout(
                {name: unsigned(width) for name, width in widths.items()})),
            "lasts": Out(len(loops)),
            "ends": Out(len(loops)),
        })

    def elaborate(self, platform):
        m = Module()
        inner_end = Const(1)
        for index, name in enumerate(self._loops):
            count = self.counts[name]
            # Two ahead of the step (which counts from 0), so that ``last`` is known a step early.
            ahead = Signal(max(len(count), 2), name=f"{name}_ahead", reset_less=True)
            last = Signal(name=f"{name}_last", reset_less=True)
            with m.If(self.start | (self.advance & inner_end)):
                with m.If(self.start | last):
                    m.d.sync += [ahead.eq(2), last.eq(count == 1)]
                with m.Else():
                    m.d.sync += [ahead.eq(ahead + 1), last.eq(ahead == count)]
            m.d.comb += [self.lasts[index].eq(last), self.ends[index].eq(inner_end & last)]
            inner_end = self.ends[index]
        return m
