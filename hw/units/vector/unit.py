"""The vector unit: programs of integer arithmetic on lanes of 32 bits."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, vector_command_layout, write_port
from kaniwa.hw.units.vector.fetch import VectorFetch
from kaniwa.hw.units.vector.flow import VectorControl
from kaniwa.hw.units.vector.issue import VectorIssue
from kaniwa.hw.units.vector.lane import VectorLane
from kaniwa.hw.units.vector.load import PROGRAM, VectorLoad
from kaniwa.hw.units.vector.store import VectorStore

__all__ = ["VectorUnit"]


class VectorUnit(Component):
    """requant_lanes lanes that run the programs of ``docs/isa.md``, one command at a time.

    ``i``: a command is accepted while the unit is ``idle``; ``idle`` is 1 again when its program
    has ended and memory has accepted all that it stored. ``error``: the program was ended at an
    illegal instruction or length; it stays until the next command. Lanes, tables, control registers
    and stored programs keep what they hold from one command to the next.

    ``read``, ``write``: device memory. Every response is taken at once.

    Multipliers: two blocks a lane, signed, 18 x 18 bits, of latency 2 like ``WideProduct``; lane n
    has ``block_a[2 * n]`` and ``block_a[2 * n + 1]``, both times ``block_b[n]``. ``request`` is 1
    from the command on until the program has ended; it runs once ``grant`` is 1, and then has the
    blocks to itself, enabled, until ``request`` falls: ``grant`` must stay.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        lanes = config.requant_lanes
        super().__init__({
            "i": In(stream.Signature(vector_command_layout())),
            "idle": Out(1),
            "error": Out(1),
            "read": Out(read_port(config)),
            "write": Out(write_port(config)),
            "request": Out(1),
            "grant": In(1),
            "block_a": Out(data.ArrayLayout(signed(18), 2 * lanes)),
            "block_b": Out(data.ArrayLayout(signed(18), lanes)),
            "block_p": In(data.ArrayLayout(signed(36), 2 * lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.requant_lanes
        m.submodules.fetch = fetch = VectorFetch()
        m.submodules.control = control = VectorControl(lanes)
        m.submodules.issue = issue = VectorIssue(lanes)
        m.submodules.load = load = VectorLoad(self.config)
        m.submodules.store = store = VectorStore(self.config)
        connect(m, load.memory, flipped(self.read))
        connect(m, store.memory, flipped(self.write))

        command = Signal(vector_command_layout(), reset_less=True)
        begins, run = Signal(), Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.i.ready.eq(1), self.idle.eq(1)]
                m.d.sync += command.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.d.sync += self.error.eq(0)
                    m.next = "PROGRAM"
            with m.State("PROGRAM"):
                m.d.comb += begins.eq(command.count != 0)
                m.next = "READ"
            with m.State("READ"):
                with m.If(~load.busy):
                    m.next = "GRANT"
            with m.State("GRANT"):
                m.d.comb += [self.request.eq(1), fetch.jump.eq(1), fetch.target.eq(command.entry)]
                with m.If(self.grant):
                    m.d.sync += run.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [self.request.eq(1), fetch.jump.eq(control.jump),
                             fetch.target.eq(control.target)]
                with m.If(control.fault):
                    m.d.sync += [self.error.eq(1), run.eq(0)]
                    m.next = "DRAIN"
                with m.Elif(control.finished):
                    m.d.sync += run.eq(0)
                    m.next = "IDLE"
            with m.State("DRAIN"):
                m.d.comb += self.request.eq(1)
                with m.If(issue.quiet & ~store.busy):
                    m.next = "IDLE"

        m.d.comb += [
            fetch.write.eq(load.instruction_valid),
            fetch.write_place.eq(load.instruction_place),
            fetch.write_data.eq(load.instruction),
            fetch.take.eq(control.take),
            control.run.eq(run),
            control.fetched.eq(fetch.instruction), control.fetched_valid.eq(fetch.valid),
            control.slot.eq(issue.slot), control.room.eq(issue.room),
            control.quiet.eq(issue.quiet),
            issue.begin.eq(control.begin), issue.instruction.eq(control.instruction),
            issue.count.eq(control.count), issue.decoded.eq(control.decoded),
            issue.conflict.eq(control.conflict), issue.last_mask.eq(control.last_mask),
            issue.pause.eq(store.pause),
            load.start.eq(begins | control.load_start),
            load.kind.eq(Mux(run, control.load_kind, PROGRAM)),
            load.address.eq(Mux(run, control.address, command.address)),
            load.first_place.eq(Mux(run, control.load_place, command.entry)),
            load.count.eq(Mux(run, control.load_count, command.count)),
            load.pitch.eq(control.pitch), load.back.eq(control.back),
            load.last.eq(control.last), load.whole_last.eq(~control.instruction.tail),
            control.load_busy.eq(load.busy),
            store.start.eq(control.store_start), store.kind.eq(control.instruction.function),
            store.rows.eq(control.decoded.rows), store.address.eq(control.address),
            store.count.eq(control.count), store.last.eq(control.last),
            store.pitch.eq(control.pitch), store.back.eq(control.back),
            store.slot.eq(issue.slot), store.issue.eq(issue.store_next),
            store.capture.eq(issue.store_group & issue.slot),
            control.store_busy.eq(store.busy),
        ]
        self._lanes(m, control, issue, load, store)
        return m

    def _lanes(self, m, control, issue, load, store):
        lanes = [VectorLane(n, self.config.requant_lanes)
                 for n in range(self.config.requant_lanes)]
        for n, lane in enumerate(lanes):
            m.submodules[f"lane_{n}"] = lane
            m.d.comb += [
                lane.address.eq(issue.address), lane.lookup.eq(issue.lookup),
                lane.lookup_wide.eq(issue.lookup_wide), lane.lookup_block.eq(issue.lookup_block),
                lane.lookup_offset.eq(issue.lookup_offset),
                lane.take.eq(issue.take), lane.pick.eq(issue.pick),
                lane.operand.eq(issue.operand), lane.product.eq(issue.product),
                lane.combine.eq(issue.combine), lane.write.eq(issue.write),
                lane.next_result.eq(lanes[(n + 1) % len(lanes)].result),
                lane.load_write.eq(load.mask[n]),
                lane.load_word.eq(load.place[n]), lane.load_data.eq(load.lane_data[n]),
                lane.capture.eq(store.capture), lane.narrow.eq(store.narrow),
                lane.byte.eq(store.byte), store.lane_data[n].eq(lane.saturated),
                self.block_a[2 * n].eq(lane.block_a[0]),
                self.block_a[2 * n + 1].eq(lane.block_a[1]),
                self.block_b[n].eq(lane.block_b),
                lane.block_p[0].eq(self.block_p[2 * n]),
                lane.block_p[1].eq(self.block_p[2 * n + 1]),
            ]
