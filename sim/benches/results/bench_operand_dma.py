"""Operand DMA against a model that reads the operand's bytes beat by beat."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.memory_ports import (
    Producer,
    ReadServer,
    Stalls,
    TestMemory,
    beats_in_order,
    config_of,
    odd,
    random_address,
)
from kaniwa.sim.worlds.serial_config import SERIAL


def _duts() -> list[Dut]:
    from kaniwa.hw.results.operand_dma import OperandDma

    configs = [SERIAL, PRESETS["base"], odd(),
               odd(requant_lanes=3, name="three")]
    return [Dut(c.name, OperandDma(c), config=c) for c in configs]


BENCH = Bench("operand_dma", _duts, required=[
    "beat_crosses_words", "fresh_and_crossing", "partial_beat", "shared_word", "without_add",
    "waits_for_watermark", "waits_for_retired", "held_at_watermark", "in_place", "full_rate",
    "by_block", "runs_ahead", "large_counts"])


class Model:
    """The beats and word reads that instructions must give, made from their loops."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.lanes, self.size = config_of(env).requant_lanes, config_of(env).read_bytes
        self.instructions: list[dict[str, int]] = []
        self.beats: list[tuple[int, int]] = []  # address, count
        self.reads: list[int] = []
        self.ends: list[int] = []  # beats up to the end of each instruction

    def add(self, values: dict[str, int]) -> None:
        """Append an instruction."""
        self.instructions.append(values)
        if not values["add"]:
            cover("without_add")
        last = None
        if values["add"]:
            for address, count, _ in beats_in_order(values, "operand", self.lanes):
                last = self._beat(address, count, last)
        self.ends.append(len(self.beats))

    def _beat(self, address: int, count: int, last: int | None) -> int:
        self.beats.append((address, count))
        first, end = (a // self.size * self.size for a in (address, address + count - 1))
        if count < self.lanes:
            cover("partial_beat")
        if first != end:
            cover("beat_crosses_words")
        if first == last:
            cover("shared_word")
        elif first != end:
            cover("fresh_and_crossing")
        self.reads += [word for word in dict.fromkeys((first, end))
                       if word != last or first != last]
        return end


def instruction(env: Env, address: int, add: int = 1, far: bool = True) -> dict[str, int]:
    """A random operand tensor: in a third of the cases without gaps."""
    rng, config = env.rng, config_of(env)
    width = rng.choice([config.out_lanes, config.depthwise_lanes, rng.randint(1, 12)])
    blocks = rng.choice([1, 1, 2, 3])
    last = rng.randint(1, width)
    pixel = (blocks - 1) * width + last + rng.choice([0, 0, 1, rng.randint(0, 40)])
    columns = rng.randint(1, 6)
    if far and rng.random() < 0.2:
        pixel += rng.randrange(1 << 15)
    row = columns * pixel + rng.choice([0, 0, rng.randint(0, 40), far * rng.randrange(1 << 22)])
    mode = rng.choice([Mode.DENSE, Mode.COLUMN])
    if mode == Mode.COLUMN and blocks > 1:
        cover("by_block")
    return {"mode": mode, "add": add, "operand_watermark": 0, "operand_wait": 0,
            "ofm_rows": rng.randint(1, 4),
            "ofm_columns": columns, "blocks": blocks, "block_width": width, "last_width": last,
            "operand_address": address,
            "operand_row_pitch": row, "operand_pixel_pitch": pixel}


def linear(env: Env, address: int, rows: int, columns: int, channels: int) -> dict[str, int]:
    """A tensor without gaps, of blocks of out_lanes."""
    width = config_of(env).out_lanes
    blocks = -(-channels // width)
    return {"mode": Mode.DENSE, "add": 1, "operand_watermark": 0, "operand_wait": 0,
            "ofm_rows": rows,
            "ofm_columns": columns, "blocks": blocks, "block_width": width,
            "last_width": channels - (blocks - 1) * width, "operand_address": address,
            "operand_row_pitch": columns * channels, "operand_pixel_pitch": channels}


class Rig:
    """Instructions, memory and beats at the ports of the device under test."""

    def __init__(self, env: Env, model: Model, memory: TestMemory, stall: float,
                 memory_stall: float, latency: tuple[int, int], beat_stall: float) -> None:
        from kaniwa.hw.interfaces import beat_layout, unit_layout

        self.env, self.model = env, model
        self.port = ReadServer(env, "memory", lambda a: memory.word(a, model.size), memory_stall,
                               latency)
        self.sink = Monitor(env, "o", beat_layout(config_of(env)), beat_stall)
        self.source = Driver(env, "i_instruction", unit_layout("operand", config_of(env)), stall)
        self.waits = any(values["operand_wait"] for values in model.instructions)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        """Check ``idle``, and that nothing waits where no instruction says so."""
        env = self.env
        while True:
            await env.cycles(1)
            begun = bisect_left(self.source.cycles, env.cycle)
            due = self.model.ends[begun - 1] if begun else 0
            given = bisect_left(self.sink.cycles, env.cycle)
            assert env.get("idle") == int(given == due), "idle"
            if not self.waits:
                assert not env.get("dependency"), "dependency without a wait"

    async def beats(self, count: int) -> list[tuple[int, ...]]:
        """The next beats as tuples of their bytes."""
        items: list[dict[str, Any]] = await self.sink.take(count)
        return [tuple(v & 255 for v in item["values"][:item["count"]]) for item in items]

    async def finish(self) -> None:
        """Compare the reads and see that nothing follows."""
        await self.source.drain()
        await self.env.cycles(8)
        check(self.port.addresses, self.model.reads, "reads")
        check(len(self.sink.items), len(self.model.beats), "beats")
        check(self.env.get("idle"), 1, "idle")
        check(self.env.get("dependency"), 0, "dependency")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5], memory=[(0.0, (1, 1)), (0.0, (3, 30)), (0.6, (1, 9))])
