"""Store DMA against a model that groups the results' bytes into words by their addresses."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import (
    WriteServer,
    beats_in_order,
    config_of,
    odd,
    random_address,
)
from kaniwa.sim.worlds.serial_config import SERIAL


def _duts() -> list[Dut]:
    from kaniwa.hw.results.store_dma import StoreDma

    configs = [SERIAL, PRESETS["base"], odd(),
               odd(requant_lanes=3, write_bytes=4, name="three")]
    return [Dut(c.name, StoreDma(c), config=c) for c in configs]


BENCH = Bench("store_dma", _duts, required=[
    "beat_crosses_words", "word_of_many_beats", "partial_beat", "partial_word", "gap_in_word",
    "jump_to_crossing_beat", "one_beat_instruction", "shared_word_between_instructions",
    "watermark_mid_word", "watermark_valid", "watermark_behind", "by_block", "stalled", "full_rate",
    "large_counts"])


class Model:
    """The words and retirements that instructions must give, made from their loops."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.lanes = config_of(env).requant_lanes
        self.size = config_of(env).write_bytes
        self.beats: list[dict[str, Any]] = []
        self.words: list[tuple[int, dict[int, int]]] = []  # instruction, {address: byte}
        self.ascending: list[bool] = []   # for each word: no byte below one of its comes later
        self.ahead: list[int] = []        # and the lowest address from it on
        self.instructions: list[dict[str, int]] = []

    def add(self, values: dict[str, int]) -> None:
        """Append an instruction with random results."""
        rng, number = self.env.rng, len(self.instructions)
        self.instructions.append(values)
        word: dict[int, int] = {}
        beats = 0
        late: set[int] = set()   # addresses in the word that are above bytes still to come
        for address, count, ascending in beats_in_order(values, "ofm", self.lanes):
            data = [rng.randrange(-128, 128) for _ in range(self.lanes)]
            self.beats.append({"values": data, "count": count})
            beats += 1
            crosses = address // self.size != (address + count - 1) // self.size
            if crosses:
                cover("beat_crosses_words")
            if crosses and word and address // self.size != max(word) // self.size:
                cover("jump_to_crossing_beat")
            if count < self.lanes:
                cover("partial_beat")
            for k in range(count):
                if word and (address + k) // self.size != max(word) // self.size:
                    self._close(number, word, ascending=not late)
                    word, late = {}, set()
                word[address + k] = data[k] & 255
                if not ascending:
                    late.add(address + k)
            if not (address + count) % self.size:   # a word that was filled takes no more bytes
                self._close(number, word, ascending=not late)
                word, late = {}, set()
        if word:
            self._close(number, word, ascending=not late)
        lowest, ahead = 1 << 32, []
        for owner, word in reversed(self.words):
            if owner == number:
                lowest = min(lowest, *word)
                ahead.append(lowest)
        self.ahead += reversed(ahead)
        if beats == 1:
            cover("one_beat_instruction")

    def _close(self, number: int, word: dict[int, int], ascending: bool) -> None:
        if self.words and self.words[-1][0] != number and (
                max(self.words[-1][1]) // self.size == min(word) // self.size):
            cover("shared_word_between_instructions")
        if len(word) > self.lanes:
            cover("word_of_many_beats")
        if len(word) < self.size:
            cover("partial_word")
        if max(word) - min(word) >= len(word):
            cover("gap_in_word")
        self.words.append((number, word))
        self.ascending.append(ascending)

    def expected(self) -> list[tuple[int, int, int]]:
        """The words as (address, mask, masked data)."""
        items = []
        for _, word in self.words:
            base = min(word) // self.size * self.size
            items.append((base, sum(1 << (a - base) for a in word),
                          sum(value << 8 * (a - base) for a, value in word.items())))
        return items


class Observer:
    """Checks every output but the writes themselves at every clock edge."""

    def __init__(self, env: Env, model: Model, instructions: Driver) -> None:
        self.env, self.model, self.instructions = env, model, instructions
        self.written = 0  # words accepted before this edge
        self.retired = self.held_back = 0

    def __call__(self) -> None:
        """Called at each edge, before the words accepted at it are counted."""
        env, words = self.env, self.model.words
        count = len(self.model.instructions)
        owner = words[self.written][0] if self.written < len(words) else count
        retired = env.get("progress__retired")
        assert retired == owner, f"retired {retired}, expected {owner}"
        assert env.get("progress__retire") == int(owner != self.retired), "retire is not a pulse"
        if owner != self.retired:
            tag = self.model.instructions[owner - 1]["tag"]
            assert env.get("retire_tag") == tag, f"tag {env.get('retire_tag')}, expected {tag}"
        self.retired = owner
        assert env.get("stalled") == self.held_back, "stalled"
        self.held_back = env.get("i__valid") & ~env.get("i__ready")
        if self.held_back:
            cover("stalled")
        begun = sum(cycle < env.cycle for cycle in self.instructions.cycles[owner:])
        assert env.get("idle") == int(not begun), "idle"
        begun = 0 < self.written < len(words) and words[self.written - 1][0] == owner
        may_be = begun and self.model.instructions[owner]["store_in_order"]
        valid = env.get("progress__watermark_valid")
        moves = begun and self.model.ascending[self.written - 1]
        assert valid <= may_be and (valid or not (may_be and moves)), "watermark_valid"
        if valid:
            watermark, ahead = env.get("progress__watermark"), self.model.ahead[self.written]
            reached = max(words[self.written - 1][1]) if moves else -1
            assert reached < watermark <= ahead, f"{watermark} not in {reached + 1}..{ahead}"
            cover("watermark_valid")
            if not moves:
                cover("watermark_behind")
            if watermark % self.model.size:
                cover("watermark_mid_word")

    def wrote(self, item: dict[str, int]) -> None:
        """Count a word that was accepted."""
        self.written += 1


def linear(env: Env, address: int, rows: int, columns: int, channels: int) -> dict[str, int]:
    """An instruction whose results lie without gaps."""
    width = config_of(env).out_lanes
    blocks = -(-channels // width)
    return {"mode": Mode.DENSE, "ofm_rows": rows, "ofm_columns": columns, "blocks": blocks,
            "block_width": width,
            "last_width": channels - (blocks - 1) * width, "store_in_order": 1,
            "tag": env.rng.randrange(1024), "ofm_address": address,
            "ofm_row_pitch": columns * channels, "ofm_pixel_pitch": channels}


def spread(env: Env, address: int) -> dict[str, int]:
    """An instruction of random shape with gaps between pixels and rows."""
    rng, config = env.rng, config_of(env)
    width = rng.choice([config.out_lanes, config.depthwise_lanes, rng.randint(1, 12)])
    blocks = rng.choice([1, 1, 2, 3])
    last = rng.randint(1, width)
    channels = (blocks - 1) * width + last
    pixel = channels + rng.choice([0, 0, 1, rng.randint(0, 40)])
    columns = rng.randint(1, 6)
    if rng.random() < 0.1:
        pixel += rng.randrange(1 << 15)
    row = columns * pixel + rng.choice([0, rng.randint(0, 40), rng.randrange(1 << 21)])
    mode = rng.choice([Mode.DENSE, Mode.COLUMN])
    if mode == Mode.COLUMN and blocks > 1:
        cover("by_block")
    return {"mode": mode, "ofm_rows": rng.randint(1, 4), "ofm_columns": columns, "blocks": blocks,
            "block_width": width, "last_width": last, "store_in_order": rng.randrange(2),
            "tag": rng.randrange(1024), "ofm_address": address,
            "ofm_row_pitch": row, "ofm_pixel_pitch": pixel}


def connect(env: Env, model: Model, stall: float = 0.0,
            memory_stall: float = 0.0) -> tuple[Driver, Driver, WriteServer]:
    """Instructions, beats and memory at the ports."""
    from kaniwa.hw.interfaces import beat_layout, unit_layout, write_port

    layout = write_port(config_of(env)).members["request"].signature.members["payload"].shape
    instructions = Driver(env, "i_instruction", unit_layout("store", config_of(env)), stall)
    observer = Observer(env, model, instructions)
    port = WriteServer(env, "memory", layout, observer.wrote, memory_stall, observer)
    beats = Driver(env, "i", beat_layout(config_of(env)), stall)
    return instructions, beats, port


def random_instruction(env: Env, address: int) -> dict[str, int]:
    """One of the kinds: without gaps, a single beat, with gaps."""
    rng, kind = env.rng, env.rng.randrange(4)
    if kind == 0:
        return linear(env, address, rng.randint(1, 3), rng.randint(1, 8), rng.randint(1, 40))
    if kind == 1:
        return linear(env, address, 1, 1, rng.randint(1, config_of(env).requant_lanes))
    return spread(env, address)


async def finish(env: Env, model: Model, port: WriteServer) -> None:
    """Wait for all words, compare them, and see that nothing follows."""
    await port.wait(len(model.words))
    for _ in range(8):
        await env.cycles(1)
    spread_mask = [sum(255 << 8 * i for i in range(model.size) if item["mask"] >> i & 1)
                   for item in port.items]
    check([(item["address"], item["mask"], item["data"] & bits)
           for item, bits in zip(port.items, spread_mask, strict=True)], model.expected(), "words")
    check(env.get("progress__retired"), len(model.instructions), "retired")
    check(env.get("idle"), 1, "idle")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], memory_stall=[0.0, 0.3, 0.8])
