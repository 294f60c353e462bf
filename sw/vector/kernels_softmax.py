"""SOFTMAX for the vector unit: row by row, or R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.vector.builder import Builder, Register
from kaniwa.vector.fixedpoint import reciprocal
from kaniwa.vector.isa import BLOCK_WORDS, Function, Reduce, Shift, Width
from kaniwa.vector.kernels import Place

__all__ = ["softmax", "softmax_limit", "softmax_rows"]

# Registers of a row that is longer than one, beside a table of 256 words.
SOFTMAX_REGISTERS = 15
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
    value, exponential, small = k.vector(), k.vector(), k.vector()
    largest, total, mantissa, zeros, spare = (k.scalar() for _ in range(5))
    source, to = k.pointer(x.address), k.pointer(y.address)
    result_bits = 8 << y.width
    k.constant(value, -128)      # what lies past the row stays the least, and adds nothing
    k.constant(small, 0)
    k.length(columns)
    k.load(value, source, x.width, tail=True)
    k.fold(largest, value, Function.MAXIMUM, -128)
    _exponentials(k, exponential, value, largest, words, small, tail=True)
    k.fold(total, small, Function.ADD)
    _denominator(k, mantissa, zeros, total, spare, result_bits)
    _divided(k, exponential, mantissa, zeros, result_bits)
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
    small = k.vector()
    largest, total, more, mantissa, zeros = (k.scalar() for _ in range(5))
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
            _exponentials(k, value, value, largest, words, small)
            k.compute(Function.ADD, more if later else total, small, reduce=Reduce.GROUPS)
            if later:
                k.add(total, total, more)
        _denominator(k, mantissa, zeros, total, more, 8)
        for value, count, _ in each():
            _divided(k, value, mantissa, zeros, 8)
            k.store(value, to, Width.INT8, count)
    return k.finish()


def softmax_limit(config: AcceleratorConfig, rows: int) -> int:
    """The most columns of a SOFTMAX: of ``softmax`` for a row, of ``softmax_rows`` for more."""
    most = config.requant_lanes if rows == 1 else SOFTMAX_REGISTERS
    return min(most * BLOCK_WORDS, SOFTMAX_COLUMNS)


def _exponentials(k: Builder, exponential: Register, value: Register, largest: Register,
                  words: Register, small: Register, tail: bool = False) -> None:
    """exp(value - largest) in Q0.31, and as ``small`` in Q12.19, which can be added up."""
    k.subtract(exponential, value, largest)
    k.look_up(exponential, exponential, words)
    k.compute(Function.ADD, small, exponential, factor=1 << 19, shift=Shift.AWAY_31, tail=tail)


def _denominator(k: Builder, mantissa: Register, zeros: Register, total: Register, spare: Register,
                 result_bits: int) -> None:
    """What ``_divided`` needs of a ``total`` in Q12.19, which is overwritten."""
    reciprocal(k, mantissa, zeros, total, spare)
    # 12 - zeros bits over the unit, and 31 bits less the result's.
    k.subtract(zeros, 12 + 31 - result_bits, zeros)


def _divided(k: Builder, exponential: Register, mantissa: Register, zeros: Register,
             result_bits: int) -> None:
    """Results of exponentials in Q0.31."""
    k.multiply(exponential, exponential, mantissa, Shift.UP_31)
    k.shift_right(exponential, exponential, zeros, "away", plus=-(1 << result_bits - 1))
