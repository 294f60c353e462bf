"""The gateware's register of units: a line for each. ``kaniwa.units.register`` has the host's."""

from amaranth.lib import data

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.units.cell.plug import CELL
from kaniwa.hw.units.plug import BLOCKS, Plug, command_layout
from kaniwa.hw.units.vector.plug import VECTOR
from kaniwa.isa import FIELDS

__all__ = ["PLUGS", "plugs_of", "unit_command_layout"]

PLUGS: tuple[Plug, ...] = (
    VECTOR,
    CELL,
)


def plugs_of(config: AcceleratorConfig) -> list[Plug]:
    """The units of a core of ``config``, in the order of their numbers. Raises ConfigError."""
    plugs = [plug for plug in PLUGS if plug.command.is_on(config)]
    names = {plug.command.name.lower() for plug in plugs}
    for name in config.units:
        if name not in names:
            raise ConfigError(f"units: '{name}' is not registered in hw/units/register.py")
    if len({plug.command.opcode for plug in plugs}) < len(plugs):
        raise ConfigError(f"units {', '.join(plug.command.name for plug in plugs)}: two of them "
                          "have the same opcode")
    for plug in plugs:
        if BLOCKS in plug.borrows and not config.vector_unit:
            raise ConfigError(f"unit {plug.command.name} borrows the requantizer's multiplier "
                              "blocks, which needs vector_unit = true")
    return plugs


def unit_command_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The fields that one of the units of ``config`` is told, in the order of the instruction."""
    names = {name for plug in plugs_of(config) for name in plug.command.fields}
    return command_layout(tuple(name for name in FIELDS if name in names))
