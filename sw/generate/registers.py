"""The registers of a generated accelerator, with their bits: one table for header, SVD and page."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kaniwa.generate.design import Design
from kaniwa.isa import COUNTERS, ISA_VERSION, MAGIC, Command, ErrorCode, Register, Status
from kaniwa.isa.bus import (
    BASE_ALIGNMENT,
    BUS_VERSION,
    RESPONSE_SHIFT,
    BusError,
    BusRegister,
    BusResponse,
    Feature,
    Interrupt,
    memory_offset,
)
from kaniwa.isa.sensor import (
    OFFERING,
    SENSOR_VERSION,
    TABLE_INDEX_SHIFT,
    SensorControl,
    SensorEvent,
    SensorRegister,
    SensorState,
)

__all__ = ["Bits", "Word", "words_of"]

READ, WRITE, BOTH = "read-only", "write-only", "read-write"


@dataclass(frozen=True)
class Bits:
    """A field of a register: ``width`` bits from bit ``low`` on; ``values`` by name where named.

    ``on_write``: what writing does, in the words of CMSIS-SVD, where it does not store the value.
    """

    name: str
    low: int
    width: int
    text: str
    values: Mapping[str, int] = field(default_factory=dict)
    on_write: str = ""

    @property
    def high(self) -> int:
        """Number of the highest bit."""
        return self.low + self.width - 1


@dataclass(frozen=True)
class Word:
    """A register of 32 bits: ``access`` in the words of CMSIS-SVD, ``value`` where it is constant.

    The byte offset is four times ``index``.
    """

    name: str
    index: int
    access: str
    text: str
    bits: tuple[Bits, ...] = ()
    value: int | None = None

    @property
    def offset(self) -> int:
        """Byte offset in the window, or from the link's address of registers."""
        return 4 * self.index


def words_of(design: Design) -> list[Word]:
    """All registers of the accelerator, in the order of their addresses."""
    words = [*_constants(design), *_of_a_run()]
    if design.config.counters:
        words += _counters()
    if design.bus != "stream":
        words += _of_the_bus(design)
    if design.sensor:
        words += _of_the_sensor(design)
    return words


def _flags(names: type[enum.IntFlag], texts: Mapping[str, str], on_write: str = "") -> tuple[
        Bits, ...]:
    """A bit for each member; ``texts`` must have them all."""
    assert set(texts) == {str(flag.name) for flag in names}
    return tuple(Bits(str(flag.name), flag.bit_length() - 1, 1, texts[str(flag.name)],
                      on_write=on_write) for flag in names)


def _constants(design: Design) -> list[Word]:
    config, number = design.config, int(design.config.hash, 16)
    shape = {"OUT_LANES": config.out_lanes, "DOT_WIDTH": config.dot_width,
             "REQUANT_LANES": config.requant_lanes, "REQUANT_CYCLES": config.requant_cycles}
    meanings = ("output channels computed at once", "products summed for each channel in a cycle",
                "results requantized at once", "cycles of a requantizer lane for a result")
    bits = tuple(Bits(name, 8 * place, 8, text)
                 for place, (name, text) in enumerate(zip(shape, meanings, strict=True)))
    value = sum(size << 8 * place for place, size in enumerate(shape.values()))

    def constant(register: Register, text: str, value: int, *bits: Bits) -> Word:
        return Word(register.name, register, READ, text, bits, value)

    return [
        constant(Register.MAGIC, "the letters KANI, which tell that this is a kaniwa core", MAGIC),
        constant(Register.VERSION, "version of the instruction set", ISA_VERSION),
        constant(Register.CONFIG_HASH_LOW, "low 32 bits of the hash of the target",
                 number & 0xFFFF_FFFF),
        constant(Register.CONFIG_HASH_HIGH, "high 32 bits of the hash of the target", number >> 32),
        constant(Register.BUILD_ID, "a number of the build, 0 here", 0),
        constant(Register.CLOCK_HZ, "clock in Hz as it was given; 0: not given", design.clock_hz),
        constant(Register.SHAPE, "size of the array", value, *bits),
        constant(Register.MEMORY_BYTES, "bytes of device memory on chip", config.memory_bytes),
    ]


