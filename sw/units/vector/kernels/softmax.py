"""SOFTMAX for the vector unit: row by row, or R rows at a time, one in each lane."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, STORE_INSTRUCTIONS, Function, Reduce, Shift
from kaniwa.units.vector.kernels.elementary import Place
from kaniwa.units.vector.kernels.long_softmax import LongRows
from kaniwa.units.vector.kernels.softmax_batch import Batch
from kaniwa.units.vector.kernels.softmax_forms import (
    SHORT_ROW,
    Division,
    Looked,
    SoftmaxForm,
    shift_by_at_most_31,
)
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["longest_in_registers", "softmax", "softmax_limit", "softmax_rows"]

# Registers of rows beside a table of 256 words.
SOFTMAX_REGISTERS = 16
# Registers of a block of a long row: as many as the program has instructions for.
BLOCK_PARTS = (9, 8, 7, 6, 5)


def softmax(config: AcceleratorConfig, columns: int, x: Place, y: Place, table: int,
            form: SoftmaxForm) -> bytes:
    """SOFTMAX of a row of int8, of as many elements as registers hold, to int8 or int16.

    ``table``: ``table_words`` of exp(difference to the largest), as ``form`` has them, for
    differences 0, then -255..-1. LiteRT's has no result of a row whose exponentials add up to 512
    or more.
    """
    k, words = _begun(config, table)
    sizes = [min(k.limit, columns - first) for first in range(0, columns, k.limit)]
    if len(sizes) > _row_registers(form):
        raise ProgramError(f"a row of {columns} is longer than {_row_registers(form)} registers "
                           f"of {k.limit}")
    values, last = [k.vector() for _ in sizes], k.vector()
    largest, more = k.scalar(), k.scalar()
    scratch = [k.vector() for _ in range(form.scratch)]
    totals = tuple(k.scalar() for _ in range(form.parts))
    division = Division(totals, *(k.scalar() for _ in range(4)))
    division.begin(k)
    source, to = k.pointer(x.address), k.pointer(y.address)
    k.constant(values[-1], -128)     # what lies past the row stays the least, and adds nothing
    k.constant(last, 0)
    for value, size in zip(values, sizes, strict=True):
        k.length(size)
        k.load(value, source, x.width, size << x.width, tail=True)
    for part, value in enumerate(values):
        k.length(sizes[part])
        k.compute(Function.MAXIMUM, more if part else largest, value, addend=-128,
                  reduce=Reduce.GROUPS)
        if part:
            k.maximum(largest, largest, more)
    k.compute(Function.MAXIMUM, largest, largest, addend=-128, reduce=Reduce.LANES)
    exponentials = [*values[:-1], last]
    for exponential, value, size in zip(exponentials, values, sizes, strict=True):
        k.length(size)
        k.subtract(value, value, largest)
        k.look_up(exponential, value, words, tail=True)
    for kind, total in enumerate(totals):
        for part, exponential in enumerate(exponentials):
            k.length(sizes[part])
            form.add_up(k, kind, more if part else total, exponential, scratch)
            if part:
                k.add(total, total, more)
        k.compute(Function.ADD, total, total, reduce=Reduce.LANES)
    form.denominator(k, division)
    if columns > SHORT_ROW:
        shift_by_at_most_31(k, division)
    for exponential, size in zip(exponentials, sizes, strict=True):
        k.length(size)
        form.divide(k, exponential, division.mantissa, division.shift)
        k.store(exponential, to, y.width, size << y.width)
    return k.finish()


def softmax_rows(config: AcceleratorConfig, tiles: Tiles, x: int, y: int, table: int,
                 form: SoftmaxForm) -> bytes:
    """SOFTMAX of int8 along rows, R at a time, one in each lane; ``tiles`` at ``x`` and ``y``.

    ``table`` and ``form`` as in ``softmax``.
    """
    if tiles.columns > form.longest_row:
        raise ProgramError(f"a row of {tiles.columns} is longer than {form.longest_row}")
    if tiles.columns > BLOCK_WORDS * (SOFTMAX_REGISTERS - form.scratch):
        return _long_rows(config, tiles, x, y, table, form)
    k, words = _begun(config, table)
    rows = _Rows(k, form, tiles, k.pointer(x), k.pointer(y), words)
    most = rows.at_once()
    if most:
        rows.together(-(-tiles.count // -(-tiles.count // most)))  # of as few divisions as can be
    elif rows.fits_in_words():
        rows.in_words()
    else:
        rows.one_by_one()
    return k.finish()


def longest_in_registers(config: AcceleratorConfig, form: SoftmaxForm) -> int:
    """The most columns of ``softmax``."""
    return min(_row_registers(form) * config.requant_lanes * BLOCK_WORDS, form.longest_row)


def softmax_limit(config: AcceleratorConfig, rows: int, form: SoftmaxForm) -> int:
    """The most columns of a SOFTMAX: of ``softmax`` for a row, of ``softmax_rows`` for others."""
    if form.shifts is not None:
        return form.longest_row
    of_rows = min((SOFTMAX_REGISTERS - form.scratch) * BLOCK_WORDS, form.longest_row)
    return longest_in_registers(config, form) if rows == 1 else of_rows


def _row_registers(form: SoftmaxForm) -> int:
    """Registers that a row of ``softmax`` may take, beside one for its last exponentials."""
    return SOFTMAX_REGISTERS - form.scratch - 1


def _begun(config: AcceleratorConfig, table: int) -> tuple[Builder, Register]:
    """A program that has loaded the table, and its register."""
    k = Builder(config)
    words = k.table(256)
    k.load_table(words, k.pointer(table), 256)
    return k, words


def _long_rows(config: AcceleratorConfig, tiles: Tiles, x: int, y: int, table: int,
               form: SoftmaxForm) -> bytes:
    """The program for rows that registers do not hold at once."""
    for parts in BLOCK_PARTS:
        k, words = _begun(config, table)
        LongRows(k, form, tiles, words, parts).write(x, y)
        if k.place < STORE_INSTRUCTIONS:
            break
    return k.finish()


class _Rows:
    """Rows, R at a time, one in each lane, of which each is in as few registers as can be."""

    def __init__(self, k: Builder, form: SoftmaxForm, tiles: Tiles, source: Pointer, to: Pointer,
                 words: Register) -> None:
        self._k, self._form, self._words, self._tiles = k, form, words, tiles
        self._source, self._to = source, to
        self._sizes = tiles.sizes(SOFTMAX_REGISTERS - form.scratch)

    def at_once(self) -> int:
        """Tiles whose divisions can be words of the same registers: their largest values, totals by
        part, mantissas, shifts and a spare one have one each."""
        form, parts = self._form, len(self._sizes)
        left = SOFTMAX_REGISTERS - form.scratch - 4 - parts * form.parts
        return 0 if form.shifts is None or left < parts else min(
            left // parts, self._tiles.count, BLOCK_WORDS)

    def fits_in_words(self) -> bool:
        """True where a tile's division can be in vector registers: its largest value, mantissa,
        shift and a spare one, and its totals, whose parts are words of one register."""
        form, parts = self._form, len(self._sizes)
        left = SOFTMAX_REGISTERS - form.scratch - 4 - form.parts
        return form.shifts is not None and parts <= left

    def one_by_one(self) -> None:
        """With the division in scalars."""
        k, form = self._k, self._form
        largest, more = k.scalar(), k.scalar()
        totals = tuple(k.scalar() for _ in range(form.parts))
        division = Division(totals, *(k.scalar() for _ in range(4)))
        division.begin(k)
        scratch, values = [k.vector() for _ in range(form.scratch)], self._registers()

        def tile(number: int) -> None:
            for part, value in enumerate(values):
                self._tiles.load(k, value, self._source, self._sizes, part, number)
                k.compute(Function.MAXIMUM, more if part else largest, value, addend=-128,
                          reduce=Reduce.GROUPS)
                if part:
                    k.maximum(largest, largest, more)
            for part, value in enumerate(values):
                k.length(self._sizes[part] * k.lanes)
                k.subtract(value, value, largest)
                k.look_up(value, value, self._words)
                for kind, total in enumerate(totals):
                    form.add_up(k, kind, more if part else total, value, scratch)
                    if part:
                        k.add(total, total, more)
            form.denominator(k, division)
            for part, value in enumerate(values):
                self._tiles.length(k, self._sizes[part], number)
                form.divide(k, value, division.mantissa, division.shift)
                self._tiles.store(k, value, self._to, self._sizes, part)

        for times, number in self._tiles.repeated(k, 1):
            with k.loop(times):
                tile(number)

    def together(self, count: int) -> None:
        """``count`` tiles at once, whose divisions are words of the same registers."""
        k, form = self._k, self._form
        batch = Batch.begun(k, form, len(self._sizes))
        values = [self._registers() for _ in range(count)]
        division = batch.division(k)
        for times, first in self._tiles.repeated(k, count):
            tiles = list(enumerate(values[:min(count, self._tiles.count - first)]))
            with k.loop(times):
                # Loads wait for what was computed, so all of them come first.
                for word, registers in tiles:
                    self._load(registers, first + word)
                for word, registers in tiles:
                    self._find(registers, word, batch)
                for word, registers in tiles:
                    self._add_up(registers, word, batch)
                k.length(len(tiles) * k.lanes)
                for totals in batch.totals[1:]:
                    for total, more in zip(batch.totals[0], totals, strict=True):
                        k.add(total, total, more)
                form.denominator(k, division)
                batch.shift_to_factor(k)
                for word, registers in tiles:
                    self._divide(registers, first + word, word, batch)

    def in_words(self) -> None:
        """Tile by tile; what is found of the registers of a row are words of one."""
        k, form, parts = self._k, self._form, len(self._sizes)
        batch = Batch.begun(k, form, 1)
        values, (totals,) = self._registers(), batch.totals
        division = batch.division(k)
        for times, number in self._tiles.repeated(k, 1):
            with k.loop(times):
                self._load(values, number)
                for part, value in enumerate(values):
                    k.length(self._sizes[part] * k.lanes)
                    k.fold_to(batch.mantissas, part, value, Function.MAXIMUM, batch.least)
                k.length(parts * k.lanes)
                k.fold_to(batch.largest, 0, batch.mantissas, Function.MAXIMUM, batch.least)
                for part, value in enumerate(values):
                    k.length(self._sizes[part] * k.lanes)
                    row = Looked(value, self._words, batch.largest, 0, part)
                    for kind, total in enumerate(totals):
                        form.total(k, kind, total, batch.unit, row, batch.scratch)
                k.length(parts * k.lanes)
                for total in totals:
                    k.fold_to(total, 0, total, Function.ADD)
                k.length(k.lanes)
                form.denominator(k, division)
                batch.shift_to_factor(k)
                self._divide(values, number, 0, batch)

    def _load(self, registers: list[Register], number: int) -> None:
        """A tile."""
        for part, value in enumerate(registers):
            self._tiles.load(self._k, value, self._source, self._sizes, part, number)

    def _find(self, registers: list[Register], word: int, batch: Batch) -> None:
        """A tile's largest values."""
        k, last = self._k, len(registers) - 1
        for part, value in enumerate(registers):
            k.length(self._sizes[part] * k.lanes)
            k.fold_to(batch.largest if part == last else batch.more, word, value, Function.MAXIMUM,
                      batch.more if part else batch.least)

    def _add_up(self, registers: list[Register], word: int, batch: Batch) -> None:
        """A tile's totals."""
        k, row = self._k, Looked(registers[0], self._words, batch.largest, word, word)
        for part, (value, totals) in enumerate(zip(registers, batch.totals, strict=True)):
            k.length(self._sizes[part] * k.lanes)
            for kind, total in enumerate(totals):
                self._form.total(k, kind, total, batch.unit, replace(row, value=value),
                                 batch.scratch)

    def _divide(self, registers: list[Register], number: int, word: int, batch: Batch) -> None:
        """A tile's results."""
        k = self._k
        assert self._form.shifts is not None
        shift, plus = self._form.shifts
        for part, value in enumerate(registers):
            self._tiles.length(k, self._sizes[part], number)
            k.hold(batch.mantissas, batch.largest, word)
            k.multiply_looked_up(value, value, self._words, Shift.UP_31)
            k.hold(batch.shifts, batch.shifts, word)
            self._tiles.store_product(k, value, self._to, self._sizes, part, shift, plus)

    def _registers(self) -> list[Register]:
        return [self._k.vector() for _ in self._sizes]
