"""Sensor ports with window and memory: frames to tensors, runs, results, and all that goes wrong.

Streams come from and go to cocotbext-axi's source and sink, hosts are masters that are not ours.
The bench's core makes a result of each tensor that changes with any of its bytes.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import Command, Register, Status
from kaniwa.isa.bus import BusRegister
from kaniwa.isa.sensor import (
    OFFERING,
    SENSOR_VERSION,
    SensorControl,
    SensorEvent,
    SensorRegister,
    SensorState,
)
from kaniwa.sim.benches.bus.window_world import check_cycles_of_accesses
from kaniwa.sim.benches.sensor.sensor_world import World, result_of, sensor_dut
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import config_of

# Words of 16 bits written and one channel for all; words of 128 bits.
NARROW = dataclasses.replace(PRESETS["nano"], memory_bytes=640, name="narrow")
WIDE = dataclasses.replace(PRESETS["base"], memory_bytes=1024, name="wide")
BUFFERS = {"narrow": 0, "wide": 53}    # bytes of samples that wait
OF = SensorRegister
RUN, TABLE, COUNT, SKIP = (SensorControl.RUN, SensorControl.TABLE, SensorControl.COUNT,
                           SensorControl.SKIP)
COUNTERS = (OF.SENSOR_FRAMES, OF.SENSOR_DROPPED, OF.SENSOR_EARLY, OF.SENSOR_LATE,
            OF.SENSOR_MISSED)


def _duts() -> list[Dut]:
    from kaniwa.hw.bus.slaves import AxiLiteSlave, WishboneSlave

    return [Dut(f"{bus}_{config.name}", sensor_dut(config, slave, BUFFERS[config.name]),
                config=config)
            for bus, slave, config in (("wishbone", WishboneSlave, NARROW),
                                       ("axi", AxiLiteSlave, WIDE))]


BENCH = Bench("sensor_ports", _duts, required=[
    "good", "early", "late", "early_at_once", "late_by_one", "one_byte", "part_of_a_word",
    "whole_words", "unaligned", "table", "no_table", "count", "last", "no_result", "no_samples",
    "slow_source", "slow_sink", "run_by_host", "run_refused", "run_failed", "aborted",
    "taken_ahead", "waits", "missed", "missed_within", "not_missed", "skip_counts",
    "disabled_within", "disabled_offering", "refused", "irq", "sample_a_cycle", "byte_a_cycle"])


async def _begin(dut: Any, stall: float = 0.0) -> tuple[Env, World]:
    env = await start(dut, BENCH)
    world = World(env, stall)
    await env.cycles(2)
    return env, world


def _tensors(env: Env, longest: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two tensors that do not meet, anywhere in memory, in either order."""
    rng, config = env.rng, config_of(env)
    lengths = [rng.choice([1, 2, config.write_bytes, config.write_bytes + 1,
                           rng.randrange(1, longest + 1), rng.randrange(1, longest + 1)])
               for _ in range(2)]
    gaps = config.memory_bytes - sum(lengths)
    places = sorted(rng.randrange(gaps + 1) for _ in range(2))
    lower = rng.randrange(2)     # the tensor that has the lower place
    first = [0, 0]
    first[lower] = places[0]
    first[1 - lower] = places[1] + lengths[lower]
    return (first[0], lengths[0]), (first[1], lengths[1])


def _cover_tensor(env: Env, tensor: tuple[int, int]) -> None:
    address, length = tensor
    size = config_of(env).write_bytes
    if length == 1:
        cover("one_byte")
    if address % size:
        cover("unaligned")
    cover("part_of_a_word" if (address + length) % size else "whole_words")


def _frames(env: Env, length: int, count: int) -> list[tuple[str, list[int]]]:
    """Frames of ``length`` bytes, and such that end too early or too late."""
    rng, frames = env.rng, []
    for _ in range(count):
        kind = rng.choice(["good", "good", "early", "late"])
        size = length
        if kind == "early":
            if length == 1:
                continue
            size = rng.choice([1, rng.randrange(1, length)])
            if size == 1:
                cover("early_at_once")
        if kind == "late":
            size = length + rng.choice([1, rng.randrange(1, 20)])
            if size == length + 1:
                cover("late_by_one")
        cover(kind)
        frames.append((kind, [rng.randrange(256) for _ in range(size)]))
    return frames


