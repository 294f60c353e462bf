"""SPI: bytes to and from a microcontroller, mode 0, the first bit highest; a zero fills."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["FrameBuffer", "SpiSlave"]

DEPTH = 512   # a block RAM of iCE40; one reply of 256 bytes goes out while the next comes


class FrameBuffer(wiring.Component):
    """Bytes of a frame wait until its closing zero is here, then they come one by one.

    So none is missing in the midst of a frame, however slow the frame was made. A frame must have
    less than 512 bytes with its zero. Throughput: a byte in 2 cycles. Latency: 3 cycles.
    With ``tells`` there is ``holding``: there are bytes in it.
    """

    def __init__(self, tells: bool = False):
        self._tells = tells
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)),
                          **({"holding": Out(1)} if tells else {})})

    def elaborate(self, platform):
        m = Module()
        write_at, whole_to, read_at = (Signal(range(DEPTH)) for _ in range(3))
        # What is read has been written cycles before, so what a meeting gives does not matter.
        write, read = unchecked_memory(m, "buffer", unsigned(8), DEPTH)

        room, accepted, fetched = Signal(), Signal(), Signal()
        next_at = Signal(range(DEPTH))
        m.d.comb += [
            self.i.ready.eq(room),
            accepted.eq(self.i.valid & room),
            next_at.eq(write_at + 1),
            write.addr.eq(write_at),
            write.data.eq(self.i.payload),
            write.en.eq(accepted),
            read.addr.eq(read_at),
            read.en.eq(~self.o.valid),
            self.o.payload.eq(read.data),
            fetched.eq(~self.o.valid & (read_at != whole_to)),
        ]
        if self._tells:
            m.d.comb += self.holding.eq(self.o.valid | (read_at != write_at))
        # A cycle late, so the cycle behind a byte has no room.
        m.d.sync += room.eq(~accepted & (next_at != read_at))
        with m.If(accepted):
            m.d.sync += write_at.eq(next_at)
            with m.If(self.i.payload == 0):
                m.d.sync += whole_to.eq(next_at)
        with m.If(fetched):
            m.d.sync += [self.o.valid.eq(1), read_at.eq(read_at + 1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class SpiSlave(wiring.Component):
    """Both directions: ``o`` from ``copi``, frames of ``i`` to ``cipo``, zeros between them.

    ``sck``: a period of 6 cycles or longer (CYCLES_OF_SCK), each level longer than 1 cycle.
    ``copi`` stays for a cycle behind the rising edge. ``cs_n`` is low 4 cycles before the first
    one, and high for 2. CIPO changes 2 to 3 cycles after the rising edge that took the bit before;
    the falling edge does not matter.

    A byte that ``cs_n`` cuts is dropped, and one to ``cipo`` comes again. A byte from ``copi`` that
    comes while the last has not been taken is lost.
    With ``tells`` there is ``sending``: bytes of ``i`` wait for the master.
    """

    def __init__(self, *, tells: bool = False):
        self._tells = tells
        super().__init__({
            "sck": In(1),
            "cs_n": In(1, init=1),
            "copi": In(1),
            "cipo": Out(1),
            "cipo_enable": Out(1),
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            **({"sending": Out(1)} if tells else {}),
        })

    def elaborate(self, platform):
        m = Module()
        sck, before, copi, apart = Signal(), Signal(), Signal(), Signal(init=1)
        m.submodules.sck_synchronizer = FFSynchronizer(self.sck, sck)
        m.submodules.copi_synchronizer = FFSynchronizer(self.copi, copi)
        m.submodules.cs_synchronizer = FFSynchronizer(self.cs_n, apart, init=1)
        m.submodules.frames = frames = FrameBuffer(self._tells)
        wiring.connect(m, wiring.flipped(self.i), frames.i)

        rise, last = Signal(), Signal()
        bit, next_bit = Signal(3), Signal(3)   # of a byte; wraps
        m.d.comb += [
            rise.eq(sck & ~before & ~apart),
            last.eq(rise & (bit == 7)),
            next_bit.eq(Mux(apart, 0, bit + rise)),
        ]
        m.d.sync += [before.eq(sck), bit.eq(next_bit), self.cipo_enable.eq(~apart)]

        bits = Signal(8, reset_less=True)
        with m.If(rise):
            m.d.sync += bits.eq(Cat(copi, bits[:7]))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(last & ~self.o.valid):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Cat(copi, bits[:7]))]

        # The byte under way stays until its last bit was taken; without one, zeros go.
        sent, there = Signal(8), Signal()
        following = Signal(8)
        m.d.comb += [
            following.eq(Mux(frames.o.valid, frames.o.payload, 0)),
            frames.o.ready.eq(last | (apart & ~there)),
        ]
        if self._tells:
            m.d.comb += self.sending.eq(frames.holding | there)
        with m.If(frames.o.ready):
            m.d.sync += [sent.eq(following), there.eq(frames.o.valid)]
        m.d.sync += self.cipo.eq(Mux(last, following[7], sent.bit_select(~next_bit, 1)))
        return m
