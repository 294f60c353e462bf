"""Tables of bit fields: instructions and descriptors of every unit are instances of one type.

A table encodes and decodes numbers, refuses illegal ones and describes itself for ``docs/isa.md``;
``kaniwa.hw.parts.bit_fields`` makes the gateware's layout from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kaniwa.errors import ProgramError

__all__ = ["Field", "BitTable", "in_order"]

WORD_BITS = 32


@dataclass(frozen=True)
class Field:
    """A number in bits ``lsb .. lsb + width - 1`` of the 32-bit word ``word``.

    Legal are multiples of ``multiple`` from ``low`` to ``high``; a limit of None is that of the
    width. ``units`` and ``compact`` are columns of the LAYER table, which explains them.
    """

    name: str
    width: int
    signed: bool
    low: int
    high: int
    meaning: str
    word: int = 0
    lsb: int = 0
    multiple: int = 1
    units: tuple[str, ...] = ()
    compact: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, width: int, meaning: str, *, low: int | None = None,
           high: int | None = None, signed: bool = False, **columns: object) -> Field:
        """A field whose limits are those of its width where they are not given."""
        field = cls(name, width, signed, 0, 0, meaning)
        return dataclasses.replace(
            field, low=field.least if low is None else low,
            high=field.most if high is None else high, **columns)   # type: ignore[arg-type]

    @property
    def least(self) -> int:
        """The smallest number that the bits hold, legal or not."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def most(self) -> int:
        """The largest number that the bits hold, legal or not."""
        return (1 << self.width - self.signed) - 1

    @property
    def bit(self) -> int:
        """The lowest bit of the field, with all words of the table seen as one number."""
        return WORD_BITS * self.word + self.lsb

    @property
    def default(self) -> int:
        """The value of a field that is not named: 0, or the low limit."""
        return max(0, self.low)


def in_order(fields: Iterable[Field]) -> Iterator[Field]:
    """The fields, placed one after the other; a field never crosses a word."""
    word = lsb = 0
    for field in fields:
        if lsb + field.width > WORD_BITS:
            word, lsb = word + 1, 0
        yield dataclasses.replace(field, word=word, lsb=lsb)
        lsb += field.width


class BitTable:
    """The fields of ``size`` bytes, by name; ``what`` names the whole in messages ("a CELL").

    ``rule`` says what is wrong with values that are each within their range, or None.
    """

    def __init__(self, what: str, size: int, fields: Iterable[Field],
                 rule: Callable[[Mapping[str, int]], str | None] | None = None) -> None:
        self.what, self.size = what, size
        self.fields = {field.name: field for field in fields}
        self._rule = rule
        # What each instruction needs of each field; properties would be computed anew each time.
        self._defaults = {field.name: field.default for field in self.fields.values()}
        self._bits = [(field.name, field.bit, 1 << field.width,
                       1 << field.width - 1 if field.signed else 1 << field.width)
                      for field in self.fields.values()]
        self._limits = [(field.name, field.low, field.high) for field in self.fields.values()]
        self._multiples = [(field.name, field.multiple) for field in self.fields.values()
                           if field.multiple > 1]
        if any(field.bit + field.width > 8 * size for field in self.fields.values()):
            raise AssertionError(f"the fields of {what} do not fit {size} bytes")

    def encode(self, values: Mapping[str, int]) -> bytes:
        """The bytes of legal values; fields not named have their default.

        Raises ProgramError for an unknown field, or with what ``illegal`` finds.
        """
        whole = self._whole(values)
        problem = self.illegal(whole)
        if problem is not None:
            raise ProgramError(problem)
        return self.pack(whole)

    def pack(self, values: Mapping[str, int]) -> bytes:
        """``encode`` of values that need not be legal, as long as their fields hold them."""
        number, whole = 0, self._whole(values)
        for name, bit, end, _ in self._bits:
            value = whole[name]
            if not -end < value < end:
                raise ProgramError(f"{name} of {self.what} does not hold {value}")
            number |= (value & end - 1) << bit
        return number.to_bytes(self.size, "little")

    def _whole(self, values: Mapping[str, int]) -> dict[str, int]:
        if unknown := values.keys() - self.fields.keys():
            raise ProgramError(f"unknown field '{min(unknown)}' of {self.what}")
        return self._defaults | {name: int(value) for name, value in values.items()}

    def decode(self, data: bytes) -> dict[str, int]:
        """The fields in ``size`` bytes, legal or not; bits of no field mean nothing.

        Raises ProgramError for a wrong length.
        """
        if len(data) != self.size:
            raise ProgramError(f"{self.what} has {self.size} bytes, not {len(data)}")
        number = int.from_bytes(data, "little")
        values = {}
        for name, bit, end, negative in self._bits:
            value = number >> bit & end - 1
            values[name] = value - end if value >= negative else value
        return values

    def outside(self, values: Mapping[str, int]) -> Field | None:
        """The first field outside its range, or None."""
        for name, low, high in self._limits:
            if not low <= values[name] <= high:
                return self.fields[name]
        return None

    def illegal(self, values: Mapping[str, int]) -> str | None:
        """The sentence that says what is wrong with the values, or None."""
        field = self.outside(values)
        if field is not None:
            return (f"{field.name} of {self.what} must be {field.low}..{field.high}, "
                    f"not {values[field.name]}")
        for name, multiple in self._multiples:
            if values[name] % multiple:
                return (f"{name} of {self.what} must be a multiple of {multiple}, "
                        f"not {values[name]}")
        return self._rule(values) if self._rule else None

    def described(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """The head and the rows of the table in the documentation.

        Bits are those of a word, or in a table of two words those of both as one number.
        """
        by_word = self.size > 2 * WORD_BITS // 8
        by_unit = any(field.units for field in self.fields.values())
        head = ("field", *(["word"] if by_word else []), "bits", "range",
                *(["units"] if by_unit else []), "meaning")
        rows = []
        for field in self.fields.values():
            first = field.lsb if by_word else field.bit
            bits = f"{first}..{first + field.width - 1}" if field.width > 1 else f"{first}"
            rows.append((f"`{field.name}`", *([field.word] if by_word else []), bits,
                         f"{field.low}..{field.high}",
                         *([" ".join(field.units) or "sequencer"] if by_unit else []),
                         field.meaning))
        return head, rows