async def words_equal_model(dut: Any, stall: float, memory_stall: float) -> None:
    env = await start(dut, BENCH)
    model = Model(env)
    address = random_address(env)
    for _ in range(20):
        model.add(random_instruction(env, address))
        address = max(model.words[-1][1]) + 1 + env.rng.choice([0, 0, 1, 5, 33])
    instructions, beats, port = connect(env, model, stall, memory_stall)
    instructions.send(model.instructions)
    beats.send(model.beats)
    await finish(env, model, port)


@cocotb.test()
async def retires_without_a_successor(dut: Any) -> None:
    """Each instruction alone, so that nothing pushes its last word out."""
    env = await start(dut, BENCH)
    model = Model(env)
    instructions, beats, port = connect(env, model)
    for _ in range(30):
        first = len(model.beats)
        model.add(random_instruction(env, random_address(env)))
        instructions.send(model.instructions[-1:])
        beats.send(model.beats[first:])
        await port.wait(len(model.words), 1000)
    await finish(env, model, port)


@cocotb.test()
async def counts_as_far_as_its_fields(dut: Any) -> None:
    """Many rows, many pixels, many blocks, many instructions."""
    env = await start(dut, BENCH)
    model = Model(env)
    one = {**linear(env, random_address(env), 1, 1, 1), "ofm_pixel_pitch": 3, "block_width": 2}
    model.add({**one, "ofm_rows": 4097 + env.rng.randrange(2048), "ofm_row_pitch": 1 << 13})
    model.add({**one, "ofm_columns": 4097 + env.rng.randrange(2048)})
    model.add({**one, "blocks": 2049 + env.rng.randrange(1024)})
    for _ in range(600):
        model.add(one)
    instructions, beats, port = connect(env, model)
    instructions.send(model.instructions)
    beats.send(model.beats)
    await finish(env, model, port)
    cover("large_counts")


