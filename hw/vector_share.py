"""The vector unit among the other units: it has their memory ports and multipliers in turn."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, vector_blocks, vector_command_layout, write_port
from kaniwa.hw.vector_unit import VectorUnit

__all__ = ["VectorShare"]


class VectorShare(Component):
    """A ``VectorUnit`` on the operand unit's way to memory, the store unit's, and the requantizer's
    multiplier blocks.

    ``operand`` and ``results`` go through to ``read`` and ``write``, without a cycle between, while
    ``active`` is 0; while it is 1 the vector unit has them, and ``blocks``. ``active`` changes only
    while all other units are idle, and is 1 from a cycle before the command until ``idle`` comes
    back. ``i``, ``idle`` and ``error`` are the vector unit's.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(vector_command_layout())),
            "active": In(1),
            "idle": Out(1),
            "error": Out(1),
            "operand": In(read_port(config)),
            "results": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            "blocks": Out(vector_blocks(config)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config)
        connect(m, flipped(self.i), unit.i)
        m.d.comb += [
            self.idle.eq(unit.idle), self.error.eq(unit.error), unit.grant.eq(self.active),
            self.blocks.select.eq(self.active), self.blocks.a.eq(unit.block_a),
            self.blocks.b.eq(unit.block_b), unit.block_p.eq(self.blocks.p),
        ]
        # A flip-flop of its own beside the ports; the first request comes later than it is set.
        turn = Signal()
        m.d.sync += turn.eq(self.active)
        for mine, passed, port in ((unit.read, self.operand, self.read),
                                   (unit.write, self.results, self.write)):
            m.d.comb += [
                port.request.valid.eq(Mux(turn, mine.request.valid, passed.request.valid)),
                mine.request.ready.eq(port.request.ready & turn),
                passed.request.ready.eq(port.request.ready & ~turn),
                port.request.payload.eq(Mux(turn, mine.request.payload,
                                            passed.request.payload)),
            ]
        m.d.comb += [
            unit.read.response.valid.eq(self.read.response.valid & turn),
            unit.read.response.payload.eq(self.read.response.payload),
            self.operand.response.valid.eq(self.read.response.valid & ~turn),
            self.operand.response.payload.eq(self.read.response.payload),
        ]
        return m
