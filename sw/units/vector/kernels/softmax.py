"""SOFTMAX for the vector unit: row by row, or R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, Function, Reduce, Width
from kaniwa.units.vector.kernels.elementary import Place
from kaniwa.units.vector.kernels.softmax_forms import Division, SoftmaxForm

__all__ = ["softmax", "softmax_limit", "softmax_rows"]

# Registers of rows beside a table of 256 words.
SOFTMAX_REGISTERS = 16
SCALARS = 8
# As many exponentials may add up to what the reference is not defined for.
SOFTMAX_COLUMNS = 511


def softmax(config: AcceleratorConfig, columns: int, x: Place, y: Place, table: int,
            form: SoftmaxForm) -> bytes:
    """SOFTMAX of a row of int8, of at most a register's elements, to int8 or int16.

    ``table``: ``table_words`` of exp(difference to the largest), as ``form`` has them, for
    differences 0, then -255..-1. A row whose exponentials add up to 512 or more is undefined.
    """
    k = Builder(config)
    if columns > k.limit:
        raise ProgramError(f"a row of {columns} is longer than a register, {k.limit}")
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)
    value, exponential = k.vector(), k.vector()
    largest = k.scalar()
    scratch = [k.vector() for _ in range(form.scratch)]
    totals = tuple(k.scalar() for _ in range(form.parts))
    division = Division(totals, *(k.scalar() for _ in range(4)))
    division.begin(k)
    source, to = k.pointer(x.address), k.pointer(y.address)
    k.constant(value, -128)      # what lies past the row stays the least, and adds nothing
    k.constant(exponential, 0)
    k.length(columns)
    k.load(value, source, x.width, tail=True)
    k.fold(largest, value, Function.MAXIMUM, -128)
    k.subtract(value, value, largest)
    k.look_up(exponential, value, words, tail=True)
    for part, total in enumerate(totals):
        form.add_up(k, part, total, exponential, scratch)
        k.compute(Function.ADD, total, total, reduce=Reduce.LANES)
    form.denominator(k, division)
    form.divide(k, exponential, division.mantissa, division.shift)
    k.store(exponential, to, y.width)
    return k.finish()


def softmax_rows(config: AcceleratorConfig, groups: int, columns: int, x: int, y: int,
                 table: int, form: SoftmaxForm) -> bytes:
    """SOFTMAX of int8 along ``groups`` of R rows, one in each lane: [groups, columns, R] at ``x``
    and ``y``.

    ``table``, ``form`` and what is undefined as in ``softmax``.
    """
    k = Builder(config)
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)
    room = SOFTMAX_REGISTERS - form.scratch
    parts = -(-columns // BLOCK_WORDS)
    if parts > room:
        raise ProgramError(f"a row of {columns} is longer than {room} registers of {BLOCK_WORDS}")
    rows = _Rows(k, form, columns, parts, k.pointer(x), k.pointer(y), words)
    # A scalar each beside the others; and totals, mantissas, shifts and a spare register.
    most = min(groups, SCALARS - 3 - form.parts, (room - 3 - form.parts) // parts)
    if most > 1:
        rows.together(groups, -(-groups // -(-groups // most)))     # of as few divisions as can be
    else:
        rows.one_by_one(groups)
    return k.finish()


def softmax_limit(config: AcceleratorConfig, rows: int, form: SoftmaxForm) -> int:
    """The most columns of a SOFTMAX: of ``softmax`` for a row, of ``softmax_rows`` for more."""
    most = config.requant_lanes if rows == 1 else SOFTMAX_REGISTERS - form.scratch
    return min(most * BLOCK_WORDS, SOFTMAX_COLUMNS)


class _Rows:
    """Groups of R rows, one in each lane, of which each has ``columns`` in as few registers as can
    be, ``parts``."""

    def __init__(self, k: Builder, form: SoftmaxForm, columns: int, parts: int, source: Pointer,
                 to: Pointer, words: Register) -> None:
        self._k, self._form, self._words, self._source, self._to = k, form, words, source, to
        self._columns, self._parts, self._size = columns, parts, -(-columns // parts)
        self._largest, self._more = k.scalar(), k.scalar()
        self._totals = tuple(k.scalar() for _ in range(form.parts))

    def one_by_one(self, groups: int) -> None:
        """With the division in scalars."""
        k, form = self._k, self._form
        division = Division(self._totals, *(k.scalar() for _ in range(4)))
        division.begin(k)
        scratch, values = self._scratch(), self._registers()
        k.length(self._size * k.lanes)
        with k.loop(groups):
            self._exponentials(values, scratch)
            form.denominator(k, division)
            self._divided(values, division.mantissa, division.shift)

    def together(self, groups: int, count: int) -> None:
        """``count`` groups at once, whose divisions are words of the same registers: what these
        give as tables for a group's number is its own."""
        k, form = self._k, self._form
        mantissas, shifts = (k.table(256) for _ in range(2))
        k.free(*(Register(first.number + n) for first in (mantissas, shifts) for n in range(1, 8)))
        division = Division(tuple(k.vector() for _ in self._totals), mantissas, shifts, k.vector(),
                            k.scalar())
        division.begin(k)
        numbers = [k.scalar() for _ in range(count)]
        scratch, values = self._scratch(), [self._registers() for _ in range(count)]
        for number, scalar in enumerate(numbers):
            k.constant(scalar, number)
        k.length(self._size * k.lanes)

        def part(count: int) -> None:
            for number in reversed(range(count)):
                self._exponentials(values[number], scratch)
                k.length((number + 1) * k.lanes)      # words before are those of later groups
                for all_of, total in zip(division.totals, self._totals, strict=True):
                    k.move(all_of, total)
                if number:
                    k.length(self._size * k.lanes)
            k.length(count * k.lanes)
            form.denominator(k, division)
            k.length(self._size * k.lanes)
            mantissa, shift = self._largest, self._totals[0]
            for number in reversed(range(count)):
                k.look_up(mantissa, numbers[number], mantissas)
                k.look_up(shift, numbers[number], shifts)
                self._divided(values[number], mantissa, shift)

        with k.loop(groups // count):
            part(count)
        if groups % count:
            part(groups % count)

    def _registers(self) -> list[Register]:
        return [self._k.vector() for _ in range(self._parts)]

    def _scratch(self) -> list[Register]:
        return [self._k.vector() for _ in range(self._form.scratch)]

    def _each(self, values: list[Register]) -> Iterator[tuple[Register, int, bool]]:
        """A register, its bytes, and whether it is not the first; it has its length then."""
        for number, register in enumerate(values):
            count = min(self._size, self._columns - number * self._size) * self._k.lanes
            if self._columns % self._size:
                self._k.length(count)
            yield register, count, number > 0

    def _exponentials(self, values: list[Register], scratch: list[Register]) -> None:
        """The next group's, and their totals."""
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
            for part, total in enumerate(self._totals):
                self._form.add_up(k, part, more if later else total, value, scratch)
                if later:
                    k.add(total, total, more)

    def _divided(self, values: list[Register], mantissa: Register, shift: Register) -> None:
        """The next group's results."""
        for value, count, _ in self._each(values):
            self._form.divide(self._k, value, mantissa, shift)
            self._k.store(value, self._to, Width.INT8, count)
