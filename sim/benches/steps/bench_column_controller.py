"""Bench of the column controller behind its switch: each column, stall, read and release."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start
from kaniwa.sim.worlds.array_configs import CONFIGS, LONG
from kaniwa.sim.worlds.array_world import (
    BINS,
    COLUMN_BINS,
    PACES,
    Mix,
    Pace,
    World,
    check_idle,
    run,
)


def _duts() -> list[Dut]:
    from kaniwa.hw.steps.switch import ArraySwitch

    configs = {name: replace(config, patch_bytes=0) for name, config in CONFIGS.items()}
    return [Dut(name, ArraySwitch(config), config) for name, config in configs.items()
            if config.depthwise]


BENCH = Bench("column_controller", _duts, long=LONG, required=[
    *BINS, *COLUMN_BINS, "budget", "usual idle", "late instruction"])
MIX = Mix(columns=1.0)


@cocotb.test()
async def nothing_is_lost(dut: Any) -> None:
    """With quick surroundings there are no idle cycles but a few between instructions."""
    check_idle(await run(dut, BENCH, MIX, Pace(1, 1, 1, 1), 40))


@cocotb.test()
async def short_instructions_follow_quickly(dut: Any) -> None:
    """The budget holds too where an instruction ends before the next one is set up."""
    world = await run(dut, BENCH, MIX, Pace(1, 1, 1, 1), 60, most_steps=4)
    check_idle(world)
    dut._log.info("idle cycles between short instructions: %s", sorted(world.gaps.values()))


@cocotb.test()
@cocotb.parametrize(pace=[*PACES, Pace(1, 0.03, 1, 1)])
async def waits_for_what_is_missing(dut: Any, pace: Pace) -> None:
    """Slow surroundings, one after the other and all at once."""
    await run(dut, BENCH, MIX, pace, 20)


@cocotb.test()
async def columns_take_a_cycle(dut: Any) -> None:
    """Budgets of layers as they are common: cycles from the first column to past the last one."""
    env = await start(dut, BENCH)
    config = env.config
    assert config is not None
    lane, width = config.lane_bytes, config.column_window[1]
    cases = []
    if config.column_window[0] == 4 and width >= 3:
        cases = [(3, 3, 1, 1), (3, 3, 1, 2), (3, 3, 2, 1), (3, 3, 2, 2), (2, 2, 2, 1)]
    if config.phase_windows:     # two steps a pixel and phase where a window has two halves
        cases += [(rows, columns, stride, -(-columns // width))
                  for rows, columns in ((5, 5), (7, 7), (5, 3), (3, 5)) for stride in (1, 2)]
        cases += [(5, width + 1, stride, 1) for stride in (1, 2)]
    fields, cycles = [], []
    for kernel_rows, kernel_columns, stride, times in [*cases, (1, 3, 1, 1), (1, 4, 2, 1)]:
        rows, columns, single = 3, 4, kernel_rows == 1
        phases = -(-kernel_rows // config.column_window[0]) if not single else 1
        own = phases > 1 or (not single and kernel_columns > width)
        pixels = -(-columns // stride)
        padding = (kernel_columns - 1) // 2
        fields.append({
            "mode": Mode.COLUMN, "sliding": 1, "phase_windows": int(own),
            "single_row": int(single), "pad_value": 5,
            "kernel_rows": kernel_rows, "ifm_rows": rows, "ifm_row_bytes": columns * lane,
            "line_pitch": config.read_bytes * -(-columns * lane // config.read_bytes) + lane,
            "segments": kernel_columns, "stride_rows": 1, "pad_top": (kernel_rows - 1) // 2,
            "dilation_rows": 1, "chunks": times, "segment_step": lane, "pixel_step": stride * lane,
            "pad_left_bytes": padding * lane, "ofm_rows": rows, "ofm_columns": pixels,
            "blocks": 1, "block_width": config.column_lanes, "block_words": phases * times,
            "phases": phases, "columns_first": kernel_columns - padding * (not own),
            "columns_next": stride, "weights_stream": 0, "patch": 0, "ifm_address": 0,
            "ifm_pitch": 0, "steps": phases * times, "weight_zero_point": 0, "listed": 0})
        cycles.append(rows * phases * (fields[-1]["columns_first"] + (pixels - 1) * stride
                                       + pixels * (times - 1)))
    world = World(env, fields, Pace(1, 1, 1, 1))
    await world.run()
    for number, expected in enumerate(cycles):
        at = [cycle for cycle, step in zip(world.issue_cycles, world.steps, strict=True)
              if step.instruction == number]
        check(len(at), expected, f"columns of instruction {number}")
        if config.result_slots > 2:   # two do not last until the first one comes back
            check(at[-1] + 1 - at[0], expected, f"cycles of instruction {number}")
        cover("budget")
