"""Sums of two numbers, each of which a bit turns on or off, in the carry cells of ECP5."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.parts.adders import times

__all__ = ["MaskedSum", "times_masked"]

INIT = 0x7888    # of a lookup table with the inputs A, B, C and D: (A and B) xor (C and D)


class MaskedSum(Component):
    """``o = a * a_on + b * b_on`` modulo 2^width, an even width, within the cycle.

    A CCU2C makes two bits, gates and all, where synthesis takes four more lookup tables for the
    gates. Where (A and B) equals (C and D), the carry is A and B: the cell looks it up in the four
    places of INIT in which C and D are 0.
    """

    def __init__(self, width: int):
        super().__init__({"a": In(width), "a_on": In(1), "b": In(width), "b_on": In(1),
                          "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        carry = C(0, 1)
        for bit in range(0, len(self.o), 2):
            following = Signal(name=f"carry_{bit}")
            m.submodules[f"cell_{bit}"] = Instance(
                "CCU2C",
                **{f"p_INIT{n}": Const(INIT, 16) for n in range(2)},
                **{f"p_INJECT1_{n}": "NO" for n in range(2)},
                **{f"i_A{n}": self.a[bit + n] for n in range(2)},
                **{f"i_B{n}": self.a_on for n in range(2)},
                **{f"i_C{n}": self.b[bit + n] for n in range(2)},
                **{f"i_D{n}": self.b_on for n in range(2)},
                **{f"o_S{n}": self.o[bit + n] for n in range(2)},
                i_CIN=carry, o_COUT=following,
            )
            carry = following
        return m


def times_masked(m, value, digit):
    """The signed ``value`` times a few bits, as ``adders.times``, two of them in a MaskedSum."""
    def of_two(m, value, two):
        m.submodules += (total := MaskedSum(len(value) + 2))
        m.d.comb += [
            total.a.eq(value), total.a_on.eq(two[0]),
            total.b.eq(Cat(C(0, 1), value).as_signed()), total.b_on.eq(two[1]),
        ]
        return total.o.as_signed()

    return times(m, value, digit, of_two)
