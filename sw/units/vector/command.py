"""VECTOR, as host and gateware know it."""

from kaniwa.isa import Opcode
from kaniwa.units.command import UnitCommand

__all__ = ["COMMAND"]

COMMAND = UnitCommand("VECTOR", Opcode.VECTOR, switch="vector_unit", fields=(
    "parameter_address", "parameter_bytes", "block_words"))
