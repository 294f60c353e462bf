"""Frames of replies, gathered until a datagram of them goes out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.driver.datagrams.format import MOST_BYTES, REPLY_HEAD
from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["CLOSE_CYCLES", "LEAST_BANK", "MOST_FRAMES", "ReplyBuffer"]

CLOSE_CYCLES = 128    # without a byte, after the end of a frame
FRAME_BYTES = 256     # of the longest frame on the line
LEAST_BANK = 2 * FRAME_BYTES
MOST_FRAMES = MOST_BYTES - REPLY_HEAD    # bytes of frames in a datagram


class ReplyBuffer(wiring.Component):
    """Two banks of ``bank_bytes``, a power of two: one is filled from ``i``, the other one sent.

    Frames end in a zero. A bank is closed behind one, when no byte has come for CLOSE_CYCLES, when
    another frame might not fit, or at once where ``answer`` was 1, be it without a frame. Before
    anybody was ``heard`` there is nobody to send to, and what comes is dropped.
    ``ready``: a datagram of ``size`` bytes waits, at ``bank``; ``sent`` gives it free. The
    ``byte`` at ``address`` of the banks comes a cycle later.
    Throughput: a byte a cycle; it waits when both banks are full.
    """

    def __init__(self, bank_bytes: int):
        self._bank_bytes = bank_bytes
        super().__init__({
            "i": In(stream.Signature(8)),
            "answer": In(1),
            "heard": In(1),
            "ready": Out(1),
            "size": Out(range(MOST_FRAMES + 1)),
            "bank": Out(1),
            "sent": In(1),
            "address": In(range(2 * bank_bytes)),
            "byte": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        write, read = unchecked_memory(m, "banks", unsigned(8), 2 * self._bank_bytes)
        filling, count, quiet = Signal(), Signal.like(self.size), Signal(range(CLOSE_CYCLES + 1))
        at_border, wanted = Signal(init=1), Signal()
        full, closing, come, crowded = Signal(), Signal(), Signal(), Signal()
        # With more, another frame might not fit. It is of the cycle before: a byte may have come.
        m.d.sync += crowded.eq(count >= min(self._bank_bytes, MOST_FRAMES) - FRAME_BYTES)
        m.d.comb += [
            full.eq(at_border & crowded),
            self.i.ready.eq(~full),
            come.eq(self.i.valid & self.i.ready & self.heard),
            closing.eq(at_border & ~self.ready & ~come
                       & (full | wanted | ((count != 0) & (quiet == CLOSE_CYCLES)))),
            write.addr.eq(Cat(count[:exact_log2(self._bank_bytes)], filling)),
            write.data.eq(self.i.payload),
            write.en.eq(come),
            read.addr.eq(self.address), read.en.eq(1), self.byte.eq(read.data),
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
