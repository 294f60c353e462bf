"""Bench of the compact core's memory access: four readers and a writer, on a slow memory."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import CONFIGS
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer, TestMemory, WriteServer

READERS = ("commands", "operand", "activations", "weights")


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.memory import CompactMemory

    return [Dut(name, CompactMemory(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_memory", _duts, required=[
    *READERS, "all_at_once", "write", "write_stalled", "read_beyond", "write_beyond", "hold"])


class Reader:
    """Reads random words, one after the other, and checks them."""

    def __init__(self, env: Env, name: str, memory: TestMemory, words: int) -> None:
        self.env, self.name, self.memory, self.words = env, name, memory, words
        self.done = 0
        self.asks = False
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env, rng, name = self.env, self.env.rng, self.name
        while True:
            self.asks = rng.random() < 0.04   # all the time would starve the last ones
            if not self.asks:
                await env.cycles(1)
                continue
            word = rng.randrange(self.words)
            env.set(f"{name}__word", word)
            env.set(f"{name}__request", 1)
            await env.cycles(1)
            while not env.get(f"{name}__response"):
                await env.cycles(1)
            check(env.get("data"), self.memory.word(8 * word, 8), f"word of {name}")
            env.set(f"{name}__request", 0)
            self.done += 1
            cover(name)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def words_equal_model(dut: Any, stall: float) -> None:
    from kaniwa.hw.interfaces import write_port

    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    memory = TestMemory(env)
    size = config.memory_bytes
    ReadServer(env, "local_read", lambda address: memory.word(address, 8), stall,
               (1, 1) if not stall else (1, 5))
    WriteServer(env, "local_write", write_port(config).members["request"].signature.members[
        "payload"].shape, lambda word: memory.write(
            word["address"], word["data"], word["mask"], config.write_bytes), stall)
    # Readers have the lower half: the writer's bytes are compared at the end.
    readers = [Reader(env, name, memory, size // 16) for name in READERS]
    written = {}
    for _ in range(4000):
        if all(reader.asks for reader in readers):
            cover("all_at_once")
        if rng.random() < 0.3:
            address, byte = rng.randrange(size // 2, size), rng.randrange(256)
            env.set("write__address", address)
            env.set("write__byte", byte)
            env.set("write__valid", 1)
            await env.cycles(1)
            while not env.get("write__ready"):
                cover("write_stalled")
                await env.cycles(1)
            env.set("write__valid", 0)
            written[address] = byte
            cover("write")
        else:
            await env.cycles(1)
    check(min(reader.done for reader in readers) > 10, True, "every reader is served")
    await env.cycles(20)
    check([memory[a] for a in written], list(written.values()), "bytes written")
    check(env.get("error"), 0, "error")


@cocotb.test()
@cocotb.parametrize(kind=["read_beyond", "write_beyond"])
async def nothing_is_done_past_the_end(dut: Any, kind: str) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    memory = TestMemory(env)
    server = ReadServer(env, "local_read", lambda address: memory.word(address, 8))
    env.set("local_write__request__ready", 1)
    size = env.config.memory_bytes
    if kind == "read_beyond":
        env.set("weights__word", size // 8 + env.rng.randrange(3))
        env.set("weights__request", 1)
    else:
        env.set("write__address", size + env.rng.randrange(3))
        env.set("write__valid", 1)
    seen = 0
    for _ in range(10):
        await env.cycles(1)
        seen |= env.get("error")
        check(env.get("local_write__request__valid"), 0, "no write")
    check((seen, server.addresses), (1, []), "error and no read")
    cover(kind)


@cocotb.test()
async def hold_keeps_new_accesses_out(dut: Any) -> None:
    env = await start(dut, BENCH)
    memory = TestMemory(env)
    server = ReadServer(env, "local_read", lambda address: memory.word(address, 8))
    env.set("local_write__request__ready", 1)
    env.set("hold", 1)
    env.set("operand__request", 1)
    env.set("write__valid", 1)
    for _ in range(10):
        await env.cycles(1)
        check((env.get("idle"), env.get("local_write__request__valid")), (1, 0), "held")
    check(server.addresses, [], "reads")
    cover("hold")
