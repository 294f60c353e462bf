"""Products of logic alone, and sums of numbers that overlap in a few bits only."""

from amaranth import *

__all__ = ["wire", "above", "times", "times_signed", "weighted"]


def wire(m, value):
    """A signal of ``value``: an expression that is used twice is otherwise made twice.

    To be called outside ``m.If`` and the like: what is assigned there is 0 elsewhere, which would
    take a gate for each bit. The same holds for what is made of such signals below.
    """
    signal = Signal(value.shape(), name="wire")
    m.d.comb += signal.eq(value)
    return signal


def above(m, low, high, place):
    """``low + high * 2^place``: the low bits of ``low`` need no adder."""
    upper = low[place:].as_signed() if low.shape().signed else low[place:]
    return wire(m, Cat(low[:place], upper + high).as_signed())


def times(m, value, digit, of_two=None):
    """The signed ``value`` times a few bits, as a balanced tree of adders.

    ``of_two(m, value, bits)`` makes what two of the bits give, where an FPGA has means of its own.
    """
    if len(digit) == 1:
        return wire(m, (value.as_unsigned() & digit.replicate(len(value))).as_signed())
    if len(digit) == 2 and of_two:
        return of_two(m, value, digit)
    half = len(digit) // 2
    total = above(m, times(m, value, digit[:half], of_two),
                  times(m, value, digit[half:], of_two), half)
    return total[:len(value) + len(digit)].as_signed()


def times_signed(m, value, factor):
    """The product of two signed numbers, the second of 5 bits at least, by a tree of adders.

    The factor's two highest bits are one digit, -2 to 1, so that there is no sum for the sign.
    """
    place = len(factor) - 3
    third, second, sign = factor[place:]
    multiple = Mux(second, Cat(value, value[-1]), Mux(sign, Cat(C(0, 1), value), 0))
    negated = wire(m, multiple ^ sign.replicate(len(value) + 1)).as_signed()   # less 1 if ``sign``
    plain = wire(m, value.as_unsigned() & third.replicate(len(value)))
    # One bit more, for a carry into the lowest one.
    upper = Cat(C(1, 1), plain[1:]).as_signed() + Cat(sign, negated).as_signed()
    top = wire(m, Cat(plain[0], upper[1:]).as_signed())
    half = 1 << (place - 1).bit_length() - 1
    middle = above(m, times(m, value, factor[half:place]), top, place - half)
    product = above(m, times(m, value, factor[:half]), middle, half)
    return product[:len(value) + len(factor)].as_signed()


def weighted(m, products, bits):
    """The sum of products, each ``bits`` bits above the one before it, by a tree of adders."""
    if len(products) == 1:
        return products[0]
    half = (len(products) + 1) // 2
    return above(m, weighted(m, products[:half], bits), weighted(m, products[half:], bits),
                 half * bits)
