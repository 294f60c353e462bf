"""Waits between the commands to an SDRAM chip."""

import operator
from functools import reduce

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Waits"]


class Waits(Component):
    """Says when the times since some commands are over.

    ``clocks``: for each kind of command how many clocks later the next one may be, at least 1.
    ``given``: the kinds of which one is given in this cycle. ``over`` is a flip-flop, and says
    that the next one may be given now; of several waits the longest counts.

    A wait is a row of ones that moves on by a place a cycle: the longest of several is their OR.
    """

    def __init__(self, *clocks: int):
        self._clocks = clocks
        super().__init__({"given": In(len(clocks)), "over": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        waiting = Signal(max(1, max(self._clocks) - 1))   # bit 0: in the next cycle
        left = Signal.like(waiting)
        m.d.comb += left.eq(reduce(operator.or_, (
            Mux(self.given[kind], (1 << clocks - 1) - 1, 0)
            for kind, clocks in enumerate(self._clocks)), waiting))
        m.d.sync += [waiting.eq(left >> 1), self.over.eq(~left[0])]
        return m
