"""Differences between the frameworks' SOFTMAX: how exponentials add up, and the result that is
made of one of them and of their total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kaniwa.units.vector.builder import Builder, Register
from kaniwa.units.vector.isa import Function, Reduce, Shift
from kaniwa.units.vector.kernels.fixedpoint import (
    RECIPROCAL_INTERCEPT,
    mantissa_reciprocal,
    reciprocal,
)

__all__ = ["Division", "FixedPointForm", "LitertForm", "Looked", "SoftmaxForm",
           "SHORT_ROW", "shift_by_at_most_31"]

SHORT_ROW = 511    # as many exponentials add up to less than 512
LOW_BITS = 15      # of a total in two parts
LONGEST_ROW = 16384     # whose total's high part leaves a bit for its low part's carry


@dataclass(frozen=True)
class Division:
    """Registers for the division by a total: its parts, what a form makes of them, and scratch."""

    totals: tuple[Register, ...]
    mantissa: Register
    shift: Register
    spare: Register
    intercept: Register

    def begin(self, k: Builder) -> None:
        """Set what all divisions have in common."""
        k.constant(self.intercept, RECIPROCAL_INTERCEPT)


@dataclass(frozen=True)
class Looked:
    """Values of a row in each lane, with the largest in ``word`` of a register, and the table in
    which their exponentials are looked up by the difference. ``to``: the word for their total."""

    value: Register
    words: Register
    largest: Register
    word: int
    to: int


def shift_by_at_most_31(k: Builder, division: Division) -> None:
    """Take what a shift has beyond 31, of a total of many exponentials, from its mantissa."""
    mantissa, shift, spare = division.mantissa, division.shift, division.spare
    k.add(spare, shift, -31)
    k.maximum(spare, spare, 0)
    k.shift_right(mantissa, mantissa, spare)
    k.minimum(shift, shift, 31)


class SoftmaxForm(Protocol):
    """``parts`` of a total; ``scratch``: vector registers that ``part`` needs. ``shifts``: how a
    product is shifted, and what is then added; None where more has to be done."""

    @property
    def longest_row(self) -> int: ...

    @property
    def parts(self) -> int: ...

    @property
    def scratch(self) -> int: ...

    @property
    def shifts(self) -> tuple[Shift, int] | None: ...

    @property
    def unit(self) -> int:
        """The factor of an exponential in a total's first part."""

    def total(self, k: Builder, part: int, d: Register, unit: Register, row: Looked,
              scratch: list[Register]) -> None:
        """The word ``row.to`` of ``d`` = this part of the total, the exponentials being looked
        up."""

    def add_up(self, k: Builder, part: int, d: Register, exponential: Register,
               scratch: list[Register]) -> None:
        """d = this part of the total of ``exponential``, in each lane."""

    def denominator(self, k: Builder, division: Division) -> None:
        """Mantissa and shift of the totals, which are overwritten."""

    def divide(self, k: Builder, exponential: Register, mantissa: Register,
               shift: Register) -> None:
        """A result in place of each exponential."""


@dataclass(frozen=True)
class LitertForm:
    """Rule ``litert_softmax``: exponentials in Q0.31, each rounded to Q12.19 for the total;
    results of ``result_bits``."""

    result_bits: int = 8
    longest_row = SHORT_ROW     # beyond it the reference has no result of some rows
    parts = 1
    scratch = 0
    unit = 1 << 19

    @property
    def shifts(self) -> tuple[Shift, int]:
        return Shift.AWAY_31, -(1 << self.result_bits - 1)

    def total(self, k: Builder, part: int, d: Register, unit: Register, row: Looked,
              scratch: list[Register]) -> None:
        k.hold(unit, row.largest, row.word)
        k.multiply_looked_up(d, row.value, row.words, Shift.AWAY_31, fold=True, word=row.to)

    def add_up(self, k: Builder, part: int, d: Register, exponential: Register,
               scratch: list[Register]) -> None:
        k.compute(Function.ADD, d, exponential, factor=1 << 19, shift=Shift.AWAY_31,
                  reduce=Reduce.GROUPS)

    def denominator(self, k: Builder, division: Division) -> None:
        mantissa, shift, (total,) = division.mantissa, division.shift, division.totals
        reciprocal(k, mantissa, shift, total, division.spare, division.intercept)
        # 12 - leading zeros bits over the unit, and 31 bits less the result's.
        k.subtract(shift, 12 - 1 + 31 - self.result_bits, shift)

    def divide(self, k: Builder, exponential: Register, mantissa: Register,
               shift: Register) -> None:
        k.multiply(exponential, exponential, mantissa, Shift.UP_31)
        k.shift_right(exponential, exponential, shift, "away", plus=-(1 << self.result_bits - 1))


