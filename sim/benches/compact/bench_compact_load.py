"""Bench of the compact load unit: rows as words, each where it belongs, none before there is room.
"""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import (
    WITH_OUTSIDE,
    WordServer,
    begin,
    draw_address,
    held_address,
)
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.load import CompactLoad

    return [Dut(name, CompactLoad(config), config) for name, config in WITH_OUTSIDE.items()]


BENCH = Bench("compact_load", _duts, required=[
    "unaligned", "wraps", "waits_for_room", "one_row", "runs_ahead", "outside"])


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def words_equal_model(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    lines = config.line_bytes // 8
    server = WordServer(env, "memory", lambda word: rng.getrandbits(64), stall)
    for _ in range(12):
        row_bytes, rows = rng.randint(1, 90), rng.choice([1, rng.randint(1, 12)])
        pitch = rng.randint(1, 100)
        address = held_address(config, draw_address(config, rng, rows * pitch + row_bytes))
        line_pitch = -(-(row_bytes + 7) // 8) + rng.randrange(2)
        window = rng.randint(1, max(1, lines // line_pitch))   # rows used at once
        fields = {"ifm_address": address, "ifm_pitch": pitch, "ifm_rows": rows,
                  "ifm_row_bytes": row_bytes, "line_pitch": line_pitch}
        expected = []
        for row in range(rows):
            first = address + row * pitch
            words = range(first // 8, (first + row_bytes - 1) // 8 + 1)
            expected += [((row * line_pitch + i) % lines, row, word)
                         for i, word in enumerate(words)]
        env.set("freed", 0)
        await begin(env, fields)
        await env.cycles(1)
        server.words.clear()
        got, freed = [], 0
        for _ in range(6000):
            loaded = env.get("rows")
            if loaded - freed >= window and rng.random() > stall:
                freed += 1
            env.set("freed", freed * line_pitch)
            await env.cycles(1)
            if env.get("write"):
                row = env.get("rows")
                got.append((env.get("write_line"), row, server.words[-1]))
                check((row + 1 - freed) * line_pitch <= lines, True, "room")
                if (row + 1) * line_pitch > lines:
                    cover("wraps")
            if row_waits(env.get("rows"), freed, line_pitch, lines):
                cover("waits_for_room")
            if len(got) == len(expected):
                break
        check(got, expected, "words")
        cover("unaligned" if address % 8 else "aligned")
        cover("outside" if address >> config.span_bits else "on_chip")
        cover("one_row" if rows == 1 else "runs_ahead")
        await env.cycles(2)
        check((env.get("active"), env.get("rows")), (0, rows), "the end")


def row_waits(rows: int, freed: int, pitch: int, lines: int) -> bool:
    return (rows + 1 - freed) * pitch > lines
