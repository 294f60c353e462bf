"""Steps that vector kernels share: the fixed-point functions of LiteRT and gemmlowp.

Each writes instructions of a ``Builder``. ``Qm.f``: m integer and f fractional bits. Sources:
gemmlowp's ``fixedpoint.h`` and LiteRT's ``kernels/internal/common.h``.
"""

from __future__ import annotations

from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.isa import Function, Shift

__all__ = ["rescale", "reciprocal", "inverse_square_root", "logistic_16", "tanh_16"]

SQRT_HALF = 1518500250   # in Q0.31
ONE_16 = 32767           # of Q0.15
UNIT_16 = 1 << 13        # of Q2.13
EXP_16 = (25520, 19875, 12055, 4435, 600, 11, 0)   # exp(-2^k) in Q0.15, k = -2 ... 4
EXP_MINUS_EIGHTH_16, THIRD_16 = 28918, 10923


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


def reciprocal(k: Builder, mantissa: Register, zeros: Register, x: Register,
               spare: Register) -> None:
    """1 / x of positive ``x``: ``mantissa`` in Q0.31, and the leading ``zeros`` of x.

    x * 2^zeros = 2^31 * (1 + a), and mantissa = 1 / (1 + a): Newton-Raphson in Q2.29, three steps.
    ``x`` is overwritten.
    """
    k.leading_zeros(zeros, x)
    k.add(spare, zeros, -1)
    k.shift_left(x, x, spare)   # (1 + a) / 2 in Q0.31
    k.multiply(spare, x, -1010580540, Shift.UP_31)   # 48/17 - 32/17 * (1 + a) / 2
    k.add(mantissa, spare, 1515870810)
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


def logistic_16(k: Builder, d: Register, a: Register,
                spare: tuple[Register, Register, Register, Register]) -> None:
    """gemmlowp's 1 / (1 + exp(-a)) of Q3.12 ``a``, in Q0.15; ``a`` stays."""
    result, *others = spare
    _exp_of_minus_absolute(k, result, a, 3, (d, *others))
    _newton(k, result, (d, *others[:2]))
    k.shift_left(result, result, 1)
    k.minimum(result, result, ONE_16)
    _by_sign(k, d, a, result, others[:2], zero=1 << 14, one=ONE_16)


def tanh_16(k: Builder, d: Register, a: Register, integer_bits: int,
            spare: tuple[Register, Register, Register, Register]) -> None:
    """gemmlowp's tanh of 16-bit ``a`` with 0 to 5 ``integer_bits``, in Q0.15; ``a`` stays."""
    result, *others = spare
    _exp_of_minus_absolute(k, result, a, integer_bits + 1, (d, *others))
    _newton(k, result, (d, *others[:2]))
    k.add(result, result, -UNIT_16)
    k.shift_left(result, result, 2)
    k.minimum(result, result, ONE_16)
    _by_sign(k, d, a, result, others[:2], zero=0, one=0)


def _by_sign(k: Builder, d: Register, a: Register, positive: Register, spare: list[Register],
             zero: int, one: int) -> None:
    """d = positive where a > 0, zero where a = 0, one - positive where a < 0."""
    below, other = spare
    k.less(below, a, 0)
    k.subtract(other, one, positive)
    k.select(positive, below, other)
    k.constant(d, zero)
    k.select(d, a, positive)


def _exp_of_minus_absolute(k: Builder, result: Register, a: Register, integer_bits: int,
                           spare: tuple[Register, ...]) -> None:
    """exp(-|a|) of ``a`` with 1 to 6 ``integer_bits``, in Q0.15."""
    x, x2, x3, rest = spare
    fraction_bits = 15 - integer_bits
    quarter = 1 << fraction_bits - 2
    k.subtract(rest, 0, a)
    k.minimum(rest, rest, a)         # -|a|
    k.move(result, rest)
    k.bits(x, rest, quarter - 1)
    k.subtract(rest, x, rest)
    k.add(rest, rest, -quarter)      # whole quarters of |a|
    k.shift_left(x, x, integer_bits)
    k.add(x, x, -(1 << 12))          # the rest, from -1/4 on, round -1/8
    k.multiply(x2, x, x, Shift.UP_15)
    k.multiply(x3, x2, x, Shift.UP_15)
    k.multiply(x2, x2, x2, Shift.UP_15)
    k.shift_right(x2, x2, 2, "away", plus=0)
    k.add(x3, x3, x2)                # x^3 + x^4 / 4
    k.multiply(x2, x, x, Shift.UP_15)
    k.multiply(x3, x3, THIRD_16, Shift.UP_15)
    k.add(x3, x3, x2)
    k.shift_right(x3, x3, 1, "away")
    k.add(x, x, x3)
    k.multiply(x, x, EXP_MINUS_EIGHTH_16, Shift.UP_15, plus=EXP_MINUS_EIGHTH_16)
    for number, factor in enumerate(EXP_16[:integer_bits + 2]):
        k.bits(x2, rest, quarter << number)
        k.multiply(x3, x, factor, Shift.UP_15)
        k.select(x, x2, x3)
    if integer_bits > 5:
        k.less(x2, result, -(32 << fraction_bits))
        k.select(x, x2, 0)
    k.constant(x2, ONE_16)
    k.select(x2, result, x)
    k.move(result, x2)


def _newton(k: Builder, a: Register, spare: tuple[Register, ...]) -> None:
    """a = 2 / (1 + a) in Q2.13 for Q0.15 ``a`` in [0, 1]: Newton-Raphson, three steps."""
    half, x, error = spare
    k.shift_right(half, a, 1)
    k.add(half, half, 1 << 14)       # (1 + a) / 2
    k.multiply(x, half, -15420, Shift.UP_15)
    k.add(x, x, 23130)               # 48/17 - 32/17 * (1 + a) / 2
    for _ in range(3):
        k.compute(Function.ADD, error, half, factor=x, shift=Shift.UP_15, addend=UNIT_16,
                  negate=True)
        k.multiply(error, error, x, Shift.UP_15)
        k.shift_left(x, error, 2, plus=x)
    k.move(a, x)
