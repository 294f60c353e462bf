"""One value to int8 by ``(value * multiplier + b) >> shift``, a few bits of the product at a time.
"""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.results.rounding import (
    QUOTIENT,
    clamped,
    double_correction,
    rounded_quotient,
    settings_layout,
)

__all__ = ["CompactRequantizer"]

# Bits of the product with a zero below it, where the half is if nothing is shifted out.
PRODUCT = 64


class CompactRequantizer(Component):
    """As ``Requantizer`` with one lane, but one value at a time and without a multiplier.

    With ``start`` the value begins; it and the settings stay until ``done``, a pulse at the
    earliest ``cycles`` + 3 later, from which on ``result`` has it until the next ``start``.
    ``cycles`` = requant_cycles, or where shift is large as many as bring the quotient's bits out:
    shift // digit + words, digit = 64 // requant_cycles bits a cycle.

    The product leaves from its lowest bit on. What is below the half is told from zero, then come
    the bits of the quotient, and all others must be its sign, else it saturates.
    """

    def __init__(self, config: AcceleratorConfig):
        self._bits = config.multiplier_bits
        self._digit = PRODUCT // config.requant_cycles
        self._cycles = config.requant_cycles
        super().__init__({
            "start": In(1),
            "value": In(signed(32)),
            "multiplier": In(31),
            "shift": In(6),
            "settings": In(settings_layout()),
            "done": Out(1),
            "result": Out(signed(8)),
        })

    def elaborate(self, platform):
        m = Module()
        digit, grain = self._digit, exact_log2(self._digit)
        words = -(-(1 + QUOTIENT + digit - 1) // digit)   # of digit bits: half and quotient
        rest = Signal(signed(32), reset_less=True)
        multiplier = Signal(self._bits, reset_less=True)
        held = Signal(reset_less=True)      # the bit before those of this cycle
        window = Signal(words * digit, reset_less=True)
        sticky, overflow = Signal(reset_less=True), Signal(reset_less=True)
        below = Signal(6 - grain, reset_less=True)      # cycles until the half
        missing = Signal(range(words + 1), reset_less=True)   # of the window
        left = Signal(range(self._cycles), reset_less=True)
        busy = Signal()
        rounding = Signal()   # the next stages
        clamping = Signal()

        # rest + value * digit, a bit of the multiplier after the other. |rest| <= 2^31.
        total, out = rest, []
        for number in range(digit):
            added = Signal(signed(33), name=f"added_{number}")
            m.d.comb += added.eq(Mux(multiplier[number], total + self.value, total))
            out.append(added[0])
            total = added[1:].as_signed()
        bits = Cat(held, *out)[:digit]
        with m.If(busy):
            m.d.sync += [rest.eq(total), held.eq(out[-1]), multiplier.eq(multiplier[digit:])]
            with m.If(below != 0):
                m.d.sync += [below.eq(below - 1), sticky.eq(sticky | bits.any())]
            with m.Elif(missing != 0):
                m.d.sync += [missing.eq(missing - 1), window.eq(Cat(window[digit:], bits))]
            with m.Else():
                m.d.sync += overflow.eq(
                    overflow | (bits ^ window[-1].replicate(digit)).any())
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.If((left == 0) & (below == 0) & (missing <= 1)):
                m.d.sync += busy.eq(0)
                m.d.comb += rounding.eq(1)

        correction = double_correction(self.value, self.shift, self.settings.rounding, self._bits)
        with m.If(self.start):
            m.d.sync += [
                rest.eq(Cat(C(0, self._bits - 1), correction).as_signed()),
                multiplier.eq(self.multiplier),
                held.eq(0), sticky.eq(0), overflow.eq(0), busy.eq(1),
                below.eq(self.shift[grain:]), missing.eq(words), left.eq(self._cycles - 1),
            ]
        finish = Signal()
        m.d.sync += [finish.eq(rounding), clamping.eq(finish), self.done.eq(clamping)]
        self._finish(m, finish, window, sticky, overflow, rest[-1])
        return m

    def _finish(self, m, finish, window, sticky, overflow, negative):
        """Round, a cycle; clamp, another."""
        settings, fine = self.settings, self.shift[:exact_log2(self._digit)]
        low = Signal()   # bits below the half
        number = Signal(signed(len(window)))
        m.d.comb += [
            number.eq(window.as_signed() >> fine),
            low.eq(sticky | Cat(window[i] & (fine > i) for i in range(self._digit - 1)).any()),
        ]
        rounded = rounded_quotient(m, finish, (number, low, overflow), negative,
                                   settings.rounding, settings.zero_point)
        # Kept up to date from then on: ``rounded`` and the settings stay.
        m.d.sync += self.result.eq(clamped(rounded, settings.low, settings.high))
