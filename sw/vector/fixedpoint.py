"""Steps that vector kernels share: the fixed-point functions of LiteRT and gemmlowp.

Each writes instructions of a ``Builder``. ``Qm.f``: m integer and f fractional bits. Sources:
gemmlowp's ``fixedpoint.h`` and LiteRT's ``kernels/internal/common.h``.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Operand, Register
from kaniwa.vector.isa import Function, Shift

__all__ = ["rescale", "reciprocal", "RECIPROCAL_INTERCEPT", "inverse_square_root", "numbers_16",
           "logistic_16", "tanh_16", "sigmoid_16", "LOGISTIC_16", "TANH_16", "Numbers16", "Spare"]

RECIPROCAL_INTERCEPT = 1515870810   # 48/17 in Q2.29
SQRT_HALF = 1518500250   # in Q0.31
ONE_16 = 32767           # of Q0.15
UNIT_16 = 1 << 13        # of Q2.13
EXP_16 = (25520, 19875, 12055, 4435, 600, 11)   # exp(-2^k) in Q0.15, k = -2 ... 3; less is 0
EXP_MINUS_EIGHTH_16, THIRD_16 = 28918, 10923
INTERCEPT_16 = 23130     # 48/17 in Q2.13
# What ``sigmoid_16`` needs to know of an element's function: by how many bits its argument, and
# what exceeds the offset, is shifted; the offset; f(-a) + f(a).
LOGISTIC_16 = (0, 0, ONE_16)
TANH_16 = (1, -(1 << 14), 0)
Spare = tuple[Register, Register, Register, Register]


def rescale(k: Builder, d: Register, x: Register, multiplier: int, shift: int) -> None:
    """MultiplyByQuantizedMultiplier of ``x``: multiplier in Q31, then a left shift, -31 to 30."""
    if not -31 <= shift <= 30:
        raise ProgramError(f"a rescaling by 2^{shift} is beyond the vector unit's 2^-31 to 2^30")
    if shift > 0:
        k.shift_left(d, x, shift)
        x = d
    k.multiply(d, x, multiplier, Shift.UP_31)
    if shift < 0:
        k.shift_right(d, d, -shift, "away")


def reciprocal(k: Builder, mantissa: Register, places: Register, x: Register,
               spare: Register, intercept: Register) -> None:
    """1 / x of 0 < ``x`` < 2^30: ``mantissa`` in Q0.31, and ``places``, the leading zeros of x
    less 1.

    x * 2^places = 2^30 * (1 + a), and mantissa = 1 / (1 + a): Newton-Raphson in Q2.29, three steps.
    ``x`` is overwritten; ``intercept`` holds RECIPROCAL_INTERCEPT.
    """
    k.compute(Function.LEADING_ZEROS, places, x, factor=2)
    k.shift_left(x, x, places)   # (1 + a) / 2 in Q0.31
    k.multiply(mantissa, x, -1010580540, Shift.UP_31, plus=intercept)   # less 32/17 of it
    for _ in range(3):
        k.compute(Function.ADD, spare, x, factor=mantissa, shift=Shift.UP_31, addend=1 << 29,
                  negate=True)
        k.multiply(spare, spare, mantissa, Shift.UP_31)
        k.shift_left(mantissa, spare, 2, plus=mantissa)
    k.shift_left(mantissa, mantissa, 1)


def inverse_square_root(k: Builder, multiplier: Register, shift: Register, x: Register,
                        spare: tuple[Register, Register, Register]) -> None:
    """1 / sqrt(x) of integers 0 <= x < 2^29: multiplier in Q31, then a right shift; 0 counts as 1.

    ``x`` is overwritten.
    """
    small, half, cube = spare
    root = multiplier
    k.less(small, x, 2)
    k.maximum(x, x, 2)
    k.leading_zeros(shift, x)
    k.add(shift, shift, -1)
    k.shift_right(shift, shift, 1)
    k.add(shift, shift, -1)          # pairs of bits that x is shifted by
    k.shift_left(half, shift, 1)
    k.shift_left(x, x, half)
    k.shift_right(x, x, 1)           # Q3.28, as is all that follows
    k.shift_right(half, x, 1, "away")
    k.constant(root, 1 << 28)
    for _ in range(5):
        k.multiply(cube, root, root, Shift.UP_31)
        k.multiply(cube, cube, root, Shift.UP_31)
        k.shift_left(cube, cube, 6)
        k.multiply(cube, cube, half, Shift.UP_31)
        k.multiply(root, root, 3 << 27, Shift.UP_31)
        k.subtract(root, root, cube)
        k.shift_left(root, root, 3)
    k.multiply(root, root, SQRT_HALF, Shift.UP_31)
    k.add(half, shift, -11)
    k.maximum(half, half, 0)
    k.shift_left(root, root, half)
    k.subtract(shift, 11, shift)
    k.maximum(shift, shift, 0)
    k.select(root, small, (1 << 31) - 1)
    k.select(shift, small, 0)


@dataclass(frozen=True)
class Numbers16:
    """What the functions of 16 bits share: fractional bits of their arguments, which with the sign
    have ``bits``; and scalars with constants, for an instruction has but one of its own."""

    fraction_bits: int
    bits: int
    start: Register
    half: Register
    intercept: Register


def numbers_16(k: Builder, fraction_bits: int, bits: int = 16,
               like: Numbers16 | None = None) -> Numbers16:
    """Sets the scalars, for arguments with 9 to 14 ``fraction_bits``; what is the same for all is
    that of ``like``."""
    start = k.scalar()
    k.constant(start, (1 << 12) - (1 << 15 - fraction_bits))
    if like is not None:
        return Numbers16(fraction_bits, bits, start, like.half, like.intercept)
    numbers = Numbers16(fraction_bits, bits, start, k.scalar(), k.scalar())
    k.constant(numbers.half, 1 << 14)
    k.constant(numbers.intercept, INTERCEPT_16)
    return numbers


def logistic_16(k: Builder, d: Register, a: Register, spare: Spare, numbers: Numbers16) -> None:
    """gemmlowp's 1 / (1 + exp(-a)) of Q3.12 ``a``, in Q0.15; ``a`` stays."""
    result, half, x, error = spare
    _exp_of_minus_absolute(k, result, a, (half, x, error, d), numbers)
    _newton(k, x, result, (half, error), numbers)
    k.shift_left(result, x, 1)
    k.minimum(result, result, ONE_16)
    k.move(d, numbers.half)
    _by_sign(k, d, a, result, (x, half), ONE_16)


