"""Bench of the compact core's weight ring: chunks in, words out, at any place."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import CONFIGS
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.weight_ring import CompactWeightRing

    return [Dut(name, CompactWeightRing(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_ring", _duts, required=["word", "read", "held", "begin_in_a_word"])


@cocotb.test()
async def words_equal_model(dut: Any) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    chunks, words = config.tile_bytes // config.read_bytes, config.ring_words
    content: dict[int, int] = {}
    parts: list[int] = []
    index, expected = 0, None
    env.set("begin", 1)
    await env.cycles(1)
    env.set("begin", 0)
    for _ in range(4 * words + 200):
        begins = rng.random() < 0.05
        writes = not begins and rng.random() < 0.7
        chunk = rng.getrandbits(64)
        reads = bool(content) and rng.random() < 0.6
        place = rng.choice(list(content)) if reads else 0
        reads = reads and place != index
        for name, value in (("begin", begins), ("chunk_valid", writes), ("chunk", chunk),
                            ("write_index", index), ("read_enable", reads),
                            ("read_index", place)):
            env.set(name, int(value))
        await env.cycles(1)
        check(env.get("word_written"), int(writes and len(parts) == chunks - 1), "word written")
        if expected is not None:
            check(env.get("read_data"), expected, "word")
        if reads:
            expected = content[place]
        cover("read" if reads else "held")
        if begins:
            if parts:
                cover("begin_in_a_word")
                content.pop(index, None)
            parts = []
        if writes:
            parts.append(chunk)
            content.pop(index, None)
        if len(parts) == chunks:
            content[index] = sum(part << 64 * i for i, part in enumerate(parts))
            parts, index = [], (index + 1) % words
            cover("word")
