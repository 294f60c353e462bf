"""The core of few logic cells: one instruction at a time, one result at a time."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.array.mac_array import MacArray
from kaniwa.hw.compact.array import CompactArray
from kaniwa.hw.compact.line_buffer import CompactLineBuffer
from kaniwa.hw.compact.load import CompactLoad
from kaniwa.hw.compact.memory import CompactMemory
from kaniwa.hw.compact.post import CompactPost
from kaniwa.hw.compact.sequencer import CompactSequencer
from kaniwa.hw.compact.weight_decoder import CompactWeightDecoder
from kaniwa.hw.compact.weight_ring import CompactWeightRing
from kaniwa.hw.compact.window import CompactWindow
from kaniwa.hw.control.registers import Control
from kaniwa.hw.interfaces import core_ports
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.isa import OUTSIDE

__all__ = ["CompactCore"]


class CompactCore(Component):
    """``Core`` for a compact config: the same ports, registers, programs and results.

    Without ``outside``, or ``outside_bits`` of the config, it has no way to outside memory: those
    ports are idle, and a program that uses it ends with an ADDRESS error.
    """

    def __init__(self, config: AcceleratorConfig, *, build_id: int = 0, clock_hz: int = 0,
                 multiplier=PlainMultiplier, outside: bool = True):
        self._config = config
        self._outside = outside and config.outside_bits > 0
        self._control = Control(config, build_id=build_id, clock_hz=clock_hz)
        self._multiplier = multiplier
        super().__init__(core_ports(config))

    def elaborate(self, platform):
        m = Module()
        datapath = Module()
        m.submodules.control = control = self._control
        m.submodules.datapath = ResetInserter({"sync": control.reset})(datapath)
        d = datapath.submodules
        config = self._config
        d.sequencer = sequencer = CompactSequencer(config)
        d.memory = memory = CompactMemory(config, outside=self._outside)
        d.load = load = CompactLoad(config)
        d.weights = weights = CompactWeightDecoder(config)
        d.array = array = CompactArray(config)
        d.line_buffer = lines = CompactLineBuffer(config)
        d.weight_ring = ring = CompactWeightRing(config)
        d.spread = spread = CompactWindow(config)
        d.mac_array = macs = MacArray(config, self._multiplier, clear_after_last=True)
        d.post = post = CompactPost(config)

        for client, reader in (("commands", sequencer.memory), ("operand", post.operand),
                               ("activations", load.memory), ("weights", weights.memory)):
            connect(datapath, reader, getattr(memory, client))
        connect(datapath, post.write, memory.write)
        connect(datapath, memory.local_read, flipped(self.local_read))
        connect(datapath, memory.local_write, flipped(self.local_write))
        if self._outside:
            connect(datapath, memory.outside_read, flipped(self.outside_read))
            connect(datapath, memory.outside_write, flipped(self.outside_write))
        connect(datapath, spread.o, macs.i)
        for unit in (load, weights, array, post):
            m.d.comb += [
                unit.begin.eq(sequencer.begin),
                unit.fields.eq(sequencer.fields),
                unit.starts.eq(sequencer.starts),
            ]
        self._wire_control(m, control, sequencer, memory, array, post)

        slot_free = Signal(init=1)   # no results wait, or are on their way to
        with datapath.If(array.issue & array.tap.last):
            datapath.d.sync += slot_free.eq(0)
        with datapath.Elif(post.taken):
            datapath.d.sync += slot_free.eq(1)
        m.d.comb += [
            *(unit.data.eq(memory.data) for unit in (sequencer, weights, post)),
            sequencer.finished.eq(~(load.active | weights.active | post.active)),
            sequencer.bad_format.eq(weights.error),
            sequencer.address_error.eq(memory.error),
            load.freed.eq(array.freed),
            lines.write.eq(load.write),
            lines.write_line.eq(load.write_line),
            lines.write_data.eq(memory.data),
            lines.read_enable.eq(array.issue),
            lines.read_position.eq(array.read_position),
            array.rows_loaded.eq(load.rows),
            array.load_active.eq(load.active),
            array.slot_free.eq(slot_free),
            array.word_written.eq(ring.word_written),
            ring.begin.eq(sequencer.begin),
            ring.chunk.eq(weights.chunk),
            ring.chunk_valid.eq(weights.chunk_valid & weights.chunk_ready),
            weights.chunk_ready.eq(array.word_room),
            ring.write_index.eq(array.word_written_index),
            ring.read_enable.eq(array.issue),
            ring.read_index.eq(array.word_index),
            spread.tap.eq(array.tap),
            spread.valid.eq(array.issue),
            spread.pad_value.eq(sequencer.fields.pad_value),
            spread.bytes.eq(lines.o),
            spread.weights.eq(ring.read_data),
            post.results.eq(macs.o.payload),
            post.results_valid.eq(macs.o.valid),
            post.record.eq(weights.record),
            post.record_valid.eq(weights.record_valid),
            post.entry_valid.eq(weights.entry_valid),
            post.table.eq(weights.table),
        ]
        return m

    def _wire_control(self, m, control, sequencer, memory, array, post):
        low = exact_log2(self._config.read_bytes)
        address = control.program_address[low:]
        high, top = self._config.span_bits - low, exact_log2(OUTSIDE) - low
        program = (Cat(address[:high], address[high:top].any(), address[top])
                   if self._config.outside_bits else Cat(address[:high], address[high:].any()))
        m.d.comb += [
            *control.registers_of(self),
            *control.watch(sequencer, memory),
            sequencer.program_word.eq(program),
            control.retired.eq(sequencer.retired),
            control.progress.eq(Cat(array.issue, sequencer.begin, *(
                port.request.valid & port.request.ready for port in self._memory_ports()))),
        ]

    def _memory_ports(self):
        local = self.local_read, self.local_write
        return (*local, self.outside_read, self.outside_write) if self._outside else local
