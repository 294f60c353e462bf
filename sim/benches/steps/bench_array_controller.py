"""Bench of the array controller behind its switch: each step, stall, read and release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut
from kaniwa.sim.worlds.array_configs import CONFIGS
from kaniwa.sim.worlds.array_world import (
    BINS,
    PACES,
    PLAIN_BINS,
    POOL_BINS,
    Mix,
    Pace,
    check_idle,
    run,
)


def _duts() -> list[Dut]:
    from kaniwa.hw.steps.switch import ArraySwitch

    configs = {name: replace(config, patch_bytes=0) for name, config in CONFIGS.items()}
    return [Dut(name, ArraySwitch(config), config) for name, config in configs.items()]


BENCH = Bench("array_controller", _duts, required=[
    *BINS, *PLAIN_BINS, *POOL_BINS, "usual idle", "usual idle between lists",
    "late instruction"])


@cocotb.test()
async def nothing_is_lost(dut: Any) -> None:
    """With quick surroundings there are no idle cycles but a few between instructions."""
    check_idle(await run(dut, BENCH, Mix(), Pace(1, 1, 1, 1), 40))


@cocotb.test()
async def lists_follow_quickly(dut: Any) -> None:
    """Each DENSE instruction has a list, so that many follow another one with a list."""
    check_idle(await run(dut, BENCH, Mix(lists=1.0), Pace(1, 1, 1, 1), 40))


@cocotb.test()
async def short_instructions_follow_quickly(dut: Any) -> None:
    """The budget holds too where an instruction ends before the next one is set up."""
    world = await run(dut, BENCH, Mix(), Pace(1, 1, 1, 1), 60, most_steps=4)
    check_idle(world)
    dut._log.info("idle cycles between short instructions: %s", sorted(world.gaps.values()))


@cocotb.test()
@cocotb.parametrize(pace=PACES)
async def waits_for_what_is_missing(dut: Any, pace: Pace) -> None:
    """Slow surroundings, one after the other and all at once."""
    await run(dut, BENCH, Mix(), pace, 20)
