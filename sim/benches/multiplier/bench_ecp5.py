"""Bench of ECP5's multiplier block, thereby of the model of it: products and registers."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec

LATENCY = {"pipelined": 3, "short": 2}
LOW, HIGH = -1 << 17, (1 << 17) - 1


def _duts() -> list[Dut]:
    from kaniwa.hw.multiplier.mult18x18 import Mult18x18

    return [Dut(name, Mult18x18(pipeline=cycles == 3)) for name, cycles in LATENCY.items()]


BENCH = Bench("ecp5", _duts, required=[
    "lowest times lowest", "lowest times highest", "standing still", "a product each cycle"])


def _operands(env: Env) -> tuple[int, int]:
    if env.rng.random() < 0.2:
        pair = env.rng.choice((LOW, HIGH)), env.rng.choice((LOW, HIGH))
        if pair == (LOW, LOW):
            cover("lowest times lowest")
        elif LOW in pair:
            cover("lowest times highest")
        return pair
    return env.rng.randint(LOW, HIGH), env.rng.randint(LOW, HIGH)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def products_come_after_the_registers(dut: Any, stall: float) -> None:
    """Cycles in which the block stands still do not count, and lose nothing."""
    env = await start(dut, BENCH)
    unpack = codec(BENCH.duts()[0].component.p.shape())[1]
    latency = LATENCY[env.dut_name]
    products: list[int] = []
    for _ in range(3000):
        a, b = _operands(env)
        enabled = env.rng.random() >= stall
        env.set("a", a)
        env.set("b", b)
        env.set("enable", enabled)
        cover("a product each cycle" if enabled else "standing still")
        await env.cycles(1)
        if len(products) >= latency:
            check(unpack(env.get("p")), products[-latency], "product")
        if enabled:
            products.append(a * b)
