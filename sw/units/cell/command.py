"""CELL, as host and gateware know it."""

from kaniwa.isa import Opcode
from kaniwa.units.command import UnitCommand

__all__ = ["COMMAND"]

COMMAND = UnitCommand("CELL", Opcode.CELL, switch="cell_unit", fields=("parameter_address",))
