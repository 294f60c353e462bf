"""The gateware's record of a unit, and the ports by which every unit is plugged in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, write_port
from kaniwa.isa import FIELDS
from kaniwa.units.command import UnitCommand

__all__ = ["BLOCKS", "READ", "WRITE", "Plug", "command_layout", "plug_ports"]

READ, WRITE, BLOCKS = "read", "write", "blocks"   # what a unit may borrow


@dataclass(frozen=True)
class Plug:
    """A unit in the gateware; a line of ``hw/units/register.py`` each.

    ``component``, made of (config, product): it has the ports of ``plug_ports``; ``product`` makes
    products of its own, as ``WideProduct``. ``borrows``: of the operand unit's reads (READ), the
    store unit's writes (WRITE) and the requantizer's multiplier blocks (BLOCKS, for a config with
    vector_unit). ``illegal``, of (config, instruction fields): 1 where the sequencer refuses the
    instruction; it has two cycles for that.
    """

    command: UnitCommand
    component: Callable[[AcceleratorConfig, type], Component]
    borrows: tuple[str, ...]
    illegal: Callable[[AcceleratorConfig, Mapping[str, Value]], Value]


def command_layout(names: tuple[str, ...]) -> data.StructLayout:
    """These fields of an instruction, as wide as they are there."""
    return data.StructLayout({
        name: signed(FIELDS[name].width) if FIELDS[name].signed else unsigned(FIELDS[name].width)
        for name in names})


def plug_ports(config: AcceleratorConfig, command: UnitCommand, borrows: tuple[str, ...],
               pairs: int = 0) -> dict:
    """Ports of a unit's component; with BLOCKS ``pairs`` pairs of multiplier blocks.

    ``i``: a command is accepted while the unit is ``idle``; ``idle`` is 1 again when its work is
    done and memory has accepted all that it stored. ``error``: the command ended at a fault of its
    program or descriptor; it stays until the next command. Every response of ``read`` is taken at
    once. The blocks have a latency of 2, are enabled, and those of a pair have the same b.
    """
    return {
        "i": In(stream.Signature(command_layout(command.fields))),
        "idle": Out(1),
        "error": Out(1),
        **({READ: Out(read_port(config))} if READ in borrows else {}),
        **({WRITE: Out(write_port(config))} if WRITE in borrows else {}),
        **({"block_a": Out(data.ArrayLayout(signed(18), 2 * pairs)),
            "block_b": Out(data.ArrayLayout(signed(18), pairs)),
            "block_p": In(data.ArrayLayout(signed(36), 2 * pairs))} if BLOCKS in borrows else {}),
    }