def _events(frames: list[tuple[str, list[int]]]) -> int:
    found = {"good": SensorEvent.FULL, "early": SensorEvent.EARLY, "late": SensorEvent.LATE}
    return sum(found[kind] for kind in {kind for kind, _ in frames})


def _counts(frames: list[tuple[str, list[int]]]) -> list[int]:
    """What the counters say of frames without SKIP."""
    kinds = [kind for kind, _ in frames]
    return [kinds.count("good"), sum(len(data) for kind, data in frames if kind != "good"),
            kinds.count("early"), kinds.count("late"), 0]


async def _state(world: World) -> int:
    return await world.get(OF.SENSOR_STATE) & 7


async def _counted(world: World) -> list[int]:
    return [await world.get(register) for register in COUNTERS]


async def _check_beside(world: World, background: bytes, tensors: list[tuple[int, int]]) -> None:
    """No byte beside the tensors has changed."""
    world.env.set("busy", 1)
    found = bytearray(await world.core.read(0, len(background)))
    world.env.set("busy", 0)
    for address, length in tensors:
        found[address:address + length] = background[address:address + length]
    check(list(found), list(background), "memory beside the tensors")


async def _fill_memory(world: World) -> bytes:
    background = world.rng.randbytes(config_of(world.env).memory_bytes)
    world.env.set("busy", 1)
    await world.core.write(0, background)
    world.env.set("busy", 0)
    await world.env.cycles(1)
    return background


@cocotb.test()
async def frames_by_themselves(dut: Any) -> None:
    """Random tensors, tables, frames and pauses: each good frame gives its result, in order."""
    env, world = await _begin(dut, 0.2)
    rng = env.rng
    background = await _fill_memory(world)
    touched: list[tuple[int, int]] = []
    for step in range(10):
        given, result = _tensors(env, 70)
        touched += [given, result]
        _cover_tensor(env, given)
        control = RUN
        if step % 2:
            await world.load_table(rng.choice([3, 256]))
            control |= TABLE
        cover("table" if step % 2 else "no_table")
        frames = _frames(env, given[1], 9)
        by_count = step % 3 == 2
        if by_count:
            control |= COUNT
            frames = [("good", [rng.randrange(256) for _ in range(given[1])]) for _ in range(6)]
        cover("count" if by_count else "last")
        slow = (rng.choice([0, 0, 0.6]), rng.choice([0, 0, 0.8]))
        for name, chance in zip(("slow_source", "slow_sink"), slow, strict=True):
            if chance:
                cover(name)
        world.stall(*slow)
        world.core.pause = rng.choice([0, 5, 200])
        await world.enable(control, given, result)
        sent = [data for _, data in frames]
        if by_count:    # last comes anywhere, and is not looked at
            all_of, sent = list(itertools.chain(*sent)), []
            while all_of:
                size = rng.randrange(1, 2 * given[1] + 2)
                sent.append(all_of[:size])
                del all_of[:size]
        for data in sent:
            world.source.send_nowait(bytes(data))
        expected = [result_of([world.table[value] for value in data] if control & TABLE else data,
                              result[1]) for kind, data in frames if kind == "good"]
        check(await world.results(len(expected)), expected, f"results of step {step}")
        await world.wait(OF.SENSOR_DROPPED, _counts(frames)[1])
        await world.wait(OF.SENSOR_STATE, SensorState.FILL)
        check(await _counted(world), _counts(frames), "counters")
        check(await world.get(OF.SENSOR_EVENTS), _events(frames), "events")
        check(world.sink.empty(), True, "no further result")
        await world.disable()
    await _check_beside(world, background, touched)


