"""Multipliers: how int8 products are made and summed, a strategy for each kind of FPGA."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.errors import ConfigError
from kaniwa.hw.parts.adders import times, wire

__all__ = ["Multiplier", "PlainMultiplier", "WideProduct", "wide_ports", "activations_layout",
           "weights_layout", "sums_layout", "adder_tree", "delay"]


def activations_layout(width: int) -> data.ArrayLayout:
    """Activations, which all rows of a dot product share."""
    return data.ArrayLayout(signed(8), width)


def weights_layout(width: int, rows: int) -> data.ArrayLayout:
    """The weights of each row."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), width), rows)


def sums_layout(width: int, rows: int) -> data.ArrayLayout:
    """The dot product of each row: at most width * 2^14."""
    return data.ArrayLayout(signed(16 + exact_log2(width)), rows)


def wide_ports() -> dict:
    """Ports of a block that multiplies two signed numbers of 18 bits while ``enable`` is 1."""
    return {"enable": In(1), "a": In(signed(18)), "b": In(signed(18)), "p": Out(signed(36))}


class WideProduct(Component):
    """``p = a * b``, signed, with registers for operands and product: latency 2.

    Throughput: one product a cycle. The registers stand still while ``enable`` is 0. The product
    of two numbers of 18 bits has 35, but for -2^17 * -2^17, which has 36.
    """

    def __init__(self):
        super().__init__(wide_ports())

    def elaborate(self, platform):
        m = Module()
        a = Signal(signed(18), reset_less=True)
        b = Signal(signed(18), reset_less=True)
        p = Signal(signed(36), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [a.eq(self.a), b.eq(self.b), p.eq(a * b)]
        m.d.comb += self.p.eq(p)
        return m


class Multiplier(Component):
    """Dot products of ``width`` activations with the weights of each of ``rows`` output channels.

    A strategy is a subclass: it makes the sums in ``least_latency`` cycles, and pads them to
    ``latency`` cycles, so that the core takes the same cycles whatever it is built of. Throughput:
    one dot product of each row a cycle. A sum has 16 + log2(width) bits and cannot overflow:
    |product| <= 2^14. All int8 values are exact, -128 too.

    ``rows`` is 2 where the config has packed multipliers, else 1; a strategy that only works for
    one of them has it as ``only_rows``. ``product_cycles``: its cycles for a product. ``wide``:
    what makes products for the requantizer, with the ports and the latency of ``WideProduct``.
    ``narrow``: makes those of MUL. ``times_few``: a signed number times a few bits, by adders
    within the cycle.
    """

    only_rows = None
    wide = WideProduct
    times_few = staticmethod(times)

    @staticmethod
    def narrow(m, a, b):
        """``a * b``, signed, of up to 9 bits each, within the cycle; left to synthesis here."""
        return wire(m, a * b)

    def __init__(self, width: int, rows: int, latency: int):
        least = self.least_latency(width)
        if latency < least:
            raise ConfigError(f"{type(self).__name__} sums {width} products in {least} cycles, not "
                              f"{latency}: increase product_cycles by {least - latency}")
        if self.only_rows not in (None, rows):
            raise ConfigError(f"{type(self).__name__} needs packed_multipliers to be "
                              f"{'true' if self.only_rows == 2 else 'false'}")
        self._width, self._rows, self._latency = width, rows, latency
        super().__init__({
            "activations": In(activations_layout(width)),
            "weights": In(weights_layout(width, rows)),
            "sums": Out(sums_layout(width, rows)),
        })

    @classmethod
    def least_latency(cls, width: int) -> int:
        """Cycles from operands to sums: products, and a level of the adder tree each."""
        return cls.product_cycles + exact_log2(width)

    @property
    def spare(self) -> int:
        """Cycles of ``latency`` that the strategy does not need."""
        return self._latency - self.least_latency(self._width)


class PlainMultiplier(Multiplier):
    """Leaves each product to synthesis: one cycle for the products."""

    product_cycles = 1

    def elaborate(self, platform):
        m = Module()
        for row in range(self._rows):
            products = []
            for column in range(self._width):
                product = Signal(signed(16), name=f"product_{row}_{column}", reset_less=True)
                m.d.sync += product.eq(self.activations[column] * self.weights[row][column])
                products.append(product)
            total = adder_tree(m, products, f"sum_{row}")
            m.d.comb += self.sums[row].eq(delay(m, total, self.spare, f"sum_{row}_delayed"))
        return m


def adder_tree(m, terms, name):
    """The sum of ``terms`` (a power of two of them), a register after each level."""
    level = 0
    while len(terms) > 1:
        level += 1
        sums = []
        for index, (a, b) in enumerate(zip(terms[::2], terms[1::2], strict=True)):
            total = Signal(signed(len(a) + 1), name=f"{name}_{level}_{index}", reset_less=True)
            m.d.sync += total.eq(a + b)
            sums.append(total)
        terms = sums
    return terms[0]


def delay(m, value, cycles, name):
    """``value`` some cycles later."""
    for stage in range(cycles):
        later = Signal(value.shape(), name=f"{name}_{stage}", reset_less=True)
        m.d.sync += later.eq(value)
        value = later
    return value
