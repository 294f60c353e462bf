"""LAYER_NORM, RMS_NORM, INSTANCE_NORM, GROUP_NORM of one group for the vector unit, a row in each
lane."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import (
    BLOCK_WORDS,
    SCALAR,
    STORE_INSTRUCTIONS,
    Function,
    Reduce,
    Shift,
    Width,
)
from kaniwa.units.vector.kernels.fixedpoint import inverse_square_root
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["LayerNormPlaces", "LayerNormResult", "SHORT_ROW", "layer_norm_rows"]

SHORT_ROW = 256      # columns that registers hold at once
PARTS = SHORT_ROW // BLOCK_WORDS
NOT_SHIFTED_RIGHT = 4096    # values of which deviations are never shifted right
WRITTEN_OUT = 20     # parts of rows that a program has instructions of their own for


@dataclass(frozen=True)
class LayerNormPlaces:
    """Addresses: of ``x`` and ``y``, tiles of int8; of ``constants``, int32 for each column, or for
    each row of all tiles, gains and then biases with the zero point, of a map behind a 1 for each
    lane that has a row of the last tile, else 0; and of an int32 for each row: less its sum, its
    sum of squares (later the root), and by how much deviations are shifted."""

    x: int
    y: int
    constants: int
    totals: int
    squares: int
    shifts: int


@dataclass(frozen=True)
class LayerNormResult:
    """Rule ``qdq_fixed_point``: ``epsilon`` with ``shift`` bits behind the point, at most 28; the
    ``bits`` of results behind it, which biases have, too; limits of a result. ``zero_point``: of
    the values of RMS_NORM, else differences are to a row's mean. ``is_map``: all rows are one.
    ``by_row``: gains and biases are those of a row."""

    epsilon: int
    shift: int
    bits: int
    low: int
    high: int
    zero_point: int | None = None
    is_map: bool = False
    by_row: bool = False


def layer_norm_rows(config: AcceleratorConfig, tiles: Tiles, places: LayerNormPlaces,
                    result: LayerNormResult) -> bytes:
    """LAYER_NORM or RMS_NORM of int8 along rows of at most 4,096 columns, INSTANCE_NORM along those
    of 65,536, or GROUP_NORM of a map.

    The sums of all rows come first, then the roots, for 32 tiles at a time, then all results. Rows
    of more than SHORT_ROW columns come in blocks of so many.
    """
    for written_out in (WRITTEN_OUT, 1):    # a slower program where the faster one does not fit
        k = Builder(config)
        rows = _Rows(k, tiles, result)
        if rows.sizes:
            rows.sums(places, written_out)
        else:
            rows.long_sums(places)
        if result.is_map:
            rows.sums_of_map(places)
        rows.roots(places, result)
        rows.results(places, result)
        if k.place < STORE_INSTRUCTIONS:
            break
    return k.finish()


class _Rows:
    """Tiles, whose columns come a register at a time."""

    def __init__(self, k: Builder, tiles: Tiles, result: LayerNormResult) -> None:
        self._zero_point, self._is_map = result.zero_point, result.is_map
        self._by_row = result.by_row
        self._k, self._tiles, self._columns, self._groups = k, tiles, tiles.columns, tiles.count
        self._count = tiles.columns * (tiles.rows if result.is_map else 1)      # of a mean
        self.sizes = tiles.sizes(PARTS) if tiles.columns <= SHORT_ROW else []    # of short rows
        # Registers of a block of long rows. A last tile and a last block have instructions of their
        # own; with both the program would not fit.
        rest = tiles.rows % tiles.lanes and tiles.columns % SHORT_ROW
        self._parts = PARTS // 2 if rest else PARTS

    def _load(self, values: list[Register], source: Pointer, tile: int, sizes: list[int]) -> None:
        """A tile's values. Loads wait for what was computed, so they come in a row."""
        for part, value in enumerate(values):
            self._tiles.load(self._k, value, source, sizes, part, tile)

    def sums(self, places: LayerNormPlaces, written_out: int) -> None:
        """Of each row, less the sum of its values, and that of their squares. ``written_out``:
        parts of rows with instructions of their own, at most, if that is a row or more."""
        k, parts = self._k, len(self.sizes)
        totals, squares = ([k.vector() for _ in self.sizes] for _ in range(2))
        values = [[k.vector() for _ in self.sizes] for _ in range(SCALAR // parts - 2)]
        source = k.pointer(places.x)
        to = k.pointer(places.totals), k.pointer(places.squares)
        most = max(1, written_out // parts)
        for times, first in self._tiles.repeated(k, most):
            count = min(most, self._groups - first)
            with k.loop(times):
                for begin in range(0, count, len(values)):
                    words = range(begin, min(begin + len(values), count))
                    for word, registers in zip(words, values, strict=False):
                        self._load(registers, source, first + word, self.sizes)
                    for word, registers in zip(words, values, strict=False):
                        for part, value in enumerate(registers):
                            k.length(self.sizes[part] * k.lanes)
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
        """Of each row 1 / sqrt(n^2 (variance + epsilon)), in long rows of n times what is under it
        less, and how far its deviations are shifted to have ``_deviation_bits`` behind the point
        with it."""
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
            if self._zero_point is not None:
                k.multiply(total, total, 2 * self._zero_point, plus=spread)
                k.add(spread, total, self._count * self._zero_point**2)
            elif self._count <= SHORT_ROW:
                k.multiply(total, total, total)
                k.multiply(spread, spread, self._count)
                k.subtract(spread, spread, total)
            else:
                self._around_mean(spread, right, total, root)
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
            if self._zero_point is None and self._count > SHORT_ROW:
                self._less_square(spread, right, shift, root)
            k.shift_right(spread, spread, 2)
            inverse_square_root(k, root, right, spread, spare)
            k.shift_left(root, root, 2)
            if self._count <= NOT_SHIFTED_RIGHT:
                k.store(root, of_squares, Width.INT32, step)
            k.shift_right(shift, shift, 1)
            k.subtract(shift, shift, right)
            k.add(shift, shift, self._deviation_bits() - 2 - 1)
            if self._count > NOT_SHIFTED_RIGHT:
                k.subtract(bits, 0, shift)
                k.maximum(bits, bits, 0)
                k.maximum(shift, shift, 0)
                k.shift_right(root, root, bits)
                k.store(root, of_squares, Width.INT32, step)
            k.store(shift, of_shifts, Width.INT32, step)

        whole, rest = divmod(1 if self._is_map else self._groups, BLOCK_WORDS)
        if whole:
            with k.loop(whole):
                part(BLOCK_WORDS)
        if rest:
            part(rest)
        k.free(*registers, *spare)
        k.release(*pointers)

    def _deviation_bits(self) -> int:
        """Bits behind the point of a deviation: at most 16, in long rows the columns, of RMS_NORM
        1."""
        if self._zero_point is not None:
            return 29
        return 25 if self._count <= SHORT_ROW else 29 - (self._count - 1).bit_length()

    def _around_mean(self, squares: Register, rest: Register, total: Register,
                     spare: Register) -> None:
        """The sum of ``squares`` of differences to an integer next to the mean, and ``rest``, less
        their sum; of those of values, and of less their ``total``."""
        k = self._k
        k.multiply(spare, total, round(2**31 / self._count), Shift.UP_31)
        k.multiply(rest, spare, -self._count, plus=total)
        k.add(total, total, rest)
        k.multiply(total, total, spare)
        k.subtract(squares, squares, total)

    def _less_square(self, d: Register, rest: Register, shift: Register, spare: Register) -> None:
        """d less (``rest`` * 2^(``shift`` / 2))^2 / n. Both factors have 31 bits at most."""
        k, count = self._k, self._count
        more = next(12 - i for i in range(5) if count <= 512 << 2 * i)
        k.shift_right(spare, shift, 1)
        k.add(spare, spare, more)
        k.shift_left(rest, rest, spare)
        k.multiply(spare, rest, round(2**(62 - 2 * more) / count), Shift.UP_31)
        k.multiply(spare, spare, rest, Shift.UP_31)
        k.subtract(d, d, spare)

    def sums_of_map(self, places: LayerNormPlaces) -> None:
        """The sums of all rows in place of those of the first ones, in every lane."""
        k, rest = self._k, self._tiles.rows % self._tiles.lanes
        lanes, value, more = k.vector(), k.vector(), k.scalar()
        if rest:        # a last tile has lanes without a row
            first = k.pointer(places.constants)
            k.length(k.lanes)
            k.load(lanes, first, Width.INT32)
            k.release(first)
        for place in (places.totals, places.squares):
            source, total = k.pointer(place), k.scalar()
            k.length(k.lanes)
            k.constant(total, 0)
            whole, left = divmod(self._groups - bool(rest), BLOCK_WORDS)
            for times, count, last in ((whole, BLOCK_WORDS, False), (left > 0, left, False),
                                       (rest > 0, 1, True)):
                if not times:
                    continue
                with k.loop(times):
                    k.length(count * k.lanes)
                    k.load(value, source, Width.INT32, 4 * count * k.lanes)
                    if last:
                        k.multiply(value, value, lanes)
                    k.compute(Function.ADD, more, value, reduce=Reduce.GROUPS)
                    k.add(total, total, more)
            k.compute(Function.ADD, total, total, reduce=Reduce.LANES)
            k.point(source, place)
            k.length(k.lanes)
            k.store(total, source, Width.INT32)
            k.release(source)
            k.free(total)
        k.free(lanes, value, more)

    def long_sums(self, places: LayerNormPlaces) -> None:
        """``sums``, of a tile after the other, whose parts are words of a register."""
        k, tiles = self._k, self._tiles
        total, squares, more, more_squares = registers = [k.vector() for _ in range(4)]
        values = [k.vector() for _ in range(self._parts)]
        source = k.pointer(places.x)
        to = k.pointer(places.totals), k.pointer(places.squares)
        for times, tile in tiles.repeated(k, 1):
            with k.loop(times):
                k.length(self._parts * k.lanes)
                k.constant(total, 0)
                k.constant(squares, 0)
                for blocks, sizes in tiles.blocks(self._parts):
                    with k.loop(blocks):
                        for part, value in enumerate(values[:len(sizes)]):
                            tiles.length(k, sizes[part], tile)
                            k.load(value, source, Width.INT8, sizes[part], rows=True)
                        for part, value in enumerate(values[:len(sizes)]):
                            k.length(sizes[part] * k.lanes)
                            k.fold_to(more, part, value, Function.ADD)
                            k.fold_to(more_squares, part, value, Function.ADD, factor=value)
                        k.length(len(sizes) * k.lanes)
                        k.add(total, total, more)
                        k.add(squares, squares, more_squares)
                k.length(self._parts * k.lanes)
                k.fold_to(total, 0, total, Function.ADD)
                k.fold_to(squares, 0, squares, Function.ADD)
                k.length(k.lanes)
                k.subtract(total, 0, total)
                for register, pointer in zip((total, squares), to, strict=True):
                    k.store(register, pointer, Width.INT32, 4 * k.lanes)
                k.advance(source, tiles.lanes * tiles.pitch - tiles.columns)
        k.free(*registers, *values)
        k.release(source, *to)

    def results(self, places: LayerNormPlaces, result: LayerNormResult) -> None:
        """Deviations of each row, times root and gain, plus bias: block by block of the columns."""
        k, tiles = self._k, self._tiles
        blocks = [(1, self.sizes)] if self.sizes else tiles.blocks(self._parts)
        begin = places.constants + (4 * k.lanes if self._is_map else 0)
        each = tiles.count * k.lanes if self._by_row else self._columns
        constants = [k.pointer(begin + 4 * first) for first in (0, each)]
        # Differences to a zero point need no total.
        own = [k.pointer(place) for place in (places.squares, places.shifts, *(
            [places.totals] if self._zero_point is None else []))]
        if self._by_row:
            own, constants = [*own, *constants], []
        moved = k.pointer(places.x), k.pointer(places.y)
        for times, sizes in blocks:
            with k.loop(times):
                self._block(sizes, constants, own, moved, result)
                if len(blocks) > 1 or times > 1:     # back to the first tile
                    for pointer in moved:
                        k.advance(pointer, sum(sizes) - tiles.count * tiles.lanes * tiles.pitch)
                    for pointer in () if self._is_map else own:
                        k.advance(pointer, -4 * tiles.count * k.lanes)

    def _block(self, sizes: list[int], constants: list[Pointer], own: list[Pointer],
               moved: tuple[Pointer, Pointer], result: LayerNormResult) -> None:
        """The results in some columns of all tiles; ``own``: the numbers of each row, ``moved``:
        values and results."""
        k, (source, to) = self._k, moved
        values = [k.vector() for _ in sizes]
        of_columns = [[k.vector() for _ in sizes] for _ in constants]
        for registers, pointer in zip(of_columns, constants, strict=True):
            for register, count in zip(registers, sizes, strict=True):
                k.length(count * k.lanes)
                k.load(register, pointer, Width.INT32, 4 * count, everywhere=True)
        root, shift, *total = scalars = [k.scalar() for _ in own]
        gains, biases = of_columns or [[scalar] * len(sizes) for scalar in scalars[-2:]]
        step = 0 if self._is_map else 4 * k.lanes
        for times, tile in self._tiles.repeated(k, 1):
            with k.loop(times):
                for scalar, pointer in zip(scalars, own, strict=True):
                    k.load(scalar, pointer, Width.INT32, step)
                self._load(values, source, tile, sizes)
                for part, value in enumerate(values):
                    self._tiles.length(k, sizes[part], tile)
                    if self._zero_point is None:
                        k.multiply(value, value, self._count, plus=total[0])
                    else:
                        k.add(value, value, -self._zero_point)
                    k.shift_left(value, value, shift)
                    k.multiply(value, value, root, Shift.UP_31)
                    k.multiply(value, value, gains[part], Shift.UP_31)
                    k.add(value, value, biases[part])
                    if (result.low, result.high) == (-128, 127) and result.bits:
                        self._tiles.store_shifted(k, value, to, sizes, part, result.bits)
                    else:
                        k.shift_right(value, value, result.bits, "up")
                        k.limit_byte(value, result.low, result.high)
                        self._tiles.store(k, value, to, sizes, part)
        k.free(*values, *scalars, *(register for each in of_columns for register in each))
