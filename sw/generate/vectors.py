"""Programs, inputs and expected outputs of a testbench, as words of device memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from kaniwa.errors import CompileError, ConfigError
from kaniwa.generate.design import Design
from kaniwa.graph import Graph
from kaniwa.program.program import Program, TensorInfo

__all__ = ["MEMORY_MODEL_BYTES", "MemoryWord", "Run", "SensorVectors", "Vectors", "vectors_of"]

MEMORY_MODEL_BYTES = 64 << 10     # of the testbench's memory outside
WORD_BYTES = 4
SEED = 1
SENSOR_SEED = 2
TABLE_FLIP = 0x80     # what the testbench's table flips of a sample
LAST = 1 << 8         # in a line of samples or results: tlast


@dataclass(frozen=True)
class MemoryWord:
    """An aligned word of 32 bits at a device address; bit i of ``mask`` stands for its byte i."""

    address: int
    mask: int
    data: int

    @property
    def line(self) -> str:
        """The word as a line for $readmemh: mask, address, data."""
        return f"{self.mask:x}_{self.address:08x}_{self.data:08x}"


@dataclass(frozen=True)
class Run:
    """A run: what is written before it, its program's address, and what memory holds behind it."""

    program_address: int
    writes: tuple[MemoryWord, ...]
    checks: tuple[MemoryWord, ...]


@dataclass(frozen=True)
class SensorVectors:
    """Frames that a testbench sends to a program on chip, and the results that come of them.

    ``tensors``: address and bytes of the input, and of the output. The frames at ``short`` are too
    short, and come to nothing.
    """

    program_address: int
    tensors: tuple[tuple[int, int], tuple[int, int]]
    frames: tuple[bytes, ...]
    results: tuple[bytes, ...]
    short: tuple[int, ...]

    @property
    def samples(self) -> str:
        """Samples before the table, a line each, with bit 8 as tlast."""
        return _lines(bytes(value ^ TABLE_FLIP for value in frame) for frame in self.frames)

    @property
    def bytes_offered(self) -> str:
        """The results in the same form."""
        return _lines(self.results)

    @property
    def dropped(self) -> int:
        """Samples of the frames that come to nothing."""
        return sum(len(self.frames[number]) for number in self.short)


def _lines(packets: Iterable[bytes]) -> str:
    return "".join(f"{value | LAST * (number == len(packet) - 1):03x}\n"
                   for packet in packets for number, value in enumerate(packet))


@dataclass(frozen=True)
class Vectors:
    """The runs of a testbench, one after the other, and the names of their networks."""

    runs: tuple[Run, ...]
    networks: tuple[str, ...]
    sensor: SensorVectors | None = None

    def text(self, part: str) -> str:
        """``writes`` or ``checks`` of all runs, a word a line."""
        return "".join(f"{word.line}\n" for run in self.runs for word in getattr(run, part))

    @property
    def index(self) -> str:
        """A line a run: program address, count of writes, count of checks."""
        return "".join(f"{run.program_address:08x}_{len(run.writes):08x}_{len(run.checks):08x}\n"
                       for run in self.runs)


def vectors_of(design: Design) -> Vectors:
    """Two inferences of a small network, on chip, and with ``outside`` the same from there.

    With ``sensor`` inferences of the network on chip by samples follow. Outputs are golden's.
    Raises ConfigError where no network of the testbench fits the target.
    """
    config = design.config
    programs = []
    if config.memory_bytes:
        programs.append(_first_that_fits(design, None))
    if design.outside:
        # Without memory on chip everything is outside: instructions, weights and tensors. A
        # compact core has to have some, of which a word is too little for any of them.
        least = config.read_bytes if config.compact else 0
        other = dataclasses.replace(design, config=dataclasses.replace(config, memory_bytes=least),
                                    sensor=False, sensor_buffer=0)
        programs.append(_first_that_fits(other, "ideal"))
    runs = [run for program in programs for run in _runs(program)]
    return Vectors(tuple(runs), tuple(dict.fromkeys(program.name for program in programs)),
                   _frames(programs[0]) if design.sensor else None)


def _first_that_fits(design: Design, outside: str | None) -> Program:
    from kaniwa.compiler.pipeline import compile
    from kaniwa.selftest.layers import layer_graphs

    why = ""
    for graph in _by_preference(layer_graphs(design.config)):
        try:
            program = compile(graph, target=design.config, outside=outside,
                              require_accelerator=True)
        except CompileError as error:
            why = why or str(error)
            continue
        # The testbench does one run an inference, and takes outputs without gaps between elements.
        if len(program.steps) == 1 and not any(out.axes for out in program.outputs):
            return program
        why = why or f"{graph.name}: is not one run, or its output has gaps"
    raise ConfigError(f"target '{design.config.name}' fits no network of the testbench ({why})")


def _by_preference(graphs: list[Graph]) -> list[Graph]:
    """Graphs of most operators first: they use most of the core."""
    return sorted(graphs, key=lambda graph: -len(graph.ops))


def _runs(program: Program) -> Iterator[Run]:
    from kaniwa import golden
    from kaniwa.selftest.layers import layer_inputs

    graph = program.graph
    assert graph is not None
    before = [word for address, data in program.images for word in _words(address, data)]
    for inputs in layer_inputs(graph, SEED):
        for tensor in program.inputs:
            before += _stored(tensor, inputs[tensor.name])
        values = golden.run(graph, inputs)
        checks = [word for tensor in program.outputs for word in _stored(tensor, values[tensor.id])]
        yield Run(program.address_of(program.runs[0]), tuple(before), tuple(checks))
        before = []


def _frames(program: Program) -> SensorVectors:
    """Four inferences, and a frame without its end in between."""
    from kaniwa import golden
    from kaniwa.selftest.layers import layer_inputs

    graph = program.graph
    assert graph is not None
    (given,), (result,) = program.inputs, program.outputs
    frames, results = [], []
    for inputs in (*layer_inputs(graph, SENSOR_SEED), *layer_inputs(graph, SENSOR_SEED + 1)):
        frames.append(_on_device(given, inputs[given.name]))
        results.append(_on_device(result, golden.run(graph, inputs)[result.id]))
    short = 1
    frames.insert(short, frames[short][:len(frames[short]) // 3])
    assert given.address is not None and result.address is not None
    return SensorVectors(
        program.address_of(program.runs[0]),
        ((given.address, given.bytes), (result.address, result.bytes)),
        tuple(frames), tuple(results), (short,))


def _on_device(tensor: TensorInfo, value: np.ndarray) -> bytes:
    """The bytes of ``tensor`` in device memory, where it has ``value``."""
    return tensor.to_device(np.ascontiguousarray(tensor.stored(value)))


def _stored(tensor: TensorInfo, value: np.ndarray) -> Iterator[MemoryWord]:
    """The words of ``tensor`` in device memory, where it has ``value``."""
    assert tensor.address is not None
    return _words(tensor.address, _on_device(tensor, value))


def _words(address: int, data: bytes) -> Iterator[MemoryWord]:
    """``data`` from byte ``address`` on, cut at multiples of 4 bytes."""
    start = address - address % WORD_BYTES
    for at in range(start, address + len(data), WORD_BYTES):
        part = [(byte, data[at + byte - address]) for byte in range(WORD_BYTES)
                if 0 <= at + byte - address < len(data)]
        yield MemoryWord(at, sum(1 << byte for byte, _ in part),
                         sum(value << 8 * byte for byte, value in part))