@cocotb.test()
async def runs_by_the_host(dut: Any) -> None:
    """Without RUN the host starts each run, at the interrupt, and no other one."""
    env, world = await _begin(dut)
    given, result = _tensors(env, 40)
    await world.set(OF.SENSOR_IRQ_ENABLE, SensorEvent.FULL)
    await world.enable(SensorControl(0), given, result)
    await world.refused(Register.CONTROL, Command.RUN)
    check(world.core.runs, 0, "runs")
    cover("run_refused")
    for number in range(3):
        data = [env.rng.randrange(256) for _ in range(given[1])]
        world.source.send_nowait(bytes(data))
        for _ in range(400):
            if env.get("irq"):
                break
            await env.cycles(1)
        check(env.get("irq"), 1, "irq of a full tensor")
        cover("irq")
        check(await _state(world), SensorState.FULL, "state")
        await env.cycles(50)
        check([await _state(world), world.core.runs], [SensorState.FULL, number], "it waits")
        await world.set(OF.SENSOR_EVENTS, SensorEvent.FULL)
        await env.cycles(3)
        check(env.get("irq"), 0, "irq cleared")
        await world.set(Register.CONTROL, Command.RUN)
        check(await world.results(1), [result_of(data, result[1])], "result")
        cover("run_by_host")
    await world.disable()
    await world.set(OF.SENSOR_IRQ_ENABLE, 0)
    # Results alone, and samples alone
    await world.enable(SensorControl(0), (0, 0), result)
    await world.set(Register.CONTROL, Command.RUN)
    check(await world.results(1), [result_of([], result[1])], "result without samples")
    cover("no_samples")
    await world.disable()
    await world.enable(RUN, given, (0, 0))
    runs = world.core.runs
    for _ in range(3):
        world.source.send_nowait(bytes(given[1]))
    await world.wait(OF.SENSOR_FRAMES, 3)
    await world.wait(OF.SENSOR_STATE, SensorState.FILL)
    check(world.core.runs, runs + 3, "runs without a result")
    check(world.sink.empty(), True, "no result")
    cover("no_result")


@cocotb.test()
async def runs_that_fail(dut: Any) -> None:
    """No result of a run with an error, and no further frame before the host has seen it."""
    env, world = await _begin(dut)
    given, result = _tensors(env, 40)
    await world.enable(RUN, given, result)
    await world.set(OF.SENSOR_IRQ_ENABLE, SensorEvent.FAILED)
    for status in (Status.ERROR, Status(0)):    # the second one: of an abort while at rest
        world.core.status = status
        runs = world.core.runs
        data = [env.rng.randrange(256) for _ in range(given[1])]
        for _ in range(2):
            world.source.send_nowait(bytes(data))
        await world.wait(OF.SENSOR_STATE, SensorState.FAILED)
        await env.cycles(100)
        check([await _state(world), world.core.runs, env.get("irq")],
              [SensorState.FAILED, runs + 1, 1], "it waits for the host")
        check(world.sink.empty(), True, "no result")
        cover("run_failed" if status else "aborted")
        world.core.status = Status.DONE
        await world.set(OF.SENSOR_EVENTS, SensorEvent.FAILED)
        check(await world.results(1), [result_of(data, result[1])], "the next frame's result")
    await world.refused(Register.CONTROL, Command.RUN)
    await world.set(Register.CONTROL, Command.ABORT)


@cocotb.test()
async def rates(dut: Any) -> None:
    """A sample a cycle while memory is free, a result's byte a cycle, and few cycles between."""
    env, world = await _begin(dut)
    length = 96
    given, result = (16, length), (320, length)
    await world.enable(RUN, given, result)
    world.source.send_nowait(bytes(range(length)))
    marks: dict[str, int] = {}
    taken: list[int] = []
    given_out: list[int] = []
    while len(given_out) < length:
        await env.cycles(1)
        if env.get("sample__tvalid") and env.get("sample__tready"):
            taken.append(env.cycle)
        if env.get("result__tvalid") and env.get("result__tready"):
            given_out.append(env.cycle)
        if env.get("busy"):
            marks.setdefault("busy", env.cycle)
            marks["idle"] = env.cycle + 1
        assert env.cycle < 2000, "no result"
    check(taken[-1] - taken[0], length - 1, "cycles of the samples")
    cover("sample_a_cycle")
    check(given_out[-1] - given_out[0], length - 1, "cycles of the result")
    cover("byte_a_cycle")
    buffered = bool(BUFFERS[config_of(env).name])
    to_run, to_result = marks["busy"] - taken[-1], given_out[0] - marks["idle"]
    TALLY.measure("cycles from the last sample to the run", to_run)
    TALLY.measure("cycles from the run to the first byte", to_result)
    check(to_run, 10 if buffered else 9, "cycles from the last sample to the run")
    check(to_result, 10 + config_of(env).memory_latency, "cycles from the run to the first byte")


