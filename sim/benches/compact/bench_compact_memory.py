"""Bench of the compact core's memory access: four readers and a writer, on slow memories."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.isa import OUTSIDE
from kaniwa.sim.benches.compact.compact_ports import WITH_OUTSIDE, held_address
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer, TestMemory, WriteServer

READERS = ("commands", "operand", "activations", "weights")


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.memory import CompactMemory

    duts = [Dut(name, CompactMemory(config, outside=config.outside_bits > 0), config)
            for name, config in WITH_OUTSIDE.items()]
    config = WITH_OUTSIDE["outside"]
    return [*duts, Dut("no_ports", CompactMemory(config, outside=False), config)]


BENCH = Bench("compact_memory", _duts, required=[
    *READERS, "all_at_once", "write", "write_stalled", "read_beyond", "write_beyond", "hold",
    "read_outside", "write_outside", "read_past_outside", "write_past_outside"])


def sizes(env: Env) -> dict[str, tuple[int, int]]:
    """First device address and bytes of each memory side of the device under test."""
    assert env.config is not None
    there = {"local": (0, env.config.memory_bytes)}
    if hasattr(env.dut, "outside_read__request__valid"):
        there["outside"] = OUTSIDE, 1 << env.config.outside_bits
    return there


def held(env: Env, address: int) -> int:
    """A device address as the block's clients give it."""
    assert env.config is not None
    return held_address(env.config, address)


async def until(env: Env, name: str) -> int:
    """Wait until a port is 1; how many cycles that took."""
    for waited in range(2000):
        if env.get(name):
            return waited
        await env.cycles(1)
    raise AssertionError(f"{name} does not come")


class Reader:
    """Reads random words of the lower half of any side, one after the other, and checks them."""

    def __init__(self, env: Env, name: str, memory: TestMemory) -> None:
        self.env, self.name, self.memory = env, name, memory
        self.sides = sizes(env)
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
            side = rng.choice([*self.sides])
            first, size = self.sides[side]
            address = first + 8 * rng.randrange(size // 16)
            env.set(f"{name}__word", held(env, address) // 8)
            env.set(f"{name}__request", 1)
            await env.cycles(1)
            await until(env, f"{name}__response")
            check(env.get("data"), self.memory.word(address, 8), f"word of {name}")
            env.set(f"{name}__request", 0)
            self.done += 1
            cover(name)
            cover(f"read_{side}")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def words_equal_model(dut: Any, stall: float) -> None:
    from kaniwa.hw.interfaces import write_port

    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    memory, sides = TestMemory(env), sizes(env)
    layout = write_port(config).members["request"].signature.members["payload"].shape
    for side, (first, _) in sides.items():
        def read(address: int, first: int = first) -> int:
            return memory.word(first + address, 8)

        def write(word: dict[str, int], first: int = first) -> None:
            memory.write(first + word["address"], word["data"], word["mask"], config.write_bytes)

        ReadServer(env, f"{side}_read", read, stall,
                   (4, 9) if side == "outside" else (1, 5) if stall else (1, 1))
        WriteServer(env, f"{side}_write", layout, write, stall)
    # Readers have the lower halves: the writer's bytes are compared at the end.
    readers = [Reader(env, name, memory) for name in READERS]
    written = {}
    for _ in range(4000):
        if all(reader.asks for reader in readers):
            cover("all_at_once")
        if rng.random() < 0.3:
            side = rng.choice([*sides])
            first, size = sides[side]
            address, byte = first + rng.randrange(size // 2, size), rng.randrange(256)
            env.set("write__address", held(env, address))
            env.set("write__byte", byte)
            env.set("write__valid", 1)
            await env.cycles(1)
            if await until(env, "write__ready"):
                cover("write_stalled")
            env.set("write__valid", 0)
            written[address] = byte
            cover("write")
            cover(f"write_{side}")
        else:
            await env.cycles(1)
    check(min(reader.done for reader in readers) > 10, True, "every reader is served")
    await env.cycles(20)
    check([memory[a] for a in written], list(written.values()), "bytes written")
    check(env.get("error"), 0, "error")


@cocotb.test()
@cocotb.parametrize(kind=["read", "write"], past=["beyond", "past_outside"])
async def nothing_is_done_past_the_end(dut: Any, kind: str, past: str) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    sides = sizes(env)
    address = env.config.memory_bytes
    if past == "past_outside":
        if not env.config.outside_bits:
            return
        address = held_address(env.config, OUTSIDE)
        if "outside" in sides:      # the bit that shows leaving it
            address |= 1 << env.config.span_bits
    memory = TestMemory(env)
    servers = [ReadServer(env, f"{side}_read", lambda address: memory.word(address, 8))
               for side in sides]
    for side in sides:
        env.set(f"{side}_write__request__ready", 1)
    if kind == "read":
        env.set("weights__word", address // 8 + env.rng.randrange(3))
        env.set("weights__request", 1)
    else:
        env.set("write__address", address + env.rng.randrange(3))
        env.set("write__valid", 1)
    seen = 0
    for _ in range(10):
        await env.cycles(1)
        seen |= env.get("error")
        for side in sides:
            check(env.get(f"{side}_write__request__valid"), 0, "no write")
    check((seen, [server.addresses for server in servers]), (1, [[]] * len(sides)),
          "error and no read")
    cover(f"{kind}_{past}")


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
