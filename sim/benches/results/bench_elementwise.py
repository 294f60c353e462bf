"""Bench of the tables: lookups, pairs of entries, and a bank written while the other is read."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.serial_config import SERIAL

PHASES = 5
LATENCY = 1
CONFIGS = {
    "eight_lanes": PRESETS["base"],
    "three_lanes": replace(PRESETS["base"], requant_lanes=3, out_lanes=6, dot_width=8,
                           phase_windows=False, weight_chunks=1),
    "one_lane": SERIAL,
}


def _duts() -> list[Dut]:
    from kaniwa.hw.results.elementwise import Elementwise

    return [Dut(name, Elementwise(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("elementwise", _duts, required=[
    "add", "table", "pass", "operand_late", "output_stalled", "write_beside_values",
    "bank_0", "bank_1", "one", "both"])


def draw_tables(rng: random.Random) -> list[list[int]]:
    """Two tables whose sums fit 32 bits; whole words now and then."""
    tables = [[rng.randrange(-(1 << 30), 1 << 30) for _ in range(256)] for _ in range(2)]
    tables[0][rng.randrange(256)] = -(1 << 30)
    return tables


def entries(rng: random.Random, bank: int, tables: list[list[int]]) -> list[dict[str, Any]]:
    """The writes that fill a bank, in any order."""
    writes = []
    for index, values in enumerate(zip(*tables, strict=True)):
        both = rng.choice([0, 1])
        cover("both" if both else "one")
        # What comes for a table that is not written may be anything.
        writes += [{"table": number, "both": both, "bank": bank, "index": index,
                    "values": [v if both or n == number else rng.randrange(-(1 << 31), 1 << 31)
                               for n, v in enumerate(values)]}
                   for number in ((rng.choice([0, 1]),) if both else (0, 1))]
    rng.shuffle(writes)
    return writes


def draw_vectors(rng: random.Random, lanes: int, bank: int, count: int) -> list[dict[str, Any]]:
    vectors = []
    for _ in range(count):
        kind = rng.choice(["add", "add", "table", "pass"])
        cover(kind)
        vectors.append({
            "values": [rng.choice([-128, -1, 0, 127, rng.randrange(-128, 128)])
                       for _ in range(lanes)],
            "add": int(kind == "add"), "table": int(kind == "table"), "bank": bank,
            "tag": rng.randrange(256)})
    return vectors


def expected(vector: dict[str, Any], tables: list[list[int]],
             operands: list[list[int]]) -> dict[str, Any]:
    """The part of a result that is defined; takes the operands of an add from the list."""
    if vector["add"]:
        found = [[tables[0][a + 128], tables[1][b + 128]]
                 for a, b in zip(vector["values"], operands.pop(0), strict=True)]
        return {"tag": vector["tag"], "entries": found}
    values = vector["values"]
    if vector["table"]:
        values = [(tables[0][v + 128] + 128) % 256 - 128 for v in values]
    return {"tag": vector["tag"], "values": values}


class Streams:
    """The four streams of the device."""

    def __init__(self, env: Env, stalls: tuple[float, float, float, float]) -> None:
        from amaranth.hdl import signed
        from amaranth.lib import data

        from kaniwa.hw.results.elementwise import (
            elementwise_layout,
            elementwise_result_layout,
            table_layout,
        )

        assert env.config is not None
        lanes = env.config.requant_lanes
        self.source = Driver(env, "i", elementwise_layout(env.config), stalls[0])
        self.operand = Driver(env, "i_operand", data.ArrayLayout(signed(8), lanes), stalls[1])
        self.table = Driver(env, "i_table", table_layout(), stalls[2])
        self.sink = Monitor(env, "o", elementwise_result_layout(env.config), stalls[3])


def _same(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    check([{key: item[key] for key in want} for item, want in zip(got, wanted, strict=True)],
          wanted, "results")


@cocotb.test()
@cocotb.parametrize(stalls=[(0.0, 0.0, 0.0, 0.0), (0.4, 0.8, 0.0, 0.0), (0.0, 0.0, 0.2, 0.7),
                            (0.3, 0.3, 0.3, 0.3)])
async def looks_up_while_the_other_bank_is_written(
        dut: Any, stalls: tuple[float, float, float, float]) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    lanes, rng = env.config.requant_lanes, env.rng
    streams = Streams(env, stalls)
    cocotb.start_soon(_watch(env))
    tables = draw_tables(rng)
    streams.table.send(entries(rng, 0, tables))
    await streams.table.drain()
    for phase in range(PHASES):
        bank = phase % 2
        cover(f"bank_{bank}")
        following = draw_tables(rng)
        streams.table.send(entries(rng, 1 - bank, following))
        vectors = draw_vectors(rng, lanes, bank, 300)
        operands = [[rng.randrange(-128, 128) for _ in range(lanes)]
                    for vector in vectors if vector["add"]]
        streams.operand.send(operands)
        streams.source.send(vectors)
        got = await streams.sink.take(len(vectors))
        _same(got, [expected(v, tables, operands) for v in vectors])
        await streams.table.drain()
        tables = following


async def _watch(env: Env) -> None:
    while True:
        await env.cycles(1)
        if env.get("i_table__valid") and env.get("i__valid"):
            check(env.get("i_table__ready"), 1, "ready for an entry")
            cover("write_beside_values")
        if env.get("i__valid") and not env.get("i__ready") and not env.get("i_operand__valid"):
            cover("operand_late")
        if env.get("o__valid") and not env.get("o__ready"):
            cover("output_stalled")


@cocotb.test()
async def takes_a_vector_a_cycle(dut: Any) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    lanes, rng = env.config.requant_lanes, env.rng
    streams = Streams(env, (0.0, 0.0, 0.0, 0.0))
    tables = draw_tables(rng)
    streams.table.send(entries(rng, 1, tables))
    await streams.table.drain()
    vectors = draw_vectors(rng, lanes, 1, 200)
    operands = [[rng.randrange(-128, 128) for _ in range(lanes)]
                for vector in vectors if vector["add"]]
    streams.operand.send(operands)
    await env.cycles(1)
    streams.source.send(vectors)
    got = await streams.sink.take(len(vectors))
    _same(got, [expected(v, tables, operands) for v in vectors])
    check([b - a for a, b in zip(streams.source.cycles, streams.sink.cycles, strict=True)],
          [LATENCY] * len(vectors), "latency")
    check(streams.sink.cycles[-1] - streams.sink.cycles[0], len(vectors) - 1, "cycles")