def _of_a_run() -> list[Word]:
    commands = _flags(Command, {
        "RUN": "1: start the program at PROGRAM_ADDRESS",
        "ABORT": "1: end a run and reset the core; memory keeps its contents"})
    states = _flags(Status, {"RUNNING": "a run is going on; device memory belongs to it",
                             "DONE": "the last run reached its END",
                             "ERROR": "the last run ended early; ERROR_CODE says why"})
    codes = {code.name: code.value for code in ErrorCode}
    reasons = Bits("CODE", 0, 4, "why the last run ended early", codes)
    return [
        Word("CONTROL", Register.CONTROL, WRITE, "starts and ends runs", commands),
        Word("STATUS", Register.STATUS, READ, "state of the current or last run", states),
        Word("ERROR_CODE", Register.ERROR_CODE, READ, "reason of an early end", (reasons,)),
        Word("ERROR_INSTRUCTION", Register.ERROR_INSTRUCTION, READ,
             "index of the instruction at which the last run ended early"),
        Word("PROGRAM_ADDRESS", Register.PROGRAM_ADDRESS, BOTH,
             "device address of the first instruction"),
        Word("WATCHDOG", Register.WATCHDOG, BOTH,
             "cycles without progress after which a run is ended; 0: never"),
        Word("CYCLES", Register.CYCLES, READ, "cycles of the current or last run"),
        Word("RETIRED", Register.RETIRED, READ, "instructions of the run that are complete"),
    ]


def _counters() -> list[Word]:
    tag = Bits("TAG", 0, 10, "number of the layer")
    totals = Bits("TOTALS", 10, 1, "1: the running totals instead")
    words = [Word("COUNTER_TAG", Register.COUNTER_TAG, BOTH,
                  "selects the layer whose counters are read", (tag, totals))]
    return words + [
        Word(f"COUNTER_{name.upper()}", Register.COUNTER_0 + number, READ,
             f"cycles counted as {name} up to the end of the layer" if name != "cycles" else
             "cycles from the start of the run to the end of the layer")
        for number, name in enumerate(COUNTERS)]


def _of_the_bus(design: Design) -> list[Word]:
    of, outside = BusRegister, design.outside
    meanings = {"RUN_ENDED": "a run ended", "BUS_ERROR": "the master port saw an error"}
    pending = _flags(Interrupt, {name: f"{text}; writing 1 clears the bit"
                                 for name, text in meanings.items()}, "oneToClear")
    enabled = _flags(Interrupt, {name: f"1: irq rises when {text}"
                                 for name, text in meanings.items()})
    if not outside:     # nothing else raises the second one
        pending, enabled = pending[:1], enabled[:1]
    features = _flags(Feature, {"OUTSIDE": "1: there is a master port for memory outside"})
    return [
        Word("BUS_VERSION", of.BUS_VERSION, READ, "version of these registers", (), BUS_VERSION),
        Word("IRQ_STATUS", of.IRQ_STATUS, BOTH, "pending interrupts", pending),
        Word("IRQ_ENABLE", of.IRQ_ENABLE, BOTH, "interrupts that reach irq", enabled),
        *(_of_the_master_port() if outside else ()),
        Word("MEMORY_OFFSET", of.MEMORY_OFFSET, READ,
             "byte offset of device memory in the window; 0: there is none on chip", (),
             memory_offset(design.config.memory_bytes)),
        Word("FEATURES", of.FEATURES, READ, "what this accelerator has", features,
             Feature.OUTSIDE * outside),
    ]


