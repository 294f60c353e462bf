"""Multipliers of ECP5: one or two int8 products in each 18 x 18 block."""

from amaranth import *

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.multiplier.masked_sum import MaskedSum, times_masked
from kaniwa.hw.multiplier.mult18x18 import Mult18x18
from kaniwa.hw.multiplier.plain import Multiplier, adder_tree, delay
from kaniwa.hw.parts.adders import times_signed

__all__ = ["Ecp5Multiplier", "PackedMultiplierEcp5", "ecp5_multiplier"]

# Place of the second weight: P = b * (a1 * 2^PLACE + a0). All of int8 fits 18 bits; 2^10 would not.
PLACE = 9
# |b * a0| <= 2^14, so above its PLACE low bits it has this many, but for 2^14 itself.
UPPER = 15 - PLACE


class Ecp5Multiplier(Multiplier):
    """A block a product, with its registers in use: three cycles for the products."""

    product_cycles = 3
    wide = Mult18x18
    times_few = staticmethod(times_masked)

    def elaborate(self, platform):
        m = Module()
        for row in range(self._rows):
            products = []
            for column in range(self._width):
                m.submodules[f"block_{row}_{column}"] = block = Mult18x18(pipeline=True)
                m.d.comb += [block.enable.eq(1), block.a.eq(self.weights[row][column]),
                             block.b.eq(self.activations[column])]
                products.append(block.p[:16].as_signed())
            total = adder_tree(m, products, f"sum_{row}")
            m.d.comb += self.sums[row].eq(delay(m, total, self.spare, f"sum_{row}_delayed"))
        return m


class PackedMultiplierEcp5(Multiplier):
    """Two products in a block: those of one activation b with the weights a0, a1 of two channels.

    ``P = b * (a1 * 2^9 + a0)``. Its low 9 bits are those of b * a0; the next 6 bits of b * a0 are
    P[9:15] - b * a1 modulo 64, for which the low 6 bits of b and a1 are enough. They leave one
    case open, b * a0 = 2^14, which the signs tell from -2^14, that cannot be. Only sums are
    separated: sum(b * a1) = (sum(P) - sum(b * a0)) / 2^9, exactly.

    Three cycles for P, one for b * a0 and one for the difference of the sums.
    """

    only_rows = 2
    product_cycles = 3
    wide = Mult18x18
    times_few = staticmethod(times_masked)
    narrow = staticmethod(times_signed)   # the blocks are for the array

    @classmethod
    def least_latency(cls, width: int) -> int:
        """Cycles from operands to sums."""
        return super().least_latency(width) + 2

    def elaborate(self, platform):
        m = Module()
        packed, low = [], []
        for column in range(self._width):
            p, product = self._pair(m, column, self.activations[column],
                                    self.weights[0][column], self.weights[1][column])
            packed.append(p)
            low.append(product)
        low_sum = adder_tree(m, low, "low")
        packed_sum = delay(m, adder_tree(m, packed, "packed"), 1, "packed_sum")

        high_sum = Signal(self.sums[1].shape(), reset_less=True)
        m.d.sync += high_sum.eq(packed_sum[PLACE:].as_signed() - low_sum[PLACE:].as_signed())
        m.d.comb += [
            self.sums[0].eq(delay(m, low_sum, 1 + self.spare, "sum_0_delayed")),
            self.sums[1].eq(delay(m, high_sum, self.spare, "sum_1_delayed")),
        ]
        return m

    def _pair(self, m, column, b, a0, a1):
        """P, after 3 cycles, and b * a0, after 4."""
        m.submodules[f"block_{column}"] = block = Mult18x18(pipeline=True)
        m.d.comb += [
            block.enable.eq(1),
            # The sum in 9 + 9 bits: only the upper ones need an adder.
            block.a.eq(Cat(a0, a0[-1], (a1 - a0[-1])[:18 - PLACE])),
            block.b.eq(b),
        ]

        # Cycle 1: what two bits of a1 each add to the low 6 bits of b * a1. Cycle 2: their sum.
        parts = []
        for place in range(0, UPPER, 2):
            part = Signal(UPPER - place, name=f"part_{column}_{place}", reset_less=True)
            m.submodules[f"part_sum_{column}_{place}"] = total = MaskedSum(UPPER - place)
            m.d.comb += [total.a.eq(b), total.a_on.eq(a1[place]),
                         total.b.eq(Cat(C(0, 1), b)), total.b_on.eq(a1[place + 1])]
            m.d.sync += part.eq(total.o)
            parts.append(part << place)
        high = Signal(UPPER, name=f"high_{column}", reset_less=True)
        m.d.sync += high.eq(sum(parts))
        high = delay(m, high, 1, f"high_{column}_delayed")
        differ = delay(m, b[-1] ^ a0[-1], 3, f"differ_{column}")

        # Cycle 4: the bits of b * a0 above the low 9.
        p = block.p[:25].as_signed()   # |P| <= 128 * (128 * 512 + 128) < 2^24
        upper = Signal(UPPER, name=f"upper_{column}")
        m.d.comb += upper.eq(p[PLACE:PLACE + UPPER] - high)
        product = Signal(signed(16), name=f"low_{column}", reset_less=True)
        m.d.sync += product.eq(Cat(p[:PLACE], upper, upper[-1] & differ))
        return p, product


def ecp5_multiplier(config: AcceleratorConfig) -> type[Multiplier]:
    """The strategy for ``config`` on ECP5."""
    return PackedMultiplierEcp5 if config.packed_multipliers else Ecp5Multiplier
