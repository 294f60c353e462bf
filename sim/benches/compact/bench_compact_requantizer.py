"""Bench of the compact requantizer: the cases of ``bench_requantizer``, one value at a time."""

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
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start
from kaniwa.sim.harness.payload import codec

REQUANTIZERS = {
    "four_bits": CONFIGS["nano"],
    "two_bits": CONFIGS["six_lanes"],
    "one_bit": replace(CONFIGS["nano"], requant_cycles=64),
}
QUOTIENT = 10    # bits of the quotient and the half


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.requantizer import CompactRequantizer

    return [Dut(name, CompactRequantizer(config), config)
            for name, config in REQUANTIZERS.items()]


BENCH = Bench("compact_requantizer", _duts, required=[
    *(f"{rounding.name.lower()}_{sign}" for rounding in Rounding
      for sign in ("negative", "positive")),
    "saturate_low", "saturate_high", "inside", "no_shift", "longer"])


@cocotb.test()
@cocotb.parametrize(draw=[anything, corner, threshold, tie])
async def result_equals_model(dut: Any, draw: Any) -> None:
    from kaniwa.hw.results.rounding import settings_layout

    env = await start(dut, BENCH)
    assert env.config is not None
    rng, bits, cycles = env.rng, env.config.multiplier_bits, env.config.requant_cycles
    digit = 64 // cycles
    pack = codec(settings_layout())[0]
    for _ in range(300):
        settings = draw_settings(rng)
        value, multiplier, shift = lane = draw(rng, settings, bits)
        env.set("value", value)
        env.set("multiplier", multiplier)
        env.set("shift", shift)
        env.set("settings", pack(settings))
        env.set("start", 1)
        await env.cycles(1)
        env.set("start", 0)
        env.set("multiplier", rng.getrandbits(31))   # taken with start
        took = 0
        while not env.get("done"):
            await env.cycles(1)
            took += 1
            assert took < 200, "never done"
        expected = requantize(lane, settings, bits)
        got = env.get("result")
        check(got - 256 * (got >> 7), expected, f"{lane} {settings}")
        busy = max(cycles, shift // digit + -(-(QUOTIENT + digit - 1) // digit))
        check(took, busy + 3, "cycles")
        await env.cycles(rng.randrange(3))
        got = env.get("result")
        check(got - 256 * (got >> 7), expected, "held")
        cover("longer" if busy > cycles else "inside")
        if not shift:
            cover("no_shift")
        number = quotient(lane, settings["rounding"], bits) + settings["zero_point"]
        cover("saturate_low" if number < -128 else "saturate_high" if number > 127 else "inside")
        sign = "negative" if value < 0 else "positive"
        cover(f"{Rounding(settings['rounding']).name.lower()}_{sign}")
