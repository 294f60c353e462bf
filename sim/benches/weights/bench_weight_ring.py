"""The weight ring gives back the words written, and takes no more than it holds."""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.sim.benches.weights.ring_exercise import BINS, RingExercise
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, start
from kaniwa.sim.worlds.serial_config import SERIAL

CONFIGS = {
    "serial": dataclasses.replace(SERIAL, ring_bytes=256),
    "base": dataclasses.replace(PRESETS["base"], ring_bytes=1024),
    "odd": AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=8,
                             write_bytes=4, ring_bytes=256),
    "one_chunk": AcceleratorConfig(out_lanes=16, dot_width=4, requant_lanes=4, read_bytes=64,
                                   ring_bytes=512),
}


def _duts() -> list[Dut]:
    from kaniwa.hw.weights.ring import WeightRing

    return [Dut(name, WeightRing(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("weight_ring", _duts, required=[*BINS, "whole"])


def _exercise(env: Env, stall: float, pace: float, whole: float = 0.3) -> RingExercise:
    from amaranth.hdl import unsigned

    config = CONFIGS[env.dut_name]
    return RingExercise(env, unsigned(8 * config.decoded_bytes),
                        config.tile_bytes // config.decoded_bytes, config.ring_words, stall, pace,
                        whole)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6], pace=[0.02, 0.5])
async def gives_back_what_was_written(dut: Any, stall: float, pace: float) -> None:
    env = await start(dut, BENCH)
    exercise = _exercise(env, stall, pace)
    await exercise.run(10 * exercise.words)


@cocotb.test()
async def takes_a_chunk_a_cycle(dut: Any) -> None:
    env = await start(dut, BENCH)
    exercise = _exercise(env, 0.0, 1.0, 0.0)
    source = await exercise.run(5 * exercise.words)
    if exercise.words * exercise.lanes > exercise.lanes + 3:   # less are not refilled in time
        check(source.cycles[-1] - source.cycles[0], source.sent - 1, "cycles")
