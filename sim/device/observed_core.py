"""The core with an output that tells what each unit does, for timelines and waveforms."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib.wiring import Component, Out, Signature

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.core import CompactCore
from kaniwa.hw.core import Core
from kaniwa.isa import UNITS
from kaniwa.report.states import IDLE, UNITS_OBSERVED, WORDS, WORK, state_number

__all__ = ["observed_core"]

SET_UP = 4        # cycles from an instruction to the load unit's first request
DECODING = 8      # from a word of the weight stream to what is made of it
NUMBER_BITS = 16  # bits of an instruction's number

Watched = dict[str, tuple[Any, Any]]   # of each unit: the number of its instruction, its state


class _Observed(Component):
    """A core, unchanged, and ``observed``: a word of 32 bits a unit, and two more.

    A unit's word is the number of its instruction (16 bits, of all instructions or of the LAYERs,
    as ``UNITS_OBSERVED`` says) and what the unit does (``states``). The words after those of the
    units: 1 while the run goes on, and the bytes that the line buffer holds.
    """

    _config: AcceleratorConfig

    def __init__(self, config: AcceleratorConfig) -> None:
        super().__init__(config)
        self.observed = Signal(32 * WORDS)

    @property
    def signature(self) -> Signature:
        return Signature({**dict(super().signature.members.items()), "observed": Out(32 * WORDS)})

    def elaborate(self, platform: Any) -> Module:
        m = super().elaborate(platform)
        control, blocks = m.submodules.control, m.submodules.datapath.submodules
        view = Module()
        watch = _watch_compact if self._config.compact else _watch_core
        words = {unit: Const(0, 32) for unit in UNITS_OBSERVED}
        for unit, (index, state) in watch(view, blocks, self._config).items():
            words[unit] = Cat(index[:NUMBER_BITS], Mux(control.running, state, IDLE))
        held = _held(blocks, self._config)
        for number, value in enumerate([*words.values(), control.running, held]):
            view.d.comb += self.observed.word_select(number, 32).eq(value)
        m.submodules.view = ResetInserter(control.reset)(view)
        return m


class _ObservedCore(_Observed, Core):
    pass


class _ObservedCompactCore(_Observed, CompactCore):
    pass


def observed_core(config: AcceleratorConfig) -> Component:
    """The core of ``config`` with the output ``observed``."""
    return (_ObservedCompactCore if config.compact else _ObservedCore)(config)


def _choose(*cases: tuple[Any, int | str], otherwise: int | str = IDLE) -> Any:
    """The state of the first of ``cases`` (condition, state) that holds."""
    value = otherwise if isinstance(otherwise, int) else state_number(otherwise)
    for condition, state in reversed(cases):
        value = Mux(condition, state if isinstance(state, int) else state_number(state), value)
    return value


def _counted(m: Module, event: Any, init: int = 0) -> Signal:
    """Number of cycles with ``event`` so far."""
    count = Signal(NUMBER_BITS, init=init)
    m.d.sync += count.eq(count + event)
    return count


def _passes(stream: Any) -> Any:
    return stream.valid & stream.ready


def _reads(m: Module, port: Any) -> Any:
    """1 while the reader has asked its memory for words that have not come."""
    outstanding = Signal(NUMBER_BITS)
    m.d.sync += outstanding.eq(outstanding + _passes(port.request) - port.response.valid)
    return port.request.valid | (outstanding != 0)


def _held(blocks: Any, config: AcceleratorConfig) -> Any:
    """Bytes between what is used up and what is loaded."""
    if config.compact:
        return Const(0)
    level = blocks.load.level
    return (level.loaded - level.freed)[:len(level.loaded)]


def _watch_core(m: Module, blocks: Any, config: AcceleratorConfig) -> Watched:
    """Number of the instruction and state of each unit of a ``Core``."""
    load, weights, post, store = blocks.load, blocks.weights, blocks.post, blocks.store
    events, retired = blocks.array.events, store.progress.retired
    counted = Signal.like(retired)   # the counters' layer: the cycle of retirement is its last one
    m.d.sync += counted.eq(retired)
    items = (weights.o_weights, weights.o_parameters, weights.o_table)
    begun = {unit: _counted(m, _passes(getattr(blocks, unit).i_instruction), init=0xFFFF)
             for unit in ("load", "weights")}
    watched = {
        "commands": _commands(m, blocks.sequencer, config),
        "load": (begun["load"], _choose(
            (load.o.valid, WORK), (load.idle, IDLE), (load.dependency, "dependency"),
            (_reads(m, load.memory), "memory"),
            (_recent(m, _passes(load.i_instruction), SET_UP), "fill"), otherwise="room")),
        "weights": (begun["weights"], _choose(
            (weights.memory.response.valid, WORK), (weights.idle, IDLE),
            (Cat(map(_passes, items)).any(), "fill"),
            (Cat(item.valid for item in items).any(), "room"),
            (_reads(m, weights.memory), "memory"),
            (_recent(m, weights.memory.response.valid, DECODING), "fill"), otherwise="room")),
        "array": (counted, _choose(
            (events.issued, WORK), (events.stall_load & load.dependency, "dependency"),
            (events.stall_load, "load"), (events.stall_weights, "weights"),
            (events.stall_result & post.waiting_for_store, "store"),
            (events.stall_result, "requantize"), otherwise="fill")),
        "post": (post.done, _choose(
            (_passes(post.o), WORK), (post.o.valid, "room"), (post.idle, IDLE),
            *([(post.i_operand.ready & ~post.i_operand.valid & ~blocks.operand.idle, "operand")]
              if config.elementwise else []),
            (~post.i_results.valid, "input"), otherwise="requantize")),
        "store": (retired, _choose(
            (_passes(store.memory.request), WORK), (store.memory.request.valid, "memory"),
            (store.idle, IDLE), (~store.i.valid, "input"), otherwise="fill")),
    }
    if config.elementwise:
        operand = blocks.operand
        taken = _counted(m, _passes(operand.i_instruction))
        present = Signal(NUMBER_BITS)   # the last one with an operand; the others are dropped
        with m.If(_passes(operand.i_instruction) & operand.i_instruction.payload.add):
            m.d.sync += present.eq(taken)
        watched["operand"] = (present, _choose(
            (operand.memory.response.valid, WORK), (operand.idle, IDLE),
            (_passes(operand.o), "fill"), (operand.o.valid, "room"),
            (operand.dependency, "dependency"), (_reads(m, operand.memory), "memory"),
            otherwise="fill"))
    if config.runs_units:
        units = blocks.units
        blocked = Cat(port.request.valid & ~port.request.ready
                      for port in (units.read, units.write)).any()
        watched["units"] = (retired, _choose(
            (~units.active, IDLE), (blocked, "memory"), otherwise=WORK))
    return watched


def _recent(m: Module, event: Any, cycles: int) -> Any:
    """1 for some cycles after an event."""
    left = Signal(range(cycles + 1))
    with m.If(event):
        m.d.sync += left.eq(cycles)
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    return left != 0


def _commands(m: Module, sequencer: Any, config: AcceleratorConfig) -> tuple[Any, Any]:
    """Work is a word of the program that comes, or an instruction that a queue takes."""
    offers = [getattr(sequencer, f"o_{unit}") for unit in UNITS]
    offering, was_offering = Cat(offer.valid for offer in offers).any(), Signal()
    m.d.sync += was_offering.eq(offering)
    handed_out = was_offering & ~offering
    retires = sequencer.unit_retire if config.runs_units else Const(0)
    index = Signal(NUMBER_BITS)
    now = (index + handed_out)[:NUMBER_BITS]
    m.d.sync += index.eq(now + retires)
    return now, _choose(
        (sequencer.memory.response.valid | Cat(map(_passes, offers)).any(), WORK),
        (offering, "queue"), (_reads(m, sequencer.memory), "memory"))


def _watch_compact(m: Module, blocks: Any, config: AcceleratorConfig) -> Watched:
    """Number of the instruction and state of each unit of a ``CompactCore``."""
    sequencer, load, weights = blocks.sequencer, blocks.load, blocks.weights
    array, post = blocks.array, blocks.post
    states = {
        "commands": _choose((sequencer.memory.response, WORK),
                            (sequencer.memory.request, "memory")),
        "load": _choose((load.write, WORK), (~load.active, IDLE),
                        (load.memory.request, "memory"), otherwise="room"),
        "weights": _choose(
            ((weights.chunk_valid & weights.chunk_ready) | weights.record_valid
             | weights.entry_valid, WORK), (~weights.active, IDLE),
            (weights.chunk_valid, "room"), (weights.memory.request, "memory"), otherwise="fill"),
        "array": _choose(
            (array.issue, WORK), (array.tap.last & ~array.slot_free, "requantize"),
            (load.active, "load"), (weights.active, "weights"), otherwise="fill"),
        "post": _choose(
            (post.write.valid & post.write.ready, WORK), (post.write.valid, "memory"),
            (~post.active, IDLE), (~array.slot_free, "requantize"), otherwise="input"),
    }
    return {unit: (sequencer.retired, state) for unit, state in states.items()}
