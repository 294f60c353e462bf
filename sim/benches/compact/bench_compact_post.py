"""Bench of the compact post unit: random instructions, each byte and its place in memory."""

from __future__ import annotations

import itertools
import random
from typing import Any

import cocotb

from kaniwa.sim.benches.compact.compact_ports import CONFIGS, WordServer, begin, draw_fields
from kaniwa.sim.benches.results.bench_requantizer import requantize
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec

KINDS = ("plain", "add", "table")


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.post import CompactPost

    return [Dut(name, CompactPost(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_post", _duts, required=[
    *KINDS, "narrow_last_block", "several_blocks", "several_rows", "write_stalled",
    "results_late", "pace"])


def draw_instruction(env: Env, kind: str) -> dict[str, int]:
    """Settings, loops and places of an instruction whose bytes lie within memory."""
    assert env.config is not None
    config, rng = env.config, env.rng
    f = draw_fields(config, rng)
    width = rng.randint(1, config.out_lanes)
    blocks = rng.randint(1, 2)
    last = rng.choice([width, rng.randint(1, width)])
    channels = (blocks - 1) * width + last
    columns, rows = rng.randint(1, 3), rng.randint(1, 3)
    size = config.memory_bytes // 2
    pixel, row = rng.randint(channels, 40), rng.randint(channels, 400)
    reach = (rows - 1) * row + (columns - 1) * pixel + channels
    f |= {"add": int(kind == "add"), "table": int(kind == "table"), "block_width": width,
          "last_width": last, "blocks": blocks, "ofm_columns": columns, "ofm_rows": rows,
          "ofm_row_pitch": row, "ofm_pixel_pitch": pixel,
          "ofm_address": rng.randrange(size - reach),
          "operand_row_pitch": row + 1, "operand_pixel_pitch": pixel + 1,
          "operand_address": size + rng.randrange(size - reach - rows * columns - rows - columns),
          "add_multiplier": rng.getrandbits(29)}
    for low, high in (("act_min", "act_max"), ("add_min", "add_max")):
        f[low], f[high] = sorted((f[low], f[high]))
    cover(kind)
    if last < width:
        cover("narrow_last_block")
    if blocks > 1:
        cover("several_blocks")
    if rows > 1:
        cover("several_rows")
    return f


def scale(rng: random.Random) -> tuple[int, int]:
    """Multiplier and shift that bring values of 20 bits about to int8."""
    return (1 << 28) + rng.randrange(1 << 28), rng.randint(38, 44)


class Expected:
    """The streams into an instruction, and the bytes that must come out of it."""

    def __init__(self, env: Env, f: dict[str, int], memory: list[int]) -> None:
        assert env.config is not None
        rng, config = env.rng, env.config
        count = (f["blocks"] - 1) * f["block_width"] + f["last_width"]
        f["add_shift"] = rng.randint(38, 44)
        self.records = [dict(zip(("multiplier", "shift"), scale(rng), strict=True))
                        | {"bias": rng.randrange(-(1 << 18), 1 << 18)} for _ in range(count)]
        self.tables = [[rng.randrange(-(1 << 18), 1 << 18) for _ in range(256)] for _ in range(2)]
        self.results: list[list[int]] = []
        self.bytes: list[tuple[int, int]] = []
        for y in range(f["ofm_rows"]):
            for x in range(f["ofm_columns"]):
                channel = 0
                for block in range(f["blocks"]):
                    result = [rng.randrange(-(1 << 18), 1 << 18) for _ in range(config.out_lanes)]
                    self.results.append(result)
                    last = block == f["blocks"] - 1
                    for lane in range(f["last_width"] if last else f["block_width"]):
                        self._byte(config.multiplier_bits, f, y, x, channel, result[lane], memory)
                        channel += 1

    def _byte(self, bits: int, f: dict[str, int], y: int, x: int, channel: int, result: int,
              memory: list[int]) -> None:
        record = self.records[channel]
        value = requantize(
            (result + record["bias"], record["multiplier"] & (1 << bits) - 1, record["shift"]),
            {"rounding": f["rounding"], "zero_point": f["zero_point"], "low": f["act_min"],
             "high": f["act_max"]}, bits)
        if f["table"]:
            value = self.tables[0][value + 128]
        elif f["add"]:
            place = (f["operand_address"] + y * f["operand_row_pitch"]
                     + x * f["operand_pixel_pitch"] + channel)
            operand = memory[place] - 256 * (memory[place] >> 7)
            total = self.tables[0][value + 128] + self.tables[1][operand + 128]
            value = requantize(
                (total, f["add_multiplier"] & (1 << bits) - 1, f["add_shift"]),
                {"rounding": f["add_rounding"], "zero_point": f["add_zero_point"],
                 "low": f["add_min"], "high": f["add_max"]}, bits)
        address = (f["ofm_address"] + y * f["ofm_row_pitch"] + x * f["ofm_pixel_pitch"] + channel)
        self.bytes.append((address, value & 255))


async def give_streams(env: Env, expected: Expected) -> None:
    """The tables and the records, each entry in one cycle."""
    from kaniwa.hw.interfaces import parameter_layout

    pack = codec(parameter_layout())[0]
    for number, table in enumerate(expected.tables):
        # The entry counter begins anew with an instruction, and after 256 of them.
        for value in table:
            env.set("table", number)
            env.set("record", pack({"bias": value}))
            env.set("entry_valid", 1)
            await env.cycles(1)
            env.set("entry_valid", 0)
    for record in expected.records:
        env.set("record", pack(record))
        env.set("record_valid", 1)
        await env.cycles(1)
        env.set("record_valid", 0)


async def give_results(env: Env, results: list[list[int]], stall: float) -> None:
    """The results, the next ones when there is a place."""
    from kaniwa.hw.interfaces import result_layout

    pack = codec(result_layout(env.config))[0]
    for number, result in enumerate(results):
        while stall and env.rng.random() < stall:
            cover("results_late")
            await env.cycles(1)
        env.set("results", pack(result))
        env.set("results_valid", 1)
        await env.cycles(1)
        env.set("results_valid", 0)
        while number < len(results) - 1:
            taken = env.get("taken")
            await env.cycles(1)
            if taken:
                break


def check_pace(requant: int, kind: str, cycles: list[int]) -> None:
    """Bytes come as the requantizer takes their values; an ADD's from the third one on, but that
    its last one has no first value beside it."""
    paces = [after - before for before, after in itertools.pairwise(cycles)]
    if kind != "add":
        check(paces, [requant + 1] * len(paces), "pace")
    elif len(paces) > 3:
        check(paces[2:-1], [2 * requant + 3] * (len(paces) - 3), "pace")
        cover("pace")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def bytes_equal_model(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    memory = [rng.randrange(256) for _ in range(config.memory_bytes + 8)]
    WordServer(env, "operand", lambda word: int.from_bytes(
        bytes(memory[8 * word:8 * word + 8]), "little"), stall)
    for number in range(12):
        kind = KINDS[number % 3]
        f = draw_instruction(env, kind)
        expected = Expected(env, f, memory)
        await begin(env, f)
        await give_streams(env, expected)
        cocotb.start_soon(give_results(env, expected.results, stall))
        got, cycles = [], []
        for _ in range(20000):
            ready = int(rng.random() >= stall)
            env.set("write__ready", ready)
            await env.cycles(1)
            if env.get("write__valid"):
                if ready:
                    got.append((env.get("write__address"), env.get("write__byte")))
                    cycles.append(env.cycle)
                else:
                    cover("write_stalled")
            if len(got) == len(expected.bytes):
                break
        check(got, expected.bytes, f"bytes of {f}")
        env.set("write__ready", 0)
        await env.cycles(2)
        check(env.get("active"), 0, "active")
        if not stall:
            check_pace(config.requant_cycles, kind, cycles)
