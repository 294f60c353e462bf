"""On-chip memory, of block RAM and of SPRAM, against a list of bytes, an access in every cycle."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.memory_ports import config_of, odd


def _duts() -> list[Dut]:
    from kaniwa.hw.memory.spram import SpramMemory
    from kaniwa.hw.memory.system import OnChipMemory

    configs = [odd(memory_bytes=3072, name="even"), odd(memory_bytes=1024 * 7, name="banks"),
               odd(read_bytes=32, write_bytes=4, memory_bytes=2048, name="narrow_write"),
               odd(read_bytes=8, write_bytes=32, memory_bytes=1024, name="wide_write"),
               odd(shared_channel=True, name="shared")]
    spram = dataclasses.replace(PRESETS["nano"], memory_bytes=8192, name="spram")
    return [*(Dut(c.name, OnChipMemory(c), config=c) for c in configs),
            Dut("spram", SpramMemory(spram), config=spram)]


BENCH = Bench("on_chip_memory", _duts, required=[
    "read_after_write", "same_word_at_once", "mask", "idle_write", "last_word"])


@cocotb.test()
@cocotb.parametrize(rate=[1.0, 0.5])
async def words_equal_model(dut: Any, rate: float) -> None:
    env = await start(dut, BENCH)
    from kaniwa.hw.interfaces import write_port

    config, rng = config_of(env), env.rng
    pack = codec(write_port(config).members["request"].signature.members["payload"].shape)[0]
    read_bytes, write_bytes, limit = config.read_bytes, config.write_bytes, config.memory_bytes
    bytes_ = [0] * limit
    fresh: set[int] = set()   # bytes accepted in the cycle before
    # Words of the reads under way, and which of their bits were not written as they were asked for.
    due: deque[tuple[int, int] | None] = deque([None] * config.memory_latency)
    env.set("write__request__valid", 1)
    for address in range(0, limit, write_bytes):  # a reset does not clear it
        env.set("write__request__payload",
                pack({"address": address, "data": 0, "mask": (1 << write_bytes) - 1}))
        await env.cycles(1)
    used = [rng.randrange(0, limit, max(read_bytes, write_bytes)) for _ in range(6)]
    used.append(limit - max(read_bytes, write_bytes))
    span = max(read_bytes, write_bytes)
    for _ in range(3000):
        base = rng.choice(used)
        write = {"address": base + rng.randrange(0, span, write_bytes),
                 "data": rng.getrandbits(8 * write_bytes),
                 "mask": rng.choice([rng.getrandbits(write_bytes), (1 << write_bytes) - 1])}
        address = rng.choice([base, rng.choice(used)]) + rng.randrange(0, span, read_bytes)
        writes = rng.random() < rate
        reads = rng.random() < rate
        if config.shared_channel and reads and writes:
            writes = rng.random() < 0.5
            reads = not writes
        env.set("write__request__payload", pack(write))
        env.set("write__request__valid", writes)
        env.set("read__request__payload", address)
        env.set("read__request__valid", reads)
        await env.cycles(1)
        check(env.get("read__request__ready") & env.get("write__request__ready"), 1, "ready")
        came = due.popleft()
        check(env.get("read__response__valid"), int(came is not None), "response valid")
        if came is not None:
            expected, settled = came
            check(env.get("read__response__payload") & settled, expected & settled, "word")
        word = range(address, address + read_bytes)
        expected = int.from_bytes(bytes(bytes_[a] for a in word), "little")
        if reads and fresh & set(word):
            cover("read_after_write")
        if reads and address + read_bytes == limit:
            cover("last_word")
        fresh = set()
        if not writes:
            cover("idle_write")
        elif reads and write["address"] in word:
            cover("same_word_at_once")
        if writes and write["mask"] != (1 << write_bytes) - 1:
            cover("mask")
        for i in range(write_bytes):
            if writes and write["mask"] >> i & 1:
                bytes_[write["address"] + i] = write["data"] >> 8 * i & 255
                fresh.add(write["address"] + i)
        settled = (1 << 8 * read_bytes) - 1
        for i, a in enumerate(word):
            if a in fresh:
                settled &= ~(255 << 8 * i)
        due.append((expected, settled) if reads else None)
