"""Bench of the compact core's addresses: channels, pixels and rows of random tensors."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import WITH_OUTSIDE, draw_address, held_address
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start

MOVES = ("begin", "next_channel", "next_pixel", "next_row")


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.result_address import CompactResultAddress

    return [Dut(name, CompactResultAddress(config), config)
            for name, config in WITH_OUTSIDE.items()]


BENCH = Bench("compact_walker", _duts, required=[*MOVES, "past_memory", "outside"])


@cocotb.test()
async def addresses_equal_model(dut: Any) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    rng, bits = env.rng, env.config.span_bits
    row = pixel = address = row_pitch = pixel_pitch = region = 0
    for number in range(1500):
        move = rng.choice(MOVES) if number and rng.random() < 0.5 else "next_channel"
        if not number or row > 1 << bits:
            move = "begin"
        if move == "begin":
            first = held_address(env.config, draw_address(env.config, rng))
            region, row = first >> bits << bits, first % (1 << bits)
            pixel = address = row
            row_pitch, pixel_pitch = rng.randrange(1 << bits), rng.randrange(1 << 12)
            env.set("first", first)
            env.set("first_valid", 1)
            await env.cycles(1)
            env.set("first", rng.getrandbits(bits))
            env.set("first_valid", 0)
            env.set("row_pitch", row_pitch)
            env.set("pixel_pitch", pixel_pitch)
        elif move == "next_row":
            row = pixel = address = row + row_pitch
        elif move == "next_pixel":
            pixel = address = pixel + pixel_pitch
        else:
            address += 1
        cover(move)
        env.set(move, 1)
        await env.cycles(1)
        env.set(move, 0)
        await env.cycles(3)
        check(env.get("address"), address % (2 << bits) + region, f"address after {move}")
        if address >> bits:
            cover("past_memory")
        if region:
            cover("outside")
