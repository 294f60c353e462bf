"""Multipliers of logic alone."""

from amaranth import *

from kaniwa.hw.multiplier.plain import Multiplier, adder_tree, delay

__all__ = ["LutMultiplier"]


class LutMultiplier(Multiplier):
    """Adds an activation for each bit of the weight: no product that synthesis could give a block.

    One cycle for the products; up to two spare ones make the sums of 2 and of 4 bits' activations
    registers.
    """

    product_cycles = 1

    def elaborate(self, platform):
        m = Module()
        registered = min(self.spare, 2)
        for row in range(self._rows):
            products = [self._product(m, f"product_{row}_{column}", registered,
                                      self.activations[column], self.weights[row][column])
                        for column in range(self._width)]
            total = adder_tree(m, products, f"sum_{row}")
            m.d.comb += self.sums[row].eq(
                delay(m, total, self.spare - registered, f"sum_{row}_delayed"))
        return m

    def _product(self, m, name, registered, activation, weight):
        """``activation * weight``; the weight's highest bit counts -2^7."""
        bits = [Mux(bit, activation, 0) for bit in weight]
        sums = [bits[i] + (bits[i + 1] << 1) for i in range(0, 6, 2)] + [bits[6] - (bits[7] << 1)]
        place = 2
        # The last sum, the product, always has a register, those before it as cycles allow.
        for level, domain in enumerate([m.d.comb] * (2 - registered) + [m.d.sync] * registered):
            stages = [Signal(signed(8 + place), name=f"{name}_{level}_{i}", reset_less=True)
                      for i in range(len(sums))]
            domain += [stage.eq(total) for stage, total in zip(stages, sums, strict=True)]
            sums = [low + (high << place)
                    for low, high in zip(stages[::2], stages[1::2], strict=True)]
            place *= 2
        product = Signal(signed(16), name=name, reset_less=True)
        m.d.sync += product.eq(sums[0])
        return product
