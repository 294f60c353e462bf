"""Bench of the MAC array: random blocks of steps against dot products in NumPy."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.array_configs import LONG, WITH_PACKED

# In a compact config nothing is dropped, and a cycle without a step follows each block.
CONFIGS = WITH_PACKED | {"compact": PRESETS["nano"]}


def _duts() -> list[Dut]:
    from kaniwa.hw.array.mac_array import MacArray

    return [Dut(name, MacArray(config, clear_after_last=config.compact), config)
            for name, config in CONFIGS.items()]


BENCH = Bench("mac_array", _duts, long=LONG, required=[
    "single step block", "blocks back to back", "idle within a block", "all products 2^14",
    "most negative sum", "zero point", "negative accumulator", "block not finished"])


class Blocks:
    """Random blocks: the steps to send, and the accumulators that they must give."""

    def __init__(self, env: Env) -> None:
        assert env.config is not None
        self.env, self.config = env, env.config
        self.rows = env.config.multiplier_rows
        self.shape = (env.config.activation_lanes, env.config.dot_width)
        self.steps: list[dict[str, Any] | None] = []   # None: an idle cycle
        self.count = 0   # of those that are steps
        self.results: list[list[int]] = []
        self.last_at: list[int] = []   # index of the step that ends each block

    def add(self, count: int, kind: str = "random", finished: bool = True) -> None:
        """A block of ``count`` steps."""
        sums = np.zeros(self.config.out_lanes, dtype=np.int64)
        for index in range(count):
            activations, weights, zero_point = self._operands(kind)
            sums += (np.tile(activations, (self.rows, 1)) * (weights - zero_point)).sum(axis=1)
            first = index == 0
            if self.config.compact:   # where it does not matter
                first = self.env.rng.random() < 0.5
            self.steps.append({
                "activations": activations.tolist(), "weights": weights.tolist(),
                "first": first, "last": finished and index == count - 1,
                **({} if self.config.compact else {"weight_zero_point": zero_point}),
            })
        if finished:
            self.last_at.append(self.count + count - 1)
            if self.config.compact:
                self.steps.append(None)
            self.results.append(sums.tolist())
            if (sums < 0).any():
                cover("negative accumulator")
        self.count += count

    def _operands(self, kind: str) -> tuple[np.ndarray, np.ndarray, int]:
        rng = self.env.np_rng
        weights_shape = (self.config.out_lanes, self.config.dot_width)
        if kind == "largest":
            cover("all products 2^14")
            return np.full(self.shape, -128), np.full(weights_shape, -128), 0
        if kind == "smallest":
            cover("most negative sum")
            return np.full(self.shape, 127), np.full(weights_shape, -128), 0
        if kind == "one_hot":   # tells the lanes apart: one activation, one weight
            activations = np.zeros(self.shape, dtype=np.int64)
            weights = np.zeros(weights_shape, dtype=np.int64)
            lane, column = (self.env.rng.randrange(size) for size in weights_shape)
            activations[lane % len(activations), column] = weights[lane, column] = 127
            return activations, weights, 0
        activations = rng.integers(-128, 128, self.shape)
        weights = rng.integers(-128, 128, weights_shape)
        if kind != "zero point" or self.config.compact:
            return activations, weights, 0
        cover("zero point")
        of_all = activations[0] if self.env.rng.random() < 0.7 else -128
        shared = np.broadcast_to(of_all, self.shape)
        return shared, weights, self.env.rng.choice([-128, 127, self.env.rng.randint(-128, 127)])


@cocotb.test()
async def accumulators_equal_dot_products(dut: Any) -> None:
    """Blocks of 1 to 12 steps, at three loads of the input; results at the exact cycle."""
    from kaniwa.hw.array.mac_array import MacArray

    env = await start(dut, BENCH)
    assert env.config is not None
    component = MacArray(env.config)
    component._MustUse__silence = True
    layout, latency = component.i.payload.shape(), env.config.array_latency
    source = Driver(env, "i", layout)
    sink = Monitor(env, "o", component.o.payload.shape())
    for stall in (0.0, 0.4, 0.8):
        blocks = Blocks(env)
        if stall:
            cover("idle within a block")
        else:
            cover("blocks back to back")
        for kind in ("largest", "smallest", "one_hot", "zero point"):
            for count in (1, 2, 7):
                blocks.add(count, kind)
        for _ in range(24):
            count = env.rng.choice([1, 1, 2, env.rng.randint(3, 12)])
            if count == 1:
                cover("single step block")
            blocks.add(count)
            # ``first`` drops what an abandoned block has summed up.
            if not env.config.compact and env.rng.random() < 0.2:
                blocks.add(env.rng.randint(1, 3), finished=False)
                cover("block not finished")
        source.stall = stall
        sent, seen = source.sent, len(sink.cycles)
        source.send(blocks.steps)
        check(await sink.take(len(blocks.results)), blocks.results, "accumulators")
        await env.cycles(2 * latency)
        check(sink.cycles[seen:], [source.cycles[sent + i] + latency for i in blocks.last_at],
              "cycles of the results")
        if not stall:
            idle = int(env.config.compact)   # behind the last step
            check(source.cycles[-1] - source.cycles[sent], len(blocks.steps) - 1 - idle, "cycles")
