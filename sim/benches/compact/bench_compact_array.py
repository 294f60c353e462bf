"""Bench of the compact core's array loops against plain loops: rows, words and places come late."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode
from kaniwa.sim.benches.compact.compact_ports import CONFIGS, begin
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_loops import Loops, random_instruction
from kaniwa.sim.worlds.array_step import Step


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.array import CompactArray

    return [Dut(name, CompactArray(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_array", _duts, required=[
    "dense", "depthwise", "streamed", "kept", "dilation", "stride", "padding_row", "padding_byte",
    "several_segments", "waits_for_row", "waits_for_word", "waits_for_place", "full_pace"])


def draw(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """A legal instruction of a compact core."""
    while True:
        f = random_instruction(config, rng, 400)
        for name in ("ifm_address", "ifm_pitch"):
            f[name] &= config.field_limit(name, FIELDS[name].high)
        if f["line_pitch"] % config.read_bytes == 0 and all(
                value <= config.field_limit(name, FIELDS[name].high) for name, value in f.items()):
            return f


class World:
    """The units around the array, as slow as ``stall`` says."""

    def __init__(self, env: Env, f: dict[str, int], steps: list[Step], stall: float) -> None:
        self.env, self.f, self.stall = env, f, stall
        self.words = sum(step.word is not None for step in steps) and 1 + max(
            step.word for step in steps if step.word is not None)
        self.rows = self.written = 0
        self.limit = 0    # words that there is room for
        self.slot = True
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env, rng = self.env, self.env.rng
        late = 0
        while True:
            if self.rows < self.f["ifm_rows"] and rng.random() >= self.stall ** 0.1 - 0.001:
                self.rows += 1
            env.set("rows_loaded", self.rows)
            env.set("load_active", int(self.rows < self.f["ifm_rows"]))
            late = 0 if self.slot else late + 1
            if late and rng.random() >= self.stall:
                self.slot = True
            env.set("slot_free", int(self.slot))
            write = self.written < min(self.words, self.limit) and rng.random() >= self.stall
            env.set("word_written", int(write))
            await env.cycles(1)
            if write:
                check(env.get("word_room"), 1, "room for a word")
            self.written += write
            if env.get("issue") and env.get("tap") >> 7 & 1:
                self.slot = False


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.7])
async def steps_equal_loops(dut: Any, stall: float) -> None:
    from kaniwa.hw.compact.array import tap_layout

    env = await start(dut, BENCH)
    assert env.config is not None
    config, unpack = env.config, codec(tap_layout())[1]
    for _ in range(25):
        f = draw(config, env.rng)
        steps = Loops(config).run(f)
        for name in ("rows_loaded", "word_written", "slot_free"):
            env.set(name, 0)
        env.set("load_active", 1)
        await begin(env, {**f, "line_pitch": f["line_pitch"] // 8})
        world = World(env, f, steps, stall)
        world.limit = config.ring_words
        cover(Mode(f["mode"]).name.lower())
        cover("streamed" if f["weights_stream"] else "kept")
        for name, limit in (("dilation", "dilation_rows"), ("stride", "stride_rows"),
                            ("several_segments", "segments")):
            if f[limit] > 1:
                cover(name)
        for number, step in enumerate(steps):
            await compare(env, world, step, unpack, f"step {number} of {f}")
        await env.cycles(20)
        check(env.get("issue"), 0, "no step after the last")
        world.task.cancel()


async def compare(env: Env, world: World, step: Step, unpack: Any, what: str) -> None:
    """Wait for the next step and compare it; it may only wait for what is missing."""
    assert env.config is not None
    config, f = env.config, world.f
    waited = 0
    while True:
        await env.cycles(1)
        if env.get("issue"):
            break
        waited += 1
        assert waited < 4000, f"{what}: never issued"
    cover("waits_for_row" if world.rows < f["ifm_rows"] and waited else "full_pace")
    if waited and world.written < world.words:
        cover("waits_for_word")
    if waited and step.last:
        cover("waits_for_place")
    tap = unpack(env.get("tap"))
    check(tap["last"], step.last, f"{what}: last")
    real = [step.row_valid and 0 <= step.offset + j < f["ifm_row_bytes"] for j in range(4)]
    check([tap["real"] >> j & 1 for j in range(4)], [int(r) for r in real], f"{what}: real")
    cover("padding_byte" if step.row_valid and not all(real) else
          "full_pace" if step.row_valid else "padding_row")
    if f["weights_stream"]:
        world.limit = step.word + config.ring_words
    if step.row_valid:
        check(env.get("read_position"), (step.row_start + step.offset) % config.line_bytes,
              f"{what}: position")
    check(env.get("word_index"), step.word % config.ring_words, f"{what}: word")
    check(tap["dense"], int(f["mode"] == Mode.DENSE), f"{what}: dense")
    if f["mode"] != Mode.DENSE:
        check(tap["column"], step.column, f"{what}: column")
