"""Bench of the result buffer: a writer that keeps to its credits, and a reader that stalls."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_configs import CONFIGS, LONG


def _duts() -> list[Dut]:
    from kaniwa.hw.array.result_buffer import ResultBuffer

    return [Dut(name, ResultBuffer(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("result_buffer", _duts, long=LONG, required=[
    "all slots taken", "reader stalls", "one a cycle", "pool result", "ring of slots wraps"])


async def write(env: Env, count: int, load: float) -> list[list[int]]:
    """Write ``count`` results as the array would: each takes a credit, ``returned`` gives it back.
    """
    from kaniwa.hw.interfaces import result_layout

    assert env.config is not None
    pack = codec(result_layout(env.config))[0]
    ports = ["i", "i_pool"] if env.config.max_pool else ["i"]
    credits = env.config.result_slots
    sent: list[list[int]] = []
    while len(sent) < count:
        port = env.rng.choice(ports) if credits and env.rng.random() < load else None
        value = [env.rng.randint(-1 << 31, (1 << 31) - 1) for _ in range(env.config.out_lanes)]
        for name in ports:
            env.set(f"{name}__valid", name == port)
            env.set(f"{name}__payload", pack(value if name == port else [
                env.rng.getrandbits(32) for _ in value]))
        if port:
            sent.append(value)
            credits -= 1
            if port == "i_pool":
                cover("pool result")
            if not credits:
                cover("all slots taken")
        await env.cycles(1)
        credits += env.get("returned")
        assert credits <= env.config.result_slots, "a slot was given back twice"
    for name in ports:
        env.set(f"{name}__valid", 0)
    for _ in range(1000):
        if credits == env.config.result_slots:
            return sent
        await env.cycles(1)
        credits += env.get("returned")
    raise AssertionError(f"{env.config.result_slots - credits} slots never given back")


@cocotb.test()
async def keeps_order_and_returns_slots(dut: Any) -> None:
    """All loads of both sides; every slot comes back once."""
    env = await start(dut, BENCH)
    assert env.config is not None
    count = 8 * env.config.result_slots + 40
    sink = Monitor(env, "o", _layout(env))
    for load, stall in ((1.0, 0.0), (1.0, 0.7), (0.3, 0.0), (0.6, 0.5), (1.0, 0.97)):
        sink.stall = stall
        if stall:
            cover("reader stalls")
        if count > env.config.result_slots:
            cover("ring of slots wraps")
        sent = await write(env, count, load)
        check(await sink.take(count), sent, f"results at load {load}, stall {stall}")


@cocotb.test()
async def passes_one_a_cycle(dut: Any) -> None:
    """With enough slots nothing is lost between back-to-back results; latency is 2 cycles."""
    env = await start(dut, BENCH)
    assert env.config is not None
    sink = Monitor(env, "o", _layout(env))
    begin = env.cycle
    sent = await write(env, 64, 1.0)
    check(await sink.take(64), sent, "results")
    check(sink.cycles[0], begin + 3, "cycle of the first result")
    if env.config.result_slots >= 4:   # fewer do not cover the 3 cycles of a credit's way
        cover("one a cycle")
        check(sink.cycles[-1] - sink.cycles[0], 63, "cycles of 64 results")


def _layout(env: Env) -> Any:
    from kaniwa.hw.interfaces import result_layout

    return result_layout(env.config)
