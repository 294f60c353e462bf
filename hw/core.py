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
from kaniwa.hw.control.activity import Activity
from kaniwa.hw.control.counters import Counters
from kaniwa.hw.control.idle import IdleWatch
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
        self._add_blocks(datapath)
        self._wire_memory(datapath)
        self._wire_array(datapath)
        self._wire_results(datapath)
        self._wire_progress(datapath)
        if self._config.runs_units:
            blocks = datapath.submodules
            wire_side_units(datapath, blocks.units, blocks.memory, blocks.sequencer,
                            blocks.post, blocks.store)
        self._wire_control(m, control, datapath.submodules)
        if self._config.counters:
            self._wire_counters(m, control, datapath.submodules)
        return m

    def _add_blocks(self, m):
        """All blocks but the registers and counters, by name; each unit has its queue."""
        config, blocks = self._config, m.submodules
        blocks.memory = MemorySystem(config, outside=self._outside)
        blocks.sequencer = Sequencer(config)
        blocks.idle_watch = IdleWatch(config)
        blocks.load = LoadDma(config)
        blocks.weights = WeightDecoder(config)
        blocks.line_buffer = LineBuffer(config)
        blocks.weight_ring = WeightRing(config)
        blocks.array = ArraySwitch(config)
        blocks.window = Window(config)
        blocks.mac_array = MacArray(config, self._multiplier)
        blocks.result_buffer = ResultBuffer(config)
        blocks.parameter_buffer = ParameterBuffer(config)
        blocks.post = Post(config, self._multiplier)
        # Without it, one path would lead from a write's ready back to the array's results.
        blocks.beat_buffer = StreamBuffer(beat_layout(config))
        blocks.store = StoreDma(config)
        if config.max_pool:
            blocks.max_pool = MaxPool(config)
        if config.patch_bytes:
            blocks.patch_buffer = PatchBuffer(config)
        if config.elementwise:
            blocks.operand = OperandDma(config)
        if config.runs_units:
            blocks.units = SideUnits(config, self._multiplier.wide)
        for unit in UNITS:
            m.submodules[f"{unit}_queue"] = queue = InstructionQueue(config, unit)
            connect(m, getattr(blocks.sequencer, f"o_{unit}"), queue.i)
            if unit != "operand" or config.elementwise:
                connect(m, queue.o, m.submodules[unit].i_instruction)

    def _wire_memory(self, m):
        """The ways to device memory, and the inputs that come from there."""
        blocks = m.submodules
        memory = blocks.memory
        for name in MEMORY_PORTS:
            connect(m, getattr(memory, name), flipped(getattr(self, name)))
        connect(m, blocks.sequencer.memory, memory.commands)
        connect(m, blocks.load.memory, memory.activations)
        connect(m, blocks.weights.memory, memory.weights)
        # The side units stand between these two and memory.
        ports = blocks.units if self._config.runs_units else memory
        connect(m, blocks.store.memory, ports.results)
        if self._config.elementwise:
            connect(m, blocks.operand.memory, ports.operand)

    def _wire_array(self, m):
        """Line buffer and weight ring through the array to the result slots."""
        config, blocks = self._config, m.submodules
        array, window, lines = blocks.array, blocks.window, blocks.line_buffer
        connect(m, blocks.load.o, lines.i)
        connect(m, blocks.weights.o_weights, blocks.weight_ring.i)
        if config.step_entries:
            connect(m, blocks.weights.o_list, array.i_list)
        connect(m, array.level, blocks.load.level)
        connect(m, array.line, lines.read)
        connect(m, array.ring, blocks.weight_ring.reader)
        connect(m, array.o_step, window.i)
        connect(m, window.o, blocks.mac_array.i)
        connect(m, blocks.mac_array.o, blocks.result_buffer.i)
        m.d.comb += [
            window.i_data.eq(lines.o_data),
            window.i_weights.eq(blocks.weight_ring.read_data),
            array.slot_returned.eq(blocks.result_buffer.returned),
        ]
        if lines.has_columns:
            m.d.comb += window.i_columns.eq(lines.o_columns)
        if config.max_pool:
            connect(m, window.o_pool, blocks.max_pool.i)
            connect(m, blocks.max_pool.o, blocks.result_buffer.i_pool)
        if config.patch_bytes:
            connect(m, window.o_gather, blocks.patch_buffer.i)
            m.d.comb += [
                blocks.patch_buffer.read_index.eq(array.o_step.payload.patch_word),
                window.i_patch.eq(blocks.patch_buffer.o_data),
            ]

    def _wire_results(self, m):
        """Result slots through requantization to the store unit, and what else post needs."""
        blocks = m.submodules
        post, parameters = blocks.post, blocks.parameter_buffer
        connect(m, blocks.weights.o_parameters, parameters.i)
        connect(m, blocks.weights.o_table, post.i_table)
        connect(m, blocks.result_buffer.o, post.i_results)
        connect(m, post.parameters, parameters.reader)
        connect(m, post.o, blocks.beat_buffer.i)
        connect(m, blocks.beat_buffer.o, blocks.store.i)
        m.d.comb += [
            post.parameter_data.eq(parameters.read_data),
            blocks.weights.post_done.eq(post.done),
        ]
        if self._config.elementwise:
            connect(m, blocks.operand.o, post.i_operand)

    def _wire_progress(self, m):
        """Connect the units' progress to the readers of results, and to the sequencer."""
        blocks = m.submodules
        watch, sequencer = blocks.idle_watch, blocks.sequencer
        if self._config.elementwise:
            connect(m, blocks.store.progress, blocks.load.progress, blocks.operand.progress)
        else:
            connect(m, blocks.store.progress, blocks.load.progress)
            m.d.comb += blocks.operand_queue.o.ready.eq(1)
        for unit in UNITS:
            queue, seen = m.submodules[f"{unit}_queue"].o, getattr(watch.queues, unit)
            m.d.comb += [seen.valid.eq(queue.valid), seen.ready.eq(queue.ready)]
            if unit != "operand" or self._config.elementwise:
                m.d.comb += getattr(watch.idle, unit).eq(m.submodules[unit].idle)
        m.d.comb += [
            watch.error.eq(blocks.weights.error),
            sequencer.retired.eq(blocks.store.progress.retired),
            sequencer.units_idle.eq(watch.units_idle),
            sequencer.begun.eq(watch.begun),
            sequencer.bad_format.eq(watch.bad_format),
            sequencer.address_error.eq(blocks.memory.error),
            sequencer.address_client.eq(blocks.memory.error_client),
        ]

    def _wire_control(self, m, control, blocks):
        """The registers between the ports of the core and the blocks, and their watchdog."""
        m.submodules.activity = activity = Activity(len(MEMORY_PORTS))
        for name, seen in zip(MEMORY_PORTS, activity.ports, strict=True):
            request = getattr(self, name).request
            m.d.comb += [seen.valid.eq(request.valid), seen.ready.eq(request.ready)]
        m.d.comb += [
            *control.registers_of(self),
            *control.watch(blocks.sequencer, blocks.memory),
            blocks.sequencer.program_address.eq(control.program_address),
            activity.issued.eq(blocks.array.events.issued),
            activity.retire.eq(blocks.store.progress.retire),
            control.retired.eq(blocks.store.progress.retired),
            control.progress.eq(activity.progress),
        ]

    def _wire_counters(self, m, control, blocks):
        m.submodules.counters = counters = Counters(self._counter_tags)
        connect(m, blocks.array.events, counters.events)
        connect(m, control.counters, counters.access)
        m.d.comb += [
            counters.start.eq(control.start),
            counters.running.eq(control.running),
            counters.dependency.eq(blocks.load.dependency),
            counters.waiting_for_store.eq(blocks.post.waiting_for_store),
            counters.retire.eq(blocks.store.progress.retire),
            counters.retire_tag.eq(blocks.store.retire_tag),
        ]


def make_core(config: AcceleratorConfig, *, counter_tags: int = 1024, outside: bool = True,
              **options) -> Component:
    """The core of ``config``: a ``Core``, or a ``CompactCore``, which has no counters."""
    if config.compact:
        return CompactCore(config, outside=outside, **options)
    return Core(config, counter_tags=counter_tags, outside=outside, **options)
