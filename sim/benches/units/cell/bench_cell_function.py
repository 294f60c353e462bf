"""Bench of the cell unit's function and its rescaling: every argument, and sums at ties."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from kaniwa.golden.numbers.fixedpoint16 import logistic, tanh
from kaniwa.golden.numbers.rounding import multiply_by_quantized_multiplier
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.units.cell.isa import LEFT_SHIFT

INT32 = 1 << 31
SUMS = 4000


def _duts() -> list[Dut]:
    from kaniwa.sim.benches.units.cell.cell_harness import cell_function, cell_rescale

    return [Dut("function", cell_function()), Dut("rescale", cell_rescale())]


BENCH = Bench("cell_function", _duts, required=[
    "logistic", *(f"tanh_{bits}" for bits in range(7)), "gap",
    *(f"shift_{shift}" for shift in range(-LEFT_SHIFT, 32)), "tie_positive", "tie_negative",
    "multiplier_0", "multiplier_most", "sum_least", "sum_most"])


class Pipeline:
    """Gives a pipeline an item in a cycle, or none, and sees that each result has its latency."""

    def __init__(self, env: Env, latency: int, bits: int) -> None:
        self.env, self.latency, self.mask = env, latency, (1 << bits) - 1
        self.wanted: dict[int, tuple[int, int]] = {}   # tag and value that come out in a cycle
        self.tag = 0

    async def give(self, item: dict[str, int] | None, wanted: int, what: str) -> None:
        """One cycle; ``wanted`` is the item's result."""
        env = self.env
        env.set("valid", int(item is not None))
        if item is not None:
            for name, value in item.items():
                env.set(name, value)
            self.tag = (self.tag + 1) % 256
            env.set("tag", self.tag)
            # Registers are seen as they were before an edge.
            self.wanted[env.cycle + 1 + self.latency] = (self.tag, wanted & self.mask)
        await env.cycles(1)
        due = self.wanted.pop(env.cycle, None)
        check(env.get("o_valid"), int(due is not None), f"{what}: o_valid")
        if due is not None:
            check((env.get("o_tag"), env.get("o_value")), due, f"{what}: tag and result")

    async def drain(self, what: str) -> None:
        """Until nothing is on its way."""
        while self.wanted:
            await self.give(None, 0, what)


@cocotb.test()
async def functions_of_all_arguments(dut: Any) -> None:
    """The logistic function, and tanh with 0 to 6 bits before the point."""
    env = await start(dut, BENCH)
    if env.dut_name != "function":
        return
    from kaniwa.hw.units.cell.function import LATENCY

    pipeline = Pipeline(env, LATENCY, 16)
    arguments = np.arange(-32768, 32768)
    for left, name, results in (
            (2, "logistic", logistic(arguments)),
            *((bits, f"tanh_{bits}", tanh(arguments, bits)) for bits in range(7))):
        for value, wanted in zip(arguments.tolist(), results.tolist(), strict=True):
            if env.rng.random() < 0.001:
                await pipeline.give(None, 0, name)
                cover("gap")
            item = {"value": value, "tanh": int(name != "logistic"), "left": left}
            await pipeline.give(item, wanted, f"{name} of {value}")
        cover(name)
    await pipeline.drain("the last ones")


@cocotb.test()
async def rescales_sums(dut: Any) -> None:
    """By every shift, at ties and beside them, and at the ends of the range."""
    env = await start(dut, BENCH)
    if env.dut_name != "rescale":
        return
    from kaniwa.hw.units.cell.rescale import LATENCY

    pipeline, rng = Pipeline(env, LATENCY, 32), env.rng
    for _ in range(SUMS):
        shift = rng.randrange(-LEFT_SHIFT, 32)
        multiplier = rng.choice((0, 1 << 30, INT32 - 1, rng.randrange(INT32)))
        value = rng.choice((-INT32, INT32 - 1, rng.randrange(-INT32, INT32),
                            rng.randrange(-1000, 1000)))
        if shift < 0:      # what is shifted must fit
            value = rng.randrange(-(INT32 >> -shift), INT32 >> -shift)
        if multiplier == 1 << 30 and shift > 0:     # half of the sum is a tie, or nearly
            value = 2 * ((1 << shift - 1) * rng.choice((1, -1, 3, -3)) + rng.randrange(-1, 2))
            value = min(max(value, -INT32), INT32 - 1)
            if value % (2 << shift) == 1 << shift:
                cover("tie_positive" if value > 0 else "tie_negative")
        wanted = int(multiply_by_quantized_multiplier(np.array(value), multiplier, -shift))
        await pipeline.give({"value": value, "multiplier": multiplier, "shift": shift}, wanted,
                            f"{value} * {multiplier} >> {shift}")
        cover(f"shift_{shift}")
        for name, hit in (("multiplier_0", multiplier == 0), ("sum_least", value == -INT32),
                          ("multiplier_most", multiplier == INT32 - 1),
                          ("sum_most", value == INT32 - 1)):
            if hit:
                cover(name)
        if rng.random() < 0.1:
            await pipeline.give(None, 0, "a gap")
    await pipeline.drain("the last ones")
