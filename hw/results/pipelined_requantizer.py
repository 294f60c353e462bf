"""The requantizer that takes a vector a cycle, with multiplier blocks."""

from amaranth import *

from kaniwa.hw.parts.adders import above, weighted
from kaniwa.hw.results.requantizer import TOTAL, Products, Requantizer, delay
from kaniwa.hw.results.rounding import double_correction

__all__ = ["PipelinedRequantizer", "LATENCY"]

LATENCY = 9

# What a signed 18 x 18 multiplier block takes of an unsigned operand.
LIMB = 17
# Low multiplier bits that are multiplied at once by adders.
DIGIT = 4


class PipelinedRequantizer(Requantizer):
    """A ``Requantizer`` for requant_cycles = 1: a vector a cycle, latency LATENCY.

    A lane takes two 18 x 18 products of ``multiplier``, the strategy for the FPGA, for the high
    bits of the multiplier and a tree of adders for the low ones.
    """

    def _multiply(self, m, advance, full):
        """Cycles 1-5. Cycle 1 is the input's own: what it comes from may take the rest of a cycle.
        """
        m.d.comb += self.i.ready.eq(~full)
        given = Signal.like(self.i.payload, reset_less=True)
        with m.If(advance):
            m.d.sync += given.eq(self.i.payload)
        valid = delay(m, advance, self.i.valid, 5, reset_less=False)
        shift, settings, tag = (delay(m, advance, member, 4) for member in self._along(given))
        totals = [
            self._multiply_lane(m, advance, given, lane, shift[1][lane], settings[1].rounding)
            for lane in range(self.config.requant_lanes)
        ]
        return Products(valid[5], totals, shift[4], settings[4], tag[4])

    def _multiply_lane(self, m, advance, given, lane, shift, rounding):
        low_bits = self.config.multiplier_bits - LIMB

        # Cycle 2: operands.
        value = Signal(signed(32), reset_less=True)
        multiplier = Signal(self.config.multiplier_bits, reset_less=True)

        # Cycle 3: the high multiplier bits in two multiplier blocks, which have operand registers
        # of their own, the low ones in digits.
        new_value = Signal(signed(32))
        m.d.comb += new_value.eq(self._value(given, lane))
        new_multiplier = given.multiplier[lane][:self.config.multiplier_bits]
        block_low, block_high = self._multiplier.wide(), self._multiplier.wide()
        m.submodules[f"block_{lane}_low"] = block_low
        m.submodules[f"block_{lane}_high"] = block_high
        for block, limb in ((block_low, new_value[:LIMB]),
                            (block_high, new_value[LIMB:].as_signed())):
            m.d.comb += [block.enable.eq(advance), block.a.eq(limb),
                         block.b.eq(new_multiplier[low_bits:])]
        if self.config.vector_unit:
            self._lend(m, lane, block_low, block_high)
        product_low, product_high = block_low.p[:2 * LIMB], block_high.p[:32].as_signed()
        correction = Signal(signed(2), reset_less=True)
        digits = [multiplier[i:min(i + DIGIT, low_bits)] for i in range(0, low_bits, DIGIT)]
        products = [Signal(signed(32 + len(digit)), name=f"product_digit_{number}",
                           reset_less=True) for number, digit in enumerate(digits)]

        # Cycle 4: one sum for the high and one for the low bits of the multiplier. The unit of
        # the correction is that of bit 16 of the high sum.
        corrected = above(m, product_low, correction, LIMB - 1)
        high = Signal(signed(32 + LIMB), reset_less=True)
        low = Signal(signed(32 + low_bits), reset_less=True)

        # Cycle 5: the total.
        total = Signal(signed(TOTAL), reset_less=True)

        # Formed outside the condition, or each wire in them would be ANDed with it.
        new_products = [self._multiplier.times_few(m, value, digit) for digit in digits]
        new_high, new_low = above(m, corrected, product_high, LIMB), weighted(m, products, DIGIT)
        new_total = above(m, low, high, low_bits)
        new_correction = double_correction(value, shift, rounding, self.config.multiplier_bits)
        with m.If(advance):
            m.d.sync += [
                value.eq(new_value),
                multiplier.eq(new_multiplier),
                correction.eq(new_correction),
                *(product.eq(new) for product, new in zip(products, new_products, strict=True)),
                high.eq(new_high),
                low.eq(new_low),
                total.eq(new_total),
            ]
        return total

    def _lend(self, m, lane, *blocks):
        """Let ``vector`` have the blocks of a lane. They are enabled, as nothing waits in here."""
        vector = self.vector
        for number, block in enumerate(blocks, len(blocks) * lane):
            with m.If(vector.select):
                m.d.comb += [block.a.eq(vector.a[number]), block.b.eq(vector.b[lane])]
            m.d.comb += vector.p[number].eq(block.p)