@cocotb.test()
async def accesses(dut: Any) -> None:
    """Cycles from an access to its end: of the ports' registers, and of what is passed on."""
    env, world = await _begin(dut)
    host = world.host
    cases = [(lambda: host.read(4 * OF.SENSOR_VERSION), 3),
             (lambda: host.write(4 * OF.SENSOR_IRQ_ENABLE, 0), 2),
             (lambda: host.write(4 * OF.SENSOR_VERSION, 0), 2),
             (lambda: host.read(4 * Register.MAGIC), 5), (lambda: host.write(0, 0), 2)]
    await check_cycles_of_accesses(env, cases)


@cocotb.test()
async def samples_during_a_run(dut: Any) -> None:
    """The buffer takes the next frame while memory is the run's; samples beyond it wait."""
    env, world = await _begin(dut)
    config = config_of(env)
    buffer = await world.get(OF.SENSOR_BUFFER_BYTES)
    check(buffer, BUFFERS[config.name], "SENSOR_BUFFER_BYTES")
    length = buffer or 24
    given, result = (3, length), (400, 7)
    world.core.pause = 900
    await world.enable(RUN, given, result)
    frames = [env.rng.randbytes(length) for _ in range(4)]
    for data in frames:
        world.source.send_nowait(data)
    taken = -length      # behind the first frame
    while world.core.runs == 0:
        await env.cycles(1)
        taken += env.get("sample__tvalid") and env.get("sample__tready")
    # The buffer, the word that is packed, and samples on their way to it
    least, most = buffer or 2 * config.write_bytes, buffer + 4 * config.write_bytes + 4
    check(least <= taken <= most, True, f"{taken} samples during the run, {least} to {most}")
    cover("taken_ahead" if buffer else "waits")
    check(await world.results(4), [result_of(data, 7) for data in frames], "results")


@cocotb.test()
async def frames_left_out(dut: Any) -> None:
    """With SKIP samples never wait: a frame comes whole or not at all, and each is counted."""
    env, world = await _begin(dut)
    rng = env.rng
    waited = cocotb.start_soon(_never_waits(env))
    for control, pause in itertools.product((RUN | SKIP, RUN | SKIP | COUNT), (0, 30, 700)):
        length = rng.randrange(20, 60)
        given, result = (rng.randrange(32), length), (400, 9)
        world.core.pause = pause
        world.stall(rng.choice([0, 0.5]), rng.choice([0, 0.9]))
        await world.enable(control, given, result)
        frames = [bytes([number]) + rng.randbytes(length - 1) for number in range(12)]
        for data in frames:
            world.source.send_nowait(data)
            if not pause:   # each frame finds the ports ready
                await world.source.wait()
                await world.wait(OF.SENSOR_STATE, SensorState.FILL)
        await world.source.wait()
        for _ in range(2000):
            whole, dropped, early, late, missed = await _counted(world)
            if whole + missed == len(frames):
                break
        await world.wait(OF.SENSOR_STATE, SensorState.FILL)
        check([whole + missed, dropped, early, late],
              [len(frames), length * missed, 0, 0], f"counters, {missed} missed")
        check(bool(await world.get(OF.SENSOR_EVENTS) & SensorEvent.MISSED), missed > 0, "MISSED")
        cover("missed" if missed else "not_missed")
        if control & COUNT and missed:
            cover("skip_counts")
        expected = iter([result_of(data, 9) for data in frames])
        found = await world.results(whole)
        check(all(one in expected for one in found), True, "results of whole frames, in order")
        if found and found[0] == result_of(frames[0], 9) and missed:
            cover("missed_within")
        await world.disable()
    waited.cancel()


async def _never_waits(env: Env) -> None:
    while True:
        await env.cycles(1)
        if env.get("sample__tvalid") and not env.get("sample__tready"):
            raise AssertionError("a sample waits")


