"""Rescaling of 32-bit sums, one a cycle: LiteRT's MultiplyByQuantizedMultiplier."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import delay
from kaniwa.hw.parts.adders import wire

__all__ = ["CellRescale", "LATENCY", "EARLY"]

LATENCY = 9   # cycles from a sum to the result
EARLY = 2     # how much before the result its tag comes, too
LIMB = 16


class CellRescale(Component):
    """``o_value``: ``value`` * ``multiplier`` / 2^31, rounded half up, then / 2^``shift``, rounded
    half away from zero. A negative ``shift``, of LEFT_SHIFT at most, comes before all that; what
    it gives is modulo 2^32.

    ``tag`` comes out with the result, and EARLY cycles before it. Nothing waits. ``block_a``,
    ``block_b``, ``block_p``: two pairs of multiplier blocks of latency 2; those of a pair share b.
    """

    def __init__(self, tag: data.Layout):
        self._tag = tag
        super().__init__({
            "valid": In(1), "value": In(signed(32)), "multiplier": In(31), "shift": In(signed(6)),
            "tag": In(tag),
            "early_tag": Out(tag),
            "o_valid": Out(1), "o_value": Out(signed(32)), "o_tag": Out(tag),
            "block_a": Out(data.ArrayLayout(signed(18), 4)),
            "block_b": Out(data.ArrayLayout(signed(18), 2)),
            "block_p": In(data.ArrayLayout(signed(36), 4)),
        })

    def elaborate(self, platform):
        m = Module()
        # One to the left: by the number's bits inverted, and by one.
        value = Signal(signed(32), reset_less=True)
        left = wire(m, self.shift[-1].replicate(5) & ~self.shift[:5])
        m.d.sync += value.eq((self.value << left << self.shift[-1])[:32])
        multiplier = delay(m, self.multiplier, 1, "multiplier")

        # Each pair has a limb of the multiplier, each of its blocks one of the sum.
        for pair, limb in enumerate((multiplier[:LIMB], multiplier[LIMB:])):
            m.d.comb += [
                self.block_a[2 * pair].eq(value[:LIMB]),
                self.block_a[2 * pair + 1].eq(value[LIMB:].as_signed()),
                self.block_b[pair].eq(limb),
            ]
        parts = []
        for pair in range(2):
            low, high = self.block_p[2 * pair], self.block_p[2 * pair + 1]
            # The sum times a limb: at most 2^31 * 2^16.
            part = Signal(signed(49), name=f"part_{pair}", reset_less=True)
            m.d.sync += part.eq(Cat(low[:LIMB], low[LIMB:].as_signed() + high[:33].as_signed())
                                .as_signed())
            parts.append(part)
        total = Signal(signed(64), reset_less=True)
        m.d.sync += total.eq(Cat(parts[0][:LIMB], parts[0][LIMB:].as_signed() + parts[1])
                             .as_signed())
        doubled = Signal(signed(33), reset_less=True)
        m.d.sync += doubled.eq(total[31:].as_signed() + total[30])

        # What the rounding adds: half of 2^shift, less 1 below zero.
        shift = delay(m, Mux(self.shift[-1], 0, self.shift[:5]), 5, "shift")
        half, below = Signal(31, reset_less=True), Signal(31, reset_less=True)
        power = wire(m, (C(1, 1) << shift)[1:])
        m.d.sync += [half.eq(power), below.eq(Mux(shift == 0, 0, power - 1))]
        shift = delay(m, shift, 2, "shift_later")
        rounded = Signal(signed(33), reset_less=True)
        m.d.sync += rounded.eq(doubled + Mux(doubled[-1], below, half))
        coarse = Signal(signed(33), reset_less=True)
        m.d.sync += coarse.eq(rounded >> (shift & 0b11000))
        m.d.sync += self.o_value.eq(coarse >> delay(m, shift[:3], 1, "fine"))

        tag, valid = self.tag, self.valid
        for cycle in range(LATENCY - 1):
            later, after = Signal.like(tag, reset_less=True), Signal(name=f"valid_{cycle}")
            m.d.sync += [later.eq(tag), after.eq(valid)]
            tag, valid = later, after
            if cycle == LATENCY - EARLY - 1:
                m.d.comb += self.early_tag.eq(tag)
        m.d.sync += [self.o_tag.eq(tag), self.o_valid.eq(valid)]
        return m
