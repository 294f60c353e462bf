"""Bench of the post unit: random instructions in a row, all streams stalled at random, budgets."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from operator import add, mul
from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.isa import Mode, Rounding
from kaniwa.sim.benches.results.bench_requantizer import quotient, requantize
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.serial_config import SERIAL

LATENCY = {True: 11, False: 10}  # from result to beat, with and without tables
LOOP = 11                       # cycles of a sum from its first pass to its second
BETWEEN = 3                     # cycles from the last beat of an instruction to the next beat
AFTER_ADD = 5
PAIRED = ("add", "multiply")    # kinds with an operand and a second pass
SERIAL_FILL = 7                 # beside requant_cycles: from result to beat
SERIAL_LOOP = 7                 # beside twice requant_cycles: from sum to sum

CONFIGS = {
    "eight_lanes": replace(PRESETS["base"], parameter_records=32),
    "two_lanes": replace(PRESETS["small"], parameter_records=16),
    "packed_products": replace(PRESETS["large"], parameter_records=64),
    "serial": replace(SERIAL, parameter_records=16),
    "serial_with_products": replace(SERIAL, parameter_records=16,
                                    elementwise_multiply=True),
    "four_of_twelve": AcceleratorConfig(out_lanes=12, dot_width=16, requant_lanes=4,
                                        multiplier_bits=28, parameter_records=64),
    "without_tables": replace(PRESETS["small"], elementwise=False, parameter_records=32),
}


def _duts() -> list[Dut]:
    from kaniwa.hw.results.post import Post

    return [Dut(name, Post(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("post", _duts, long=("four_of_twelve", "serial_with_products"), required=[
    *(f"{rounding.name.lower()}_{case}" for rounding in Rounding
      for case in ("tie", "negative", "positive", "saturate_low", "saturate_high")),
    "add", "multiply", "table", "plain", "add_after_add", "add_after_plain", "plain_after_add",
    "multiply_after_add", "add_after_multiply", "plain_after_multiply", "partial_block",
    "dense", "depthwise", "max_pool", "column", "store_stalled", "operand_late", "parameters_late",
    "bank_0", "bank_1", "unused_words", "ring_wraps"])


@dataclass
class Work:
    """An instruction with everything that comes in for it and the beats that must come out."""

    instruction: dict[str, int]
    words: list[list[dict[str, int]]]
    tables: list[list[int]]
    results: list[list[int]]
    operands: list[list[int]]
    beats: list[list[int]]

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The writes that fill its tables, of two an entry of each at a time."""
        return [{"table": 0, "both": int(len(values) == 2), "bank": self.instruction["table_bank"],
                 "index": index, "values": [values[0], values[-1]]}
                for index, values in enumerate(zip(*self.tables, strict=True))]


