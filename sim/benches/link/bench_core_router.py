"""Router to the memories of several cores: each access reaches its core, and no other one."""

from __future__ import annotations

import functools
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.driver.frames import CORE_BIT
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer, WriteServer

CORES = 3
ACCESSES = 200
LATENCY = 3               # of the memories
READ_CYCLES = LATENCY + 2   # from a request to its word
PATIENCE = 400            # cycles for a word


def _duts() -> list[Dut]:
    from kaniwa.hw.link.core_router import CoreRouter

    return [Dut(name, CoreRouter(PRESETS[name], CORES), config=PRESETS[name])
            for name in ("nano", "base")]


BENCH = Bench("core_router", _duts, required=[
    *(f"{what}_{core}" for what in ("read", "write") for core in range(CORES)),
    "waits", "read_pace", "write_pace"])


def _layout(env: Env) -> Any:
    from kaniwa.hw.interfaces import write_port

    return write_port(env.config).members["request"].signature.members["payload"].shape


def _address(env: Env, core: int, step: int) -> int:
    return core << CORE_BIT | env.rng.randrange(1 << 16) * step


def _word(env: Env, core: int, address: int) -> int:
    """The content of a core's memory."""
    return hash((core, address)) % (1 << 8 * env.config.read_bytes)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def reads_come_from_the_core_that_is_addressed(dut: Any, stall: float) -> None:
    """A host reads one word after the other, as the link does."""
    env = await start(dut, BENCH)
    servers = [ReadServer(env, f"reads__{core}", functools.partial(_word, env, core), stall,
                          (LATENCY, LATENCY)) for core in range(CORES)]
    driver = Driver(env, "read__request", 32)
    asked: list[list[int]] = [[] for _ in servers]
    for _ in range(ACCESSES):
        core = env.rng.randrange(CORES)
        address = _address(env, core, env.config.read_bytes)
        asked[core].append(address)
        driver.send([address])
        await driver.drain()
        accepted = driver.cycles[-1]
        for _ in range(PATIENCE):
            if env.get("read__response__valid"):
                break
            await env.cycles(1)
        check(env.get("read__response__payload"), _word(env, core, address), "word")
        cover(f"read_{core}")
        await env.cycles(1)
        check(env.get("read__response__valid"), 0, "a word too many")
        if not stall:
            check(env.cycle - 1 - accepted, READ_CYCLES, "cycles from a request to its word")
            cover("read_pace")
    for server, addresses in zip(servers, asked, strict=True):
        check(server.addresses, addresses, "reads of a core")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def writes_reach_the_core_that_is_addressed(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    config, layout = env.config, _layout(env)
    servers = [WriteServer(env, f"writes__{core}", layout, stall=stall) for core in range(CORES)]
    driver = Driver(env, "write__request", layout, stall / 2)
    given: list[list[dict[str, int]]] = [[] for _ in servers]
    for _ in range(ACCESSES):
        core = env.rng.randrange(CORES)
        item = {"address": _address(env, core, config.write_bytes),
                "data": env.rng.getrandbits(8 * config.write_bytes),
                "mask": env.rng.getrandbits(config.write_bytes)}
        given[core].append(item)
        driver.send([item])
        cover(f"write_{core}")
    await driver.drain()
    await env.cycles(40)
    for server, items in zip(servers, given, strict=True):
        check(server.items, items, "writes of a core")
    if stall:
        cover("waits")
    else:
        check(driver.cycles[-1] - driver.cycles[0], 2 * (ACCESSES - 1), "cycles of the writes")
        cover("write_pace")
