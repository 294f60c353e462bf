"""The descriptor of a sequence in gateware: its layout, and what follows from its fields."""

from amaranth import *
from amaranth.lib import data

from kaniwa.hw.parts.bit_fields import layout_of, values_of
from kaniwa.units.cell.isa import ALIGNED, FIELDS

__all__ = ["fields_layout", "fields_of", "illegal", "row_words"]


def fields_layout() -> data.StructLayout:
    """All fields of the descriptor."""
    return layout_of(FIELDS.values())


def fields_of(bits: Value) -> list:
    """The values of all fields in the bits of a descriptor, in the order of ``fields_layout``."""
    return values_of(bits, FIELDS.values())


def illegal(fields) -> Value:
    """1 where a value is outside its range, or not aligned."""
    wrong = []
    for name, field in FIELDS.items():
        if field.low > field.least:
            wrong.append(fields[name] < field.low)
        if field.high < field.most:
            wrong.append(fields[name] > field.high)
    wrong += [fields[name][:size.bit_length() - 1].any() for name, size in ALIGNED.items()]
    return Cat(wrong).any()


def row_words(fields, place: Value) -> Value:
    """Words of memory with the input of a step, which begins ``place`` quarters into the first."""
    return (fields.input_words + place + 3) >> 2
