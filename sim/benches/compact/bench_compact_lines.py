"""Bench of the compact line buffer: 4 bytes at any position, against a list of bytes."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import CONFIGS
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.line_buffer import CompactLineBuffer

    return [Dut(name, CompactLineBuffer(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_lines", _duts, required=[
    *(f"from_byte_{i}" for i in range(8)), "wraps", "write_and_read", "held"])


@cocotb.test()
async def bytes_equal_model(dut: Any) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    rng, size = env.rng, env.config.line_bytes
    lines = size // 8
    content = [0] * size

    def write(line: int) -> None:
        data = rng.getrandbits(64)
        env.set("write", 1)
        env.set("write_line", line)
        env.set("write_data", data)
        content[8 * line:8 * line + 8] = data.to_bytes(8, "little")

    for line in range(lines):
        write(line)
        await env.cycles(1)
    env.set("write", 0)
    await env.cycles(1)
    expected = None
    for _ in range(3000):
        position = rng.choice([rng.randrange(size), size - rng.randint(1, 4)])
        read = rng.random() < 0.8
        env.set("read_enable", int(read))
        env.set("read_position", position)
        env.set("write", 0)
        now = [content[(position + j) % size] for j in range(4)]
        line = rng.randrange(lines)
        if rng.random() < 0.5 and line not in (position // 8, (position + 3) % size // 8):
            write(line)
            if read:
                cover("write_and_read")
        await env.cycles(1)
        if expected is not None:
            got = env.get("o")
            check([got >> 8 * j & 255 for j in range(4)], expected, "bytes")
        if read:
            expected = now
            cover(f"from_byte_{position % 8}")
            if position + 4 > size:
                cover("wraps")
        else:
            cover("held")
