"""Bench of the step list: random lists, given again and again, against the lists themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.step_lists import (
    CHUNK_BITS,
    STEP_BITS,
    list_words,
    most_steps,
    pack_steps,
    ring_words,
)
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_configs import CONFIGS

DEVICES: dict[str, AcceleratorConfig] = {
    name: replace(CONFIGS["base"], step_entries=entries, name=name)
    for name, entries in (("short", 16), ("long", 64))}
FIRST = 4          # cycles from a list's first word, counted as written, to its first step
NEXT = 5           # cycles from ``leave`` to the first step of a list that is there
WRITTEN = 2        # cycles from a word's acceptance to its count
TIMEOUT = 20000


def _duts() -> list[Dut]:
    from kaniwa.hw.steps.step_list import StepList

    return [Dut(name, StepList(config), config) for name, config in DEVICES.items()]


BENCH = Bench("step_list", _duts, required=[
    "list of one step", "longest list", "even number of steps", "odd number of steps",
    "several passes", "left in the middle", "left at once", "full", "empty", "stalled output",
    "words counted around", "too long"])


class Rig:
    """The lists at the input, and the steps at the output."""

    def __init__(self, env: Env, lists: list[np.ndarray], stall: float) -> None:
        from kaniwa.hw.steps.step_list import listed_step_layout

        self.env, self.lists = env, lists
        self.unpack = codec(listed_step_layout())[1]
        self.source = Driver(env, "i", 32, stall)
        self.source.send(int(word) for steps in lists for word in pack_steps(steps))
        env.set("o__ready", 0)
        env.set("leave", 0)

    async def take(self, steps: np.ndarray, count: int, stall: float) -> list[int]:
        """``count`` steps of a list; the cycles in which they were taken."""
        env, rng = self.env, self.env.rng
        taken: list[int] = []
        blocks, segments, chunks = np.nonzero(steps)
        ends = np.diff(blocks * steps.shape[1] + segments, append=-1) != 0
        for _ in range(TIMEOUT):
            if len(taken) == count:
                break
            ready = rng.random() >= stall
            env.set("o__ready", ready)
            await env.cycles(1)
            if not env.get("o__valid"):
                continue
            if not ready:
                cover("stalled output")
                continue
            place = len(taken) % len(chunks)
            check([self.unpack(env.get("o__payload"))],
                  [{"chunk": int(chunks[place]), "segment_end": int(ends[place])}],
                  f"step {len(taken)}")
            taken.append(env.cycle)
        assert len(taken) == count, f"{len(taken)} of {count} steps in {TIMEOUT} cycles"
        env.set("o__ready", 0)
        return taken

    async def leave(self) -> None:
        """The instruction has no more steps."""
        self.env.set("leave", 1)
        await self.env.cycles(1)
        self.env.set("leave", 0)


def _random_steps(env: Env) -> np.ndarray:
    """A list that the device holds."""
    assert env.config is not None
    most, rng = most_steps(env.config), env.rng
    count = rng.choice([1, 2, 3, most, rng.randint(1, most)])
    for number, name in ((1, "list of one step"), (most, "longest list")):
        if count == number:
            cover(name)
    cover("odd number of steps" if count % 2 else "even number of steps")
    divisors = [n for n in range(1, count + 1) if count % n == 0]
    segments = rng.choice(divisors)
    blocks = rng.choice([n for n in divisors if segments % n == 0])
    each = count // segments
    chunks = rng.choice([each, each + 1, 1 << CHUNK_BITS])
    steps = np.zeros((blocks, segments // blocks, chunks), np.bool_)
    for row in steps.reshape(segments, -1):
        row[sorted(rng.sample(range(len(row)), each))] = True
    return steps


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5, 0.9], slow=[0.0, 0.6])
async def gives_each_list_until_it_is_left(dut: Any, stall: float, slow: float) -> None:
    """Lists of any length, some passes over each, at several loads of both sides."""
    env = await start(dut, BENCH)
    assert env.config is not None
    lists = [_random_steps(env) for _ in range(40)]
    rig = Rig(env, lists, stall)
    words = ring_words(env.config)
    if sum(list_words(int(steps.sum())) for steps in lists) > 2 * words:
        cover("words counted around")
    for steps in lists:
        count = int(steps.sum())
        wanted = env.rng.choice([count, 2 * count, env.rng.randint(count, 3 * count)])
        if wanted > count:
            cover("several passes")
        if wanted % count:
            cover("left in the middle")
        if env.rng.random() < 0.2:
            await env.cycles(3 * words)
            if not stall and rig.source.pending:
                check([env.get("o__valid"), env.get("i__ready")], [1, 0], "valid, and full")
                cover("full")
        await rig.take(steps, wanted, slow)
        if env.rng.random() < 0.5:
            await env.cycles(env.rng.randrange(6))
        else:
            cover("left at once")
        await rig.leave()
    await env.cycles(20)
    check([env.get("o__valid"), env.get("i__ready")], [0, 1], "valid and ready at the end")
    cover("empty")


@cocotb.test()
@cocotb.parametrize(bit=range(3, STEP_BITS))
async def a_list_that_is_too_long_gives_no_step(dut: Any, bit: int) -> None:
    """The ring fills, and the run waits for its watchdog."""
    env = await start(dut, BENCH)
    assert env.config is not None
    words, most = ring_words(env.config), most_steps(env.config)
    source = Driver(env, "i", 32, 0.0)
    source.send([max(1 << bit, most + 2), *range(words)])
    env.set("leave", 0)
    env.set("o__ready", 0)
    await env.cycles(4 * words)
    check([env.get("o__valid"), env.get("i__ready")], [0, 0], "valid, ready")
    cover("too long")


@cocotb.test()
async def a_step_a_cycle(dut: Any) -> None:
    """No cycle is lost within a list and from pass to pass; the first step comes when it must."""
    env = await start(dut, BENCH)
    assert env.config is not None
    lists: list[np.ndarray] = []
    while len(lists) < 30:
        steps = _random_steps(env)
        if 2 * list_words(int(steps.sum())) <= ring_words(env.config):   # both are there
            lists.append(steps)
    rig = Rig(env, lists, 0.0)
    left = 0
    for number, steps in enumerate(lists):
        taken = await rig.take(steps, 3 * int(steps.sum()), 0.0)
        check(taken[-1] - taken[0], len(taken) - 1, f"cycles of list {number}")
        first = taken[0] - (left if number else rig.source.cycles[0] + WRITTEN)
        check(first, NEXT if number else FIRST, f"cycles to the first step of list {number}")
        await env.cycles(list_words(int(lists[(number + 1) % 30].sum())) + 5)
        await rig.leave()
        left = env.cycle