@cocotb.test()
async def takes_a_beat_a_cycle(dut: Any) -> None:
    env = await start(dut, BENCH)
    model = Model(env)
    starts, base = [], random_address(env)
    for number in range(12):
        starts.append(len(model.beats))
        rows, columns, channels = [(4, 5, 16), (3, 7, 8), (2, 9, 13), (1, 6, 40)][number % 4]
        model.add(linear(env, base + 1003 * number, rows, columns, channels))
    instructions, beats, port = connect(env, model)
    instructions.send(model.instructions)
    beats.send(model.beats)
    await finish(env, model, port)
    for first, end in zip(starts, [*starts[1:], len(model.beats)], strict=True):
        check(beats.cycles[end - 1] - beats.cycles[first], end - 1 - first, "cycles of a tensor")
        if first:
            assert beats.cycles[first] - beats.cycles[first - 1] <= 3, "idle cycles between"
    assert port.cycles[-1] - beats.cycles[-1] <= 3, "latency of the last word"
    cover("full_rate")


@cocotb.test()
async def jumps_cost_a_cycle_at_most(dut: Any) -> None:
    env = await start(dut, BENCH)
    model = Model(env)
    model.add({**linear(env, 1, 4, 8, config_of(env).requant_lanes), "ofm_pixel_pitch": 67,
               "ofm_row_pitch": 1000})
    instructions, beats, port = connect(env, model)
    instructions.send(model.instructions)
    beats.send(model.beats)
    await finish(env, model, port)
    assert beats.cycles[-1] - beats.cycles[0] <= 2 * len(model.beats), "cycles"
