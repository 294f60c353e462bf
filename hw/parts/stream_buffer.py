"""Two entries between two blocks, so that neither sees the other in the same cycle."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

__all__ = ["StreamBuffer"]


class StreamBuffer(Component):
    """FIFO of two payloads of ``shape``: ``o.valid``, ``o.payload`` and ``i.ready`` come from
    flip-flops, which cuts the path of ``ready`` too.

    Latency: 1 cycle. Throughput: one payload a cycle. ``i.ready`` is 1 while there is room for one.
    ``full`` says the opposite from a flip-flop of its own, for where ``i.ready`` goes far.
    ``moves``: from the next cycle on ``o`` has another payload, which is ``following`` already.
    """

    def __init__(self, shape):
        self._shape = shape
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "full": Out(1),
            "moves": Out(1),
            "following": Out(shape),
        })

    def elaborate(self, platform):
        m = Module()
        first = Signal(self._shape, reset_less=True)    # leaves next
        second = Signal(self._shape, reset_less=True)
        valid = Signal()     # of first
        full = self.full     # both are there
        room = Signal(init=1)
        accepted = self.i.valid & ~full
        left = valid & self.o.ready
        full_next = ~left & (full | (valid & accepted))
        m.d.comb += [
            self.i.ready.eq(room),
            self.o.valid.eq(valid),
            self.o.payload.eq(first),
            self.moves.eq((full | self.i.valid) & (~valid | left)),
            self.following.eq(Mux(full, second, self.i.payload)),
        ]
        m.d.sync += [
            valid.eq(accepted | full | (valid & ~left)),
            full.eq(full_next),
            room.eq(~full_next),
        ]
        with m.If(~full):
            m.d.sync += second.eq(self.i.payload)
        with m.If(~valid | left):
            m.d.sync += first.eq(self.following)
        return m
