"""Bounds checks for TFLite flatbuffers, so that a damaged file cannot harm the reader.

``verify`` walks every table, vector and string that the importer reads, once, by the field kinds
of ``tflite_schema``. After it, the accessors of the ``tflite`` package stay inside the file for
those fields. Format: https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from kaniwa.errors import ModelError
from kaniwa.importers.tflite.schema import SCHEMA, Kind, Table, Tables, Union, Vector

__all__ = ["verify"]

IDENTIFIER = b"TFL3"
MINIMUM_SIZE = 12  # root offset, identifier, and one empty table's offset


def verify(data: bytes, name: str) -> None:
    """Raise ``ModelError`` ("name: damaged TFLite file: ...") unless all offsets stay in ``data``.

    Time and memory are linear in ``len(data)``: each table is visited once for each kind, however
    many offsets lead to it, and the nesting of the schema bounds the depth.
    """
    if len(data) < MINIMUM_SIZE or data[4:8] != IDENTIFIER:
        raise ModelError(f"{name}: not a TFLite file (no '{IDENTIFIER.decode()}' identifier)")
    verifier = _Verifier(data, name)
    verifier.table("Model", verifier.offset(0, "root"))


class _Verifier:
    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        self.seen: set[tuple[str, int]] = set()

    def fail(self, what: str) -> ModelError:
        return ModelError(f"{self.name}: damaged TFLite file: {what}")

    def need(self, position: int, size: int, what: str) -> None:
        if position < 0 or position + size > len(self.data):
            raise self.fail(
                f"{what} at byte {position} is outside the file of {len(self.data)} bytes"
            )

    def offset(self, position: int, what: str) -> int:
        """The target of the unsigned 32-bit offset at ``position``."""
        self.need(position, 4, f"offset of {what}")
        (relative,) = struct.unpack_from("<I", self.data, position)
        # The writer never makes an offset to itself; it would let a table pose as its own child.
        if relative == 0:
            raise self.fail(f"offset of {what} at byte {position} is zero")
        return position + int(relative)

    def table(self, kind: str, position: int) -> None:
        if (kind, position) in self.seen:
            return
        self.seen.add((kind, position))
        fields, size = self.vtable(kind, position)
        for number, field in SCHEMA[kind].items():
            entry = fields.get(number, 0)
            if entry == 0:
                continue
            what = f"{kind} field {number}"
            width = field if isinstance(field, int) else 4
            if entry < 4 or entry + width > size:
                raise self.fail(f"{what} lies outside its table at byte {position}")
            self.field(field, position + entry, what, self.union_type(field, fields, position))

    def vtable(self, kind: str, position: int) -> tuple[dict[int, int], int]:
        """Field number → offset within the table (0 if absent), and the table's size."""
        self.need(position, 4, f"table {kind}")
        (relative,) = struct.unpack_from("<i", self.data, position)
        start = position - int(relative)
        self.need(start, 4, f"vtable of {kind}")
        length, size = struct.unpack_from("<HH", self.data, start)
        if length < 4 or length % 2 or size < 4:
            raise self.fail(f"vtable of {kind} at byte {start} has lengths {length} and {size}")
        self.need(start, length, f"vtable of {kind}")
        self.need(position, size, f"table {kind}")
        entries = struct.unpack_from(f"<{length // 2 - 2}H", self.data, start + 4)
        return dict(enumerate(entries)), size

    def union_type(self, field: Kind, fields: Mapping[int, int], position: int) -> str | None:
        """The table's name behind a union, None where the importer does not read that member."""
        if not isinstance(field, Union) or not fields.get(field.type_field):
            return None
        # The type field's number is lower, so it has been checked already.
        return field.names.get(self.data[position + fields[field.type_field]])

    def field(self, field: Kind, position: int, what: str, union_type: str | None) -> None:
        if isinstance(field, Vector):
            self.vector(position, field.item_size, what)
        elif isinstance(field, Tables):
            start, length = self.vector(position, 4, what)
            for i in range(length):
                self.table(field.name, self.offset(start + 4 * i, f"{field.name} {i}"))
        elif isinstance(field, Table):
            self.table(field.name, self.offset(position, what))
        elif union_type is not None:
            self.table(union_type, self.offset(position, what))

    def vector(self, position: int, item_size: int, what: str) -> tuple[int, int]:
        """Start and length of the vector that the offset at ``position`` leads to."""
        target = self.offset(position, what)
        self.need(target, 4, f"length of {what}")
        (length,) = struct.unpack_from("<I", self.data, target)
        self.need(target + 4, int(length) * item_size, f"{what} of {length} items")
        return target + 4, int(length)
