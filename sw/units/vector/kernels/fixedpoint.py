"""Steps that vector kernels share: the fixed-point functions of LiteRT and gemmlowp.

Each writes instructions of a ``Builder``. ``Qm.f``: m integer and f fractional bits. Sources:
gemmlowp's ``fixedpoint.h`` and LiteRT's ``kernels/internal/common.h``.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Operand, Register
from kaniwa.units.vector.isa import Factor, Function, Shift

__all__ = ["rescale", "reciprocal", "mantissa_reciprocal", "RECIPROCAL_INTERCEPT",
           "inverse_square_root", "constants_16", "logistic_16", "tanh_16", "sigmoid_16",
           "LOGISTIC_16", "TANH_16", "Constants16", "Spare"]

RECIPROCAL_INTERCEPT = 1515870810   # 48/17 in Q2.29
SQRT_HALF = 1518500250   # in Q0.31
ONE_16 = 32767           # of Q0.15
UNIT_16 = 1 << 13        # of Q2.13
EXP_16 = (25520, 19875, 12055, 4435, 600, 11)   # exp(-2^k) in Q0.15, k = -2 ... 3; less is 0
EXP_MINUS_EIGHTH_16, THIRD_16 = 28918, 10923
# In place of x^4 / 4 = 0, 1 or 2 a part of x^2, which gives the same exponential for every x in
# Q0.15 from -1/8 to 1/8 (150 to 153 do).
FOURTH_POWER_16 = 150
INTERCEPT_16 = 23130     # 48/17 in Q2.13
# What ``sigmoid_16`` needs to know of an element's function: by how many bits its argument, and
# what exceeds the offset, is shifted; the offset; f(-a) + f(a); f(0).
LOGISTIC_16 = (0, 0, ONE_16, 1 << 14)
TANH_16 = (1, -(1 << 14), 0, 0)
Spare = tuple[Register, Register, Register, Register]
Kinds = tuple[Register, Register, Register, Register]


def rescale(k: Builder, d: Register, x: Register, multiplier: int, shift: int,
            plus: Operand = 0) -> None:
    """MultiplyByQuantizedMultiplier of ``x``, plus a register other than ``d``: multiplier in Q31,
    then a left shift, -31 to 30."""
    if not -31 <= shift <= 30:
        raise ProgramError(f"a rescaling by 2^{shift} is beyond the vector unit's 2^-31 to 2^30")
    if shift > 0:
        k.shift_left(d, x, shift)
        x = d
    k.multiply(d, x, multiplier, Shift.UP_31, 0 if shift < 0 else plus)
    if shift < 0:
        k.shift_right(d, d, -shift, "away", plus)


def reciprocal(k: Builder, mantissa: Register, places: Register, x: Register,
               spare: Register, intercept: Register) -> None:
    """1 / x of 0 < ``x`` < 2^30: ``mantissa`` in Q0.31, and ``places``, the leading zeros of x
    less 1.

    x * 2^places = 2^30 * (1 + a), and mantissa = 1 / (1 + a): Newton-Raphson in Q2.29, three steps.
    ``x`` is overwritten; ``intercept`` holds RECIPROCAL_INTERCEPT.
    """
    k.compute(Function.LEADING_ZEROS, places, x, factor=2)
    k.shift_left(x, x, places)
    mantissa_reciprocal(k, mantissa, x, spare, intercept)


def mantissa_reciprocal(k: Builder, mantissa: Register, x: Register, spare: Register,
                        intercept: Register) -> None:
    """1 / (1 + a) in Q0.31 of ``x``, (1 + a) / 2 in Q0.31; else as ``reciprocal``."""
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
class Constants16:
    """Scalars for the functions of 16 bits, as an instruction has but one constant of its own."""

    eighth: Register     # -1/8 in Q0.15
    half: Register
    intercept: Register
    one: Register
    minus_one: Register


def constants_16(k: Builder) -> Constants16:
    """Sets the scalars."""
    scalars = [k.scalar() for _ in range(5)]
    for scalar, value in zip(scalars, (-1 << 12, 1 << 14, INTERCEPT_16, ONE_16, -1 << 15),
                             strict=True):
        k.constant(scalar, value)
    return Constants16(*scalars)


def logistic_16(k: Builder, d: Register, a: Register, spare: Spare, constants: Constants16,
                limit: bool = False) -> None:
    """gemmlowp's 1 / (1 + exp(-a)) of Q3.12 ``a``, in Q0.15; ``a`` stays. Here and below:
    ``limit``: of what ``a`` is when limited to 16 bits."""
    minus, result, x, error = spare
    _minus_absolute(k, minus, a, limit)
    _exponential(k, result, minus, 12, 16, (x, error, d), constants)
    _newton(k, x, result, error, constants)
    k.compute(Function.MINIMUM, d, x, factor=2, addend=constants.one)
    _by_sign(k, d, a, minus, x, ONE_16, constants.half)


def tanh_16(k: Builder, d: Register, a: Register, spare: Spare, constants: Constants16,
            limit: bool = False, fraction_bits: int = 12) -> None:
    """gemmlowp's tanh of 16-bit ``a`` with 9 to 15 ``fraction_bits``, in Q0.15; ``a`` stays.
    ``limit``: only with 12."""
    minus, result, x, error = spare
    _minus_absolute(k, minus, a, limit)
    # exp(-2|a|)
    _exponential(k, result, minus, fraction_bits - 1, 16, (x, error, d), constants)
    _newton(k, x, result, error, constants)
    k.shift_left(d, x, 2, plus=constants.minus_one)
    k.minimum(d, d, ONE_16)
    _by_sign(k, d, a, minus, x, 0, 0)


def sigmoid_16(k: Builder, d: Register, a: Register, kinds: Kinds, spare: Spare,
               constants: Constants16) -> None:
    """``logistic_16`` or ``tanh_16`` of Q3.12 ``a`` when limited to 16 bits, for each element the
    one that ``kinds`` holds the numbers of, LOGISTIC_16 or TANH_16; ``a`` stays."""
    minus, result, x, error = spare
    shift, offset, one, middle = kinds
    _minus_absolute(k, minus, a, limit=True)
    _exponential(k, result, minus, 12, 17, (x, error, d), constants, shift)
    _newton(k, x, result, error, constants)
    k.shift_left(d, x, 1, plus=offset)
    k.compute(Function.MINIMUM, d, d, factor=shift, power=Factor.LEFT, addend=ONE_16)
    _by_sign(k, d, a, minus, x, one, middle)


def _minus_absolute(k: Builder, d: Register, a: Register, limit: bool) -> None:
    """d = -|a|. With ``limit`` a positive one, too, goes as far as -2^15 and not only to 1 - 2^15:
    exp(-8) and exp(-16) are the same for both."""
    k.compute(Function.MINIMUM, d, a, factor=-1, addend=a)
    if limit:
        k.maximum(d, d, -1 << 15)


def _by_sign(k: Builder, d: Register, a: Register, minus: Register, spare: Register, one: Operand,
             middle: Operand) -> None:
    """d stays where a > 0, is one - d where a < 0, else ``middle``; ``minus`` is -|a|."""
    k.subtract(spare, one, d)
    k.select_negative(d, a, spare)
    k.compute(Function.SELECT, d, minus, shift=Shift.FLOOR_31, addend=middle, negate=True)


def _exponential(k: Builder, d: Register, a: Register, fraction_bits: int, bits: int,
                 spare: tuple[Register, Register, Register], constants: Constants16,
                 shift: Register | None = None) -> None:
    """d = exp(a * 2^shift) in Q0.15 of what then is negative and has ``bits`` with the sign.

    The bits below a quarter, less a quarter, are the part from -1/4 to 0. What is left of a are as
    many quarters as the bits above say, inverted: a bit that is 0 counts.
    """
    x2, x3, rest = spare
    below = fraction_bits - 2       # the bits below a quarter

    def bits_of(register: Register, mask: int, negate: bool) -> None:
        k.compute(Function.AND, register, a, factor=1 if shift is None else shift,
                  power=None if shift is None else Factor.LEFT, addend=mask, negate=negate)

    bits_of(d, (1 << below) - 1, negate=False)
    k.multiply(d, d, 1 << 15 - fraction_bits, plus=constants.eighth)     # from -1/8 on
    k.multiply(x2, d, d, Shift.UP_15)
    k.multiply(x3, x2, d, Shift.UP_15)
    k.multiply(rest, x2, FOURTH_POWER_16, Shift.FLOOR_15, plus=x3)      # x^3 + x^4 / 4
    k.multiply(rest, rest, THIRD_16, Shift.UP_15, plus=x2)
    k.shift_right(rest, rest, 1, "away", plus=d)
    k.multiply(d, rest, EXP_MINUS_EIGHTH_16, Shift.UP_15, plus=EXP_MINUS_EIGHTH_16)
    places = bits - 1 - below
    for place, factor in enumerate((*EXP_16, 0)[:places], below):
        k.multiply(x3, d, factor, Shift.UP_15)
        if shift is None and place - below in (places - 1, len(EXP_16)):
            # No higher bit is 0: from this one on a is -1, or it counts.
            k.compute(Function.SELECT, d, a, factor=1 << 31 - place, shift=Shift.FLOOR_31,
                      addend=x3, negate=True)
        else:
            bits_of(x2, 1 << place, negate=True)
            k.select(d, x2, x3)


def _newton(k: Builder, d: Register, a: Register, error: Register,
            constants: Constants16) -> None:
    """d = 2 / (1 + a) in Q2.13 for Q0.15 ``a`` in [0, 1], which becomes (1 + a) / 2:
    Newton-Raphson, three steps."""
    k.shift_right(a, a, 1, plus=constants.half)
    k.multiply(d, a, -15420, Shift.UP_15, plus=constants.intercept)     # 48/17 - 32/17 * half
    for _ in range(3):
        k.compute(Function.ADD, error, a, factor=d, shift=Shift.UP_15, addend=UNIT_16, negate=True)
        k.multiply(error, error, d, Shift.UP_15)
        k.shift_left(d, error, 2, plus=d)
