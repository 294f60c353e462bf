"""Reads bytes of an SPI flash, one behind the other, from a fixed address on."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.errors import ConfigError

__all__ = ["COMMAND_BITS", "RELEASE", "READ", "FlashReader"]

RELEASE = 0xAB        # from deep power-down
READ = 0x03           # at up to 50 MHz, 24 bits of address follow
COMMAND_BITS = 32     # of a READ; a RELEASE is the last 8 of as many


class FlashReader(Component):
    """SPI in mode 0 with a bit a clock: ``cs`` selects the chip, ``sck`` is its clock.

    A period of ``sck`` is 2 * ``half_cycles``; ``copi`` and ``cs`` change where it falls, ``cipo``
    is taken where it falls again. After a reset come ``wait_cycles`` of rest, rounded up to a power
    of two, and a cycle more. Then come 24 clocks without ``cs``, as the first ones behind a
    configuration may be lost, and RELEASE. Rest is also before each READ, of which there is one as
    long as ``on`` is 1. It begins at ``address``.
    Where ``o`` waits, ``sck`` waits. Throughput: a byte in 16 * ``half_cycles``. A byte that has
    not been taken is dropped when ``on`` falls. All outputs are registers.
    """

    def __init__(self, address: int, *, wait_cycles: int, half_cycles: int = 1):
        if not 0 <= address < 1 << 24:
            raise ConfigError(f"address must be 0..{(1 << 24) - 1}, not {address}: a flash has 24 "
                              "bits of it")
        if wait_cycles < 2 or half_cycles < 1:
            raise ConfigError(f"wait_cycles must be 2 or more and half_cycles 1 or more, not "
                              f"{wait_cycles} and {half_cycles}")
        self._address = address
        self._wait_cycles, self._half_cycles = wait_cycles, half_cycles
        super().__init__({
            "on": In(1),
            "o": Out(stream.Signature(8)),
            "cs": Out(1), "sck": Out(1), "copi": Out(1), "cipo": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        awake, clocking, reading = Signal(), Signal(), Signal()
        # Counts up to its highest bit, so that no number is compared.
        waited = Signal((self._wait_cycles - 1).bit_length() + 1)
        bit = Signal(range(COMMAND_BITS))    # the one that copi has after the next fall
        # Low bit of the index last: the high bit goes first. Behind them those of RELEASE.
        commands = Const(READ << 24 | self._address, COMMAND_BITS)
        bits = Array([*reversed(Const(RELEASE, COMMAND_BITS)), *reversed(commands)])

        tick = Signal(init=1)                # the end of half a period
        if self._half_cycles > 1:
            half = Signal(range(self._half_cycles))
            m.d.comb += tick.eq(half == self._half_cycles - 1)
            with m.If(clocking):
                m.d.sync += half.eq(Mux(tick, 0, half + 1))
        held = reading & self.o.valid & ~self.o.ready

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~clocking):
            with m.If(~waited[-1]):
                m.d.sync += waited.eq(waited + 1)
            with m.Elif(~awake | self.on):
                m.d.sync += [waited.eq(0), clocking.eq(1), self.cs.eq(awake)]
        with m.Elif(reading & ~self.on):
            m.d.sync += [clocking.eq(0), reading.eq(0), bit.eq(0), self.sck.eq(0), self.cs.eq(0),
                         self.o.valid.eq(0)]
        with m.Elif(tick & ~self.sck):
            m.d.sync += [self.sck.eq(1), bit.eq(bit + 1)]
        with m.Elif(tick & ~held):
            m.d.sync += [self.sck.eq(0), self.copi.eq(bits[Cat(bit, awake)] & ~reading),
                         self.cs.eq(awake | bit[3:].all()),
                         self.o.payload.eq(Cat(self.cipo, self.o.payload))]
            with m.If(reading):
                m.d.sync += self.o.valid.eq(bit[:3] == 0)
            with m.Elif(bit == 0):
                m.d.sync += [awake.eq(1), reading.eq(awake)]
                with m.If(~awake):
                    m.d.sync += [clocking.eq(0), self.cs.eq(0)]
        return m