@dataclass(frozen=True)
class FixedPointForm:
    """Rule ``qdq_fixed_point``: exponentials in Q1.30, whose total is exact, in two parts: what is
    above their low 15 bits, and those bits.

    ``multiplier`` (Q31) and ``left_shift`` are 1 / the result's scale; then come its zero point and
    the limits ``low`` and ``high``.
    """

    multiplier: int
    left_shift: int
    zero_point: int
    low: int
    high: int
    longest_row = LONGEST_ROW
    parts = 2
    scratch = 1
    unit = 1

    @property
    def shifts(self) -> tuple[Shift, int] | None:
        # 2^31 for a shift by 0 is not held; products are shifted by 11 bits at least here.
        whole = self.low <= -128 and self.high >= 127 and self.left_shift <= 28
        return (Shift.UP_31, self.zero_point) if whole else None

    def total(self, k: Builder, part: int, d: Register, unit: Register, row: Looked,
              scratch: list[Register]) -> None:
        if part == 0:
            k.hold(unit, row.largest, row.word)
            k.multiply_looked_up(d, row.value, row.words, Shift.FLOOR_15, fold=True,
                                 word=row.to)
            return
        (low,) = scratch
        k.looked_up_bits(low, row.value, row.words, (1 << LOW_BITS) - 1)
        k.fold_to(d, row.to, low, Function.ADD)

    def add_up(self, k: Builder, part: int, d: Register, exponential: Register,
               scratch: list[Register]) -> None:
        if part == 0:
            k.compute(Function.ADD, d, exponential, shift=Shift.FLOOR_15, reduce=Reduce.GROUPS)
        else:
            (low,) = scratch
            k.bits(low, exponential, (1 << LOW_BITS) - 1)
            k.compute(Function.ADD, d, low, reduce=Reduce.GROUPS)

    def denominator(self, k: Builder, division: Division) -> None:
        mantissa, shift, spare = division.mantissa, division.shift, division.spare
        high, low = division.totals
        k.shift_right(high, low, LOW_BITS, plus=high)
        k.bits(low, low, (1 << LOW_BITS) - 1)
        # The total's highest 31 bits; of the high part there are 16 to 24 before.
        k.leading_zeros(shift, high)
        k.add(shift, shift, -1)
        k.shift_left(high, high, shift)
        k.subtract(spare, LOW_BITS, shift)
        k.shift_right(low, low, spare)
        k.add(high, high, low)
        mantissa_reciprocal(k, mantissa, high, spare, division.intercept)
        k.multiply(mantissa, mantissa, self.multiplier, Shift.UP_31)
        # The total has 31 - (shift + 1) + 1 + LOW_BITS bits, and one is the unit.
        k.subtract(shift, 30 + LOW_BITS - self.left_shift, shift)

    def divide(self, k: Builder, exponential: Register, mantissa: Register,
               shift: Register) -> None:
        k.multiply(exponential, exponential, mantissa, Shift.UP_31)
        k.shift_right(exponential, exponential, shift, "up", plus=self.zero_point)
        k.limit_byte(exponential, self.low, self.high)