def draw_instruction(rng: random.Random, config: AcceleratorConfig, kind: str,
                     bank: int) -> dict[str, int]:
    """``kind``: add, multiply, table or plain."""
    mode = rng.choice(list(Mode))
    width = {Mode.DENSE: config.out_lanes, Mode.COLUMN: config.column_lanes}.get(
        mode, config.depthwise_lanes)
    words = -(-width // config.requant_lanes)
    last = rng.choice([width, rng.randrange(1, width + 1)])
    cover(mode.name.lower())
    cover(kind)
    if last < width:
        cover("partial_block")
    if words > -(-last // config.requant_lanes):
        cover("unused_words")
    return {
        "mode": mode, "add": int(kind in PAIRED), "multiply": int(kind == "multiply"),
        "table": int(kind == "table"), "table_bank": bank,
        "rounding": rng.randrange(4), "add_rounding": rng.randrange(4),
        "ofm_rows": rng.randrange(1, 4), "ofm_columns": rng.randrange(1, 5),
        "blocks": rng.randrange(1, min(3, config.parameter_words // words) + 1),
        "block_width": width, "last_width": last,
        **_draw_limits(rng, "zero_point", "act_min", "act_max"),
        **_draw_limits(rng, "add_zero_point", "add_min", "add_max"),
        **dict(zip(("add_multiplier", "add_shift"),
                   _draw_scale(rng, config, 15 if kind == "multiply" else 21), strict=True)),
    }


def _draw_limits(rng: random.Random, zero_point: str, low: str, high: str) -> dict[str, int]:
    least, most = rng.choice([(-128, 127), (-128, 127),
                              tuple(sorted(rng.randrange(-128, 128) for _ in range(2)))])
    return {zero_point: rng.randrange(-128, 128), low: least, high: most}


def _draw_scale(rng: random.Random, config: AcceleratorConfig, bits: int) -> tuple[int, int]:
    """A multiplier and shift that bring values of ``bits`` bits just outside int8."""
    multiplier = rng.choice([1 << rng.randrange(config.multiplier_bits),
                             rng.randrange(1 << (config.multiplier_bits - 1),
                                           1 << config.multiplier_bits)])
    return multiplier, max(0, multiplier.bit_length() + bits - rng.randrange(8, 11))


def draw_work(rng: random.Random, config: AcceleratorConfig, kind: str, bank: int,
              **fixed: int) -> Work:
    """An instruction with random data; ``fixed`` overrides fields."""
    lanes, bits = config.requant_lanes, config.multiplier_bits
    instruction = draw_instruction(rng, config, kind, bank) | fixed
    width, blocks = instruction["block_width"], instruction["blocks"]
    records = []
    for _ in range(blocks * -(-width // lanes) * lanes):
        multiplier, shift = _draw_scale(rng, config, 16)
        records.append({"bias": rng.randrange(-(1 << 14), 1 << 14),
                        "multiplier": multiplier, "shift": shift})
    words = [records[i:i + lanes] for i in range(0, len(records), lanes)]
    limit = 1 << (8 if kind == "multiply" else 20)
    tables = [[rng.choice([-limit, limit - 1, *(rng.randrange(-limit, limit) for _ in range(6))])
               for _ in range(256)] for _ in range({"table": 1, "plain": 0}.get(kind, 2))]
    work = Work(instruction, words, tables, [], [], [])
    pixels = instruction["ofm_columns"]
    row = [block for _ in range(pixels) for block in range(blocks)]
    if instruction["mode"] == Mode.COLUMN:
        row = [block for block in range(blocks) for _ in range(pixels)]
    for _ in range(instruction["ofm_rows"]):
        for block in row:
            accumulators = [_draw_accumulator(rng) for _ in range(config.out_lanes)]
            work.results.append(accumulators)
            real = instruction["last_width"] if block == blocks - 1 else width
            first_word = block * -(-width // lanes)
            for first in range(0, real, lanes):
                count = min(lanes, real - first)
                beat = [first_pass(instruction, words[first_word + first // lanes][lane],
                                   accumulators[first + lane], bits) for lane in range(count)]
                if kind == "table":
                    beat = [(tables[0][y + 128] + 128) % 256 - 128 for y in beat]
                elif kind in PAIRED:
                    operand = [rng.randrange(-128, 128) for _ in range(lanes)]
                    work.operands.append(operand)
                    combine = mul if kind == "multiply" else add
                    beat = [second_pass(instruction,
                                        combine(tables[0][y + 128], tables[1][x + 128]), bits)
                            for y, x in zip(beat, operand, strict=False)]
                work.beats.append(beat)
    return work


def _draw_accumulator(rng: random.Random) -> int:
    return rng.choice([rng.randrange(-(1 << 16), 1 << 16), rng.randrange(-(1 << 30), 1 << 30),
                       rng.randrange(-64, 65) << 10])


def first_pass(instruction: dict[str, int], record: dict[str, int], accumulator: int,
               bits: int) -> int:
    """The accumulator to int8; counts the coverage bins."""
    lane = (accumulator + record["bias"], record["multiplier"], record["shift"])
    rounding = instruction["rounding"]
    name = Rounding(rounding).name.lower()
    cover(f"{name}_{'negative' if lane[0] < 0 else 'positive'}")
    if lane[2] and lane[0] * lane[1] % (1 << lane[2]) == 1 << (lane[2] - 1):
        cover(f"{name}_tie")
    raw = quotient(lane, rounding, bits) + instruction["zero_point"]
    if raw < instruction["act_min"]:
        cover(f"{name}_saturate_low")
    if raw > instruction["act_max"]:
        cover(f"{name}_saturate_high")
    return requantize(lane, {"rounding": rounding, "zero_point": instruction["zero_point"],
                             "low": instruction["act_min"], "high": instruction["act_max"]}, bits)


def second_pass(instruction: dict[str, int], total: int, bits: int) -> int:
    """The sum to int8."""
    lane = (total, instruction["add_multiplier"], instruction["add_shift"])
    return requantize(lane, {"rounding": instruction["add_rounding"],
                             "zero_point": instruction["add_zero_point"],
                             "low": instruction["add_min"], "high": instruction["add_max"]}, bits)


class Surroundings:
    """The units around the device: streams, the parameter ring, and what the ports must say."""

    def __init__(self, env: Env, works: list[Work], stall: dict[str, float],
                 hold_results: bool = False) -> None:
        from amaranth.lib import data

        from kaniwa.hw.interfaces import beat_layout, parameter_layout, result_layout, unit_layout
        from kaniwa.hw.results.elementwise import table_layout
        from kaniwa.sim.harness.payload import codec

        assert env.config is not None
        self.env, self.config, self.works, self.stall = env, env.config, works, stall
        self.instruction = Driver(env, "i_instruction", unit_layout("post", env.config),
                                  stall.get("instruction", 0.0))
        self.results = Driver(env, "i_results", result_layout(env.config),
                              stall.get("results", 0.0))
        if env.config.elementwise:
            self.operand = Driver(env, "i_operand", beat_layout(env.config),
                                  stall.get("operand", 0.0))
            self.table = Driver(env, "i_table", table_layout())
        self.sink = Monitor(env, "o", beat_layout(env.config), stall.get("store", 0.0))
        self._pack = codec(data.ArrayLayout(parameter_layout(), env.config.requant_lanes))[0]
        self._ready_words: list[list[dict[str, int]]] = []
        self.freed = 0
        self.began = 0  # cycle in which the first beat was taken
        cocotb.start_soon(self._parameter_ring())
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._weight_stream())
        self.instruction.send([work.instruction for work in works])
        if not hold_results:
            self.send_results()
        if env.config.elementwise:
            lanes = env.config.requant_lanes
            self.operand.send([{"values": beat, "count": lanes}
                               for work in works for beat in work.operands])

    def send_results(self) -> None:
        """Queue all accumulators."""
        self.results.send([slot for work in self.works for slot in work.results])

    async def check_beats(self) -> None:
        """Wait for every beat and compare."""
        wanted = [beat for work in self.works for beat in work.beats]
        got = await self.sink.take(len(wanted))
        check([item["values"][:item["count"]] for item in got], wanted, "beats")
        await self.env.cycles(3)
        check(self.env.get("idle"), 1, "idle at the end")
        check(self.freed, sum(len(work.words) for work in self.works), "words released")

    async def _weight_stream(self) -> None:
        """Tables before parameters; tables no earlier than their bank is free."""
        for index, work in enumerate(self.works):
            if work.tables:
                cover(f"bank_{work.instruction['table_bank']}")
                while self.env.get("done") + 1 < index:
                    await self.env.cycles(1)
                self.table.send(work.entries)
                await self.table.drain()
            self._ready_words += work.words

    async def _parameter_ring(self) -> None:
        """Read data a cycle after the read; words are written while there is room.

        A word that is not written yet may be read, and is anything: no beat may be of it.
        """
        size = self.config.parameter_words
        memory: list[Any] = [None] * size
        written = 0
        while True:
            await self.env.cycles(1)
            if self.env.get("parameters__release"):
                self.freed += self.env.get("parameters__release_count")
            if self.env.get("parameters__enable"):
                word = memory[self.env.get("parameters__index") if size > 1 else 0]
                if word is not None and self.env.get("i_results__valid"):
                    self.began = self.began or self.env.cycle
                self.env.dut.parameter_data.value = self._pack(word or self._any_word())
            if (written < len(self._ready_words) and written - self.freed < size
                    and self.env.rng.random() >= self.stall.get("parameters", 0.0)):
                memory[written % size] = self._ready_words[written]
                written += 1
                if written > size:
                    cover("ring_wraps")
                self.env.set("parameters__written", written % (2 * size))
            elif self.env.get("i_results__valid") and written == self.freed:
                cover("parameters_late")

    def _any_word(self) -> list[dict[str, int]]:
        rng = self.env.rng
        return [{"bias": rng.randrange(-(1 << 31), 1 << 31), "multiplier": rng.randrange(1 << 31),
                 "shift": rng.randrange(64)} for _ in range(self.config.requant_lanes)]

    async def _watch(self) -> None:
        """done, idle and waiting_for_store, from the transfers at the ports."""
        env = self.env
        last_beats = set()
        beats = 0
        for work in self.works:
            beats += len(work.beats)
            last_beats.add(beats)
        beats = started = finished = 0
        while True:
            await env.cycles(1)
            check((env.get("done"), env.get("idle")), (finished, int(started == finished)),
                  "done, idle")
            valid, ready = env.get("o__valid"), env.get("o__ready")
            check(env.get("waiting_for_store"), int(valid and not ready), "waiting_for_store")
            if valid and not ready:
                cover("store_stalled")
            if (self.config.elementwise and not env.get("i_operand__valid")
                    and self.operand.pending and env.get("i_results__valid")):
                cover("operand_late")
            started += env.get("i_instruction__valid") and env.get("i_instruction__ready")
            if valid and ready:
                beats += 1
                finished += beats in last_beats


def draw_works(rng: random.Random, config: AcceleratorConfig, count: int) -> list[Work]:
    choice = ["plain"]
    if config.elementwise:
        choice += ["add", "table", *(["multiply"] if config.elementwise_multiply else [])]
    kinds = [rng.choice(choice) for _ in range(count)]
    works, bank = [], 0
    for before, kind in zip(["", *kinds], kinds, strict=False):
        if {before, kind} <= {"add", "multiply", "plain"}:
            cover(f"{kind}_after_{before}")
        if kind != "plain":
            bank = 1 - bank
        works.append(draw_work(rng, config, kind, bank))
    return works


STALLS: list[dict[str, float]] = [
    {},
    {"store": 0.7},
    {"operand": 0.9},
    {"parameters": 0.9},
    {"instruction": 0.5, "results": 0.5, "operand": 0.5, "parameters": 0.3, "store": 0.5},
    {"results": 0.2, "operand": 0.2, "store": 0.1},
]


@cocotb.test()
@cocotb.parametrize(stall=STALLS)
async def random_instructions_in_a_row(dut: Any, stall: dict[str, float]) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    around = Surroundings(env, draw_works(env.rng, env.config, 16), stall)
    await around.check_beats()


PAIRS = [("plain", "plain"), ("table", "plain"), ("table", "table"), ("plain", "add"),
         ("add", "plain"), ("add", "add"), ("add", "multiply"), ("multiply", "add")]


@cocotb.test()
@cocotb.parametrize(kinds=PAIRS)
async def keeps_its_pace(dut: Any, kinds: tuple[str, str]) -> None:
    """Cycles of two instructions in a row, when everything is there in time."""
    env = await start(dut, BENCH)
    assert env.config is not None
    if (not env.config.elementwise and set(kinds) != {"plain"}
            or not env.config.elementwise_multiply and "multiply" in kinds):
        return
    shape = {"ofm_rows": 3, "ofm_columns": 4, "blocks": 2, "mode": int(Mode.DENSE),
             "block_width": env.config.out_lanes, "last_width": env.config.out_lanes}
    works = [draw_work(env.rng, env.config, kind, bank, **shape)
             for bank, kind in enumerate(kinds)]
    around = Surroundings(env, works, {}, hold_results=True)
    await env.cycles(4 * 256 + 100)
    around.send_results()
    await around.check_beats()
    count, cycles = len(works[0].beats), around.sink.cycles
    pace = env.config.requant_cycles
    fill = LATENCY[env.config.elementwise] if pace == 1 else pace + SERIAL_FILL
    firsts, seconds = cycles[:count], cycles[count:]
    for kind, beats, before in ((kinds[0], firsts, None), (kinds[1], seconds, firsts[-1])):
        if kind not in PAIRED:
            check([b - a for a, b in zip(beats, beats[1:], strict=False)], [pace] * (count - 1),
                  f"cycles between {kind} beats")
            if before is None:
                check(beats[0] - around.began, fill, "latency")
        elif pace == 1:
            assert beats[-1] - beats[0] <= 2 * count - 1, f"{count} sums took {beats}"
        else:
            check([b - a for a, b in zip(beats, beats[1:], strict=False)],
                  [2 * pace + SERIAL_LOOP] * (count - 1), "cycles between sums")
    gap = seconds[0] - firsts[-1]
    limit = max(pace, BETWEEN) + (kinds[0] in PAIRED) * AFTER_ADD + (kinds[1] in PAIRED) * (
        LOOP if pace == 1 else pace + SERIAL_LOOP)
    assert gap <= limit, f"{gap} cycles between instructions, at most {limit}"
