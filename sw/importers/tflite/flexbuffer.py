"""Options of custom operators: a FlexBuffer with a map from names to numbers.

Only what such options need is read, with every offset checked: the file is untrusted.
Format: https://flatbuffers.dev/flatbuffers_internals, "FlexBuffers".
"""

from __future__ import annotations

import struct

from kaniwa.importers.operands import OptionError

__all__ = ["numbers_by_name"]

MAP, NULL, BOOL = 9, 0, 26
# Types of numbers, inline and behind an offset, and their forms in ``struct`` by width.
FORMS = {1: "bhiq", 2: "BHIQ", 3: "  fd", BOOL: "BHIQ"}
INDIRECT = {6: 1, 7: 2, 8: 3}
MOST, LONGEST = 64, 64      # entries of a map, bytes of a name


def numbers_by_name(data: bytes) -> dict[str, float | int]:
    """Entries of the map in ``data`` that are numbers.

    Raises ``OptionError`` for what is no such map.
    """
    try:
        return _Reader(data).root()
    except (struct.error, IndexError, UnicodeDecodeError):
        raise OptionError("has options that are damaged") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def root(self) -> dict[str, float | int]:
        width, kind = self._data[-1], self._data[-2]
        if kind >> 2 != MAP or width not in (1, 2, 4, 8):
            raise OptionError("has options that are no map")
        place = len(self._data) - 2 - width
        return self._map(self._behind(place, width), 1 << (kind & 3))

    def _map(self, start: int, width: int) -> dict[str, float | int]:
        """``start`` is that of the values; types are behind them, keys and length before."""
        count = self._unsigned(start - width, width)
        keys = self._behind(start - 3 * width, width)
        key_width = self._unsigned(start - 2 * width, width)
        if count > MOST or key_width not in (1, 2, 4, 8):
            raise OptionError(f"has {count} options, at most {MOST} make sense")
        found = {}
        for i in range(count):
            kind = self._unsigned(start + count * width + i, 1)
            value = self._number(start + i * width, kind >> 2, width, 1 << (kind & 3))
            if value is not None:
                found[self._name(self._behind(keys + i * key_width, key_width))] = value
        return found

    def _number(self, place: int, kind: int, width: int, own: int) -> float | int | None:
        """The value at ``place``, ``own`` bytes wide where it is elsewhere; None for no number."""
        if kind in INDIRECT:
            place, kind, width = self._behind(place, width), INDIRECT[kind], own
        if kind not in FORMS:
            return None
        form = FORMS[kind][width.bit_length() - 1]
        if form == " ":
            raise OptionError("has an option of less than 4 bytes")
        return self._at(place, form)

    def _at(self, place: int, form: str) -> float | int:
        if place < 0:
            raise IndexError
        (value,) = struct.unpack_from(f"<{form}", self._data, place)
        assert isinstance(value, (int, float))
        return value

    def _unsigned(self, place: int, width: int) -> int:
        return int(self._at(place, "BHIQ"[width.bit_length() - 1]))

    def _behind(self, place: int, width: int) -> int:
        """Where the offset at ``place`` leads: backwards."""
        return place - self._unsigned(place, width)

    def _name(self, start: int) -> str:
        if start < 0:
            raise IndexError
        return self._data[start:start + LONGEST].partition(b"\0")[0].decode("ascii")
