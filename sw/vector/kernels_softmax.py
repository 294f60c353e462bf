"""SOFTMAX for the vector unit: row by row, or R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Pointer, Register
from kaniwa.vector.fixedpoint import RECIPROCAL_INTERCEPT, reciprocal
from kaniwa.vector.isa import BLOCK_WORDS, Function, Reduce, Shift, Width
from kaniwa.vector.kernels import Place

__all__ = ["softmax", "softmax_limit", "softmax_rows"]

# Registers of a row that is longer than one, beside a table of 256 words.
SOFTMAX_REGISTERS = 16
DIVISION_REGISTERS = 4      # of several groups at once
MOST_AT_ONCE = 4            # a scalar each, and 14 instructions
# As many exponentials may add up to what the reference is not defined for.
SOFTMAX_COLUMNS = 511


def softmax(config: AcceleratorConfig, columns: int, x: Place, y: Place, table: int) -> bytes:
    """SOFTMAX of a row of int8, of at most a register's elements, to int8 or int16.

    ``table``: ``table_words`` of exp(difference to the largest) in Q0.31, for differences 0, then
    -255..-1. A row whose exponentials add up to 512 or more is undefined, as in the reference.
    """
    k = Builder(config)
    if columns > k.limit:
        raise ProgramError(f"a row of {columns} is longer than a register, {k.limit}")
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)
    value, exponential = k.vector(), k.vector()
    largest = k.scalar()
    division = _division(k, *(k.scalar() for _ in range(4)))
    source, to = k.pointer(x.address), k.pointer(y.address)
    result_bits = 8 << y.width
    k.constant(value, -128)      # what lies past the row stays the least, and adds nothing
    k.constant(exponential, 0)
    k.length(columns)
    k.load(value, source, x.width, tail=True)
    k.fold(largest, value, Function.MAXIMUM, -128)
    k.subtract(value, value, largest)
    k.look_up(exponential, value, words, tail=True)
    _total(k, division.total, exponential)
    k.compute(Function.ADD, division.total, division.total, reduce=Reduce.LANES)
    _denominator(k, division, result_bits)
    _divide(k, exponential, division.mantissa, division.shift, result_bits)
    k.store(exponential, to, y.width)
    return k.finish()


def softmax_rows(config: AcceleratorConfig, groups: int, columns: int, x: int, y: int,
                 table: int) -> bytes:
    """SOFTMAX of int8 along ``groups`` of R rows, one in each lane: [groups, columns, R] at ``x``
    and ``y``.

    ``table`` and what is undefined as in ``softmax``.
    """
    k = Builder(config)
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)
    parts = -(-columns // BLOCK_WORDS)
    if parts > SOFTMAX_REGISTERS:
        raise ProgramError(f"a row of {columns} is longer than {SOFTMAX_REGISTERS} registers of "
                           f"{BLOCK_WORDS}")
    rows = _Rows(k, columns, parts, k.pointer(x), k.pointer(y), words)
    most = min(groups, MOST_AT_ONCE, (SOFTMAX_REGISTERS - DIVISION_REGISTERS) // parts)
    if most > 1:
        rows.together(groups, -(-groups // -(-groups // most)))     # of as few divisions as can be
    else:
        rows.one_by_one(groups)
    return k.finish()


def softmax_limit(config: AcceleratorConfig, rows: int) -> int:
    """The most columns of a SOFTMAX: of ``softmax`` for a row, of ``softmax_rows`` for more."""
    most = config.requant_lanes if rows == 1 else SOFTMAX_REGISTERS
    return min(most * BLOCK_WORDS, SOFTMAX_COLUMNS)


class _Rows:
    """Groups of R rows, one in each lane, of which each has ``columns`` in as few registers as can
    be, ``parts``."""

    def __init__(self, k: Builder, columns: int, parts: int, source: Pointer, to: Pointer,
                 words: Register) -> None:
        self._k, self._words, self._source, self._to = k, words, source, to
        self._columns, self._parts, self._size = columns, parts, -(-columns // parts)
        self._largest, self._more, self._total = k.scalar(), k.scalar(), k.scalar()

    def one_by_one(self, groups: int) -> None:
        """With the division in scalars."""
        k = self._k
        division = _division(k, self._total, k.scalar(), k.scalar(), k.scalar())
        values = self._registers()
        k.length(self._size * k.lanes)
        with k.loop(groups):
            self._exponentials(values)
            _denominator(k, division, 8)
            self._divided(values, division.mantissa, division.shift)

    def together(self, groups: int, count: int) -> None:
        """``count`` groups at once, whose divisions are words of the same registers: what these
        give as tables for a group's number is its own."""
        k = self._k
        mantissas, shifts = (k.table(256) for _ in range(2))
        k.free(*(Register(first.number + n) for first in (mantissas, shifts) for n in range(1, 8)))
        division = _division(k, k.vector(), mantissas, shifts, k.vector())
        numbers = [k.scalar() for _ in range(count)]
        values = [self._registers() for _ in range(count)]
        for number, scalar in enumerate(numbers):
            k.constant(scalar, number)
        k.length(self._size * k.lanes)

        def part(count: int) -> None:
            for number in reversed(range(count)):
                self._exponentials(values[number])
                k.length((number + 1) * k.lanes)      # words before are those of later groups
                k.move(division.total, self._total)
                if number:
                    k.length(self._size * k.lanes)
            k.length(count * k.lanes)
            _denominator(k, division, 8)
            k.length(self._size * k.lanes)
            for number in reversed(range(count)):
                k.look_up(self._largest, numbers[number], mantissas)
                k.look_up(self._total, numbers[number], shifts)
                self._divided(values[number], self._largest, self._total)

        with k.loop(groups // count):
            part(count)
        if groups % count:
            part(groups % count)

    def _registers(self) -> list[Register]:
        return [self._k.vector() for _ in range(self._parts)]

    def _each(self, values: list[Register]) -> Iterator[tuple[Register, int, bool]]:
        """A register, its bytes, and whether it is not the first; it has its length then."""
        for number, register in enumerate(values):
            count = min(self._size, self._columns - number * self._size) * self._k.lanes
            if self._columns % self._size:
                self._k.length(count)
            yield register, count, number > 0

    def _exponentials(self, values: list[Register]) -> None:
        """The next group's, and their total."""
        k, largest, more = self._k, self._largest, self._more
        for value, count, later in self._each(values):
            k.load(value, self._source, Width.INT8, count)
            k.compute(Function.MAXIMUM, more if later else largest, value, addend=-128,
                      reduce=Reduce.GROUPS)
            if later:
                k.maximum(largest, largest, more)
        for value, _, later in self._each(values):
            k.subtract(value, value, largest)
            k.look_up(value, value, self._words)
            _total(k, more if later else self._total, value)
            if later:
                k.add(self._total, self._total, more)

    def _divided(self, values: list[Register], mantissa: Register, shift: Register) -> None:
        """The next group's results."""
        for value, count, _ in self._each(values):
            _divide(self._k, value, mantissa, shift, 8)
            self._k.store(value, self._to, Width.INT8, count)


@dataclass(frozen=True)
class _Division:
    """A ``total`` in Q12.19, and what of it divides by it."""

    total: Register
    mantissa: Register
    shift: Register
    spare: Register
    intercept: Register


def _division(k: Builder, total: Register, mantissa: Register, shift: Register,
              spare: Register) -> _Division:
    division = _Division(total, mantissa, shift, spare, k.scalar())
    k.constant(division.intercept, RECIPROCAL_INTERCEPT)
    return division


def _total(k: Builder, total: Register, exponential: Register) -> None:
    """The sum of exponentials in Q0.31, each rounded to Q12.19, in each lane."""
    k.compute(Function.ADD, total, exponential, factor=1 << 19, shift=Shift.AWAY_31,
              reduce=Reduce.GROUPS)


def _denominator(k: Builder, division: _Division, result_bits: int) -> None:
    """What ``_divide`` needs of the ``total``, which is overwritten."""
    reciprocal(k, division.mantissa, division.shift, division.total, division.spare,
               division.intercept)
    # 12 - leading zeros bits over the unit, and 31 bits less the result's.
    k.subtract(division.shift, 12 - 1 + 31 - result_bits, division.shift)


def _divide(k: Builder, exponential: Register, mantissa: Register, shift: Register,
            result_bits: int) -> None:
    """Results of exponentials in Q0.31."""
    k.multiply(exponential, exponential, mantissa, Shift.UP_31)
    k.shift_right(exponential, exponential, shift, "away", plus=-(1 << result_bits - 1))
