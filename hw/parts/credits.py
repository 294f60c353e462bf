"""Number of entries that a queue still takes, known without waiting for those of this cycle."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Credits"]


class Credits(Component):
    """Count what is taken of ``capacity`` and given back; ``left``: one more may be taken.

    ``left`` is exact, of four flip-flops: what is taken or given in a cycle is counted in the next
    one, beside it. ``none_out``: all has been given back, and has been counted.
    """

    def __init__(self, capacity: int):
        self._capacity = capacity
        super().__init__({"take": In(1), "give": In(1), "left": Out(1, init=1),
                          "none_out": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        out = Signal(range(self._capacity + 1))   # taken before the last cycle, not given back
        took, gave, all_out, one_left = Signal(), Signal(), Signal(), Signal()
        following = Signal.like(out)
        m.d.comb += [
            following.eq(out + took - gave),
            self.left.eq(Mux(all_out, gave & ~took, ~one_left | ~took | gave)),
            self.none_out.eq((out == 0) & ~took),
        ]
        m.d.sync += [
            took.eq(self.take),
            gave.eq(self.give),
            out.eq(following),
            all_out.eq(following == self._capacity),
            one_left.eq(following == self._capacity - 1),
        ]
        return m
