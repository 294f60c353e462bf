"""Vector unit and cell unit among the other units: in turn they have their ports and products."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, vector_blocks, vector_command_layout, write_port
from kaniwa.hw.multiplier.plain import WideProduct
from kaniwa.hw.units.cell.gates import PAIRS
from kaniwa.hw.units.cell.unit import CellUnit
from kaniwa.hw.units.vector.unit import VectorUnit

__all__ = ["SideUnits"]


class SideUnits(Component):
    """A ``VectorUnit`` on the operand unit's way to memory, the store unit's, and the requantizer's
    multiplier blocks; with cell_unit a ``CellUnit``, too.

    ``operand`` and ``results`` go through to ``read`` and ``write``, without a cycle between, while
    ``active`` is 0; while it is 1 the unit of the command has them, and ``blocks``. ``active``
    changes only while all other units are idle, and is 1 from a cycle before the command until
    ``idle`` comes back. ``i``, ``idle`` and ``error`` are those of both units; with ``cell`` the
    command is for the cell unit. ``wide``: what that makes other products of, as in ``Multiplier``.
    """

    def __init__(self, config: AcceleratorConfig, wide=WideProduct):
        self._config, self._wide = config, wide
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
            **({"cell": In(1)} if config.cell_unit else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.unit = unit = VectorUnit(self._config)
        if not self._config.cell_unit:
            connect(m, flipped(self.i), unit.i)
        m.d.comb += [
            self.idle.eq(unit.idle), self.error.eq(unit.error), unit.grant.eq(self.active),
            self.blocks.select.eq(self.active), self.blocks.a.eq(unit.block_a),
            self.blocks.b.eq(unit.block_b), unit.block_p.eq(self.blocks.p),
        ]
        # A flip-flop of its own beside the ports; the first request comes later than it is set.
        turn = Signal()
        m.d.sync += turn.eq(self.active)
        read, write = unit.read, unit.write
        if self._config.cell_unit:
            read, write = self._add_cells(m, unit)
        for mine, passed, port in ((read, self.operand, self.read),
                                   (write, self.results, self.write)):
            m.d.comb += [
                port.request.valid.eq(Mux(turn, mine.request.valid, passed.request.valid)),
                mine.request.ready.eq(port.request.ready & turn),
                passed.request.ready.eq(port.request.ready & ~turn),
                port.request.payload.eq(Mux(turn, mine.request.payload,
                                            passed.request.payload)),
            ]
        m.d.comb += [
            read.response.valid.eq(self.read.response.valid & turn),
            read.response.payload.eq(self.read.response.payload),
            self.operand.response.valid.eq(self.read.response.valid & ~turn),
            self.operand.response.payload.eq(self.read.response.payload),
        ]
        return m

    def _add_cells(self, m, unit):
        """A cell unit beside the vector unit; the ports of the one whose turn it is."""
        m.submodules.cells = cells = CellUnit(self._config, self._wide)
        of_cells = Signal()
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += of_cells.eq(self.cell)
        m.d.comb += [
            unit.i.payload.eq(self.i.payload), unit.i.valid.eq(self.i.valid & ~self.cell),
            cells.start.eq(self.i.valid & self.i.ready & self.cell),
            cells.address.eq(self.i.payload.address),
            self.i.ready.eq(unit.i.ready & cells.idle), self.idle.eq(unit.idle & cells.idle),
            self.error.eq(Mux(of_cells, cells.error, unit.error)),
            cells.block_p.eq(Cat(self.blocks.p[n] for n in range(2 * PAIRS))),
        ]
        with m.If(of_cells):
            m.d.comb += [
                *(self.blocks.a[n].eq(cells.block_a[n]) for n in range(2 * PAIRS)),
                *(self.blocks.b[n].eq(cells.block_b[n]) for n in range(PAIRS)),
            ]
        read, write = read_port(self._config).create(), write_port(self._config).create()
        for port, mine, theirs in ((read, cells.read, unit.read), (write, cells.write, unit.write)):
            m.d.comb += [
                port.request.valid.eq(mine.request.valid | theirs.request.valid),
                mine.request.ready.eq(port.request.ready),
                theirs.request.ready.eq(port.request.ready),
                port.request.payload.eq(Mux(of_cells, mine.request.payload,
                                            theirs.request.payload)),
            ]
        for mine, turn in ((cells.read, of_cells), (unit.read, ~of_cells)):
            m.d.comb += [mine.response.valid.eq(read.response.valid & turn),
                         mine.response.payload.eq(read.response.payload)]
        return read, write
