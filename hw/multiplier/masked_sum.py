"""Sums of two numbers, each of which a bit turns on or off, in the carry cells of ECP5."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.parts.adders import times

__all__ = ["MaskedSum", "times_masked"]

# Of A, B, C and D, the lowest input first: (A and B) xor (C and D).
INIT = "0111100010001000"


class MaskedSum(Component):
    """``o = a * a_on + b * b_on`` modulo 2^width, within the cycle: a CCU2C for two bits.

    Synthesis has gates of their own before the adder, twice as many lookup tables besides. The
    cell's two lookup tables need none: where (A and B) equals (C and D), its carry is A and B,
    which is what it looks up in the four places of INIT where C and D are 0.
    """

    def __init__(self, width: int):
        super().__init__({"a": In(width), "a_on": In(1), "b": In(width), "b_on": In(1),
                          "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        carry, unused = C(0, 1), Signal()
        for bit in range(0, len(self.o), 2):
            is_pair = bit + 1 < len(self.o)
            following = Signal(name=f"carry_{bit}")
            m.submodules[f"cell_{bit}"] = Instance(
                "CCU2C",
                **{f"p_INIT{n}": Const(int(INIT, 2), 16) for n in range(2)},
                **{f"p_INJECT1_{n}": "NO" for n in range(2)},
                i_A0=self.a[bit], i_B0=self.a_on, i_C0=self.b[bit], i_D0=self.b_on,
                i_A1=self.a[bit + 1] if is_pair else C(0, 1), i_B1=self.a_on,
                i_C1=self.b[bit + 1] if is_pair else C(0, 1), i_D1=self.b_on,
                i_CIN=carry, o_COUT=following,
                o_S0=self.o[bit], o_S1=self.o[bit + 1] if is_pair else unused,
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
