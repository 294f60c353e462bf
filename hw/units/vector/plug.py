"""The vector unit's place beside the array: VECTOR's fields to its command."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.units.plug import BLOCKS, READ, WRITE, Plug, plug_ports
from kaniwa.hw.units.vector.unit import VectorUnit
from kaniwa.units.vector.command import COMMAND
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES

__all__ = ["VECTOR"]

BORROWS = (READ, WRITE, BLOCKS)
WHOLE = exact_log2(VECTOR_BYTES)


class VectorPlug(Component):
    """A ``VectorUnit``, which has the multiplier blocks for as long as its command takes."""

    def __init__(self, config: AcceleratorConfig, _product):
        self._unit = VectorUnit(config)
        super().__init__(plug_ports(config, COMMAND, BORROWS, config.requant_lanes))

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = self._unit
        fields = self.i.payload
        connect(m, unit.read, flipped(self.read))
        connect(m, unit.write, flipped(self.write))
        m.d.comb += [
            unit.i.valid.eq(self.i.valid), self.i.ready.eq(unit.i.ready),
            unit.i.payload.address.eq(fields.parameter_address),
            unit.i.payload.count.eq(fields.parameter_bytes[WHOLE:]),
            unit.i.payload.entry.eq(fields.block_words),
            self.idle.eq(unit.idle), self.error.eq(unit.error), unit.grant.eq(1),
            self.block_a.eq(unit.block_a), self.block_b.eq(unit.block_b),
            unit.block_p.eq(self.block_p),
        ]
        return m


def _illegal(config, fields):
    """The program is not of whole words, or does not fit the store."""
    aligned = exact_log2(config.read_bytes)
    address, size, entry = (fields[name] for name in COMMAND.fields)
    return (address[:aligned].any() | size[:max(aligned, WHOLE)].any()
            | ((size >> WHOLE) + entry > STORE_INSTRUCTIONS) | (entry >= STORE_INSTRUCTIONS))


VECTOR = Plug(COMMAND, VectorPlug, BORROWS, _illegal)
