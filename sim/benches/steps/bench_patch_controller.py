"""Bench of the patch controller: every read, step, stall and release against plain loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.sim.harness.bench import Bench, Dut, cover, start
from kaniwa.sim.worlds.array_configs import CONFIGS, LONG
from kaniwa.sim.worlds.patch_loops import long_patches, random_patches
from kaniwa.sim.worlds.patch_world import Pace, PatchWorld, cover_fields, cycles_of_pixel

DEVICES: dict[str, AcceleratorConfig] = {
    "nano": replace(CONFIGS["nano"], patch_bytes=32),
    "base": CONFIGS["base"],
    "twelve": replace(CONFIGS["twelve"], patch_bytes=64),
    "wide_dot": CONFIGS["wide_dot"],
}
LATENCY = 3     # cycles from a read to a step that uses its bytes


def _duts() -> list[Dut]:
    from kaniwa.hw.steps.patch_controller import PatchController

    return [Dut(name, PatchController(config), config) for name, config in DEVICES.items()]


BENCH = Bench("patch_controller", _duts, long=(*LONG, "twelve"), required=[
    "padding above", "padding below", "padding left", "padding right", "chunks", "one block",
    "many blocks", "partial word", "whole words", "largest patch", "stride 2", "dilated rows",
    "one step", "streamed", "kept", "ring wraps", "patch words wrap", "patch across the ring's end",
    "patch buffer full", "gather-bound", "compute-bound", "back to back", "waits for its turn",
    "stall_load", "stall_weights", "stall_result", "gathers during stall_weights",
    "gathers during stall_result", "budget of the reads", "budget of the steps"])


async def _run(dut: Any, pace: Pace, count: int, most_steps: int = 400,
               long: float = 0.0) -> PatchWorld:
    """``long``: share of instructions that count far in one loop."""
    env = await start(dut, BENCH)
    assert env.config is not None
    fields = [long_patches(env.config, env.rng) if env.rng.random() < long
              else random_patches(env.config, env.rng, most_steps) for _ in range(count)]
    for f in fields:
        cover_fields(f, env.config)
    world = PatchWorld(env, fields, pace)
    await world.run()
    return world


@cocotb.test()
async def pixels_take_reads_or_steps(dut: Any) -> None:
    """With quick surroundings a pixel takes as many cycles as reads or steps, the more of them."""
    world = await _run(dut, Pace(), 40)
    spare = []
    read = step = 0
    for f, at in zip(world.fields, world.start_cycles, strict=True):
        pixels = f["ofm_rows"] * f["ofm_columns"]
        reads, steps = cycles_of_pixel(f)
        first, step = world.read_cycles[read], step + pixels * steps
        read += pixels * reads
        took = world.step_cycles[step - 1] + 1 - first
        took -= sum(first <= cycle < first + took for cycle in world.lacking)
        # Reads before the first step and steps after the last read have nothing beside them.
        spare.append(took - pixels * max(reads, steps) - min(reads, steps))
        assert first - at <= 4, f"first read {first - at} cycles after the start"
        if world.config.result_slots > 2:    # two do not last until the first one comes back
            assert spare[-1] <= LATENCY, f"{took} cycles, {pixels} pixels, {reads}, {steps}"
            cover("budget of the reads" if reads > steps else "budget of the steps")
    dut._log.info("cycles to spare %s", sorted(spare))


@cocotb.test()
async def short_instructions_follow(dut: Any) -> None:
    """Instructions of few steps, one straight after the other."""
    await _run(dut, Pace(), 60, most_steps=6)


@cocotb.test()
async def loops_count_far(dut: Any) -> None:
    """Hundreds of rows, columns, blocks or kernel rows; wide padding and strides."""
    await _run(dut, Pace(load=0.8, weights=0.9, slots=0.9), 25, long=1.0)


@cocotb.test()
@cocotb.parametrize(pace=[
    Pace(load=0.3), Pace(weights=0.2), Pace(slots=0.15), Pace(turn=0.1),
    Pace(load=0.5, weights=0.4, slots=0.4, turn=0.3)])
async def waits_for_what_is_missing(dut: Any, pace: Pace) -> None:
    """Slow surroundings, one after the other and all at once."""
    await _run(dut, pace, 25)
