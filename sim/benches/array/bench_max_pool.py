"""Bench of max pooling: random blocks of steps against maxima in NumPy."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from kaniwa.sim.harness.bench import Bench, Driver, Dut, Monitor, check, cover, start
from kaniwa.sim.worlds.array_configs import LONG, WITH_PACKED


def _duts() -> list[Dut]:
    from kaniwa.hw.array.max_pool import MaxPool

    return [Dut(name, MaxPool(config), config)
            for name, config in WITH_PACKED.items() if config.max_pool]


BENCH = Bench("max_pool", _duts, long=LONG, required=[
    "single step", "maximum first", "maximum last", "all -128", "maximum 127", "equal bytes",
    "idle between steps", "back to back", "lanes without a byte", "block not finished", "pair",
    "pair: single step", "pair: two steps", "pair: nine steps", "pair: block not finished",
    "pair right behind a pair", "block right behind a pair", "pair: largest in the second block"])


@cocotb.test()
async def maxima_equal_numpy(dut: Any) -> None:
    """Blocks of 1 to 9 steps, and two at once, at three loads of the input, with the latency of the
    MAC array."""
    from kaniwa.hw.array.max_pool import MaxPool

    env = await start(dut, BENCH)
    config, rng = env.config, env.rng
    assert config is not None
    component = MaxPool(config)
    component._MustUse__silence = True
    lanes = config.depthwise_lanes
    if lanes < config.out_lanes:
        cover("lanes without a byte")
    source = Driver(env, "i", component.i.payload.shape())
    sink = Monitor(env, "o", component.o.payload.shape())
    for stall in (0.0, 0.5, 0.9):
        cover("idle between steps" if stall else "back to back")
        steps: list[dict[str, Any]] = []
        results, last_at = [], []
        paired = False    # the block before
        for _ in range(60):
            count = rng.choice([1, 2, rng.randint(3, 9)])
            low, high = rng.choice([(-128, -128), (-128, 127), (-128, -120), (-2, 2), (120, 127)])
            block = env.np_rng.integers(low, high + 1, (count, config.pool_lanes))
            finished = rng.random() < 0.85
            pair = config.pool_blocks > 1 and rng.random() < 0.6
            if paired and count == 1:    # would come with the second result
                block = np.repeat(block, 2, axis=0)
            _cover(block[:, :lanes])
            _cover_pair(block, lanes, pair, paired, finished)
            steps += [{"bytes": row.tolist(), "first": i == 0,
                       "last": finished and i == len(block) - 1,
                       **({"pair": pair} if config.pool_blocks > 1 else {})}
                      for i, row in enumerate(block)]
            paired = pair and finished
            if not finished:
                cover("block not finished")
                continue
            for number in range(1 + pair):
                maxima = block[:, number * lanes:(number + 1) * lanes].max(axis=0)
                last_at.append((len(steps) - 1, number))
                results.append(maxima.tolist() + [0] * (config.out_lanes - lanes))
        source.stall = stall
        sent, seen = source.sent, len(sink.cycles)
        source.send(steps)
        check(await sink.take(len(results)), results, "maxima")
        await env.cycles(2 * config.array_latency)
        check(sink.cycles[seen:], [source.cycles[sent + i] + config.array_latency + behind
                                   for i, behind in last_at], "cycles of the results")


def _cover_pair(block: np.ndarray, lanes: int, pair: bool, paired: bool, finished: bool) -> None:
    """``block`` of both blocks' lanes; ``paired``: the one before ended as a pair."""
    if paired and len(block) == 2:
        cover("pair right behind a pair" if pair else "block right behind a pair")
    if not pair:
        return
    cover("pair")
    if not finished:
        cover("pair: block not finished")
    for count, name in ((1, "single step"), (2, "two steps"), (9, "nine steps")):
        if len(block) == count:
            cover(f"pair: {name}")
    if block[:, lanes:].max() > block[:, :lanes].max():
        cover("pair: largest in the second block")


def _cover(block: np.ndarray) -> None:
    if len(block) == 1:
        cover("single step")
    else:
        if (block.argmax(axis=0) == 0).any():
            cover("maximum first")
        if (block[-1] > block[:-1].max(axis=0)).any():
            cover("maximum last")
        if (block.max(axis=0) == block.min(axis=0)).any():
            cover("equal bytes")
    if (block == -128).all():
        cover("all -128")
    if (block == 127).any():
        cover("maximum 127")
