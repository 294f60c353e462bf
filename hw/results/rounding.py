"""The end of a requantization, shared by all requantizers: rounding, zero point, clamp."""

from amaranth import *
from amaranth.lib import data

from kaniwa.hw.enums import Rounding

__all__ = ["QUOTIENT", "settings_layout", "double_correction", "rounded_quotient", "clamped"]

# Bits of the quotient that matter: from -256 down and 255 up, any zero point saturates int8.
QUOTIENT = 9


def settings_layout() -> data.StructLayout:
    """Settings that all lanes share: Rounding, zero point, and the limits of the result."""
    return data.StructLayout({
        "rounding": Rounding, "zero_point": signed(8), "low": signed(8), "high": signed(8),
    })


def double_correction(value, shift, rounding, multiplier_bits: int):
    """Number that Rounding.DOUBLE adds to the product of ``value`` beside half: -1, 0 or 1, in
    units of 2^(multiplier_bits - 1)."""
    active = (rounding == Rounding.DOUBLE) & (shift > multiplier_bits)
    return Cat(active, active & value[-1]).as_signed()


def rounded_quotient(m, enable, number, negative, rounding, zero_point):
    """The quotient rounded, with the zero point; a cycle, which ``enable`` lets pass.

    ``number`` is (value, sticky, overflow): the quotient with the half as its lowest bit, whether
    a bit below the half was 1, and whether the quotient has lost bits that are not its sign. Then
    the result is beyond int8 on the side of ``negative``, the sign of the product.
    """
    value, sticky, overflow = number
    half, odd = value[0], value[1]
    up = Signal()
    with m.Switch(rounding):
        with m.Case(Rounding.AWAY):
            m.d.comb += up.eq(half & (sticky | ~negative))
        with m.Case(Rounding.EVEN):
            m.d.comb += up.eq(half & (sticky | odd))
        with m.Default():
            m.d.comb += up.eq(half)
    # The half's bit is room for zero point and increment: -256 - 128 .. 255 + 1 + 127 for 9 bits.
    rounded = Signal(signed(len(value)), reset_less=True)
    with m.If(enable):
        m.d.sync += rounded.eq(value[1:].as_signed() + zero_point + up)
        with m.If(overflow):
            m.d.sync += rounded[-2:].eq(Cat(~negative, negative))
    return rounded


def clamped(rounded, low, high):
    """The rounded quotient within ``low`` and ``high``, combinational."""
    return Mux(rounded < low, low, Mux(rounded > high, high, rounded[:8].as_signed()))
