"""Products of logic alone, and sums of numbers that overlap in a few bits only."""

from amaranth import *

__all__ = ["wire", "above", "times", "times_signed", "weighted"]


def wire(m, value):
    """A signal of ``value``: an expression that is used twice is otherwise made twice."""
    signal = Signal(value.shape(), name="wire")
    m.d.comb += signal.eq(value)
    return signal


def above(m, low, high, place):
    """``low + high * 2^place``: the low bits of ``low`` need no adder."""
    upper = low[place:].as_signed() if low.shape().signed else low[place:]
    return wire(m, Cat(low[:place], upper + high).as_signed())


def times(m, value, digit):
    """The signed ``value`` times a few bits, as a balanced tree of adders."""
    if len(digit) == 1:
        return wire(m, (value.as_unsigned() & digit.replicate(len(value))).as_signed())
    half = len(digit) // 2
    total = above(m, times(m, value, digit[:half]), times(m, value, digit[half:]), half)
    return total[:len(value) + len(digit)].as_signed()


def times_signed(m, value, factor):
    """The product of two signed numbers, as a balanced tree of adders."""
    place = len(factor) - 1
    product = above(m, times(m, value, factor[:place]),
                    -times(m, value, factor[place:]), place)
    return product[:len(value) + len(factor)].as_signed()


def weighted(m, products, bits):
    """The sum of products, each ``bits`` bits above the one before it, by a tree of adders."""
    if len(products) == 1:
        return products[0]
    half = (len(products) + 1) // 2
    return above(m, weighted(m, products[:half], bits), weighted(m, products[half:], bits),
                 half * bits)
