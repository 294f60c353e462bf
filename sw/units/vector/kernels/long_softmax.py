"""SOFTMAX for the vector unit along rows that registers do not hold at once, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import Function, Shift, Width
from kaniwa.units.vector.kernels.softmax_batch import Batch
from kaniwa.units.vector.kernels.softmax_forms import Looked, SoftmaxForm, shift_by_at_most_31
from kaniwa.units.vector.kernels.tiles import Tiles

__all__ = ["LongRows"]


@dataclass(frozen=True)
class LongRows:
    """Rows, R at a time, one in each lane, of which ``parts`` registers are there at once.

    A tile is passed three times: for its largest values, for its totals, and for its results.
    ``words``: the table of exponentials.
    """

    k: Builder
    form: SoftmaxForm
    tiles: Tiles
    words: Register
    parts: int

    def write(self, x: int, y: int) -> None:
        """The program; ``tiles`` at ``x`` and ``y``."""
        k, form = self.k, self.form
        assert form.shifts is not None      # a limit
        values, batch = [k.vector() for _ in range(self.parts)], Batch.begun(k, form, 1)
        division = batch.division(k)
        source, to = k.pointer(x), k.pointer(y)
        between = self.tiles.lanes * self.tiles.pitch - self.tiles.columns
        for times, number in self.tiles.repeated(k, 1):
            with k.loop(times):
                self._largest(values, batch, source, number)
                self._totals(values, batch, source, number)
                k.length(k.lanes)
                form.denominator(k, division)
                shift_by_at_most_31(k, division)
                batch.shift_to_factor(k)
                self._results(values, batch, (source, to), number)
                for pointer in (source, to):
                    k.advance(pointer, between)

    def _blocks(self, values: list[Register], source: Pointer, number: int,
                of_block: Callable[[list[tuple[int, Register, int]]], None]) -> None:
        """Load each block of a tile, for ``of_block``: part, register and columns."""
        k, tiles = self.k, self.tiles
        for times, sizes in tiles.blocks(self.parts):
            block = list(zip(range(len(sizes)), values, sizes, strict=False))
            with k.loop(times):
                # Loads wait for what was computed, so all of them come first.
                for _, value, size in block:
                    tiles.length(k, size, number)
                    k.load(value, source, Width.INT8, size, rows=True)
                of_block(block)

    def _largest(self, values: list[Register], batch: Batch, source: Pointer, number: int) -> None:
        """A tile's largest values."""
        k, largest, found = self.k, batch.largest, batch.mantissas
        k.length(self.parts * k.lanes)
        k.constant(largest, -128)

        def of_block(block: list[tuple[int, Register, int]]) -> None:
            for part, value, size in block:
                k.length(size * k.lanes)
                k.fold_to(found, part, value, Function.MAXIMUM, batch.least)
            k.length(len(block) * k.lanes)
            k.maximum(largest, largest, found)

        self._blocks(values, source, number, of_block)
        k.length(self.parts * k.lanes)
        k.fold_to(largest, 0, largest, Function.MAXIMUM, batch.least)
        k.advance(source, -self.tiles.columns)

    def _totals(self, values: list[Register], batch: Batch, source: Pointer, number: int) -> None:
        """A tile's totals, by their parts."""
        k, form, totals = self.k, self.form, batch.totals[0]
        found = (batch.mantissas, batch.shifts)[:form.parts]
        k.length(self.parts * k.lanes)
        for total in totals:
            k.constant(total, 0)

        def of_block(block: list[tuple[int, Register, int]]) -> None:
            for part, value, size in block:
                k.length(size * k.lanes)
                row = Looked(value, self.words, batch.largest, 0, part)
                for kind, register in enumerate(found):
                    form.total(k, kind, register, batch.unit, row, batch.scratch)
            k.length(len(block) * k.lanes)
            for total, register in zip(totals, found, strict=True):
                k.add(total, total, register)

        self._blocks(values, source, number, of_block)
        k.length(self.parts * k.lanes)
        for total in totals:
            k.fold_to(total, 0, total, Function.ADD)
        k.advance(source, -self.tiles.columns)

    def _results(self, values: list[Register], batch: Batch, pointers: tuple[Pointer, Pointer],
                 number: int) -> None:
        """A tile's results."""
        k, tiles, (source, to) = self.k, self.tiles, pointers
        assert self.form.shifts is not None
        shift, plus = self.form.shifts

        def of_block(block: list[tuple[int, Register, int]]) -> None:
            k.hold(batch.mantissas, batch.largest)
            for _, value, size in block:
                tiles.length(k, size, number)
                k.multiply_looked_up(value, value, self.words, Shift.UP_31)
            k.hold(batch.shifts, batch.shifts)
            for _, value, size in block:
                tiles.length(k, size, number)
                k.store_product(to, Width.INT8, value, shift, plus, size, rows=True)

        self._blocks(values, source, number, of_block)
