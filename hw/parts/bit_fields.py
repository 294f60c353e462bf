"""Gateware of a bit table: the layout of its fields, and where they are in its bits."""

from collections.abc import Iterable

from amaranth import *
from amaranth.lib import data

from kaniwa.isa.bit_table import Field

__all__ = ["number_shape", "layout_of", "values_of"]


def number_shape(field: Field) -> Shape:
    """The shape of a field's value."""
    return signed(field.width) if field.signed else unsigned(field.width)


def layout_of(fields: Iterable[Field]) -> data.StructLayout:
    """The values of the fields, by name."""
    return data.StructLayout({field.name: number_shape(field) for field in fields})


def values_of(bits: Value, fields: Iterable[Field]) -> list:
    """The values of the fields in the bits of a table, in the order of ``layout_of``."""
    return [bits[field.bit:][:field.width] for field in fields]
