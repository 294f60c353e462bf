"""The requantizer that takes requant_cycles cycles for a vector, with adders only."""

from amaranth import *

from kaniwa.hw.parts.adders import times
from kaniwa.hw.results.requantizer import TOTAL, Products, Requantizer, delay
from kaniwa.hw.results.rounding import double_correction

__all__ = ["SerialRequantizer", "LATENCY"]

LATENCY = 5   # beside requant_cycles


class SerialRequantizer(Requantizer):
    """A ``Requantizer`` for requant_cycles above 1: a vector in that many cycles, a few bits of
    the multiplier in each; latency requant_cycles + LATENCY."""

    def _multiply(self, m, advance, full):
        """requant_cycles cycles of a few multiplier bits each, low ones first."""
        cycles = self.config.requant_cycles
        busy = Signal()
        step = Signal(range(cycles))
        last = step == cycles - 1
        accepted = self.i.valid & self.i.ready
        given = self._along(self.i.payload)
        along = [Signal(member.shape(), reset_less=True) for member in given]
        valid = delay(m, advance, busy & last, 1, reset_less=False)[1]
        finished = [delay(m, advance, member, 1)[1] for member in along]

        m.d.comb += self.i.ready.eq(advance & (~busy | last))
        with m.If(advance):
            with m.If(busy):
                m.d.sync += step.eq(step + 1)
            with m.If(accepted):
                m.d.sync += busy.eq(1)
                m.d.sync += [register.eq(member)
                             for register, member in zip(along, given, strict=True)]
            with m.Elif(last):
                m.d.sync += busy.eq(0)

        shift, settings, _ = along
        totals = [
            self._multiply_lane(
                m, lane, advance & busy, accepted, step == 0, shift[lane], settings.rounding)
            for lane in range(self.config.requant_lanes)
        ]
        return Products(valid, totals, *finished)

    def _multiply_lane(self, m, lane, running, accepted, first, shift, rounding):
        digit_bits = 32 // self.config.requant_cycles
        bits = self.config.multiplier_bits
        value = Signal(signed(32), reset_less=True)
        multiplier = Signal(bits, reset_less=True)
        # The bits already shifted out, and the rest: |rest| <= 2^31.
        low = Signal(32, reset_less=True)
        rest = Signal(signed(32), reset_less=True)
        # |value * digit + rest| <= 2^31 * 2^digit_bits, which only the negative side reaches.
        total = Signal(signed(32 + digit_bits))
        correction = Cat(
            C(0, bits - 1), double_correction(value, shift, rounding, bits)).as_signed()
        m.d.comb += total.eq(
            times(m, value, multiplier[:digit_bits]) + Mux(first, correction, rest))
        with m.If(running):
            m.d.sync += [
                low.eq(Cat(low[digit_bits:], total[:digit_bits])),
                rest.eq(total[digit_bits:].as_signed()),
                multiplier.eq(multiplier[digit_bits:]),
            ]
        with m.If(accepted):
            m.d.sync += [
                value.eq(self._value(self.i.payload, lane)),
                multiplier.eq(self.i.payload.multiplier[lane]),
            ]
        return Cat(low, rest)[:TOTAL].as_signed()
