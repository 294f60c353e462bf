"""Load DMA against a model of the line buffer's ring: words, positions, room and dependencies."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.memory_ports import (
    Producer,
    ReadServer,
    Stalls,
    TestMemory,
    config_of,
    odd,
    random_address,
)
from kaniwa.sim.worlds.serial_config import SERIAL


def _duts() -> list[Dut]:
    from kaniwa.hw.activations.load_dma import LoadDma

    configs = [SERIAL, PRESETS["base"], odd(),
               odd(out_lanes=16, dot_width=16, ring_bytes=512, read_bytes=32, line_bytes=1024,
                   name="wide")]
    return [Dut(c.name, LoadDma(c), config=c) for c in configs]


BENCH = Bench("load_dma", _duts, required=[
    "misaligned_row", "misalignment_differs", "one_word_row", "gap_in_slot", "ring_full",
    "position_wraps", "freed_ahead", "waits_for_watermark", "waits_for_retired",
    "held_at_watermark", "row_end_below_word_end", "many_in_flight", "full_rate",
    "slot_of_lanes"])


@dataclass(frozen=True)
class Word:
    """A word on its way: where it comes from, what of it the row needs, where it goes."""

    address: int
    needed: int  # bytes up to here must be in memory
    position: int
    end: int     # what ``loaded`` is after it (not wrapped)
    row_end: int  # end of its row's slot (not wrapped)


class Model:
    """The words that instructions must load, in order."""

    def __init__(self, env: Env) -> None:
        self.env, self.size, self.base = env, config_of(env).read_bytes, 0
        self.instructions: list[dict[str, int]] = []
        self.words: list[Word] = []
        self.ends: list[int] = []  # words up to the end of each instruction

    def add(self, values: dict[str, int]) -> None:
        """Append an instruction."""
        self.instructions.append(values)
        offsets = set()
        for row in range(values["ifm_rows"]):
            first = values["ifm_address"] + row * values["ifm_pitch"]
            row_bytes_end = first + values["ifm_row_bytes"]
            aligned = first // self.size * self.size
            offsets.add(first - aligned)
            slot_end = self.base + values["line_pitch"]
            addresses = range(aligned, row_bytes_end, self.size)
            for k, address in enumerate(addresses):
                last = k == len(addresses) - 1
                position = self.base + k * self.size
                self.words.append(Word(
                    address, min(address + self.size, row_bytes_end), position,
                    slot_end if last else position + self.size, slot_end))
            if first != aligned:
                cover("misaligned_row")
            if len(addresses) == 1:
                cover("one_word_row")
            if len(addresses) * self.size < values["line_pitch"]:
                cover("gap_in_slot")
            self.base = slot_end
        self.ends.append(len(self.words))
        if len(offsets) > 1:
            cover("misalignment_differs")


class Rig:
    """Instructions, memory and line buffer at the ports; checks every word that is written.

    ``pace`` is the chance in a cycle that a row is freed, by the rules of an array with a stride:
    now and then rows are freed that are not loaded yet. 0: nothing is freed but by hand.
    """

    def __init__(self, env: Env, model: Model, memory: TestMemory, stall: float,
                 memory_stall: float, latency: tuple[int, int], pace: float) -> None:
        from kaniwa.hw.activations.load_dma import line_write_layout
        from kaniwa.hw.interfaces import line_position_bits, unit_layout

        self.env, self.model, self.memory, self.pace = env, model, memory, pace
        self.mask = (1 << line_position_bits(config_of(env))) - 1
        self.port = ReadServer(env, "memory", lambda a: memory.word(a, model.size), memory_stall,
                               latency)
        self.sink = Monitor(env, "o", line_write_layout(config_of(env)))
        self.source = Driver(env, "i_instruction", unit_layout("load", config_of(env)), stall)
        self.source.send(model.instructions)
        self.freed = self.count = 0
        self.waits = any(values.get("ifm_wait") for values in model.instructions)
        self._task = cocotb.start_soon(self._watch())

    def free(self, position: int) -> None:
        """Let the ring go up to ``position``."""
        self.freed = position
        self.env.set("level__freed", position & self.mask)

    async def _watch(self) -> None:
        """Check ``loaded`` and the ring's room at every edge, and free rows."""
        env, words, line = self.env, self.model.words, config_of(self.env).line_bytes
        ends = list(dict.fromkeys(w.row_end for w in words))
        loaded = 0
        while True:
            await env.cycles(1)
            begun = bisect_left(self.source.cycles, env.cycle)
            due = self.model.ends[begun - 1] if begun else 0
            assert env.get("idle") == int(self.count == due), "idle"
            if not self.waits:
                assert not env.get("dependency"), "dependency without a wait"
            assert env.get("level__loaded") == loaded & self.mask, (
                f"loaded after {self.count} words")
            if env.get("o__valid"):
                word = words[self.count]
                assert env.get("o__payload") & self.mask == word.position & self.mask, (
                    f"word {self.count} at {env.get('o__payload') & self.mask}, "
                    f"expected {word.position & self.mask}")
                assert word.end - self.freed <= line, f"word {self.count} overruns the ring"
                self.count += 1
                loaded = word.end
                if loaded > self.mask:
                    cover("position_wraps")
                if loaded - self.freed > line - self.model.size:
                    cover("ring_full")
            while ends and ends[0] <= self.freed:
                ends.pop(0)
            if ends and self.pace and env.rng.random() < self.pace:
                ahead = env.rng.random() < 0.1 and ends[0] - loaded < line // 2
                if loaded >= ends[0] or ahead:
                    if loaded < ends[0]:
                        cover("freed_ahead")
                    self.free(ends[0])

    async def finish(self, contents: TestMemory | dict[int, int], timeout: int = 100000) -> None:
        """Wait for all words, compare them with the contents of memory."""
        words, size = self.model.words, self.model.size
        got = await self.sink.take(len(words), timeout)
        await self.env.cycles(8)
        check([w["data"] if not isinstance(contents, dict) else self._real(w["data"], word)
               for w, word in zip(got, words, strict=True)],
              [contents.word(w.address, size) if not isinstance(contents, dict)
               else self._real(self._final(contents, w), w) for w in words], "data")
        check(self.port.addresses, [w.address for w in words], "addresses")
        check(self.count, len(words), "words")
        check(self.env.get("idle"), 1, "idle")
        check(self.env.get("dependency"), 0, "dependency")
        if self.port.most_in_flight >= 8:
            cover("many_in_flight")

    def _final(self, contents: dict[int, int], word: Word) -> int:
        return sum(contents.get(word.address + i, 0) << 8 * i for i in range(self.model.size))

    def _real(self, data: int, word: Word) -> int:
        """Only the bytes that the row needs; a row's start in the word is left to its position."""
        return data & (1 << 8 * (word.needed - word.address)) - 1


