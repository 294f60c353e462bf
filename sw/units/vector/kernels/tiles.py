"""Rows of int8 for the vector unit, R at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, Shift, Width, piece_of

__all__ = ["Tiles"]


@dataclass(frozen=True)
class Tiles:
    """``rows`` of ``columns``, ``pitch`` bytes apart; a tile is R of them, the last one of less."""

    lanes: int
    rows: int
    columns: int

    @property
    def pitch(self) -> int:
        """Bytes from one row to the next: whole pieces."""
        piece = piece_of(self.lanes)
        return -(-self.columns // piece) * piece

    @property
    def gap(self) -> int:
        """Bytes behind each row; 0 where rows are moved as they lie in a tensor."""
        return self.pitch - self.columns

    @property
    def count(self) -> int:
        return -(-self.rows // self.lanes)

    def sizes(self, most: int) -> list[int]:
        """Columns of the registers that a row lies in, of which there are ``most``."""
        parts, unit = -(-self.columns // BLOCK_WORDS), piece_of(self.lanes)
        if parts > most:
            raise ProgramError(
                f"a row of {self.columns} is longer than {most} registers of {BLOCK_WORDS}")
        size = -(-self.columns // parts // unit) * unit
        return [min(size, self.columns - first) for first in range(0, self.columns, size)]

    def blocks(self, most: int) -> list[tuple[int, list[int]]]:
        """The parts of longer rows: so many times registers of these columns, of which there are
        ``most`` at once."""
        whole, rest = divmod(self.columns, most * BLOCK_WORDS)
        parts = [min(BLOCK_WORDS, rest - first) for first in range(0, rest, BLOCK_WORDS)]
        return [(times, sizes) for times, sizes in (
            (whole, [BLOCK_WORDS] * most), (1, parts)) if times and sizes]

    def repeated(self, k: Builder, together: int) -> Iterator[tuple[int, int]]:
        """How often as many tiles are passed ``together``, and the first one's number; then what is
        left, at most as many. A loop is of whole tiles."""
        whole = self.rows // self.lanes
        times, rest = whole // together, self.count - whole // together * together
        if times:
            yield times, 0
        if rest:
            yield 1, times * together

    def length(self, k: Builder, size: int, number: int) -> None:
        """The length for a part of a tile, and how far its rows are apart."""
        rows = min(self.lanes, self.rows - number * self.lanes)
        k.rows(size, rows)
        k.pitch(self.pitch, rows)

    def _step(self, sizes: Sequence[int], part: int) -> int:
        """From a part to the next one, in a row or of the next tile."""
        if part < len(sizes) - 1:
            return sizes[part]
        return sizes[part] + self.lanes * self.pitch - sum(sizes)

    def load(self, k: Builder, value: Register, source: Pointer, sizes: Sequence[int], part: int,
             number: int) -> None:
        """The next part, with the length that it has."""
        self.length(k, sizes[part], number)
        k.load(value, source, Width.INT8, self._step(sizes, part), rows=True)

    def store(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
              part: int) -> None:
        """A part."""
        k.store(value, to, Width.INT8, self._step(sizes, part), rows=True)

    def store_product(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
                      part: int, shift: Shift, plus: int) -> None:
        """A part, times what is held."""
        k.store_product(to, Width.INT8, value, shift, plus, self._step(sizes, part),
                        rows=True)

    def store_shifted(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
                      part: int, bits: int) -> None:
        """A part, shifted right by 1 to 31 ``bits`` and rounded half up."""
        k.store_product(to, Width.INT8, 1 << 31 - bits, Shift.UP_31,
                        step=self._step(sizes, part), a=value, rows=True)
