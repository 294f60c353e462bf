"""Enumerations of the instruction set as shapes, so that waveforms show words.

Each is made of the one in ``kaniwa.isa`` of the same name, so that the two cannot differ.
"""

from typing import Any

from amaranth import *
from amaranth.lib import enum

from kaniwa import isa
from kaniwa.hw.parts.bit_fields import number_shape

__all__ = ["Opcode", "Mode", "Rounding", "Format", "field_shape"]


def _shape_of(kind: type, width: int) -> Any:
    """An Amaranth enumeration of ``width`` bits with the members of ``kind``."""
    bases, shape = (enum.IntEnum,), unsigned(width)
    members = enum.EnumType.__prepare__(kind.__name__, bases, shape=shape)
    for member in kind:
        members[member.name] = member.value
    members |= {"__doc__": kind.__doc__, "__module__": __name__}
    return enum.EnumType(kind.__name__, bases, members, shape=shape)


Opcode = _shape_of(isa.Opcode, isa.FIELDS["opcode"].width)
Mode = _shape_of(isa.Mode, isa.FIELDS["mode"].width)
Rounding = _shape_of(isa.Rounding, isa.FIELDS["rounding"].width)
Format = _shape_of(isa.Format, 4)   # of a block's header

_FIELDS = {"opcode": Opcode, "mode": Mode, "rounding": Rounding, "add_rounding": Rounding}


def field_shape(field: isa.Field) -> Any:
    """The shape of an instruction's field: words where it has some, else a number."""
    return _FIELDS.get(field.name, number_shape(field))
