"""The cell unit's place beside the array: CELL's fields to its command."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.units.cell.gates import PAIRS
from kaniwa.hw.units.cell.unit import CellUnit
from kaniwa.hw.units.plug import BLOCKS, READ, WRITE, Plug, plug_ports
from kaniwa.units.cell.command import COMMAND
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES

__all__ = ["CELL"]

BORROWS = (READ, WRITE, BLOCKS)


class CellPlug(Component):
    """A ``CellUnit``."""

    def __init__(self, config: AcceleratorConfig, product):
        self._unit = CellUnit(config, product)
        super().__init__(plug_ports(config, COMMAND, BORROWS, PAIRS))

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit
        connect(m, unit.read, flipped(self.read))
        connect(m, unit.write, flipped(self.write))
        m.d.comb += [
            unit.start.eq(self.i.valid & unit.idle), self.i.ready.eq(unit.idle),
            unit.address.eq(self.i.payload.parameter_address),
            self.idle.eq(unit.idle), self.error.eq(unit.error),
            self.block_a.eq(unit.block_a), self.block_b.eq(unit.block_b),
            unit.block_p.eq(self.block_p),
        ]
        return m


def _illegal(config, fields):
    """The descriptor is not where and as long as it must be."""
    aligned = exact_log2(config.read_bytes)
    return (fields["parameter_address"][:aligned].any()
            | (fields["parameter_bytes"] != DESCRIPTOR_BYTES))


CELL = Plug(COMMAND, CellPlug, BORROWS, _illegal)