async def beats_equal_model_in_place(dut: Any, stall: float, memory: Stalls) -> None:
    """Every beat's bytes are overwritten once it was taken, as an in-place ADD does."""
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    address = random_address(env)
    while len(model.instructions) < 20:
        values = instruction(env, address, int(env.rng.random() < 0.8))
        model.add(values)
        taken = {a for a, _ in model.beats}
        assert len(taken) == len(model.beats), "tensors overlap"
        address = (max(taken) if taken else address) + 64 + env.rng.randrange(64)
    before = [tuple(bytes_[a + k] for k in range(count)) for a, count in model.beats]
    rig = Rig(env, model, bytes_, stall, *memory, stall)
    rig.source.send(model.instructions)
    for (beat_address, count), expected in zip(model.beats, before, strict=True):
        check(await rig.beats(1), [expected], f"beat at {beat_address}")
        for k in range(count):
            bytes_[beat_address + k] ^= 0x5A
    cover("in_place")
    await rig.finish()


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], pace=[0.05, 0.9])
async def waits_for_the_producer(dut: Any, stall: float, pace: float) -> None:
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    first, base = env.rng.randrange(1 << 16) - 8 & 0xFFF7, random_address(env)
    producer = Producer(env, bytes_, pace, first)
    env.set("progress__retired", first)
    for number in range(8):
        address = base + 4000 * number + env.rng.randrange(64)
        values = instruction(env, address, far=False)
        begin = len(model.beats)
        values["operand_wait"] = first + number + 1
        values["operand_watermark"] = env.rng.randrange(2)
        model.add(values)
        end = sum(max(model.beats[begin:]))
        in_order = env.rng.randrange(2)
        producer.add(address, end, bool(in_order))
        cover("waits_for_watermark" if in_order and values["operand_watermark"]
              else "waits_for_retired")
    rig = Rig(env, model, bytes_, stall, stall, (1, 4), stall)
    rig.source.send(model.instructions)
    producer.begin()
    got = await rig.beats(len(model.beats))
    expected = [tuple(producer.final[a + k] for k in range(count)) for a, count in model.beats]
    check(got, expected, "beats")
    await rig.finish()


