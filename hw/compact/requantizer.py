"""Values to int8 by ``(value * multiplier + b) >> shift``, a few bits of the product at a time."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Rounding
from kaniwa.hw.results.rounding import (
    QUOTIENT,
    clamped,
    double_correction,
    rounded_quotient,
    settings_layout,
)

__all__ = ["CompactRequantizer"]

# Bits of the multiplier and a zero, and as many of what is left once they are used up. With a
# zero below them they are the product: the half is the zero if nothing is shifted out.
HALF = 32


class CompactRequantizer(Component):
    """As ``Requantizer`` with one lane, but without a multiplier, and in two stages.

    With ``take`` and ``ready`` the value is kept, as ``kept`` shows; with ``start`` beside them its
    product begins. So a value may be taken a cycle earlier, for the next one to add to it.
    The first stage multiplies: the lower half of the product leaves from its lowest bit on. In the
    second stage the upper half does. What is below the half is told from zero, then come the bits
    of the quotient, and all others must be its sign, else it saturates.

    ``finish``: in this cycle, in which ``free`` is 1, ``settings`` are looked at; they are those
    for ``finishing``, the value's tag. ``low`` and ``high`` are those of ``tag``, the same one
    from the next cycle on; ``result`` is there one cycle after that. Both stay until the next
    ``finish``. Throughput: a value in requant_cycles + 1; in as many more as bring the quotient's
    bits out where shift is large: shift // digit + words - 2 * requant_cycles, for digit =
    32 // requant_cycles bits a cycle. Latency: twice the throughput, and 2.
    """

    def __init__(self, config: AcceleratorConfig, tag_layout: data.Layout):
        self._bits = config.multiplier_bits
        self._digit = HALF // config.requant_cycles
        self._cycles = config.requant_cycles
        self._tag = tag_layout
        super().__init__({
            "take": In(1),
            "start": In(1),
            "ready": Out(1),
            "value": In(signed(32)),
            "kept": Out(signed(32)),
            "multiplier": In(31),
            "shift": In(6),
            "rounding": In(Rounding),
            "start_tag": In(tag_layout),
            "free": In(1),
            "finish": Out(1),
            "finishing": Out(tag_layout),
            "settings": In(settings_layout()),
            "tag": Out(tag_layout),
            "result": Out(signed(8)),
        })

    def elaborate(self, platform):
        m = Module()
        layout = self._stage_layout()
        lower = Signal(layout, reset_less=True)
        upper = Signal(layout, reset_less=True)
        value = Signal(signed(32), reset_less=True)
        multiplier = Signal(self._bits, reset_less=True)
        moves = Signal()     # from the first stage to the second
        lower_full, upper_full = Signal(), Signal()
        ended = lower.left[-1]
        done = upper.left[-1]
        m.d.comb += [
            self.kept.eq(value),
            self.finishing.eq(upper.tag),
            self.finish.eq(upper_full & done & self.free),
            moves.eq(lower_full & ended & (~upper_full | self.finish)),
            self.ready.eq(~lower_full | moves),
        ]

        # rest + value * digit, a bit of the multiplier after the other. |rest| <= 2^31.
        total, out = lower.rest, []
        for number in range(self._digit):
            added = Signal(signed(33), name=f"added_{number}")
            m.d.comb += added.eq(Mux(multiplier[number], total + value, total))
            out.append(added[0])
            total = added[1:].as_signed()
        with m.If(~ended):
            m.d.sync += [multiplier.eq(multiplier[self._digit:]),
                         lower.left.eq(lower.left - 1)]
            self._shift(m, lower, out, total)
        correction = double_correction(self.value, self.shift, self.rounding, self._bits)
        with m.If(self.take & self.ready):
            m.d.sync += value.eq(self.value)
        with m.If(moves):
            m.d.sync += lower_full.eq(0)
        with m.If(self.start & self.ready):
            grain = exact_log2(self._digit)
            m.d.sync += [
                lower_full.eq(1),
                multiplier.eq(self.multiplier),
                lower.rest.eq(Cat(C(0, self._bits - 1), correction).as_signed()),
                Cat(lower.held, lower.sticky, lower.overflow).eq(0),
                lower.below.eq(self.shift[grain:]), lower.fine.eq(self.shift[:grain]),
                lower.missing.eq(self._words), lower.left.eq(self._cycles - 1),
                lower.tag.eq(self.start_tag),
            ]

        with m.If(self.finish):
            m.d.sync += [upper_full.eq(0), self.tag.eq(upper.tag)]
        with m.If(~done):
            with m.If((upper.left != 0) | ((upper.below == 0) & (upper.missing <= 1))):
                m.d.sync += upper.left.eq(upper.left - 1)
            rest = upper.rest
            self._shift(m, upper, list(rest[:self._digit]), rest[self._digit:].as_signed())
        with m.If(moves):
            m.d.sync += [upper.eq(lower), upper.left.eq(self._cycles - 1), upper_full.eq(1)]
        self._finish(m, upper)
        return m

    @property
    def _words(self):
        """Words of digit bits that surely have the half and the quotient."""
        return -(-(1 + QUOTIENT + self._digit - 1) // self._digit)

    def _stage_layout(self):
        """What a stage knows of the product."""
        words, grain = self._words, exact_log2(self._digit)
        return data.StructLayout({
            "rest": signed(32),      # above what has left
            "held": 1,               # the bit before those of this cycle
            "window": words * self._digit,
            "sticky": 1,
            "overflow": 1,
            "below": 6 - grain,      # cycles until the half
            "fine": grain,           # and bits
            "missing": range(words + 1),          # of the window
            "left": range(2 * self._cycles),      # cycles after this one; its highest bit: none
            "tag": self._tag,
        })

    def _shift(self, m, stage, out, rest):
        """The bits of a cycle leave."""
        bits = Cat(stage.held, *out)[:self._digit]
        m.d.sync += [stage.rest.eq(rest), stage.held.eq(out[-1])]
        with m.If(stage.below != 0):
            m.d.sync += [stage.below.eq(stage.below - 1),
                         stage.sticky.eq(stage.sticky | bits.any())]
        with m.Elif(stage.missing != 0):
            m.d.sync += [stage.missing.eq(stage.missing - 1),
                         stage.window.eq(Cat(stage.window[self._digit:], bits))]
        with m.Else():
            m.d.sync += stage.overflow.eq(
                stage.overflow | (bits ^ stage.window[-1].replicate(self._digit)).any())

    def _finish(self, m, stage):
        """Round, a cycle; clamp, another."""
        settings, fine, window = self.settings, stage.fine, stage.window
        low = Signal()   # bits below the half
        number = Signal(signed(len(window)))
        m.d.comb += [
            number.eq(window.as_signed() >> fine),
            low.eq(stage.sticky | Cat(window[i] & (fine > i)
                                      for i in range(self._digit - 1)).any()),
        ]
        rounded = rounded_quotient(m, self.finish, (number, low, stage.overflow), stage.rest[-1],
                                   settings.rounding, settings.zero_point)
        # Kept up to date from then on: ``rounded`` and the settings stay.
        m.d.sync += self.result.eq(clamped(rounded, settings.low, settings.high))
