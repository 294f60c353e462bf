"""Bench of the cell unit: random sequences against golden's functions, memory held up at random."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from kaniwa.config import PRESETS
from kaniwa.sim.benches.units.cell.cell_sequences import Sequence, random_sequence, telling_sequence
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer, WriteServer, config_of
from kaniwa.units.cell.isa import ALIGNED, DESCRIPTOR_BYTES, FIELDS, encode
from kaniwa.units.cell.timing import sequence_cycles

CONFIGS = {"wide_write": PRESETS["base_vector"],
           "narrow_write": replace(PRESETS["base_vector"], write_bytes=8)}
SEQUENCES = int(os.environ.get("KANIWA_CELL_SEQUENCES", "16"))
SHOWN = 40
EXACT = (0.0, (0, 0))   # memory never waits, and has the latency of the config
STALLS = [EXACT, (0.0, (3, 12)), (0.3, (1, 2)), (0.6, (1, 9))]
ROOM = 3 << 19
SIZES = (1, 4, 21)      # of the first sequences; of others it is random


def _duts() -> list[Dut]:
    from kaniwa.sim.benches.units.cell.cell_harness import cell_unit

    return [Dut(name, cell_unit(config), config) for name, config in CONFIGS.items()]


# Fields of a descriptor with a value that is outside their range, or not aligned.
WRONG = {"cells": (0, 1025, 2047), "steps": (0,), "input_words": (1025, 2047),
         "admit_shift": (0, 14, 22, 31), "clip": (0, 32769, 65535),
         **{f"shift_{name}": (-31, -32) for name in ("input_forget", "hidden_cell", "output")},
         **{name: (1, size // 2) for name, size in ALIGNED.items()}}
BENCH = Bench("cell_unit", _duts, long=("narrow_write",), required=[
    *(f"{kind}_{state}" for state in ("free", "stalled") for kind in (
        "one_cell", "one_step", "frames_of_a_word", "long_frames", "clip", "no_clip",
        "states_in_place", "summed", "left_shift", "far_left_shift", "least", "most",
        "row_within_a_word",
        *(f"{what}_{end}" for what in ("input", "gate", "clip", "state")
          for end in ("low", "high")),
        *(f"input_at_{place}" for place in range(0, 16, 4)))),
    *(f"illegal_{name}" for name in WRONG), "reset", "many_cells", "writes_wait_for_long",
    "last_bits_cell", "last_bits_hidden"])


def _watch(sequence: Sequence, rows: np.ndarray, state: str) -> None:
    """Count what a sequence has as coverage bins; ``state``: free or stalled."""
    v = sequence.values
    for step in range(v["steps"]):
        cover(f"input_at_{(v['input_address'] + step * v['input_pitch']) % 16}_{state}")
        if v["output_address"] % 16 + v["cells"] < 16:
            cover(f"row_within_a_word_{state}")
    for name, hit in (
            ("one_cell", v["cells"] == 1), ("one_step", v["steps"] == 1),
            ("frames_of_a_word", v["cells"] <= 4), ("long_frames", v["cells"] > 20),
            ("clip", v["clip"] < 32768), ("no_clip", v["clip"] == 32768),
            ("states_in_place", v["last_cell"] == v["first_cell"]),
            ("summed", v["input_words"] == 0),
            ("left_shift", any(v[name] < 0 for name in v if name.startswith("shift_"))),
            ("far_left_shift", any(v[name] < -9 for name in v if name.startswith("shift_"))),
            ("least", (rows == -128).any()), ("most", (rows == 127).any())):
        if hit:
            cover(f"{name}_{state}")


class Rig:
    """A device with its memory."""

    def __init__(self, env: Env, stall: float, latency: tuple[int, int]) -> None:
        from kaniwa.hw.interfaces import write_port

        self.env, config = env, config_of(env)
        if latency == (0, 0):
            latency = (config.memory_latency, config.memory_latency)
        self.memory = bytearray(env.rng.randbytes(ROOM))
        self.base = base = env.rng.randrange(1 << 12) << 20
        size = config.read_bytes
        self.read = ReadServer(
            env, "read",
            lambda a: int.from_bytes(self.memory[a - base:a - base + size], "little"), stall,
            latency)
        layout = write_port(config).members["request"].signature.members["payload"].shape
        self.write = WriteServer(env, "write", layout, self._written, stall)
        self.state = "stalled" if stall or latency[0] < latency[1] else "free"

    def _written(self, item: dict[str, int]) -> None:
        size = config_of(self.env).write_bytes
        first = item["address"] - self.base
        assert 0 <= first <= ROOM - size, "a write outside memory"
        for i in range(size):
            if item["mask"] >> i & 1:
                self.memory[first + i] = item["data"] >> 8 * i & 255

    async def run(self, code: bytes) -> tuple[int, int]:
        """Run the descriptor; the cycles from ``start`` to ``idle``, and ``error``."""
        env = self.env
        self.memory[:DESCRIPTOR_BYTES] = code
        env.set("address", self.base)
        env.set("start", 1)
        await env.cycles(1)
        env.set("start", 0)
        began = env.cycle
        for _ in range(500_000):
            await env.cycles(1)
            if env.get("idle"):
                return env.cycle - began, env.get("error")
        raise AssertionError("the sequence does not end")

    def _limited(self, name: str, value: np.ndarray) -> None:
        for end, hit in (("low", value < -32768), ("high", value > 32767)):
            if hit.any():
                cover(f"{name}_{end}_{self.state}")

    async def sequence(self, sequence: Sequence, what: str) -> int:
        """Run it and compare memory; the cycles."""
        v = sequence.values
        sequence.write(self.memory, self.base)
        wanted = bytearray(self.memory)
        wanted[:DESCRIPTOR_BYTES] = encode(v)
        rows, cell = sequence.results(self._limited)
        _watch(sequence, rows, self.state)
        parts = [(v["output_address"] + t * v["output_pitch"], row.astype("<i1").tobytes())
                 for t, row in enumerate(rows)]
        parts += [(v["last_hidden"], rows[-1].astype("<i1").tobytes()),
                  (v["last_cell"], cell.astype("<i2").tobytes())]
        for address, code in parts:
            wanted[address - self.base:address - self.base + len(code)] = code
        cycles, error = await self.run(encode(v))
        check(error, 0, f"{what}: error")
        TALLY.checks += 1
        if self.memory != wanted:
            at = next(i for i, (a, b) in enumerate(zip(self.memory, wanted, strict=True)) if a != b)
            raise AssertionError(f"{what}: byte {at:#x} is {self.memory[at]}, expected "
                                 f"{wanted[at]}; {[(hex(a - self.base), len(c)) for a, c in parts]}"
                                 f" {v}")
        return cycles


@cocotb.test()
@cocotb.parametrize(memory=STALLS)
async def sequences_equal_golden(dut: Any, memory: tuple[float, tuple[int, int]]) -> None:
    """Hidden states, last states, and nothing else written."""
    env = await start(dut, BENCH)
    rig = Rig(env, *memory)
    for index in range(SEQUENCES):
        cells = SIZES[index] if index < len(SIZES) else None
        sequence = random_sequence(env.rng, rig.base, ROOM, cells)
        cycles = await rig.sequence(sequence, f"{env.dut_name}, sequence {index}")
        if memory == EXACT:
            check(cycles, sequence_cycles(sequence.values, config_of(env).memory_latency),
                  f"{env.dut_name}, sequence {index}: cycles of {sequence.values}")


@cocotb.test()
@cocotb.parametrize(shown=("cell", "hidden"))
async def last_bits_show(dut: Any, shown: str) -> None:
    """Of sums and functions, which a shift to the right hides from most results."""
    env = await start(dut, BENCH)
    rig = Rig(env, *EXACT)
    for index in range(SHOWN):
        sequence = telling_sequence(env.rng, rig.base, ROOM, shown)
        cycles = await rig.sequence(sequence, f"{env.dut_name}, {shown} state {index}")
        check(cycles, sequence_cycles(sequence.values, config_of(env).memory_latency),
              f"{env.dut_name}, {shown} state {index}: cycles")
    cover(f"last_bits_{shown}")


@cocotb.test()
@cocotb.parametrize(latency=((0, 0), (20, 20)))
async def writes_wait_for_long(dut: Any, latency: tuple[int, int]) -> None:
    """While reads go on: no result is lost that is on its way then."""
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, latency)

    async def hold() -> None:
        while True:
            rig.write.stall = 1.0
            await env.cycles(env.rng.randrange(100, 400))
            rig.write.stall = 0.0
            await env.cycles(env.rng.choice((1, 2, 5, env.rng.randrange(100))))

    holding = cocotb.start_soon(hold())
    for cells, inputs, steps in ((64, 4, 4), (40, 1, 8), (47, 9, 6), (21, 5, 9)):
        await rig.sequence(random_sequence(env.rng, rig.base, ROOM, cells, inputs, steps),
                           f"{env.dut_name}, {cells} cells, writes wait for long")
    holding.cancel()
    cover("writes_wait_for_long")


@cocotb.test()
async def more_cells_than_frames_on_the_way(dut: Any) -> None:
    """Up to as many as there may be, and as many inputs."""
    env = await start(dut, BENCH)
    rig = Rig(env, *EXACT)
    for cells, inputs, steps in ((256, 7, 2), (257, 1, 1), (516, 4, 1), (255, 130, 1),
                                 (3, 4096, 2), (100, 1, 3)):
        sequence = random_sequence(env.rng, rig.base, ROOM, cells, inputs, steps)
        cycles = await rig.sequence(sequence, f"{cells} cells")
        check(cycles, sequence_cycles(sequence.values, config_of(env).memory_latency),
              f"{env.dut_name}, {cells} cells: cycles")
        cover("many_cells")


@cocotb.test()
async def refuses_illegal_descriptors(dut: Any) -> None:
    """Nothing is written, and the next sequence runs."""
    env = await start(dut, BENCH)
    rig = Rig(env, 0.2, (1, 3))
    for name, values in WRONG.items():
        for value in values:
            sequence = random_sequence(env.rng, rig.base, ROOM, 3, 5, 1)
            sequence.write(rig.memory, rig.base)
            field = FIELDS[name]
            changed = value if name not in ALIGNED else sequence.values[name] + value
            code = int.from_bytes(encode(sequence.values), "little")
            place = 32 * field.word + field.lsb
            code &= ~((1 << field.width) - 1 << place)
            code |= (changed & (1 << field.width) - 1) << place
            data = code.to_bytes(DESCRIPTOR_BYTES, "little")
            before = data + rig.memory[DESCRIPTOR_BYTES:]
            _, error = await rig.run(data)
            check(error, 1, f"error of {name} = {changed}")
            check(rig.memory == before, True, "memory behind an illegal descriptor")
            cover(f"illegal_{name}")
        await rig.sequence(random_sequence(env.rng, rig.base, ROOM, 3, 5, 1), "the next sequence")


@cocotb.test()
async def starts_anew_after_a_reset(dut: Any) -> None:
    """In the middle of a sequence, wherever that is."""
    env = await start(dut, BENCH)
    rig = Rig(env, *EXACT)
    for _ in range(12):
        sequence = random_sequence(env.rng, rig.base, ROOM)
        sequence.write(rig.memory, rig.base)
        running = cocotb.start_soon(rig.run(encode(sequence.values)))
        await env.cycles(env.rng.randrange(5, 900))
        running.cancel()
        env.set("start", 0)
        env.set("rst", 1)
        await env.cycles(2)
        while rig.read.in_flight:
            await env.cycles(1)
        env.set("rst", 0)
        await env.cycles(2)
        check([env.get("idle"), env.get("error")], [1, 0], "after a reset")
        await rig.sequence(random_sequence(env.rng, rig.base, ROOM), "after a reset")
        cover("reset")
