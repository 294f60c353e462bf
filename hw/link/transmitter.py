"""Replies to the line: CRC behind them, stuffed backwards, a zero at the end."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from kaniwa.hw.link.receiver import crc_step

__all__ = ["LinkTransmitter", "body_layout"]


def body_layout() -> data.StructLayout:
    """A byte of a reply, and whether it is the last one before the CRC."""
    return data.StructLayout({"byte": unsigned(8), "last": unsigned(1)})


class LinkTransmitter(wiring.Component):
    """Bodies of replies in, frames out; a body and its CRC have at most 254 bytes.

    A zero is replaced by the distance to the zero before it (or to the beginning), and the
    distance to the last one comes at the end, so nothing has to be known in advance.
    Throughput: a byte in 9 cycles. Latency: 2 cycles.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(body_layout())),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        crc = Signal(32, reset_less=True)   # a zero on the line clears it
        bits = Signal(8, reset_less=True)   # of the last byte, on their way into the CRC
        shifting = Signal()
        bit = Signal(3)
        before = Signal(8)                  # bytes since the last zero
        step = Signal(2)

        # The byte of the body that comes next.
        given = Signal(body_layout(), reset_less=True)
        there = Signal()
        m.d.comb += self.i.ready.eq(~there)
        with m.If(self.i.valid & ~there):
            m.d.sync += [given.eq(self.i.payload), there.eq(1)]

        free, value, in_body, clear = Signal(), Signal(8), Signal(), Signal()
        distance = Signal(8)
        m.d.comb += [
            # A byte is out long before it is through the CRC: ``o.ready`` need not be looked at.
            free.eq(~self.o.valid & ~shifting),
            distance.eq(before + 1),
        ]
        with m.If(shifting):
            m.d.sync += [bits.eq(bits >> 1), bit.eq(bit + 1), shifting.eq(bit != 7)]
        with m.If(shifting | clear):
            m.d.sync += crc.eq(Mux(clear, 0, crc_step(crc, bits[0], in_body)))
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        sending, zero = Signal(), Signal()
        m.d.comb += zero.eq(value == 0)
        with m.If(sending):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Mux(zero, distance, value)),
                         before.eq(Mux(zero, 0, distance)), shifting.eq(1)]
        m.d.sync += bits.eq(Mux(shifting, bits >> 1, value))
        with m.FSM(init="ZERO"):
            with m.State("BODY"):
                m.d.comb += [in_body.eq(1), sending.eq(there & free), value.eq(given.byte)]
                with m.If(sending):
                    m.d.sync += there.eq(0)
                    with m.If(given.last):
                        m.next = "LAST"
            with m.State("LAST"):   # goes into the CRC
                m.d.comb += in_body.eq(1)
                with m.If(~shifting):
                    m.next = "CRC"
            with m.State("CRC"):    # is shifted out by its own bytes
                m.d.comb += [value.eq(crc[:8]), sending.eq(free)]
                with m.If(free):
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == 3):
                        m.next = "CODE"
            with m.State("CODE"):   # as for one more zero
                m.d.comb += sending.eq(free)
                with m.If(free):
                    m.next = "ZERO"
            with m.State("ZERO"):
                m.d.comb += clear.eq(~shifting)
                with m.If(free):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(0)]
                    m.next = "BODY"
        return m
