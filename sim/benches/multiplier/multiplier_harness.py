"""A multiplier under test, and beside it copies of it that multiply all there is to multiply."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.multiplier.plain import activations_layout, sums_layout, weights_layout
from kaniwa.isa import FACTOR_BITS

__all__ = ["Harness"]

COPIES = 2   # few: a multiplier takes long to compile, and little to simulate


class Harness(Component):
    """``activations``, ``weights``, ``sums``: those of the multiplier, for a bench to drive.

    Meanwhile ``COPIES`` multipliers of width 1 get all 2^8 activations with all 2^8 weights (2^16
    pairs of them, for two rows), a case a cycle each, and are compared with products by ``*``.
    When ``done``, ``cases`` is how many there were, ``mismatches`` how many of them were wrong,
    and ``wrong`` one of these: activation, weights, and what came out, low first.
    ``narrow_mismatches``: of ``narrow`` products, whose operands are the lowest bits of the number
    of the cycle: there are cycles enough for all of them where there are two rows.
    """

    def __init__(self, strategy: Any, width: int, rows: int, latency: int, own_latency: int):
        self._strategy, self._rows = strategy, rows
        self._width, self._latency, self._own_latency = width, latency, own_latency
        self.case_bits = 8 * (1 + rows)
        super().__init__({
            "activations": In(activations_layout(width)),
            "weights": In(weights_layout(width, rows)),
            "sums": Out(sums_layout(width, rows)),
            "done": Out(1),
            "cases": Out(self.case_bits + 1),
            "mismatches": Out(self.case_bits + 1),
            "narrow_mismatches": Out(self.case_bits + 1),
            "wrong": Out(data.ArrayLayout(signed(16), 1 + 2 * rows)),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.dot_product = dot_product = self._strategy(
            self._width, self._rows, self._latency)
        m.d.comb += [
            dot_product.activations.eq(self.activations),
            dot_product.weights.eq(self.weights),
            self.sums.eq(dot_product.sums),
        ]

        # The number of a case is its operands: the lowest bits number the copy.
        copy_bits = (COPIES - 1).bit_length()
        last = (1 << self.case_bits - copy_bits) - 1
        count = Signal(range(last + self._own_latency + 2))
        with m.If(~self.done):
            m.d.sync += count.eq(count + 1)
        m.d.comb += self.done.eq(count == last + self._own_latency + 1)
        checked = Signal(signed(len(count) + 1))
        m.d.comb += checked.eq(count - self._own_latency)
        a, b = (Cat(count, Const(0, 2 * FACTOR_BITS))[place:place + FACTOR_BITS].as_signed()
                for place in (0, FACTOR_BITS))
        expected = Signal(signed(2 * FACTOR_BITS))
        m.d.comb += expected.eq(a * b)
        with m.If(~self.done & (self._strategy.narrow(m, a, b) != expected)):
            m.d.sync += self.narrow_mismatches.eq(self.narrow_mismatches + 1)

        wrong, results = [], []
        for number in range(COPIES):
            m.submodules[f"copy_{number}"] = copy = self._strategy(
                1, self._rows, self._own_latency)
            activation, *weights = _operands(count, number, copy_bits, self._rows)
            m.d.comb += [copy.activations[0].eq(activation),
                         *(copy.weights[row][0].eq(weights[row]) for row in range(self._rows))]
            activation, *weights = _operands(checked, number, copy_bits, self._rows)
            products = []
            for row, weight in enumerate(weights):
                product = Signal(signed(16), name=f"product_{number}_{row}")
                m.d.comb += product.eq(activation * weight)
                products.append(product)
            wrong.append(Cat(copy.sums[row] != products[row] for row in range(self._rows)).any())
            results.append([activation, *weights, *copy.sums])

        with m.If((checked >= 0) & (checked <= last)):
            m.d.sync += [self.cases.eq(self.cases + COPIES),
                         self.mismatches.eq(self.mismatches + sum(wrong))]
            with m.If(Cat(wrong).any()):
                for index, value in enumerate(self.wrong):
                    chosen: Any = results[0][index]
                    for bit, result in zip(wrong, results, strict=True):
                        chosen = Mux(bit, result[index], chosen)
                    m.d.sync += value.eq(chosen)
        return m


def _operands(count: Any, number: int, copy_bits: int, rows: int) -> list[Any]:
    """Activation and weights of a copy in a case."""
    bits = Cat(Const(number, copy_bits), count)[:8 * (1 + rows)]
    return [bits[8 * i:8 * i + 8].as_signed() for i in range(1 + rows)]

