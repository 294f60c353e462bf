"""The core: all units wired up between the registers and the two sides of device memory."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.activations.line_buffer import LineBuffer
from kaniwa.hw.activations.load_dma import LoadDma
from kaniwa.hw.activations.patch_buffer import PatchBuffer
from kaniwa.hw.activations.window import Window
from kaniwa.hw.array.mac_array import MacArray
from kaniwa.hw.array.max_pool import MaxPool
from kaniwa.hw.array.result_buffer import ResultBuffer
from kaniwa.hw.compact.core import CompactCore
from kaniwa.hw.control.counters import Counters
from kaniwa.hw.control.registers import Control
from kaniwa.hw.control.sequencer import Sequencer
from kaniwa.hw.interfaces import beat_layout, core_ports
from kaniwa.hw.memory.system import MemorySystem
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.parts.instruction_queue import InstructionQueue
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.results.operand_dma import OperandDma
from kaniwa.hw.results.post import Post
from kaniwa.hw.results.store_dma import StoreDma
from kaniwa.hw.side_units import SideUnits, wire_side_units
from kaniwa.hw.steps.switch import ArraySwitch
from kaniwa.hw.weights.decoder import WeightDecoder
from kaniwa.hw.weights.parameter_buffer import ParameterBuffer
from kaniwa.hw.weights.ring import WeightRing
from kaniwa.isa import UNITS

__all__ = ["Core", "make_core"]

MEMORY_PORTS = ("local_read", "local_write", "outside_read", "outside_write")


class Core(Component):
    """Everything but device memory. Runs programs on command of the registers (``csr_*``).

    ``csr_read_data`` belongs to the ``csr_address`` of two cycles before. Memory is used while
    ``busy`` (a flip-flop) only. All state but that of
    registers and counters is reset at the start and after an unusual end of each run.
    ``counter_tags``: layers whose counters are kept, at 32 bytes of memory each. Without
    ``outside`` the ports for outside memory are idle, and its addresses end a program as an error.
    """

    def __init__(self, config: AcceleratorConfig, *, build_id: int = 0, clock_hz: int = 0,
                 counter_tags: int = 1024, multiplier=PlainMultiplier, outside: bool = True):
        self._config = config
        self._outside = outside
        self._control = Control(config, build_id=build_id, clock_hz=clock_hz)
        self._counter_tags = counter_tags
        self._multiplier = multiplier
        super().__init__(core_ports(config))

    def elaborate(self, platform):
        m = Module()
        datapath = Module()
        m.submodules.control = control = self._control
        # One flip-flop resets it: with the domain's reset as well, a gate would, a device away.
        m.domains.datapath = ClockDomain(local=True, reset_less=True)
        m.d.comb += ClockSignal("datapath").eq(ClockSignal())
        m.submodules.datapath = DomainRenamer("datapath")(
            ResetInserter({"sync": control.reset})(datapath))
        m.d.comb += control.registers_of(self)

        datapath.submodules.memory = memory = MemorySystem(self._config, outside=self._outside)
        for name in MEMORY_PORTS:
            connect(datapath, getattr(memory, name), flipped(getattr(self, name)))
        datapath.submodules.sequencer = sequencer = Sequencer(self._config)
        connect(datapath, sequencer.memory, memory.commands)
        queues = {}
        for unit in UNITS:
            queues[unit] = InstructionQueue(self._config, unit)
            datapath.submodules[f"{unit}_queue"] = queues[unit]
            connect(datapath, getattr(sequencer, f"o_{unit}"), queues[unit].i)

        load, decoder = self._wire_inputs(datapath, memory)
        array, results = self._wire_array(datapath, load, decoder)
        ports = memory
        if self._config.runs_units:
            datapath.submodules.units = ports = SideUnits(
                self._config, self._multiplier.wide)
        post, store, operand_idle = self._wire_results(
            datapath, ports, queues, array, results, decoder)
        if self._config.runs_units:
            wire_side_units(datapath, ports, memory, sequencer, post, store)
        units = {"load": load, "weights": decoder, "array": array, "post": post, "store": store}
        for unit, block in units.items():
            connect(datapath, queues[unit].o, block.i_instruction)

        idle = {unit: block.idle for unit, block in units.items()} | {"operand": operand_idle}
        # These are far off, and at rest long before the last result is stored.
        was_idle = {unit: Signal(name=f"{unit}_was_idle") for unit in ("load", "weights", "array")}
        datapath.d.sync += [was.eq(idle[unit]) for unit, was in was_idle.items()]
        if self._config.runs_units:   # more hangs on it then: one flip-flop beside the sequencer
            far_were_idle = Signal()
            datapath.d.sync += far_were_idle.eq(Cat(was_idle.values()).all() & operand_idle)
            was_idle = dict.fromkeys((*was_idle, "operand"), far_were_idle)
        datapath.d.comb += [
            load.retired.eq(store.retired),
            load.retire.eq(store.retire),
            load.watermark.eq(store.watermark),
            load.watermark_valid.eq(store.watermark_valid),
            sequencer.retired.eq(store.retired),
            sequencer.units_idle.eq(Cat(
                was_idle[unit] if unit in was_idle else idle[unit] for unit in UNITS)),
            sequencer.begun.eq(Cat(queues[unit].o.valid & queues[unit].o.ready for unit in UNITS)),
            sequencer.address_error.eq(memory.error),
            sequencer.address_client.eq(memory.error_client),
        ]
        datapath.d.sync += sequencer.bad_format.eq(decoder.error)   # known late, from far
        m.d.comb += [
            *control.watch(sequencer, memory),
            sequencer.program_address.eq(control.program_address),
            control.retired.eq(store.retired),
            control.progress.eq(Cat(
                array.issued, store.retire,
                *(port.request.valid & port.request.ready
                  for port in (getattr(self, name) for name in MEMORY_PORTS)))),
        ]
        if self._config.counters:
            self._wire_counters(m, control, load, array, post, store)
        return m

    def _wire_inputs(self, m, memory):
        """Device memory to line buffer and decoder."""
        m.submodules.load = load = LoadDma(self._config)
        m.submodules.weights = decoder = WeightDecoder(self._config)
        connect(m, load.memory, memory.activations)
        connect(m, decoder.memory, memory.weights)
        return load, decoder

    def _wire_array(self, m, load, decoder):
        """Line buffer and weight ring through the array to the result slots."""
        config = self._config
        m.submodules.line_buffer = lines = LineBuffer(config)
        m.submodules.weight_ring = ring = WeightRing(config)
        m.submodules.array = array = ArraySwitch(config)
        m.submodules.window = window = Window(config)
        m.submodules.mac_array = macs = MacArray(config, self._multiplier)
        m.submodules.result_buffer = results = ResultBuffer(config)
        connect(m, load.o, lines.i)
        connect(m, decoder.o_weights, ring.i)
        connect(m, array.o_step, window.i)
        connect(m, window.o, macs.i)
        connect(m, macs.o, results.i)
        if config.max_pool:
            m.submodules.max_pool = pool = MaxPool(config)
            connect(m, window.o_pool, pool.i)
            connect(m, pool.o, results.i_pool)
        m.d.comb += [
            array.loaded.eq(load.loaded),
            load.freed.eq(array.freed),
            lines.read_enable.eq(array.line_read),
            lines.read_position.eq(array.line_position),
            window.i_data.eq(lines.o_data),
            ring.read_enable.eq(array.ring_read),
            ring.read_index.eq(array.ring_index),
            window.i_weights.eq(ring.read_data),
            array.ring_written.eq(ring.written),
            ring.release.eq(array.ring_release),
            ring.release_count.eq(array.ring_release_count),
            array.slot_returned.eq(results.returned),
        ]
        if config.depthwise and config.column_window[0] > 1:
            m.d.comb += [
                lines.column_enable.eq(array.column_read),
                lines.column_positions.eq(array.column_positions),
                window.i_columns.eq(lines.o_columns),
            ]
        if config.patch_bytes:
            m.submodules.patch_buffer = patches = PatchBuffer(config)
            connect(m, window.o_gather, patches.i)
            m.d.comb += [
                patches.read_index.eq(array.o_step.payload.patch_word),
                window.i_patch.eq(patches.o_data),
            ]
        return array, results

    def _wire_results(self, m, ports, queues, array, results, decoder):
        """Result slots through requantization to device memory, and what else post needs.

        ``ports`` has the memory ports of the operand unit and of the results.
        """
        config = self._config
        m.submodules.parameter_buffer = parameters = ParameterBuffer(config)
        m.submodules.post = post = Post(config, self._multiplier)
        m.submodules.store = store = StoreDma(config)
        connect(m, decoder.o_parameters, parameters.i)
        connect(m, decoder.o_table, post.i_table)
        connect(m, results.o, post.i_results)
        # Without it, one path would lead from a write's ready back to the array's results.
        m.submodules.beat_buffer = beats = StreamBuffer(beat_layout(config))
        connect(m, post.o, beats.i)
        connect(m, beats.o, store.i)
        connect(m, store.memory, ports.results)
        m.d.comb += [
            parameters.read_enable.eq(post.parameter_read),
            parameters.read_index.eq(post.parameter_index),
            post.parameter_data.eq(parameters.read_data),
            post.parameter_written.eq(parameters.written),
            parameters.release.eq(post.parameter_release),
            parameters.release_count.eq(post.parameter_release_count),
            decoder.post_done.eq(post.done),
        ]
        if not config.elementwise:
            m.d.comb += queues["operand"].o.ready.eq(1)
            return post, store, Const(1)
        m.submodules.operand = operand = OperandDma(config)
        connect(m, queues["operand"].o, operand.i_instruction)
        connect(m, operand.memory, ports.operand)
        connect(m, operand.o, post.i_operand)
        m.d.comb += [
            operand.retired.eq(store.retired),
            operand.retire.eq(store.retire),
            operand.watermark.eq(store.watermark),
            operand.watermark_valid.eq(store.watermark_valid),
        ]
        return post, store, operand.idle

    def _wire_counters(self, m, control, load, array, post, store):
        m.submodules.counters = counters = Counters(self._counter_tags)
        m.d.comb += [
            counters.start.eq(control.start),
            counters.running.eq(control.running),
            counters.issued.eq(array.issued),
            counters.stall_load.eq(array.stall_load),
            counters.stall_weights.eq(array.stall_weights),
            counters.stall_result.eq(array.stall_result),
            counters.dependency.eq(load.dependency),
            counters.waiting_for_store.eq(post.waiting_for_store),
            counters.retire.eq(store.retire),
            counters.retire_tag.eq(store.retire_tag),
            counters.tag.eq(control.counter_tag),
            counters.index.eq(control.counter_index),
            control.counter_data.eq(counters.data),
            control.counters_idle.eq(counters.idle),
        ]


def make_core(config: AcceleratorConfig, *, counter_tags: int = 1024, outside: bool = True,
              **options) -> Component:
    """The core of ``config``: a ``Core``, or a ``CompactCore``: no counters, nothing outside."""
    if config.compact:
        return CompactCore(config, **options)
    return Core(config, counter_tags=counter_tags, outside=outside, **options)