def _of_the_master_port() -> list[Word]:
    held = _flags(BusError, {"HELD": "an error is held, and later ones are not",
                             "WRITE": "1: of a write, 0: of a read"}, "clear")
    responses = {code.name: code.value for code in BusResponse}
    response = Bits("RESPONSE", RESPONSE_SHIFT, 2, "response of the bus", responses, "clear")
    low_zeros = int(math.log2(BASE_ALIGNMENT))
    of = BusRegister
    return [
        Word("BUS_ERROR", of.BUS_ERROR, BOTH,
             "first error of the master port; writing anything clears it", (*held, response)),
        Word("BUS_ERROR_ADDRESS", of.BUS_ERROR_ADDRESS, READ,
             "device address of the access that failed"),
        Word("OUTSIDE_BASE_LOW", of.OUTSIDE_BASE_LOW, BOTH,
             f"bus address of device address 0x80000000, low half; its {low_zeros} low bits are 0"),
        Word("OUTSIDE_BASE_HIGH", of.OUTSIDE_BASE_HIGH, BOTH, "the same, high half"),
    ]


def _of_the_sensor(design: Design) -> list[Word]:
    of = SensorRegister
    control = _flags(SensorControl, {
        "ENABLE": "1: samples are taken; the other bits are set in the same write",
        "RUN": "1: a full tensor starts the program; 0: the host does",
        "TABLE": "1: samples go through the table",
        "COUNT": "1: frames end by their length, not by tlast",
        "SKIP": "1: samples never wait; a frame without room is left out"})
    meanings = {"FULL": "an input tensor is whole", "FAILED": "a run ended with an error",
                "EARLY": "tlast came before the tensor was full",
                "LATE": "the tensor was full and tlast had not come",
                "MISSED": "there was no room for a sample"}
    events = _flags(SensorEvent, {name: f"{text}; writing 1 clears the bit"
                                  for name, text in meanings.items()}, "oneToClear")
    enabled = _flags(SensorEvent, {name: f"1: irq rises when {text}"
                                   for name, text in meanings.items()})
    states = {state.name: state.value for state in SensorState}
    entry = (Bits("VALUE", 0, 8, "what the sample becomes"),
             Bits("INDEX", TABLE_INDEX_SHIFT, 8, "the sample"))
    while_off = "written only while the ports are off"
    return [
        Word("SENSOR_VERSION", of.SENSOR_VERSION, READ,
             "version of the sensor's registers", (), SENSOR_VERSION),
        Word("SENSOR_CONTROL", of.SENSOR_CONTROL, BOTH, "enables the ports", control),
        Word("SENSOR_STATE", of.SENSOR_STATE, READ, "where the inference is", (
            Bits("STATE", 0, 3, "what the ports do", states),
            Bits("OFFERING", OFFERING, 1, "1: a result is still read from memory"))),
        Word("SENSOR_EVENTS", of.SENSOR_EVENTS, BOTH, "what has happened", events),
        Word("SENSOR_IRQ_ENABLE", of.SENSOR_IRQ_ENABLE, BOTH, "events that reach irq", enabled),
        Word("SENSOR_INPUT_ADDRESS", of.SENSOR_INPUT_ADDRESS, BOTH,
             f"device address of the input tensor; {while_off}"),
        Word("SENSOR_INPUT_LENGTH", of.SENSOR_INPUT_LENGTH, BOTH,
             f"its bytes; 0: no samples are taken; {while_off}"),
        Word("SENSOR_OUTPUT_ADDRESS", of.SENSOR_OUTPUT_ADDRESS, BOTH,
             f"device address of the output tensor; {while_off}"),
        Word("SENSOR_OUTPUT_LENGTH", of.SENSOR_OUTPUT_LENGTH, BOTH,
             f"its bytes; 0: no results are offered; {while_off}"),
        Word("SENSOR_TABLE", of.SENSOR_TABLE, WRITE, "writes an entry of the table", entry),
        Word("SENSOR_BUFFER_BYTES", of.SENSOR_BUFFER_BYTES, READ,
             "bytes of samples that are taken during a run", (), design.sensor_buffer),
        *(Word(register.name, register, READ, f"{text}, since the ports were enabled")
          for register, text in (
              (of.SENSOR_FRAMES, "tensors filled"),
              (of.SENSOR_DROPPED, "samples of frames that did not become a tensor"),
              (of.SENSOR_EARLY, "frames whose tlast came early, modulo 65,536"),
              (of.SENSOR_LATE, "frames whose tlast came late, modulo 65,536"),
              (of.SENSOR_MISSED, "frames left out for want of room, modulo 65,536"))),
    ]
