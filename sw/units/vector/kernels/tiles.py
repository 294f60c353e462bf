"""Rows of int8 for the vector unit, R at a time, one in each lane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kaniwa.errors import ProgramError
from kaniwa.units.vector.builder import Builder, Pointer, Register
from kaniwa.units.vector.isa import BLOCK_WORDS, Shift, Width, piece_of

__all__ = ["Tiles", "in_place"]


def in_place(lanes: int, columns: int) -> bool:
    """True where rows of ``columns`` can be moved as they lie, in whole pieces."""
    return columns % piece_of(lanes) == 0


@dataclass(frozen=True)
class Tiles:
    """``rows`` of ``columns``; a tile is R of them, the last one of less where rows lie as they do
    in a tensor. Else they are turned, [tiles, columns, R], and whole."""

    lanes: int
    rows: int
    columns: int
    turned: bool = False

    @property
    def count(self) -> int:
        return -(-self.rows // self.lanes)

    def sizes(self, most: int) -> list[int]:
        """Columns of the registers that a row lies in, of which there are ``most``."""
        parts, unit = -(-self.columns // BLOCK_WORDS), 1 if self.turned else piece_of(self.lanes)
        if parts > most:
            raise ProgramError(
                f"a row of {self.columns} is longer than {most} registers of {BLOCK_WORDS}")
        size = -(-self.columns // parts // unit) * unit
        return [min(size, self.columns - first) for first in range(0, self.columns, size)]

    def repeated(self, k: Builder, together: int) -> Iterator[tuple[int, int]]:
        """How often as many tiles are passed ``together``, and the first one's number; then what is
        left, at most as many. A loop is of whole tiles."""
        whole = self.count if self.turned else self.rows // self.lanes
        times, rest = whole // together, self.count - whole // together * together
        if times:
            yield times, 0
        if rest:
            yield 1, times * together

    def length(self, k: Builder, size: int, number: int) -> None:
        """The length for a part of a tile, and how far its rows are apart."""
        if self.turned:
            k.length(size * self.lanes)
        else:
            rows = min(self.lanes, self.rows - number * self.lanes)
            k.rows(size, rows)
            k.pitch(self.columns, rows)

    def _step(self, sizes: Sequence[int], part: int) -> int:
        if self.turned:
            return sizes[part] * self.lanes
        return sizes[part] + (part == len(sizes) - 1) * (self.lanes - 1) * self.columns

    def load(self, k: Builder, value: Register, source: Pointer, sizes: Sequence[int], part: int,
             number: int) -> None:
        """The next part, with the length that it has."""
        self.length(k, sizes[part], number)
        k.load(value, source, Width.INT8, self._step(sizes, part), rows=not self.turned)

    def store(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
              part: int) -> None:
        """A part."""
        k.store(value, to, Width.INT8, self._step(sizes, part), rows=not self.turned)

    def store_product(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
                      part: int, shift: Shift, plus: int) -> None:
        """A part, times what is held."""
        k.store_product(to, Width.INT8, value, shift, plus, self._step(sizes, part),
                        rows=not self.turned)

    def store_shifted(self, k: Builder, value: Register, to: Pointer, sizes: Sequence[int],
                      part: int, bits: int) -> None:
        """A part, shifted right by 1 to 31 ``bits`` and rounded half up."""
        k.store_product(to, Width.INT8, 1 << 31 - bits, Shift.UP_31,
                        step=self._step(sizes, part), a=value, rows=not self.turned)
