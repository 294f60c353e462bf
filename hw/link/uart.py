"""UART: bytes to and from a serial line, 8 data bits, no parity, one stop bit."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from kaniwa.errors import ConfigError

__all__ = ["BitClock", "Uart", "UartReceiver", "UartTransmitter"]

LEAST_CYCLES = 5   # a bit; with fewer, 3 % and the grid of the clock add up to half a bit


class BitClock:
    """A phase that wraps once a bit: any ratio of clock and baud, to 0.2 %."""

    def __init__(self, clock_hz: int, baud: int):
        if baud <= 0 or clock_hz < LEAST_CYCLES * baud:
            raise ConfigError(f"baud must be 1..clock / {LEAST_CYCLES} = "
                              f"{clock_hz // LEAST_CYCLES}, not {baud}")
        self.width = (clock_hz // baud).bit_length() + 9
        self.step = round((baud << self.width) / clock_hz)


class UartReceiver(wiring.Component):
    """Bytes from ``rx``; a byte whose stop bit is missing is dropped.

    Sampled in the middle of a bit, two of three neighboring samples decide. Takes lines that are
    3 % fast or slow, from 5 cycles a bit on. A byte comes in the middle of its stop bit and some
    cycles; one that comes while the last has not been taken is lost.
    """

    def __init__(self, clock: BitClock):
        self._clock = clock
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform):
        m = Module()
        level = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, level, init=1)
        before = Signal(2, init=3)
        m.d.sync += before.eq(Cat(level, before[0]))
        bit = (level & before[0]) | (level & before[1]) | (before[0] & before[1])

        step, width = self._clock.step, self._clock.width
        # Half a cycle, in the mean, lies between the edge and the first sample after it, and half
        # a one between the middle of a bit and the wrap of the phase.
        middle = (1 << width - 1) + step
        phase = Signal(width, init=middle)
        sample = Signal()
        following = Signal(width + 1)
        m.d.comb += [following.eq(phase + step), sample.eq(following[-1])]

        # The start bit goes in as a 1 at the top; when it comes out, eight bits have followed.
        bits = Signal(9, reset_less=True)
        m.d.sync += phase.eq(following)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [phase.eq(middle), bits.eq(1 << 8)]
                with m.If(~before[0]):
                    m.next = "START"
            with m.State("START"):
                with m.If(sample):
                    m.next = "BITS"
                    with m.If(bit):
                        m.next = "IDLE"
            with m.State("BITS"):
                with m.If(sample):
                    m.d.sync += bits.eq(Cat(bits[1:], bit))
                    with m.If(bits[0]):
                        m.next = "BREAK"
                        with m.If(bit):
                            m.next = "IDLE"
                            with m.If(~self.o.valid | self.o.ready):
                                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(bits[1:])]
            with m.State("BREAK"):   # no stop bit: wait for the line to be idle
                with m.If(before[0]):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to ``tx``, one behind the other without a gap: 10 bits a byte.

    With ``tells`` there is ``sending``, which is 1 until the stop bit of a byte is over.
    """

    def __init__(self, clock: BitClock, tells: bool = False):
        self._clock, self._tells = clock, tells
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1),
                          **({"sending": Out(1)} if tells else {})})

    def elaborate(self, platform):
        m = Module()
        phase = Signal(self._clock.width)
        following = Signal(self._clock.width + 1)
        # Start bit lowest, stop bit highest; zeros come in behind, so the last 1 is the stop bit.
        bits = Signal(10, init=1)
        last, idle, tick = Signal(init=1), Signal(init=1), Signal()   # last: of ``bits``
        m.d.comb += [
            following.eq(phase + self._clock.step),
            tick.eq(following[-1]),
            self.i.ready.eq(idle | (tick & last)),
        ]
        if self._tells:
            m.d.comb += self.sending.eq(~idle)
        m.d.sync += [self.tx.eq(bits[0]), phase.eq(Mux(idle, 0, following))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(C(0, 1), self.i.payload, C(1, 1))), last.eq(0), idle.eq(0)]
        with m.Elif(tick & last):
            m.d.sync += idle.eq(1)
        with m.Elif(tick):
            m.d.sync += [bits.eq(bits[1:]), last.eq(bits[2:] == 0)]
        return m


class Uart(wiring.Component):
    """Both directions: ``o`` from ``rx``, ``i`` to ``tx``. baud: at most clock_hz / 5.

    With ``tells`` there is ``sending``: a byte of ``i`` is on the line.
    """

    def __init__(self, clock_hz: int, baud: int, *, tells: bool = False):
        self._settings, self._tells = BitClock(clock_hz, baud), tells
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            **({"sending": Out(1)} if tells else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._settings)
        m.submodules.transmitter = transmitter = UartTransmitter(self._settings,
                                                                         self._tells)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        if self._tells:
            m.d.comb += self.sending.eq(transmitter.sending)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        return m
