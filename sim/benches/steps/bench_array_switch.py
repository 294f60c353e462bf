"""Bench of the switch: instructions of all modes in any order, one after the other."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut
from kaniwa.sim.worlds.array_configs import CONFIGS, LONG
from kaniwa.sim.worlds.array_world import (
    BINS,
    COLUMN_BINS,
    PACES,
    PATCH_BINS,
    PLAIN_BINS,
    Mix,
    Pace,
    check_idle,
    run,
)


def _duts() -> list[Dut]:
    from kaniwa.hw.steps.switch import ArraySwitch

    return [Dut(name, ArraySwitch(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("array_switch", _duts, long=(*LONG, "twelve"), required=[
    *BINS, *PLAIN_BINS, *COLUMN_BINS, *PATCH_BINS, "usual idle", "late instruction"])

MIX = Mix(columns=0.5, patches=0.3)


@cocotb.test()
async def nothing_is_lost(dut: Any) -> None:
    """With quick surroundings there are no idle cycles but a few between instructions."""
    check_idle(await run(dut, BENCH, MIX, Pace(1, 1, 1, 1), 50))


@cocotb.test()
async def short_instructions_follow_quickly(dut: Any) -> None:
    """The budget holds too where an instruction ends before the next one is set up."""
    world = await run(dut, BENCH, MIX, Pace(1, 1, 1, 1), 60, most_steps=4)
    check_idle(world)
    dut._log.info("idle cycles between short instructions: %s", sorted(world.gaps.values()))


@cocotb.test()
@cocotb.parametrize(pace=PACES)
async def waits_for_what_is_missing(dut: Any, pace: Pace) -> None:
    """Slow surroundings, one after the other and all at once."""
    await run(dut, BENCH, MIX, pace, 25)
