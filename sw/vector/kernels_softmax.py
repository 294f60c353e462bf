"""SOFTMAX for the vector unit: row by row, or R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.fixedpoint import RECIPROCAL_INTERCEPT, reciprocal
from kaniwa.vector.isa import BLOCK_WORDS, Function, Reduce, Shift, Width
from kaniwa.vector.kernels import Place

__all__ = ["softmax", "softmax_limit", "softmax_rows"]

# Registers of a row that is longer than one, beside a table of 256 words.
SOFTMAX_REGISTERS = 16
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
    division = _division(k)
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
    _divide(k, exponential, division, result_bits)
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
    size = -(-columns // parts)
    values = [(k.vector(), min(size, columns - first)) for first in range(0, columns, size)]
    largest, more = k.scalar(), k.scalar()
    division = _division(k)
    source, to = k.pointer(x), k.pointer(y)

    def each() -> Iterator[tuple[Register, int, bool]]:
        """A register, its bytes, and whether it is not the first; it has its length then."""
        for number, (register, count) in enumerate(values):
            if columns % size:
                k.length(count * k.lanes)
            yield register, count * k.lanes, number > 0

    k.length(size * k.lanes)
    with k.loop(groups):
        for value, count, later in each():
            k.load(value, source, Width.INT8, count)
            k.compute(Function.MAXIMUM, more if later else largest, value, addend=-128,
                      reduce=Reduce.GROUPS)
            if later:
                k.maximum(largest, largest, more)
        for value, _, later in each():
            k.subtract(value, value, largest)
            k.look_up(value, value, words)
            _total(k, more if later else division.total, value)
            if later:
                k.add(division.total, division.total, more)
        _denominator(k, division, 8)
        for value, count, _ in each():
            _divide(k, value, division, 8)
            k.store(value, to, Width.INT8, count)
    return k.finish()


def softmax_limit(config: AcceleratorConfig, rows: int) -> int:
    """The most columns of a SOFTMAX: of ``softmax`` for a row, of ``softmax_rows`` for more."""
    most = config.requant_lanes if rows == 1 else SOFTMAX_REGISTERS
    return min(most * BLOCK_WORDS, SOFTMAX_COLUMNS)


@dataclass(frozen=True)
class _Division:
    """Scalars: a ``total`` in Q12.19, and what of it divides by it."""

    total: Register
    mantissa: Register
    shift: Register
    spare: Register
    intercept: Register


def _division(k: Builder) -> _Division:
    division = _Division(*(k.scalar() for _ in range(5)))
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


def _divide(k: Builder, exponential: Register, division: _Division, result_bits: int) -> None:
    """Results of exponentials in Q0.31."""
    k.multiply(exponential, exponential, division.mantissa, Shift.UP_31)
    k.shift_right(exponential, exponential, division.shift, "away", plus=-(1 << result_bits - 1))
