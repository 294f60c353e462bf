"""SOFTMAX of int16 for the vector unit, R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, Function, Reduce, Width
from kaniwa.units.vector.kernels.elementary import Scaling, interpolate
from kaniwa.units.vector.kernels.fixedpoint import rescale

__all__ = ["Softmax16Places", "softmax16_rows"]

TABLE = 512
LEAST, MOST = -32768, 32767


@dataclass(frozen=True)
class Softmax16Places:
    """Addresses: of ``x``, ``y`` and exponentials int16 [groups, columns, R], of ``totals`` and
    ``shifts`` int32 [groups, R], and of the tables of exponential and reciprocal, one behind the
    other."""

    x: int
    y: int
    exponentials: int
    totals: int
    shifts: int
    tables: int


def softmax16_rows(config: AcceleratorConfig, groups: int, columns: int, scaling: Scaling,
                   places: Softmax16Places) -> bytes:
    """SOFTMAX of int16 along ``groups`` of R rows, as the reference has it by two tables.

    ``scaling``: from steps of x to those of the exponential's table. There is room for one table
    at a time, so exponentials and totals of all rows come before the reciprocals.
    """
    k = Builder(config)
    rows = _Rows(k, groups, columns)
    words = k.table(TABLE)
    tables = k.pointer(places.tables)
    k.load_table(words, tables, TABLE)
    rows.exponentials(words, scaling, places)
    k.load_table(words, tables, TABLE)
    rows.reciprocals(words, places)
    rows.results(places)
    return k.finish()


class _Rows:
    """The passes over all rows, with as many columns at a time as a register holds."""

    def __init__(self, k: Builder, groups: int, columns: int) -> None:
        self._k, self._groups, self._columns = k, groups, columns
        self._step = 2 * k.lanes      # bytes of a column

    def exponentials(self, words: Register, scaling: Scaling, places: Softmax16Places) -> None:
        """And their totals."""
        k = self._k
        value, spare = k.vector(), (k.vector(), k.vector())
        largest, total, part = (k.scalar() for _ in range(3))
        first, again = k.pointer(places.x), k.pointer(places.x)
        to, totals = k.pointer(places.exponentials), k.pointer(places.totals)

        def find(size: int) -> None:
            k.load(value, first, Width.INT16, size * self._step)
            k.compute(Function.MAXIMUM, part, value, addend=LEAST, reduce=Reduce.GROUPS)
            k.maximum(largest, largest, part)

        def take(size: int) -> None:
            k.load(value, again, Width.INT16, size * self._step)
            k.subtract(value, value, largest)
            rescale(k, value, value, *scaling)
            k.add(value, value, MOST)
            k.maximum(value, value, LEAST)
            interpolate(k, value, words, spare)
            k.store(value, to, Width.INT16, size * self._step)
            k.compute(Function.ADD, part, value, reduce=Reduce.GROUPS)
            k.add(total, total, part)

        with k.loop(self._groups):
            k.constant(largest, LEAST)
            self._all_columns(find)
            k.constant(total, 0)
            self._all_columns(take)
            k.store(total, totals, Width.INT32, 4 * k.lanes)
        k.free(value, *spare, largest, total, part)
        k.release(first, again, to, totals)

    def reciprocals(self, words: Register, places: Softmax16Places) -> None:
        """In place of the totals, and by how many bits the products are shifted."""
        k = self._k
        total, zeros, spare = k.vector(), k.vector(), (k.vector(), k.vector())
        source, to, shifts = (k.pointer(address) for address in (
            places.totals, places.totals, places.shifts))

        def part(size: int) -> None:
            k.length(size * k.lanes)
            k.load(total, source, Width.INT32, 4 * size * k.lanes)
            k.leading_zeros(zeros, total)
            k.add(spare[0], zeros, -1)
            k.shift_left(total, total, spare[0])
            k.shift_right(total, total, 14, "up")      # 1 + a fraction, in Q16
            k.add(total, total, -3 << 15)
            k.minimum(total, total, MOST)
            interpolate(k, total, words, spare)
            k.store(total, to, Width.INT32, 4 * size * k.lanes)
            k.subtract(zeros, 31, zeros)
            k.store(zeros, shifts, Width.INT32, 4 * size * k.lanes)

        _in_parts(k, self._groups, part)
        k.free(total, zeros, *spare)
        k.release(source, to, shifts)

    def results(self, places: Softmax16Places) -> None:
        """Products of exponentials and reciprocals."""
        k = self._k
        value, reciprocal, shift = k.vector(), k.scalar(), k.scalar()
        source, to, inverses, shifts = (k.pointer(address) for address in (
            places.exponentials, places.y, places.totals, places.shifts))

        def part(size: int) -> None:
            k.load(value, source, Width.INT16, size * self._step)
            k.multiply(value, value, reciprocal)
            k.shift_right(value, value, shift, "up")
            k.store(value, to, Width.INT16, size * self._step)

        with k.loop(self._groups):
            k.load(reciprocal, inverses, Width.INT32, 4 * k.lanes)
            k.load(shift, shifts, Width.INT32, 4 * k.lanes)
            self._all_columns(part)

    def _all_columns(self, part: Callable[[int], None]) -> None:
        """``part`` for as many columns at a time as it is given."""
        def sized(size: int) -> None:
            self._k.length(size * self._k.lanes)
            part(size)

        _in_parts(self._k, self._columns, sized)


def _in_parts(k: Builder, count: int, part: Callable[[int], None]) -> None:
    whole, rest = divmod(count, BLOCK_WORDS)
    if whole:
        with k.loop(whole):
            part(BLOCK_WORDS)
    if rest:
        part(rest)
