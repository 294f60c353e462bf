"""The beats of ADD's second operand that wait for those that they are added to."""

from amaranth import *
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["OperandQueue"]

DEPTH = 16   # beats in its memory; one more is at the output


class OperandQueue(Component):
    """FIFO of 17 beats, ``i.ready`` and ``o.valid`` from flip-flops.

    Latency: 2 cycles. Throughput: a beat a cycle. ``there``: a beat has come, two cycles before it
    is at ``o`` at the latest, that none has claimed yet; ``claim`` (only while it is 1) does.
    ``following``: what ``there`` will be in the next cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        beat = data.ArrayLayout(signed(8), config.requant_lanes)
        super().__init__({
            "i": In(stream.Signature(beat)),
            "o": Out(stream.Signature(beat)),
            "claim": In(1),
            "there": Out(1),
            "following": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = ram = memory.Memory(
            shape=self.o.payload.shape(), depth=DEPTH, init=[], attrs={"no_rw_check": 1})
        write, read = ram.write_port(), UncheckedRead.of(m, ram)   # never of one beat
        used = Signal(range(DEPTH + 1))
        room = Signal(init=1)     # used != DEPTH
        waiting = Signal()        # used != 0
        m.d.comb += [
            self.i.ready.eq(room),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & room),
            read.en.eq(waiting & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + write.en),
            read.addr.eq(read.addr + read.en),
        ]
        with m.If(write.en & ~read.en):
            m.d.sync += [used.eq(used + 1), waiting.eq(1), room.eq(used != DEPTH - 1)]
        with m.Elif(read.en & ~write.en):
            m.d.sync += [used.eq(used - 1), waiting.eq(used != 1), room.eq(1)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(waiting)

        unclaimed = Signal(range(DEPTH + 2))   # ``there``: it is not 0
        m.d.comb += self.following.eq(self.there)
        with m.If(write.en & ~self.claim):
            m.d.sync += unclaimed.eq(unclaimed + 1)
            m.d.comb += self.following.eq(1)
        with m.Elif(self.claim & ~write.en):
            m.d.sync += unclaimed.eq(unclaimed - 1)
            m.d.comb += self.following.eq(unclaimed != 1)
        m.d.sync += self.there.eq(self.following)
        return m
