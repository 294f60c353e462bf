"""Counters: what a cycle counts as, snapshots of layers, and their read-out."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.isa import COUNTERS
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start

TAGS = {"full": 1024, "few": 64}


def _duts() -> list[Dut]:
    from kaniwa.hw.control.counters import Counters

    return [Dut(name, Counters(tags)) for name, tags in TAGS.items()]


BENCH = Bench("counters", _duts, required=[
    *COUNTERS[1:], "not_running", "retires_close_together", "retires_apart", "tag_again",
    "tag_not_kept", "highest_tag", "second_run",
])

EVENTS = ("issued", "stall_load", "stall_weights", "stall_result")
INPUTS = (*EVENTS, "dependency", "waiting_for_store")


def port_of(name: str) -> str:
    """The port of an input: the array's events are one side-band."""
    return f"events__{name}" if name in EVENTS else name


def cause_of(inputs: dict[str, int]) -> str:
    """Cause that a cycle with these inputs counts as."""
    if inputs["issued"]:
        return "issued"
    if inputs["stall_load"]:
        return "dependency" if inputs["dependency"] else "load"
    if inputs["stall_weights"]:
        return "weights"
    if inputs["stall_result"]:
        return "store" if inputs["waiting_for_store"] else "requantize"
    return "fill"


class Model:
    """The counters, and the snapshots that must be readable."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.snapshots: dict[int, dict[str, int]] = {}

    def cycle(self, inputs: dict[str, int]) -> None:
        cause = cause_of(inputs)
        cover(cause)
        self.counts["cycles"] += 1
        self.counts[cause] += 1


async def read(env: Env, tag: int) -> dict[str, int]:
    """All counters of ``tag``, or the totals."""
    env.set("access__tag", tag)
    values = {}
    for index, name in enumerate(COUNTERS):
        env.set("access__index", index)
        await env.cycles(2)
        values[name] = env.get("access__data")
    return values


async def _run(env: Env, model: Model, count: int, tags: list[int], gap: tuple[int, int]) -> None:
    """Random cycles, with a retirement of each of ``tags`` after ``gap`` cycles or so."""
    rng = env.rng
    due = rng.randint(*gap)
    tags = list(tags)
    weights = {name: rng.random() for name in INPUTS}
    for _ in range(count):
        inputs = {name: int(rng.random() < weights[name]) for name in INPUTS}
        running = rng.random() < 0.95
        for name, value in inputs.items():
            env.set(port_of(name), value)
        env.set("running", running)
        if running:
            model.cycle(inputs)
        else:
            cover("not_running")
        due -= 1
        retire = bool(tags) and due <= 0
        env.set("retire", retire)
        env.set("retire_tag", tags[0] if retire else rng.randrange(1024))
        if retire:
            model.snapshots[tags.pop(0)] = dict(model.counts)
            due = rng.randint(*gap)
        await env.cycles(1)
    for name in (*map(port_of, INPUTS), "running", "retire"):
        env.set(name, 0)
    assert not tags, "every tag was retired"
    for _ in range(50):
        await env.cycles(1)
        if env.get("access__idle"):
            return
    raise AssertionError("snapshots are never done")


async def _begin(env: Env) -> Model:
    env.set("start", 1)
    await env.cycles(1)
    env.set("start", 0)
    return Model()


@cocotb.test()
async def snapshots_and_totals(dut: Any) -> None:
    env = await start(dut, BENCH)
    kept = TAGS[env.dut_name]
    for run in range(3):
        model = await _begin(env)
        tags = [env.rng.randrange(kept) for _ in range(10)] + [kept - 1]
        tags += [tags[0]]
        cover("tag_again")
        cover("highest_tag")
        cover("retires_apart")
        await _run(env, model, 400, tags, (8, 30))
        for tag, expected in model.snapshots.items():
            got = await read(env, tag)
            check(got.values(), expected.values(), f"snapshot of tag {tag}")
        for tag in (1 << 10, (1 << 10) + 77):
            check((await read(env, tag)).values(), model.counts.values(), "totals")
        if run:
            cover("second_run")


@cocotb.test()
async def snapshots_close_together(dut: Any) -> None:
    env = await start(dut, BENCH)
    for _ in range(5):
        model = await _begin(env)
        tags = env.rng.sample(range(TAGS[env.dut_name]), 4)
        await _run(env, model, 60, tags, (1, 3))
        cover("retires_close_together")
        for position, tag in enumerate(tags):
            got, at = await read(env, tag), model.snapshots[tag]
            check(sum(list(got.values())[1:]), got["cycles"], "causes add up to the cycles")
            late = got["cycles"] - at["cycles"]
            assert 0 <= late <= 8 * position, f"snapshot {position} is {late} cycles late"
            assert all(got[name] >= at[name] for name in COUNTERS)


@cocotb.test()
async def tags_beyond_the_memory_are_dropped(dut: Any) -> None:
    env = await start(dut, BENCH)
    kept = TAGS[env.dut_name]
    model = await _begin(env)
    beyond = [kept + 3] if kept < 1024 else []
    await _run(env, model, 60, [3, *beyond], (10, 20))
    if beyond:
        cover("tag_not_kept")
    check((await read(env, 3)).values(), model.snapshots[3].values(), "tag 3")


@cocotb.test()
async def idle_waits_for_the_last_word(dut: Any) -> None:
    env = await start(dut, BENCH)
    await _begin(env)
    for retired in (1, 3):
        for tag in range(retired):
            env.set("retire", 1)
            env.set("retire_tag", tag)
            await env.cycles(1)
        env.set("retire", 0)
        for _ in range(8 * retired):
            check(env.get("access__idle"), 0, "idle")
            await env.cycles(1)
        await env.cycles(3)
        check(env.get("access__idle"), 1, "idle at last")


@cocotb.test()
async def counts_far(dut: Any) -> None:
    """Long stretches of one cause each, so that the counters' carries are seen."""
    env = await start(dut, BENCH)
    model = await _begin(env)
    for event in env.rng.sample(EVENTS, 4):
        inputs = {**dict.fromkeys(INPUTS, 0), event: 1}
        length = env.rng.randint(5_000, 20_000)
        for name, value in inputs.items():
            env.set(port_of(name), value)
        env.set("running", 1)
        await env.cycles(length)
        model.counts["cycles"] += length
        model.counts[cause_of(inputs)] += length
    env.set("running", 0)
    env.set("retire_tag", 5)
    env.set("retire", 1)
    await env.cycles(1)
    env.set("retire", 0)
    await env.cycles(12)
    for tag in (5, 1 << 10):
        check((await read(env, tag)).values(), model.counts.values(), "counters")
