"""Frames of replies, gathered until a datagram of them goes out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.driver.datagrams.format import MOST_BYTES, REPLY_HEAD
from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["BANK_BYTES", "CLOSE_CYCLES", "ReplyBuffer"]

BANK_BYTES = 2048     # a power of two that holds a datagram
CLOSE_CYCLES = 128    # without a byte, after the end of a frame
FRAME_BYTES = 256     # of the longest frame on the line
FULL = MOST_BYTES - REPLY_HEAD - FRAME_BYTES   # with more, another frame might not fit


class ReplyBuffer(wiring.Component):
    """Two banks: one is filled from ``i`` while the other one is sent.

    Frames end in a zero. A bank is closed behind one, when no byte has come for CLOSE_CYCLES, when
    another frame might not fit, or at once where ``answer`` was 1, be it without a frame.
    ``ready``: a datagram of ``size`` bytes waits, at ``bank``; ``sent`` gives it free. A byte at
    ``address`` of the banks is read a cycle after ``read``.
    Throughput: a byte a cycle; it waits when both banks are full.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(8)),
            "answer": In(1),
            "ready": Out(1),
            "size": Out(range(MOST_BYTES - REPLY_HEAD + 1)),
            "bank": Out(1),
            "sent": In(1),
            "address": In(range(2 * BANK_BYTES)),
            "read": In(1),
            "byte": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        write, read = unchecked_memory(m, "banks", unsigned(8), 2 * BANK_BYTES)
        filling, count, quiet = Signal(), Signal.like(self.size), Signal(range(CLOSE_CYCLES + 1))
        at_border, wanted = Signal(init=1), Signal()
        full, closing, come = Signal(), Signal(), Signal()
        m.d.comb += [
            full.eq(at_border & (count > FULL)),
            self.i.ready.eq(~full),
            come.eq(self.i.valid & self.i.ready),
            closing.eq(at_border & ~self.ready & ~come
                       & (full | wanted | ((count != 0) & (quiet == CLOSE_CYCLES)))),
            write.addr.eq(Cat(count, filling)),   # a count has as many bits as a bank's place
            write.data.eq(self.i.payload),
            write.en.eq(come),
            read.addr.eq(self.address), read.en.eq(self.read), self.byte.eq(read.data),
        ]
        with m.If(come):
            m.d.sync += [count.eq(count + 1), at_border.eq(self.i.payload == 0), quiet.eq(0)]
        with m.Elif(quiet != CLOSE_CYCLES):
            m.d.sync += quiet.eq(quiet + 1)
        with m.If(self.sent):
            m.d.sync += self.ready.eq(0)
        with m.If(closing):
            m.d.sync += [self.ready.eq(1), self.size.eq(count), self.bank.eq(filling),
                         filling.eq(~filling), count.eq(0), wanted.eq(0)]
        with m.If(self.answer):
            m.d.sync += wanted.eq(1)
        return m