def instruction(env: Env, address: int) -> dict[str, int]:
    """Random rows that fit the ring, a few at a time."""
    rng, size, line = env.rng, config_of(env).read_bytes, config_of(env).line_bytes
    row_bytes = rng.choice([rng.randint(1, 3 * size), rng.randint(1, line // 3)])
    pitch = row_bytes + rng.choice([0, 0, 1, rng.randint(0, 50), rng.randrange(1 << 22)])
    slot = -(-(row_bytes + size - 1) // size) * size
    slot += rng.choice([0, 0, size, rng.randrange(4) * config_of(env).lane_bytes])
    if slot % size:
        cover("slot_of_lanes")
    return {"ifm_watermark": 0, "ifm_wait": 0, "ifm_address": address, "ifm_pitch": pitch,
            "ifm_rows": rng.randint(1, 10), "line_pitch": slot, "ifm_row_bytes": row_bytes}


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5], pace=[0.02, 0.5],
                    memory=[(0.0, (1, 1)), (0.0, (20, 30)), (0.6, (1, 9))])
async def words_equal_model(dut: Any, stall: float, pace: float, memory: Stalls) -> None:
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    address = random_address(env)
    for _ in range(12 if config_of(env).line_bytes < 4096 else 4):
        model.add(instruction(env, address))
        address += env.rng.randrange(5000)
    rig = Rig(env, model, contents, stall, *memory, pace)
    await rig.finish(contents)


@cocotb.test()
async def positions_wrap(dut: Any) -> None:
    """More than the position counter holds, in rows as long as a third of the ring."""
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    row_bytes = config_of(env).line_bytes // 3 // model.size * model.size
    model.add({"ifm_address": 0, "ifm_pitch": row_bytes, "ifm_rows": 14, "line_pitch": row_bytes,
               "ifm_row_bytes": row_bytes})
    rig = Rig(env, model, contents, 0.0, 0.0, (1, 1), 0.3)
    await rig.finish(contents)


@cocotb.test()
async def fills_the_ring_and_no_more(dut: Any) -> None:
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    size, line = config_of(env).read_bytes, config_of(env).line_bytes
    for _ in range(3):
        model.add({"ifm_address": 5, "ifm_pitch": 3 * size + 1, "ifm_rows": line // size,
                   "line_pitch": 5 * size, "ifm_row_bytes": 3 * size})
    rig = Rig(env, model, contents, 0.0, 0.0, (2, 2), 0.0)
    for freed in [0, 5 * size, 10 * size, 20 * size]:
        rig.free(freed)
        await env.cycles(line // size + 40)
        fits = sum(1 for _ in filter(lambda w: w.end <= freed + line, model.words))
        check(rig.count, fits, f"words loaded when {freed} is freed")
        check(env.get("dependency"), 0, "dependency")
    rig.pace = 0.2
    await rig.finish(contents)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], pace=[0.05, 0.9])
async def waits_for_the_producer(dut: Any, stall: float, pace: float) -> None:
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    first, base = env.rng.randrange(1 << 16) - 8 & 0xFFF7, random_address(env)
    producer = Producer(env, contents, pace, first)
    env.set("progress__retired", first)
    for number in range(8):
        values = instruction(env, base + 20000 * number + env.rng.randrange(64))
        values["ifm_rows"] = min(values["ifm_rows"], 3)
        values["ifm_row_bytes"] = min(values["ifm_row_bytes"], 200)
        values["ifm_pitch"] = values["ifm_row_bytes"] + env.rng.randrange(3)
        values["ifm_wait"] = first + number + 1
        values["ifm_watermark"] = env.rng.randrange(2)
        model.add(values)
        in_order = env.rng.randrange(2)
        producer.add(values["ifm_address"], model.words[-1].needed, bool(in_order))
        cover("waits_for_watermark" if in_order and values["ifm_watermark"]
              else "waits_for_retired")
    rig = Rig(env, model, contents, stall, stall, (1, 4), 0.5)
    producer.begin()
    for word in model.words:  # bytes before a row are read, but never used
        for address in range(word.address, word.needed):
            contents[address] = producer.final.setdefault(address, 0)
    for address in producer.tensor_bytes():
        contents[address] = producer.final[address] ^ 0xA5
    await rig.finish(producer.final)


@cocotb.test()
async def reads_up_to_the_watermark(dut: Any) -> None:
    """At a frozen watermark it loads what ends below it; the last word only to the row's end."""
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    size = config_of(env).read_bytes
    model.add({"ifm_address": 3, "ifm_pitch": 2 * size + 3, "ifm_rows": 3, "line_pitch": 4 * size,
               "ifm_row_bytes": 2 * size + 1, "ifm_wait": 7, "ifm_watermark": 1})
    rig = Rig(env, model, contents, 0.0, 0.0, (1, 1), 0.0)
    env.set("progress__retired", 6)
    await env.cycles(20)
    check(len(rig.port.addresses), 0, "requests before the watermark is valid")
    check(env.get("dependency"), 1, "dependency")
    env.set("progress__watermark_valid", 1)
    for watermark in range(0, model.words[-1].needed + 1):
        env.set("progress__watermark", watermark)
        await env.cycles(14)
        check(rig.count, sum(w.needed <= watermark for w in model.words), f"words at {watermark}")
        check(env.get("dependency"), int(rig.count < len(model.words)), "dependency")
    cover("held_at_watermark")
    if model.words[-1].needed % size:
        cover("row_end_below_word_end")
    await rig.finish(contents)


@cocotb.test()
@cocotb.parametrize(latency=[1, 3, 8])
async def loads_a_word_a_cycle(dut: Any, latency: int) -> None:
    env = await start(dut, BENCH)
    model, contents = Model(env), TestMemory(env)
    size, line = config_of(env).read_bytes, config_of(env).line_bytes
    starts = []
    for number in range(6):
        starts.append(len(model.words))
        words = [1, 2, 3, 1, 4, 2][number]
        rows = max(1, line // size // 8 // words)
        model.add({"ifm_address": 1000 * number + 3, "ifm_pitch": 7 * size + 1, "ifm_rows": rows,
                   "line_pitch": size * (words + 1), "ifm_row_bytes": words * size})
    rig = Rig(env, model, contents, 0.0, 0.0, (latency, latency), 1.0)
    await rig.finish(contents)
    for first, end in zip(starts, [*starts[1:], len(model.words)], strict=True):
        check(rig.port.cycles[end - 1] - rig.port.cycles[first], end - 1 - first, "cycles")
        if first:
            check(rig.port.cycles[first] - rig.port.cycles[first - 1], 4, "to the next tensor")
    cover("full_rate")
