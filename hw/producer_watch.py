"""Whether what a reader waits for is in memory: how its instruction's producer stands."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

__all__ = ["ProducerWatch", "progress_ports"]


def progress_ports() -> dict:
    """How far the store unit is, as a reader gets it; ``retire`` is 1 as ``retired`` goes up."""
    return {"retired": In(16), "retire": In(1), "watermark": In(32), "watermark_valid": In(1)}


class ProducerWatch(Component):
    """``done``: ``retired`` has reached ``wait``; ``next``: it is one short of that.

    Both are of this very cycle, from the cycle after ``wait`` has come on, and near flip-flops:
    what is compared is the count of the cycle before; ``retire`` tells whether it has gone up.
    """

    wait: In(16)
    retired: In(16)
    retire: In(1)
    done: Out(1)
    next: Out(1)

    def elaborate(self, platform):
        m = Module()
        reached, one_short, two_short = Signal(), Signal(), Signal()
        m.d.sync += [
            reached.eq(self.retired >= self.wait),
            one_short.eq(self.wait == self.retired + 1),
            two_short.eq(self.wait == self.retired + 2),
        ]
        m.d.comb += [
            self.done.eq(reached | (one_short & self.retire)),
            self.next.eq(Mux(self.retire, two_short, one_short)),
        ]
        return m
