"""The units beside the array: in turn they have the other units' memory ports and products."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, vector_blocks, write_port
from kaniwa.hw.multiplier.plain import WideProduct
from kaniwa.hw.units.plug import BLOCKS, READ, WRITE
from kaniwa.hw.units.register import plugs_of, unit_command_layout

__all__ = ["SideUnits", "wire_side_units"]


class SideUnits(Component):
    """The config's units on the operand unit's way to memory, the store unit's, and the
    requantizer's multiplier blocks.

    ``operand`` and ``results`` go through to ``read`` and ``write``, without a cycle between, while
    ``active`` is 0; while it is 1 the unit of the command has them, and ``blocks``. ``active``
    changes only while all other units are idle, and is 1 from a cycle before the command until
    ``idle`` comes back. ``i``, ``idle`` and ``error`` are those of all units; the command is for
    unit number ``select`` (in the order of ``plugs_of``). ``wide``: what makes other products, as
    in ``Multiplier``.
    """

    def __init__(self, config: AcceleratorConfig, wide=WideProduct):
        self.config = config
        self._plugs = plugs_of(config)
        self._units = [plug.component(config, wide) for plug in self._plugs]
        super().__init__({
            "i": In(stream.Signature(unit_command_layout(config))),
            "active": In(1),
            "idle": Out(1),
            "error": Out(1),
            "operand": In(read_port(config)),
            "results": In(write_port(config)),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            **({"blocks": Out(vector_blocks(config))} if config.vector_unit else {}),
            **({"select": In(range(len(self._plugs)))} if len(self._plugs) > 1 else {}),
        })

    def elaborate(self, platform):
        m = Module()
        for plug, unit in zip(self._plugs, self._units, strict=True):
            m.submodules[plug.command.name.lower()] = unit
        chosen = self._give_command(m)
        m.d.comb += [
            self.idle.eq(Cat(unit.idle for unit in self._units).all()),
            self.error.eq(Cat((chosen == number) & unit.error
                              for number, unit in enumerate(self._units)).any()),
        ]
        # A flip-flop of its own beside the ports; the first request comes later than it is set.
        turn = Signal()
        m.d.sync += turn.eq(self.active)
        if self.config.vector_unit:
            self._lend_blocks(m, chosen)
        for name, passed, port in ((READ, self.operand, self.read),
                                   (WRITE, self.results, self.write)):
            self._share(m, name, chosen, turn, passed, port)
        for number, unit in self._borrowers(READ):
            m.d.comb += [
                unit.read.response.valid.eq(
                    self.read.response.valid & turn & (chosen == number)),
                unit.read.response.payload.eq(self.read.response.payload),
            ]
        m.d.comb += [
            self.operand.response.valid.eq(self.read.response.valid & ~turn),
            self.operand.response.payload.eq(self.read.response.payload),
        ]
        return m

    def _borrowers(self, what):
        """Numbers and components of the units that borrow it."""
        return [(number, unit) for number, (plug, unit) in enumerate(
            zip(self._plugs, self._units, strict=True)) if what in plug.borrows]

    def _give_command(self, m):
        """The command to the unit that it is for; the number of the last one that had one."""
        chosen = Signal(range(len(self._units)))
        several = len(self._units) > 1
        if several:
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += chosen.eq(self.select)
        for number, unit in enumerate(self._units):
            mine = self.i.valid & (self.select == number) if several else self.i.valid
            m.d.comb += [
                unit.i.valid.eq(mine),
                *(unit.i.payload[name].eq(self.i.payload[name])
                  for name in self._plugs[number].command.fields),
            ]
        m.d.comb += self.i.ready.eq(Cat(unit.i.ready for unit in self._units).all())
        return chosen

    def _lend_blocks(self, m, chosen):
        """The first unit that uses blocks has them, but while another one does."""
        m.d.comb += self.blocks.select.eq(self.active)
        for place, (number, unit) in enumerate(self._borrowers(BLOCKS)):
            lends = [
                *(self.blocks.a[n].eq(unit.block_a[n]) for n in range(len(unit.block_a))),
                *(self.blocks.b[n].eq(unit.block_b[n]) for n in range(len(unit.block_b))),
            ]
            if not place:
                m.d.comb += lends
            else:
                with m.If(chosen == number):
                    m.d.comb += lends
            m.d.comb += [unit.block_p[n].eq(self.blocks.p[n]) for n in range(len(unit.block_p))]

    def _share(self, m, name, chosen, turn, passed, port):
        """Requests of the units, or those of the unit whose ``port`` it is otherwise."""
        asked, payload = Const(0), None
        for number, unit in self._borrowers(name):
            request = getattr(unit, name).request
            asked |= request.valid
            payload = request.payload if payload is None else Mux(
                chosen == number, request.payload, payload)
            m.d.comb += request.ready.eq(port.request.ready & turn)
        m.d.comb += [
            port.request.valid.eq(Mux(turn, asked, passed.request.valid)),
            passed.request.ready.eq(port.request.ready & ~turn),
            port.request.payload.eq(passed.request.payload if payload is None else
                                    Mux(turn, payload, passed.request.payload)),
        ]


def wire_side_units(m, units: SideUnits, memory, sequencer, post, store) -> None:
    """Connect the units to memory, and to the sequencer, which runs them while nothing else does.

    The operand unit's and the store unit's ports are connected to ``units`` otherwise.
    """
    connect(m, units.read, memory.operand)
    connect(m, units.write, memory.results)
    connect(m, sequencer.o_unit, units.i)
    if units.config.vector_unit:
        connect(m, units.blocks, post.vector)
    if len(plugs_of(units.config)) > 1:
        m.d.comb += units.select.eq(sequencer.unit_select)
    m.d.comb += [
        units.active.eq(sequencer.unit_active),
        sequencer.unit_idle.eq(units.idle),
        sequencer.unit_error.eq(units.error),
        store.vector_retire.eq(sequencer.unit_retire),
        store.vector_tag.eq(sequencer.unit_tag),
    ]
