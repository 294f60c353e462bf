"""The register of units: a line for each. ``kaniwa.hw.units.register`` has the gateware's."""

from __future__ import annotations

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.isa import Opcode
from kaniwa.units.cell.unit import Cell
from kaniwa.units.unit import Unit, Values
from kaniwa.units.vector.unit import Vector

__all__ = ["UNITS", "mnemonics", "unit_of", "units_of"]

UNITS: tuple[Unit, ...] = (
    Vector(),
    Cell(),
)


def units_of(config: AcceleratorConfig) -> list[Unit]:
    """The units of a core of ``config``. Raises ConfigError for a name that is not registered."""
    known = {unit.command.name.lower() for unit in UNITS if unit.command.switch is None}
    for name in config.units:
        if name not in known:
            raise ConfigError(f"units: '{name}' is not registered in sw/units/register.py; "
                              f"registered are {', '.join(sorted(known)) or 'none'}")
    return [unit for unit in UNITS if unit.command.is_on(config)]


def unit_of(config: AcceleratorConfig, values: Values) -> Unit | None:
    """The unit that an instruction is for; None for END, LAYER, and opcodes that no unit of
    ``config`` has."""
    found = [unit for unit in units_of(config) if unit.command.opcode == values["opcode"]]
    if len(found) > 1:
        raise ConfigError(f"units {' and '.join(unit.command.name for unit in found)} have the "
                          f"same opcode, {values['opcode']}; give one of them another")
    return found[0] if found else None


def mnemonics() -> dict[str, int]:
    """Opcodes by the name that instructions have in a text."""
    return {opcode.name: int(opcode) for opcode in Opcode} | {
        unit.command.name: unit.command.opcode for unit in UNITS}
