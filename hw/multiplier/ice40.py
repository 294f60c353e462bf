"""Multipliers of iCE40 UltraPlus: two int8 products in each SB_MAC16."""

from amaranth import *

from kaniwa.hw.multiplier.plain import Multiplier, adder_tree, delay

__all__ = ["DualMultiplierIce40"]

PRODUCT = 2   # output select: the product of 8 x 8 bits


class DualMultiplierIce40(Multiplier):
    """Two products of a row in each block, which works as two multipliers of 8 x 8 bits.

    One cycle for the products; if there are spare ones, the operands are registered as well.
    """

    product_cycles = 1

    def elaborate(self, platform):
        m = Module()
        operand_cycle = min(self.spare, 1)
        for row in range(self._rows):
            products = []
            for column in range(0, self._width, 2):
                products += self._block(m, row, column, operand_cycle)
            total = adder_tree(m, products[:self._width], f"sum_{row}")
            m.d.comb += self.sums[row].eq(
                delay(m, total, self.spare - operand_cycle, f"sum_{row}_delayed"))
        return m

    def _block(self, m, row, column, operand_cycle):
        """The products of a column and of the next one."""
        products = Signal(32, name=f"products_{row}_{column}")
        columns = range(column, min(column + 2, self._width))
        m.submodules[f"block_{row}_{column}"] = Instance(
            "SB_MAC16",
            p_MODE_8x8=Const(1, 1), p_A_SIGNED=Const(1, 1), p_B_SIGNED=Const(1, 1),
            p_A_REG=Const(operand_cycle, 1), p_B_REG=Const(operand_cycle, 1),
            p_TOP_8x8_MULT_REG=Const(1, 1), p_BOT_8x8_MULT_REG=Const(1, 1),
            p_TOPOUTPUT_SELECT=Const(PRODUCT, 2), p_BOTOUTPUT_SELECT=Const(PRODUCT, 2),
            i_CLK=ClockSignal(), i_CE=Const(1, 1),
            i_A=_word(self.activations[c] for c in columns),
            i_B=_word(self.weights[row][c] for c in columns),
            i_C=Const(0, 16), i_D=Const(0, 16),
            **{f"i_{port}": Const(0, 1) for port in (
                "AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT",
                "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI",
                "ACCUMCI", "SIGNEXTIN")},
            o_O=products,
        )
        return products[:16].as_signed(), products[16:].as_signed()


def _word(operands):
    """16 bits of one or two bytes."""
    return Cat(*operands, C(0, 8))[:16]
