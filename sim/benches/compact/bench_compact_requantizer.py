"""Bench of the compact requantizer: the cases of ``bench_requantizer``, one behind the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.isa import Rounding
from kaniwa.sim.benches.compact.compact_ports import CONFIGS
from kaniwa.sim.benches.results.bench_requantizer import (
    anything,
    corner,
    draw_settings,
    quotient,
    requantize,
    threshold,
    tie,
)
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec

REQUANTIZERS = {
    "four_bits": CONFIGS["nano"],
    "two_bits": CONFIGS["six_lanes"],
    "one_bit": replace(CONFIGS["nano"], requant_cycles=32),
}
QUOTIENT = 10    # bits of the quotient and the half


TAG_BITS = 4


def _duts() -> list[Dut]:
    from amaranth.lib import data

    from kaniwa.hw.compact.requantizer import CompactRequantizer

    return [Dut(name, CompactRequantizer(config, data.StructLayout({"number": TAG_BITS})), config)
            for name, config in REQUANTIZERS.items()]


BENCH = Bench("compact_requantizer", _duts, required=[
    *(f"{rounding.name.lower()}_{sign}" for rounding in Rounding
      for sign in ("negative", "positive")),
    "saturate_low", "saturate_high", "inside", "no_shift", "longer", "pace", "held_back",
    "taken_before"])


async def give_values(env: Env, lanes: list[tuple[int, int, int]],
                      settings: list[dict[str, int]], stall: float) -> None:
    """The values; some of them only taken first, then replaced in the cycle of their start."""
    for number, ((value, multiplier, shift), setting) in enumerate(
            zip(lanes, settings, strict=True)):
        while env.rng.random() < stall:
            await env.cycles(1)
        if env.rng.random() < stall:
            env.set("value", taken := env.rng.getrandbits(32))
            env.set("take", 1)
            await env.cycles(1)
            while not env.get("ready"):
                await env.cycles(1)
            env.set("take", 0)
            await env.cycles(2)
            check(env.get("kept"), taken, "kept")
            cover("taken_before")
        env.set("value", value)
        env.set("multiplier", multiplier)
        env.set("shift", shift)
        env.set("rounding", setting["rounding"])
        env.set("start_tag", number % (1 << TAG_BITS))
        env.set("take", 1)
        env.set("start", 1)
        await env.cycles(1)
        while not env.get("ready"):
            await env.cycles(1)
        for port, width in (("value", 32), ("multiplier", 31), ("shift", 6)):
            env.set(port, env.rng.getrandbits(width))
        env.set("take", 0)
        env.set("start", 0)


def count(lane: tuple[int, int, int], settings: dict[str, int], bits: int) -> None:
    """Cover what a case shows."""
    number = quotient(lane, settings["rounding"], bits) + settings["zero_point"]
    cover("saturate_low" if number < -128 else "saturate_high" if number > 127 else "inside")
    sign = "negative" if lane[0] < 0 else "positive"
    cover(f"{Rounding(settings['rounding']).name.lower()}_{sign}")
    if not lane[2]:
        cover("no_shift")


@cocotb.test()
@cocotb.parametrize(draw=[anything, corner, threshold, tie], stall=[0.0, 0.3])
async def results_equal_model(dut: Any, draw: Any, stall: float) -> None:
    from kaniwa.hw.results.rounding import settings_layout

    env = await start(dut, BENCH)
    assert env.config is not None
    rng, bits, cycles = env.rng, env.config.multiplier_bits, env.config.requant_cycles
    digit = 32 // cycles
    pack = codec(settings_layout())[0]
    settings = [draw_settings(rng) for _ in range(150)]
    lanes = [draw(rng, setting, bits) for setting in settings]
    cocotb.start_soon(give_values(env, lanes, settings, stall))
    finished: list[int] = []
    for number, (lane, setting) in enumerate(zip(lanes, settings, strict=True)):
        now = {"rounding": setting["rounding"], "zero_point": setting["zero_point"]}
        clamps = settings[max(number - 1, 0)]
        env.set("settings", pack(now | {"low": clamps["low"], "high": clamps["high"]}))
        for waited in range(400):
            free = int(rng.random() >= stall)
            env.set("free", free)
            await env.cycles(1)
            if number and waited == 2:
                got = env.get("result")
                check(got - 256 * (got >> 7), requantize(lanes[number - 1], clamps, bits),
                      f"{lanes[number - 1]} {clamps}")
            if env.get("finish"):
                break
            cover("held_back" if not free else "inside")
        assert env.get("finish"), "never done"
        finished.append(env.cycle)
        check(env.get("finishing"), number % (1 << TAG_BITS), "tag")
        count(lane, setting, bits)
        longer = lane[2] // digit + -(-(QUOTIENT + digit - 1) // digit) - 2 * cycles
        if longer > 0:
            cover("longer")
        if not stall and number:
            check(finished[-1] - finished[-2], cycles + 1 + max(longer, 0), "pace")
            cover("pace")
