"""LAYERs and VECTORs in turn through the whole core: memory and cycles as on the emulator.

A program is that of a random graph, with VECTOR instructions before, between and behind its LAYERs:
random vector programs on memory of their own, and ones that change what the LAYER before has made.
In-process, without cocotb, like ``bench_core_random``.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.readers.streams import region_shapes
from kaniwa.errors import CompileError, DeviceError
from kaniwa.isa import Opcode, encode
from kaniwa.isa.formats import Buffer
from kaniwa.program.instruction import pixels
from kaniwa.sim.benches.units.vector.vector_programs import (
    PROGRAM_AT,
    clearing,
    moved,
    random_memory,
    random_program,
)
from kaniwa.sim.harness.bench import PythonBench
from kaniwa.sim.harness.coverage import Tally
from kaniwa.sim.worlds.random_graphs import KINDS, random_graph
from kaniwa.units.vector import isa as vector_isa
from kaniwa.units.vector.builder import Builder
from kaniwa.units.vector.isa import Width

CONFIGS = {
    "eight_lanes": replace(PRESETS["base"], vector_unit=True, memory_bytes=1 << 17),
    "two_lanes": replace(PRESETS["small"], vector_unit=True),
    "no_elementwise": replace(PRESETS["small"], vector_unit=True, elementwise=False,
                              elementwise_multiply=False),
}
PROGRAMS = 40   # what `make test` runs of each config
STALLS = (0.0, 0.0, 0.3)
INSTRUCTIONS = 24   # of a graph's program, at most: memory must hold the vector programs, too
# How far the cycle model may be off in an instruction of a run without stalls, as in core_random.
MODEL_ERROR, MODEL_CYCLES = 0.005, 2

REQUIRED = ["stalls", "first", "between", "behind", "adjacent", "changes_a_result", "kept_program",
            "waits_for_vector", "waits_for_tables", "add", "illegal_instruction", "beyond_memory",
            "illegal_field"]


class _Case:
    """A program with its memory, written instruction by instruction."""

    def __init__(self, rng: random.Random, config: AcceleratorConfig, tally: Tally) -> None:
        self.rng, self.config, self.tally = rng, config, tally
        self.unit = max(config.read_bytes, vector_isa.VECTOR_BYTES)
        self.compiled = self._compiled()
        self.instructions: list[dict[str, int]] = []
        self.at = -(-self.compiled.local_bytes // self.unit) * self.unit
        self.scratch = self._place(PROGRAM_AT)
        self.images = [(self.scratch, bytes(random_memory(rng)[:PROGRAM_AT]))]
        self.entry: int | None = None

    def _compiled(self) -> Any:
        from kaniwa.compiler.pipeline import compile

        while True:
            graph = random_graph(self.rng.randrange(1 << 30), self.rng.choice(list(KINDS)), 1 << 16)
            try:
                program = compile(graph, target=self.config, outside=None, require_accelerator=True)
            except CompileError:
                continue
            if len(program.runs) == 1 and len(program.instructions) <= INSTRUCTIONS and (
                    program.local_bytes + 3 * PROGRAM_AT < self.config.memory_bytes):
                return program

    def _place(self, size: int) -> int:
        address, self.at = self.at, self.at + -(-size // self.unit) * self.unit
        return address

    def vector(self, code: bytes, entry: int) -> None:
        """A VECTOR that loads and runs ``code``."""
        code += bytes(-len(code) % self.unit)
        address = self._place(len(code))
        self.images.append((address, code))
        self._vector(address, len(code), entry)

    def _vector(self, address: int, size: int, entry: int) -> None:
        if self.instructions and self.instructions[-1]["opcode"] == Opcode.VECTOR:
            self.tally.bins["adjacent"] += 1
        self.instructions.append({
            "opcode": Opcode.VECTOR, "tag": 512 + len(self.instructions), "block_words": entry,
            "parameter_address": address, "parameter_bytes": size})
        self.entry = entry

    def random_vector(self) -> None:
        """A random program, or the one before once more."""
        if self.entry is not None and self.rng.random() < 0.3:
            self.tally.bins["kept_program"] += 1
            self._vector(0, 0, self.entry)
            return
        program = random_program(self.rng, self.config, 8, self.scratch)
        room = vector_isa.STORE_INSTRUCTIONS - len(program) - self.unit // vector_isa.VECTOR_BYTES
        entry = self.rng.randrange(room)
        self.vector(b"".join(moved(program, entry)), entry)

    def change(self, layer: dict[str, int]) -> None:
        """Adds 3 to results of ``layer``."""
        address, shape, pitches = pixels(layer, "ofm")
        size = 1 + sum((n - 1) * pitch for n, pitch in zip(shape, pitches, strict=True))
        k = Builder(self.config)
        place = k.pointer(address & -self.config.read_bytes)
        x = k.vector()
        k.length(min(k.limit, size))
        k.load(x, place, Width.INT8)
        k.add(x, x, 3)
        k.store(x, place, Width.INT8)
        self.vector(k.finish(), 0)
        self.tally.bins["changes_a_result"] += 1

    def layers(self) -> None:
        """All LAYERs, with VECTORs around them."""
        rng, tally = self.rng, self.tally
        self.vector(b"".join(moved(clearing(self.config.requant_lanes), 0)), 0)
        tally.bins["first"] += 1
        moved_to = {0: 0}   # wait of the compiled program: that of this one
        *layers, _ = self.compiled.instructions
        for number, layer in enumerate(layers, 1):
            self.instructions.append({**layer, "opcode": Opcode.LAYER, **{
                name: moved_to[layer[name]] for name in ("ifm_wait", "operand_wait")}})
            tally.bins["add"] += layer["add"]
            moved_to[number] = len(self.instructions)
            while rng.random() < 0.5:
                tally.bins["waits_for_tables"] += self._brings_tables(layer)
                tally.bins["behind" if number == len(layers) else "between"] += 1
                if rng.random() < 0.4:
                    self.change(layer)
                    if rng.random() < 0.5:
                        moved_to[number] = len(self.instructions)
                        tally.bins["waits_for_vector"] += 1
                else:
                    self.random_vector()

    def _brings_tables(self, layer: dict[str, int]) -> bool:
        """Whether the tables of the next layer come behind the weights of ``layer``."""
        def read(address: int, size: int) -> bytes:
            return next((image[address - place:][:size] for place, image in self.compiled.images
                         if place <= address < place + len(image)), b"")

        _, weights = region_shapes(self.config, layer, read)
        return any(shape.kind == Buffer.TABLES for shape in weights)

    def write(self, *devices: Any) -> int:
        """The program to the devices; its address."""
        code = b"".join(map(encode, self.instructions)) + encode({"opcode": Opcode.END})
        address = self._place(len(code))
        assert self.at <= self.config.memory_bytes, "the program does not fit"
        content = bytearray(self.rng.randbytes(self.config.memory_bytes))
        for place, image in [*self.compiled.images, *self.images, (address, code)]:
            content[place:place + len(image)] = image
        for device in devices:
            device.write(0, bytes(content))
        return address


def run(seed: int, options: dict[str, int]) -> Tally:
    """Run the programs; raises AssertionError naming the failing case."""
    tally = Tally()
    for number, (name, config) in enumerate(CONFIGS.items()):
        rng = random.Random(seed * 1000 + number)
        for index in range(options.get("layers", PROGRAMS)):
            case = rng.randrange(1 << 30)
            _run_case(random.Random(case), config, tally, f"{name}, program {index}, case {case}")
        _refuse(rng, config, tally)
    return tally


def _run_case(rng: random.Random, config: AcceleratorConfig, tally: Tally, what: str) -> None:
    from kaniwa.emulator.core import Emulator
    from kaniwa.sim.device.simulated_core import SimDevice

    case = _Case(rng, config, tally)
    case.layers()
    stalls = rng.choice(STALLS)
    tally.bins["stalls"] += stalls > 0
    emulator = Emulator(config)
    with SimDevice(target=config, stalls=stalls, seed=rng.randrange(1 << 30)) as device:
        address = case.write(device, emulator)
        # In the order of their last instructions: counters are cumulative to those.
        tags = list(dict.fromkeys(values["tag"] for values in reversed(case.instructions)))[::-1]
        for _ in range(2):
            got, expected = device.run(address, tags), emulator.run(address)
            _compare_memory(device, emulator, config, what)
            tally.checks += config.memory_bytes
            assert got.retired == expected.retired == len(case.instructions), f"{what}: retired"
            if not stalls:
                _compare_cycles(got, expected, tags, tally, what)


def _compare_memory(device: Any, emulator: Any, config: AcceleratorConfig, what: str) -> None:
    got, wanted = (np.frombuffer(d.read(0, config.memory_bytes), np.uint8)
                   for d in (device, emulator))
    different = np.flatnonzero(got != wanted)
    assert not len(different), (
        f"{what}: {len(different)} bytes differ from {different[0]:#x} on: "
        f"{got[different[0]]}, expected {wanted[different[0]]}")


def _compare_cycles(got: Any, expected: Any, tags: list[int], tally: Tally, what: str) -> None:
    for a, b in zip(got.per_tag(tags), expected.per_tag(tags), strict=True):
        error = abs(a.cycles - b.cycles)
        tally.measure("cycle model error in % of an instruction", 100 * error / a.cycles)
        assert error <= max(MODEL_ERROR * a.cycles, MODEL_CYCLES), (
            f"{what}: at tag {a.tag} the model expects {b}, not {a}")


def _refuse(rng: random.Random, config: AcceleratorConfig, tally: Tally) -> None:
    """Check that faults end a run, with the same code and instruction on both devices."""
    from kaniwa.emulator.core import Emulator
    from kaniwa.sim.device.simulated_core import SimDevice

    def reaching(address: int) -> bytes:
        k = Builder(config)
        k.length(1)
        k.load(k.vector(), k.pointer(address), Width.INT32)
        return k.finish()

    end = config.memory_bytes
    spoilt = b"\xff" * vector_isa.VECTOR_BYTES
    for text, bin_, code, entry, size in (
            ("VECTOR at instruction 1", "illegal_instruction", spoilt, 0, None),
            ("ADDRESS at instruction 1", "beyond_memory", reaching(end), 0, None),
            ("ILLEGAL_FIELD at instruction 1", "illegal_field", reaching(0), 512, None),
            ("ILLEGAL_FIELD at instruction 1", "illegal_field", reaching(0), 509, None),
            ("ILLEGAL_FIELD at instruction 1", "illegal_field", reaching(0), 0, 1),
            ("ILLEGAL_FIELD at instruction 1", "illegal_field", reaching(0), 0, 4104)):
        case = _Case(rng, config, tally)
        case.random_vector()
        case.vector(code, entry)
        if size is not None:
            case.instructions[-1]["parameter_bytes"] = size
        case.random_vector()
        emulator = Emulator(config)
        with SimDevice(target=config) as device:
            address = case.write(device, emulator)
            for each in (device, emulator):
                try:
                    each.run(address)
                except DeviceError as error:
                    assert text in str(error), f"{error} in place of {text}"
                else:
                    raise AssertionError(f"no {text}")
        tally.bins[bin_] += 1
        tally.checks += 1


BENCH = PythonBench("core_vector", run, required=REQUIRED)