def tanh_16(k: Builder, d: Register, a: Register, spare: Spare, numbers: Numbers16) -> None:
    """gemmlowp's tanh of 16-bit ``a`` with 10 to 15 fractional bits, in Q0.15; ``a`` stays.

    ``numbers`` are those of one fractional bit less, for exp(-2|a|).
    """
    result, half, x, error = spare
    _exp_of_minus_absolute(k, result, a, (half, x, error, d), numbers)
    _newton(k, x, result, (half, error), numbers)
    k.add(result, x, -UNIT_16)
    k.shift_left(result, result, 2)
    k.minimum(result, result, ONE_16)
    k.constant(d, 0)
    _by_sign(k, d, a, result, (x, half), 0)


def sigmoid_16(k: Builder, d: Register, a: Register, kinds: tuple[Register, Register, Register],
               spare: Spare, numbers: Numbers16) -> None:
    """``logistic_16`` or ``tanh_16`` of Q3.12 ``a``, for each element the one that ``kinds`` holds
    the numbers of, LOGISTIC_16 or TANH_16; ``a`` stays. ``numbers`` are for 17 bits."""
    result, half, x, error = spare
    shift, offset, one = kinds
    k.shift_left(result, a, shift)
    _exp_of_minus_absolute(k, result, result, (half, x, error, d), numbers)
    _newton(k, x, result, (half, error), numbers)
    k.shift_left(result, x, 1, plus=offset)
    k.shift_left(result, result, shift)
    k.minimum(result, result, ONE_16)
    k.add(d, offset, 1 << 14)
    _by_sign(k, d, a, result, (x, half), one)


def _by_sign(k: Builder, d: Register, a: Register, positive: Register,
             spare: tuple[Register, Register], one: Operand) -> None:
    """d = positive where a > 0, one - positive where a < 0; elsewhere d stays."""
    below, other = spare
    k.less(below, a, 0)
    k.subtract(other, one, positive)
    k.select(positive, below, other)
    k.select(d, a, positive)


def _exp_of_minus_absolute(k: Builder, d: Register, a: Register, spare: Spare,
                           numbers: Numbers16) -> None:
    """d = exp(-|a|) in Q0.15 of ``a`` that is not 0; d may be a.

    With u = |a| - 1: the remainder of -|a| above its quarter, -1/4 to 0, is -1 - (u's bits below a
    quarter), and the other bits of u are the quarters that it exceeds -|a| by.
    """
    u, x2, x3, rest = spare
    fraction_bits = numbers.fraction_bits
    quarter = 1 << fraction_bits - 2
    k.subtract(x2, -1, a)
    k.add(u, a, -1)
    k.maximum(u, u, x2)
    k.bits(d, u, quarter - 1)
    k.multiply(d, d, -(1 << 15 - fraction_bits), plus=numbers.start)     # from -1/8 on
    k.multiply(x2, d, d, Shift.UP_15)
    k.multiply(x3, x2, d, Shift.UP_15)
    k.multiply(rest, x2, x2, Shift.UP_15)
    k.shift_right(rest, rest, 2, "away", plus=x3)       # x^3 + x^4 / 4
    k.multiply(rest, rest, THIRD_16, Shift.UP_15, plus=x2)
    k.shift_right(rest, rest, 1, "away", plus=d)
    k.multiply(d, rest, EXP_MINUS_EIGHTH_16, Shift.UP_15, plus=EXP_MINUS_EIGHTH_16)
    places = numbers.bits - 1 - (fraction_bits - 2)      # of u from a quarter on
    for number, factor in enumerate(EXP_16[:places]):
        k.bits(x2, u, quarter << number)
        k.multiply(x3, d, factor, Shift.UP_15)
        k.select(d, x2, x3)
    if places > len(EXP_16):     # exp(-16) and less is 0
        k.bits(x2, u, -(quarter << len(EXP_16)))
        k.select(d, x2, 0)


def _newton(k: Builder, d: Register, a: Register, spare: tuple[Register, Register],
            numbers: Numbers16) -> None:
    """d = 2 / (1 + a) in Q2.13 for Q0.15 ``a`` in [0, 1]: Newton-Raphson, three steps."""
    half, error = spare
    k.shift_right(half, a, 1, plus=numbers.half)        # (1 + a) / 2
    k.multiply(d, half, -15420, Shift.UP_15, plus=numbers.intercept)    # 48/17 - 32/17 * half
    for _ in range(3):
        k.compute(Function.ADD, error, half, factor=d, shift=Shift.UP_15, addend=UNIT_16,
                  negate=True)
        k.multiply(error, error, d, Shift.UP_15)
        k.shift_left(d, error, 2, plus=d)
