"""Fields of TFLite files that the package does not give as they are: strings, which may be damaged,
numbers, and the schema's enums."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

__all__ = ["names_of", "one_line", "scalar"]

MAXIMUM_NAME = 1000


@cache
def names_of(enum: str) -> dict[int, str]:
    """The numbers and names of one of the schema's enums."""
    import tflite

    members = vars(getattr(tflite, enum)).items()
    return {number: name for name, number in members if isinstance(number, int)}


def one_line(table: Any, slot: int) -> str:
    """A string of the file as printable text of bounded length, so that messages stay one line.

    The package's accessors copy a string in full, and tables of a damaged file may all share a
    long one; this reads only what is kept.
    """
    offset = table._tab.Offset(slot)
    if offset == 0:
        return ""
    start, length = table._tab.Vector(offset), table._tab.VectorLen(offset)
    content = bytes(table._tab.Bytes[start : start + min(length, MAXIMUM_NAME)])
    text = content.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def scalar(table: Any, slot: int, form: str) -> int:
    """A number of the file in ``form`` of ``struct``, 0 where the table has none."""
    offset = table._tab.Offset(slot)
    if offset == 0:
        return 0
    (number,) = struct.unpack_from(f"<{form}", table._tab.Bytes, offset + table._tab.Pos)
    return int(number)