@cocotb.test()
async def ports_switched_off(dut: Any) -> None:
    """Off within a frame, and while a result is offered: what comes next is whole again."""
    env, world = await _begin(dut)
    given, result = (5, 30), (200, 40)
    for size in (1, 7, 29):
        await world.enable(RUN, given, result)
        world.source.send_nowait(env.rng.randbytes(size))
        await env.cycles(60)
        await world.disable()
        check(await _state(world), SensorState.OFF, "state")
        await world.enable(RUN, given, result)
        data = env.rng.randbytes(30)
        world.source.send_nowait(data)
        check(await world.results(1), [result_of(data, 40)], "result")
        check(await _counted(world), [1, 0, 0, 0, 0], "counters begin again")
        await world.disable()
        cover("disabled_within")
    world.sink.pause = True
    await world.enable(RUN, given, result)
    data = env.rng.randbytes(30)
    world.source.send_nowait(data)
    for _ in range(400):
        if await world.get(OF.SENSOR_STATE) == SensorState.OFFER | 1 << OFFERING:
            break
    await world.disable()
    check(await world.get(OF.SENSOR_STATE), SensorState.OFF | 1 << OFFERING, "state")
    await world.refused(Register.CONTROL, Command.RUN)
    await world.enable(RUN, given, (100, 20))
    world.source.send_nowait(data)
    await env.cycles(300)
    world.sink.pause = False
    check(await world.results(2), [result_of(data, 40), result_of(data, 20)], "results")
    cover("disabled_offering")
    await world.disable()
    await world.set(Register.CONTROL, Command.RUN)


@cocotb.test()
async def registers(dut: Any) -> None:
    """What reads as what, what is refused, and that refusing changes nothing."""
    env, world = await _begin(dut, 0.3)
    size = config_of(env).memory_bytes
    check(await world.get(OF.SENSOR_VERSION), SENSOR_VERSION, "SENSOR_VERSION")
    sizes = (OF.SENSOR_INPUT_ADDRESS, OF.SENSOR_INPUT_LENGTH, OF.SENSOR_OUTPUT_ADDRESS,
             OF.SENSOR_OUTPUT_LENGTH)
    read_only = (OF.SENSOR_VERSION, OF.SENSOR_STATE, OF.SENSOR_BUFFER_BYTES, *COUNTERS)
    for register in read_only:
        await world.refused(register, 0)
    for register in (*sizes, OF.SENSOR_IRQ_ENABLE, OF.SENSOR_TABLE, OF.SENSOR_CONTROL):
        await world.refused(register, 1, 0b0111)
        check(await world.get(register), 0, f"register {register}")
    for register in sizes:
        await world.refused(register, 1 << 31)
        await world.refused(register, 2 * size)
        for address, length in ((size, 1), (size - 3, 4), (1, size)):
            await world.set(register, size)
            first = sizes[0] if register in sizes[:2] else sizes[2]
            await world.set(first, address)
            await world.set(SensorRegister(first + 1), length)
            await world.refused(OF.SENSOR_CONTROL, SensorControl.ENABLE)
            check(await world.get(OF.SENSOR_CONTROL), 0, "SENSOR_CONTROL")
            await world.set(first, 0)
            await world.set(SensorRegister(first + 1), 0)
    cover("refused")
    await world.set(OF.SENSOR_IRQ_ENABLE, 0xFFFF_FFFF)
    check(await world.get(OF.SENSOR_IRQ_ENABLE), 31, "SENSOR_IRQ_ENABLE")
    await world.set(OF.SENSOR_IRQ_ENABLE, 0)
    env.set("busy", 1)
    await world.refused(OF.SENSOR_CONTROL, SensorControl.ENABLE)
    env.set("busy", 0)
    await world.enable(TABLE | COUNT, (size - 9, 9), (0, size - 9))
    for register, value in zip(sizes, (size - 9, 9, 0, size - 9), strict=True):
        await world.refused(register, 0)
        check(await world.get(register), value, f"register {register}")
    for control in (SensorControl.ENABLE, SensorControl.ENABLE | RUN):
        await world.refused(OF.SENSOR_CONTROL, control)
    check(await world.get(OF.SENSOR_CONTROL), int(TABLE | COUNT | SensorControl.ENABLE), "control")
    # Registers beside the ports' own are the window's.
    for index in (0, 127, 159, 176, 255):
        check(await world.get(index), 0, f"register {index}")
    check(await world.get(BusRegister.BUS_VERSION), 1, "BUS_VERSION")
    await world.set(Register.WATCHDOG, 5)
    await world.refused(159, 0)
