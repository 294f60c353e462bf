"""LAYER_NORM for the vector unit, R rows at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Operand, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, Function, Reduce, Shift, Width
from kaniwa.units.vector.kernels.fixedpoint import inverse_square_root

__all__ = ["LayerNormPlaces", "LayerNormResult", "layer_norm_rows"]

DEVIATION_BITS = 25


@dataclass(frozen=True)
class LayerNormPlaces:
    """Addresses: of ``x`` and ``y``, [groups, columns, R] of int8; of ``constants``, int32 for each
    column, gains and then biases with the zero point; and of an int32 for each row: less its sum,
    its sum of squares (later the root), and by how much deviations are shifted."""

    x: int
    y: int
    constants: int
    totals: int
    squares: int
    shifts: int


@dataclass(frozen=True)
class LayerNormResult:
    """Rule ``qdq_fixed_point``: ``epsilon`` with ``shift`` bits behind the point, at most 28; the
    ``bits`` of results behind it, which biases have, and gains 6 more; limits of a result."""

    epsilon: int
    shift: int
    bits: int
    low: int
    high: int


def layer_norm_rows(config: AcceleratorConfig, groups: int, columns: int, places: LayerNormPlaces,
                    result: LayerNormResult) -> bytes:
    """LAYER_NORM of int8 along ``groups`` of R rows of at most 256 ``columns``.

    The sums of all rows come first, then the roots, for 32 groups at a time, then all results.
    """
    k = Builder(config)
    rows = _Rows(k, groups, columns)
    rows.sums(places)
    rows.roots(places, result)
    rows.results(places, result)
    return k.finish()


class _Rows:
    """``groups`` of R rows, whose ``columns`` come a register at a time."""

    def __init__(self, k: Builder, groups: int, columns: int) -> None:
        self._k, self._groups, self._columns = k, groups, columns
        self._value = k.vector()

    def _parts(self, source: Pointer) -> Iterator[tuple[int, int]]:
        """The next row's values, a part at a time; its number and its bytes."""
        for number, first in enumerate(range(0, self._columns, BLOCK_WORDS)):
            count = min(BLOCK_WORDS, self._columns - first) * self._k.lanes
            self._k.length(count)
            self._k.load(self._value, source, Width.INT8, count)
            yield number, count

    def sums(self, places: LayerNormPlaces) -> None:
        """Of each row, less the sum of its values, and that of their squares."""
        k, value = self._k, self._value
        total, square, more = (k.scalar() for _ in range(3))
        source = k.pointer(places.x)
        to = k.pointer(places.totals), k.pointer(places.squares)
        with k.loop(self._groups):
            for part, _ in self._parts(source):
                forms: tuple[tuple[Register, Operand, bool], ...] = (
                    (total, 1, True), (square, value, False))
                for d, factor, negate in forms:
                    k.compute(Function.ADD, more if part else d, value, factor=factor,
                              negate=negate, reduce=Reduce.GROUPS)
                    if part:
                        k.add(d, d, more)
            for register, pointer in zip((total, square), to, strict=True):
                k.store(register, pointer, Width.INT32, 4 * k.lanes)
        k.free(total, square, more)
        k.release(source, *to)

    def roots(self, places: LayerNormPlaces, result: LayerNormResult) -> None:
        """Of each row 1 / sqrt(n^2 (variance + epsilon)), and how far its deviations are shifted
        to have DEVIATION_BITS behind the point with it."""
        k = self._k
        total, spread, shift, bits, root, right = registers = [k.vector() for _ in range(6)]
        spare = k.vector(), k.vector(), k.vector()
        of_totals, of_squares, of_shifts = pointers = [
            k.pointer(place) for place in (places.totals, places.squares, places.shifts)]

        def part(groups: int) -> None:
            k.length(groups * k.lanes)
            step = 4 * groups * k.lanes
            k.load(total, of_totals, Width.INT32, step)
            k.load(spread, of_squares, Width.INT32)
            k.multiply(total, total, total)
            k.multiply(spread, spread, self._columns)
            k.subtract(spread, spread, total)
            # As far to the left as 30 bits and epsilon's own shift allow, and by an even number.
            k.leading_zeros(shift, spread)
            k.add(shift, shift, -2)
            k.minimum(shift, shift, result.shift)
            k.bits(shift, shift, -2)
            k.subtract(bits, result.shift, shift)
            k.constant(total, result.epsilon)
            k.shift_right(total, total, bits)
            k.shift_left(spread, spread, shift)
            k.add(spread, spread, total)
            k.shift_right(spread, spread, 2)
            inverse_square_root(k, root, right, spread, spare)
            k.shift_left(root, root, 2)
            k.store(root, of_squares, Width.INT32, step)
            k.shift_right(shift, shift, 1)
            k.subtract(shift, shift, right)
            k.add(shift, shift, DEVIATION_BITS - 2 - 1)
            k.store(shift, of_shifts, Width.INT32, step)

        whole, rest = divmod(self._groups, BLOCK_WORDS)
        if whole:
            with k.loop(whole):
                part(BLOCK_WORDS)
        if rest:
            part(rest)
        k.free(*registers, *spare)
        k.release(*pointers)

    def results(self, places: LayerNormPlaces, result: LayerNormResult) -> None:
        """Deviations of each row, times root and gain, plus bias."""
        k, value = self._k, self._value
        blocks = range(0, self._columns, BLOCK_WORDS)
        gains, biases = ([k.vector() for _ in blocks] for _ in range(2))
        constants = k.pointer(places.constants)
        for registers in (gains, biases):
            for register, first in zip(registers, blocks, strict=True):
                count = min(BLOCK_WORDS, self._columns - first)
                k.length(count * k.lanes)
                k.load(register, constants, Width.INT32, 4 * count, everywhere=True)
        k.release(constants)
        scalars = total, root, shift = [k.scalar() for _ in range(3)]
        own = [k.pointer(place) for place in (places.totals, places.squares, places.shifts)]
        source, to = k.pointer(places.x), k.pointer(places.y)
        with k.loop(self._groups):
            for scalar, pointer in zip(scalars, own, strict=True):
                k.load(scalar, pointer, Width.INT32, 4 * k.lanes)
            for part, count in self._parts(source):
                k.multiply(value, value, self._columns, plus=total)
                k.shift_left(value, value, shift)
                k.multiply(value, value, root, Shift.UP_31)
                k.multiply(value, value, gains[part], Shift.UP_31)
                k.add(value, value, biases[part])
                k.shift_right(value, value, result.bits, "up")
                k.limit_byte(value, result.low, result.high)
                k.store(value, to, Width.INT8, count)