@cocotb.test()
async def reads_whole_words_below_the_watermark(dut: Any) -> None:
    """At a frozen watermark the words that end below it are read, and dependency says so."""
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    model.add({**linear(env, 3, 4, 4, 8), "operand_wait": 1, "operand_watermark": 1})
    rig = Rig(env, model, bytes_, 0.0, 0.0, (1, 1), 0.0)
    rig.source.send(model.instructions)
    await env.cycles(20)
    check(len(rig.port.addresses), 0, "reads before the watermark is valid")
    check(env.get("dependency"), 1, "dependency")
    env.set("progress__watermark_valid", 1)
    for watermark in sorted({3, model.size - 1, *range(model.size, 100, 7), 2 * model.size}):
        env.set("progress__watermark", watermark)
        await env.cycles(40)
        check(len(rig.port.addresses), watermark // model.size, f"words below {watermark}")
        check(env.get("dependency"), 1, "dependency")
    cover("held_at_watermark")
    env.set("progress__watermark_valid", 0)
    env.set("progress__retired", 1)
    await rig.beats(len(model.beats))
    await rig.finish()


@cocotb.test()
async def gives_a_beat_a_cycle(dut: Any) -> None:
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    starts = []
    for number in range(8):
        starts.append(len(model.beats))
        rows, columns, channels = [(4, 5, 16), (3, 7, 8), (2, 9, 13), (1, 6, 40)][number % 4]
        model.add(linear(env, 1003 * number, rows, columns, channels))
    latency = 2 + config_of(env).memory_latency   # and that of the memory system
    rig = Rig(env, model, bytes_, 0.0, 0.0, (latency, latency), 0.0)
    rig.source.send(model.instructions)
    await rig.beats(len(model.beats))
    await rig.finish()
    for first, end in zip(starts, [*starts[1:], len(model.beats)], strict=True):
        address, count = model.beats[first]
        extra = int(address // model.size != (address + count - 1) // model.size)
        cycles = rig.sink.cycles[end - 1] - rig.sink.cycles[first]
        check(cycles, end - 1 - first, "cycles of a tensor")
        if first:
            idle = rig.sink.cycles[first] - rig.sink.cycles[first - 1] - 1
            assert idle <= 3 + extra, f"{idle} idle cycles before a tensor"
    cover("full_rate")


@cocotb.test()
async def counts_as_far_as_its_fields(dut: Any) -> None:
    """Many rows, many pixels, many blocks."""
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    one = {**linear(env, random_address(env), 1, 1, 1), "operand_pixel_pitch": 3, "block_width": 2}
    model.add({**one, "ofm_rows": 2049 + env.rng.randrange(1024), "operand_row_pitch": 1 << 13})
    model.add({**one, "ofm_columns": 1025 + env.rng.randrange(512)})
    model.add({**one, "blocks": 1025 + env.rng.randrange(512)})
    rig = Rig(env, model, bytes_, 0.0, 0.0, (1, 1), 0.0)
    rig.source.send(model.instructions)
    got = await rig.beats(len(model.beats))
    check(got, [tuple(bytes_[a + k] for k in range(n)) for a, n in model.beats], "beats")
    await rig.finish()
    cover("large_counts")


@cocotb.test()
async def runs_ahead_of_the_post_unit(dut: Any) -> None:
    """With nobody taking beats it reads as many words as 16 beats need, and no more."""
    env = await start(dut, BENCH)
    model, bytes_ = Model(env), TestMemory(env)
    model.add(linear(env, 0, 8, 8, 24))
    rig = Rig(env, model, bytes_, 0.0, 0.0, (1, 1), 1.0)
    rig.source.send(model.instructions)
    await env.cycles(200)
    words = max(3, -(-16 * model.lanes // model.size))
    assert words - 1 <= len(rig.port.addresses) <= words + 1, f"{len(rig.port.addresses)} words"
    check(env.get("idle"), 0, "idle")
    cover("runs_ahead")
