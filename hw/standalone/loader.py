"""Checks the image in flash, and then plays its requests to the link."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.link.receiver import CRC_RESIDUE, crc_step
from kaniwa.standalone.format import CRC_BYTES, HEADER_BYTES, MAGIC, FlashState, config_digest

__all__ = ["LENGTH_AT", "LENGTH_BYTES", "Loader"]

LENGTH_AT = 16        # of the header
LENGTH_BYTES = 3      # those that may be other than 0: a flash has 24 bits of address


class Loader(Component):
    """Takes an image from ``i`` twice: to check all of it, and to play its body to ``o``.

    ``on`` is 1 while an image is wanted from its first byte on; 0 for a cycle between the two.
    ``playing``: requests come, as long as it is 1. ``field``: the eight last bytes of the header,
    each in a cycle that ``field_valid`` is 1. ``state`` is LOADING until the end is known. What is
    read the second time is checked as well, but played by then.
    Throughput: a byte in 9 cycles, or as long as ``o`` takes. All outputs but the ready of ``i``
    and ``o`` are registers or decoded of them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._wanted = MAGIC + config_digest(config.hash)
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "on": Out(1),
            "playing": Out(1),
            "field": Out(8),
            "field_valid": Out(1),
            "state": Out(3, init=FlashState.LOADING),
        })

    def elaborate(self, platform):
        m = Module()
        index = Signal(range(HEADER_BYTES + CRC_BYTES))   # of a byte, but for the body
        left = Signal(8 * LENGTH_BYTES, reset_less=True)  # of the body
        crc = Signal(32)
        bits = Signal(8, reset_less=True)
        bit = Signal(3)
        second, other = Signal(), Signal()    # pass; config
        wanted = Array(Const(byte, 8) for byte in self._wanted)

        byte = self.i.payload
        in_body, in_magic, differs = Signal(), Signal(), Signal()
        m.d.comb += [
            in_body.eq((index == HEADER_BYTES) & (left != 0)),
            in_magic.eq(index[3:] == 0),
            differs.eq(~index[4] & (byte != wanted[index[:4]])),
            self.o.payload.eq(byte),
            self.field.eq(bits),
            self.playing.eq(self.on & second),
        ]
        m.d.sync += self.field_valid.eq(0)
        with m.FSM():
            with m.State("BETWEEN"):
                m.d.sync += crc.eq(0)
                m.next = "BYTE"
            with m.State("BYTE"):
                played = in_body & second
                m.d.comb += [
                    self.on.eq(1),
                    self.o.valid.eq(self.i.valid & played),
                    self.i.ready.eq(self.o.ready | ~played),
                ]
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += [bits.eq(byte), other.eq(other | differs)]
                    m.next = "CRC"
                    with m.If(in_body):
                        m.d.sync += left.eq(left - 1)
                    with m.Else():
                        m.d.sync += index.eq(index + 1)
                    with m.If(index[2:] == LENGTH_AT // 4):
                        with m.If(index[:2] != LENGTH_BYTES):
                            m.d.sync += left.eq(Cat(left, byte)[8:])
                        with m.Elif(byte != 0):
                            m.d.sync += self.state.eq(FlashState.DAMAGED)
                            m.next = "DONE"
                    with m.If(in_magic & differs):
                        m.d.sync += self.state.eq(FlashState.EMPTY)
                        m.next = "DONE"
                    m.d.sync += self.field_valid.eq(index[4] & (index[2] ^ index[3]))
            with m.State("CRC"):
                m.d.comb += self.on.eq(1)
                m.d.sync += [crc.eq(crc_step(crc, bits[0])), bits.eq(bits >> 1), bit.eq(bit + 1)]
                with m.If(bit == 7):
                    m.next = "BYTE"
                    with m.If(index == 0):    # the last byte of the CRC
                        m.next = "END"
            with m.State("END"):
                m.d.sync += second.eq(1)
                m.next = "DONE"
                with m.If(crc != CRC_RESIDUE):
                    m.d.sync += self.state.eq(FlashState.DAMAGED)
                with m.Elif(other):
                    m.d.sync += self.state.eq(FlashState.OTHER_CONFIG)
                with m.Elif(second):
                    m.d.sync += self.state.eq(FlashState.LOADED)
                with m.Else():
                    m.next = "BETWEEN"
            with m.State("DONE"):
                pass
        return m
