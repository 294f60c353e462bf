"""Bench of the cell unit: random sequences against golden's functions, memory held up at random."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from kaniwa.cells.isa import DESCRIPTOR_BYTES, FIELDS, encode
from kaniwa.cells.timing import sequence_cycles
from kaniwa.config import PRESETS
from kaniwa.sim.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.cell_sequences import Sequence, random_sequence
from kaniwa.sim.memory_ports import ReadServer, WriteServer, config_of

CONFIGS = {"wide_write": PRESETS["base_vector"],
           "narrow_write": replace(PRESETS["base_vector"], write_bytes=8)}
SEQUENCES = int(os.environ.get("KANIWA_CELL_SEQUENCES", "12"))
EXACT = (0.0, (0, 0))   # memory never waits, and has the latency of the config
STALLS = [EXACT, (0.0, (3, 12)), (0.3, (1, 2)), (0.6, (1, 9))]
ROOM = 1 << 20


def _duts() -> list[Dut]:
    from kaniwa.sim.cell_harness import cell_unit

    return [Dut(name, cell_unit(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("cell_unit", _duts, required=[])


class Rig:
    """A device with its memory."""

    def __init__(self, env: Env, stall: float, latency: tuple[int, int]) -> None:
        from kaniwa.hw.interfaces import write_port

        self.env, config = env, config_of(env)
        if latency == (0, 0):
            latency = (config.memory_latency, config.memory_latency)
        self.memory = bytearray(env.rng.randbytes(ROOM))
        self.base = base = env.rng.randrange(1 << 11) << 20
        size = config.read_bytes
        self.read = ReadServer(
            env, "read",
            lambda a: int.from_bytes(self.memory[a - base:a - base + size], "little"), stall,
            latency)
        layout = write_port(config).members["request"].signature.members["payload"].shape
        self.write = WriteServer(env, "write", layout, self._written, stall)
        self.exact = not stall and latency[0] == latency[1]

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

    async def sequence(self, sequence: Sequence, what: str) -> int:
        """Run it and compare memory; the cycles."""
        v = sequence.values
        sequence.write(self.memory, self.base)
        wanted = bytearray(self.memory)
        wanted[:DESCRIPTOR_BYTES] = encode(v)
        rows, cell = sequence.results()
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
        sequence = random_sequence(env.rng, rig.base, ROOM)
        cycles = await rig.sequence(sequence, f"{env.dut_name}, sequence {index}")
        if memory == EXACT:
            check(cycles, sequence_cycles(sequence.values, config_of(env).memory_latency),
                  f"{env.dut_name}, sequence {index}: cycles of {sequence.values}")
