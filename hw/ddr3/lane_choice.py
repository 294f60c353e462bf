"""The choice of a lane's settings: all are tried, and the middle of the longest row is taken."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["CHANGES", "DELAYS", "SLIPS", "LaneChoice"]

DELAYS, SLIPS = 8, 4     # settings of a lane of LiteDRAM's ECP5DDRPHY
CHANGES = ("delay_reset", "delay_next", "slip_reset", "slip_next")   # bits of ``change``


class LaneChoice(Component):
    """Goes through all delays of each slip, then to the best ones.

    ``begin`` starts with a new lane. ``tried`` tells whether the present setting was ``good``, and
    makes ``change`` the one to the next. Once all were tried, ``scanned`` is 1. Then ``apply``
    makes ``change`` the next one towards the choice, until ``settled``. ``none``: no setting was
    good. ``change`` and ``scanned`` are flip-flops; ``settled`` and ``none`` are valid with
    ``scanned``. Of rows of the same length the first one is taken.
    """

    def __init__(self):
        super().__init__({
            "begin": In(1), "tried": In(1), "good": In(1), "apply": In(1),
            "change": Out(len(CHANGES)), "scanned": Out(1), "settled": Out(1), "none": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        delay, slip = Signal(range(DELAYS)), Signal(range(SLIPS))
        row, longest = Signal(range(DELAYS + 1)), Signal(range(DELAYS + 1))
        chosen_delay, chosen_slip = Signal.like(delay), Signal.like(slip)
        so_far = Mux(self.good, row + 1, 0)
        delay_reset, delay_next, slip_reset, slip_next = (
            1 << bit for bit in range(len(CHANGES)))
        both = delay_reset | slip_reset
        with m.If(self.begin):
            m.d.sync += [self.change.eq(both), self.scanned.eq(0), delay.eq(0), slip.eq(0),
                         row.eq(0), longest.eq(0)]
        with m.Elif(self.tried):
            with m.If(so_far > longest):
                m.d.sync += [longest.eq(so_far), chosen_slip.eq(slip),
                             chosen_delay.eq(delay - (so_far - 1)[1:])]
            m.d.sync += [self.change.eq(delay_next), delay.eq(delay + 1), row.eq(so_far)]
            with m.If(delay == DELAYS - 1):     # a row goes on to the next slip's no more
                m.d.sync += [self.change.eq(delay_reset | slip_next), slip.eq(slip + 1), row.eq(0)]
                with m.If(slip == SLIPS - 1):
                    m.d.sync += [self.change.eq(both), self.scanned.eq(1)]
        with m.Elif(self.apply):
            with m.If(delay != chosen_delay):
                m.d.sync += [self.change.eq(delay_next), delay.eq(delay + 1)]
            with m.Else():
                m.d.sync += [self.change.eq(slip_next), slip.eq(slip + 1)]
        m.d.comb += [self.settled.eq((delay == chosen_delay) & (slip == chosen_slip)),
                     self.none.eq(longest == 0)]
        return m
