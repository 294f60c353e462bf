"""Requests from the line: unstuffed, checked, and buffered until they are known to be right."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["CRC_POLYNOMIAL", "CRC_RESIDUE", "LinkReceiver", "crc_step"]

CRC_POLYNOMIAL = 0xEDB8_8320
CRC_RESIDUE = 0xDEBB_20E3 ^ 0xFFFF_FFFF   # inverse, of a body with its CRC behind it


def crc_step(inverse, bit, feed=1):
    """CRC-32 after one more bit, as the inverse of its register, which begins as 0.

    Without ``feed`` it is shifted out.
    """
    feedback = (~inverse[0] ^ bit) & feed
    return Cat(inverse[1:], 1) ^ feedback.replicate(32) & CRC_POLYNOMIAL


class LinkReceiver(wiring.Component):
    """Bytes of the line in, bytes of right requests out: header, data and CRC, frame by frame.

    A frame that ends with a wrong CRC or within a part, or does not fit into what is free of the
    ``buffer_bytes`` (a power of two, one of them never used), is dropped; ``garbled`` is then 1
    for a cycle. ``empty``: no byte of a right request is left.
    Throughput: a byte in 9 cycles in, one in 2 cycles out. Latency: a frame can be read 3 cycles
    after its closing zero.
    """

    def __init__(self, buffer_bytes: int = 512):
        self._depth = buffer_bytes
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "garbled": Out(1),
            "empty": Out(1, init=1),
        })

    def elaborate(self, platform):
        m = Module()
        in_part = Signal()           # the next byte is not a code
        left = Signal(8, reset_less=True)   # bytes up to and with the next code, in a part
        started = Signal()           # a byte of this frame has come
        crc = Signal(32, reset_less=True)   # an empty frame clears it
        bits = Signal(8, reset_less=True)
        shifting = Signal()
        bit = Signal(3)
        overflow = Signal()
        write_at = Signal(range(self._depth))
        right_to = Signal(range(self._depth))   # up to here frames are right
        read_at = Signal(range(self._depth))

        # What is read has been written cycles before, so what a meeting gives does not matter.
        m.submodules.buffer = buffer = Memory(shape=unsigned(8), depth=self._depth, init=[],
                                              attrs={"no_rw_check": 1})
        write, read = buffer.write_port(), UncheckedRead.of(m, buffer)

        accepted, end, right = Signal(), Signal(), Signal()
        counted = Signal(8)
        next_at = Signal(range(self._depth))
        store, room = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~shifting),
            accepted.eq(self.i.valid & ~shifting),
            end.eq(self.i.payload == 0),
            right.eq(~in_part & (crc == CRC_RESIDUE) & ~overflow),
            counted.eq(Mux(in_part, left, self.i.payload)),
            store.eq(shifting & (bit == 0)),
            next_at.eq(write_at + 1),
            room.eq(next_at != read_at),
            write.addr.eq(write_at),
            write.data.eq(bits),
            write.en.eq(store),
        ]
        m.d.sync += self.garbled.eq(accepted & end & started & ~right)
        with m.If(accepted):
            m.d.sync += [left.eq(counted - 1), in_part.eq(~end & (counted != 1)), started.eq(~end)]
        with m.If(accepted & end & right):
            m.d.sync += right_to.eq(write_at)
        with m.If(Mux(shifting, store & room, self.i.valid & end & ~right)):
            m.d.sync += write_at.eq(Mux(shifting, next_at, right_to))
        with m.If(Mux(shifting, store & ~room, self.i.valid & end)):
            m.d.sync += overflow.eq(shifting)

        # A code stands for the zero before its part, except for the first one of a frame.
        with m.If(accepted & ~end & (in_part | started)):
            m.d.sync += shifting.eq(1)
        with m.If(shifting):
            m.d.sync += [bit.eq(bit + 1), shifting.eq(bit != 7)]
        m.d.sync += bits.eq(Mux(shifting, bits >> 1, Mux(in_part, self.i.payload, 0)))
        with m.If(shifting | (self.i.valid & end)):
            m.d.sync += crc.eq(Mux(shifting, crc_step(crc, bits[0]), 0))

        # The buffer is read whenever its output is not a byte that waits.
        fetched = Signal()
        taken = self.o.valid & self.o.ready
        m.d.comb += [
            read.addr.eq(read_at),
            read.en.eq(~self.o.valid),
            self.o.payload.eq(read.data),
            self.empty.eq((read_at == right_to) & ~self.o.valid),
            fetched.eq(~self.o.valid & (read_at != right_to)),
        ]
        with m.If(fetched):
            m.d.sync += [self.o.valid.eq(1), read_at.eq(read_at + 1)]
        with m.Elif(taken):
            m.d.sync += self.o.valid.eq(0)
        return m
