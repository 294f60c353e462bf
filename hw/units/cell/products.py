"""Sums of products of a recurrent cell's gates: a word of weights a cycle."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import delay
from kaniwa.hw.parts.adders import times_signed
from kaniwa.units.cell.isa import GATES, PRODUCTS, WORD_BYTES

__all__ = ["CellProducts", "sums_layout", "operands_layout"]


def sums_layout() -> data.ArrayLayout:
    """A sum for each gate."""
    return data.ArrayLayout(signed(32), len(GATES))


def operands_layout() -> data.ArrayLayout:
    """Operands that the weights of a word are multiplied by: int8 less a zero point."""
    return data.ArrayLayout(signed(9), PRODUCTS)


class CellProducts(Component):
    """Adds up the words of a frame; ``sums`` are there with ``done``, 4 cycles behind the last one.

    A frame begins with its biases (``bias``; ``word`` is an int32 for each gate) or with its
    ``first`` word of weights: PRODUCTS for each gate, which meet ``operands``. Nothing waits.
    """

    def __init__(self):
        super().__init__({
            "valid": In(1), "bias": In(1), "first": In(1), "last": In(1),
            "word": In(unsigned(8 * WORD_BYTES)), "operands": In(operands_layout()),
            "done": Out(1), "sums": Out(sums_layout()),
        })

    def elaborate(self, platform):
        m = Module()
        products = []
        for gate in range(len(GATES)):
            of_gate = []
            for place in range(PRODUCTS):
                weight = self.word.word_select(PRODUCTS * gate + place, 8).as_signed()
                product = Signal(signed(17), name=f"product_{gate}_{place}", reset_less=True)
                m.d.sync += product.eq(times_signed(m, self.operands[place], weight))
                of_gate.append(product)
            products.append(of_gate)
        valid = delay(m, self.valid, 2, "valid")
        bias, first = delay(m, self.bias, 2, "bias"), delay(m, self.first, 2, "first")
        last, word = delay(m, self.last, 2, "last"), delay(m, self.word, 2, "word")
        m.d.sync += self.done.eq(valid & last)
        for gate, of_gate in enumerate(products):
            # Of four products of 9 by 8 bits: at most 2^17.
            step = Signal(signed(19), name=f"step_{gate}", reset_less=True)
            m.d.sync += step.eq((of_gate[0] + of_gate[1]) + (of_gate[2] + of_gate[3]))
            with m.If(valid):
                with m.If(bias):
                    m.d.sync += self.sums[gate].eq(word.word_select(gate, 32))
                with m.Else():
                    m.d.sync += self.sums[gate].eq(Mux(first, 0, self.sums[gate]) + step)
        return m
