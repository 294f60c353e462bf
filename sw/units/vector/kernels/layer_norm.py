"""LAYER_NORM for the vector unit, R rows at a time, one in each lane."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, SCALAR, Function, Shift, Width
from kaniwa.units.vector.kernels.fixedpoint import inverse_square_root
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["LayerNormPlaces", "LayerNormResult", "layer_norm_rows"]

DEVIATION_BITS = 25
COLUMNS = 256
WRITTEN_OUT = 20     # parts of rows that a program has instructions of their own for


@dataclass(frozen=True)
class LayerNormPlaces:
    """Addresses: of ``x`` and ``y``, tiles of int8; of ``constants``, int32 for each
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


def layer_norm_rows(config: AcceleratorConfig, tiles: Tiles, places: LayerNormPlaces,
                    result: LayerNormResult) -> bytes:
    """LAYER_NORM of int8 along rows of at most 256 columns.

    The sums of all rows come first, then the roots, for 32 tiles at a time, then all results.
    """
    k = Builder(config)
    rows = _Rows(k, tiles)
    rows.sums(places)
    rows.roots(places, result)
    rows.results(places, result)
    return k.finish()


class _Rows:
    """Tiles, whose columns come a register at a time."""

    def __init__(self, k: Builder, tiles: Tiles) -> None:
        self._k, self._tiles, self._columns = k, tiles, tiles.columns
        self._groups, self._sizes = tiles.count, tiles.sizes(COLUMNS // BLOCK_WORDS)

    def _load(self, values: list[Register], source: Pointer, tile: int) -> None:
        """A tile's values. Loads wait for what was computed, so they come in a row."""
        for part, value in enumerate(values):
            self._tiles.load(self._k, value, source, self._sizes, part, tile)

    def sums(self, places: LayerNormPlaces) -> None:
        """Of each row, less the sum of its values, and that of their squares."""
        k, parts = self._k, len(self._sizes)
        totals, squares = ([k.vector() for _ in self._sizes] for _ in range(2))
        values = [[k.vector() for _ in self._sizes] for _ in range(SCALAR // parts - 2)]
        source = k.pointer(places.x)
        to = k.pointer(places.totals), k.pointer(places.squares)
        most = max(1, WRITTEN_OUT // len(self._sizes))
        for times, first in self._tiles.repeated(k, most):
            count = min(most, self._groups - first)
            with k.loop(times):
                for begin in range(0, count, len(values)):
                    words = range(begin, min(begin + len(values), count))
                    for word, registers in zip(words, values, strict=False):
                        self._load(registers, source, first + word)
                    for word, registers in zip(words, values, strict=False):
                        for part, value in enumerate(registers):
                            k.length(self._sizes[part] * k.lanes)
                            k.fold_to(totals[part], word, value, Function.ADD)
                            k.fold_to(squares[part], word, value, Function.ADD, factor=value)
                k.length(count * k.lanes)
                for registers, pointer, negate in ((totals, to[0], True), (squares, to[1], False)):
                    for more in registers[1:]:
                        k.add(registers[0], registers[0], more)
                    if negate:
                        k.subtract(registers[0], 0, registers[0])
                    k.store(registers[0], pointer, Width.INT32, 4 * count * k.lanes)
        k.free(*totals, *squares, *(value for registers in values for value in registers))
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
        k = self._k
        gains, biases, values = ([k.vector() for _ in self._sizes] for _ in range(3))
        constants = k.pointer(places.constants)
        for registers in (gains, biases):
            for register, count in zip(registers, self._sizes, strict=True):
                k.length(count * k.lanes)
                k.load(register, constants, Width.INT32, 4 * count, everywhere=True)
        k.release(constants)
        scalars = total, root, shift = [k.scalar() for _ in range(3)]
        own = [k.pointer(place) for place in (places.totals, places.squares, places.shifts)]
        source, to = k.pointer(places.x), k.pointer(places.y)
        for times, tile in self._tiles.repeated(k, 1):
            with k.loop(times):
                for scalar, pointer in zip(scalars, own, strict=True):
                    k.load(scalar, pointer, Width.INT32, 4 * k.lanes)
                self._load(values, source, tile)
                for part, value in enumerate(values):
                    self._tiles.length(k, self._sizes[part], tile)
                    k.multiply(value, value, self._columns, plus=total)
                    k.shift_left(value, value, shift)
                    k.multiply(value, value, root, Shift.UP_31)
                    k.multiply(value, value, gains[part], Shift.UP_31)
                    k.add(value, value, biases[part])
                    if (result.low, result.high) == (-128, 127) and result.bits:
                        self._tiles.store_shifted(k, value, to, self._sizes, part, result.bits)
                    else:
                        k.shift_right(value, value, result.bits, "up")
                        k.limit_byte(value, result.low, result.high)
                        self._tiles.store(k, value, to, self._sizes, part)
