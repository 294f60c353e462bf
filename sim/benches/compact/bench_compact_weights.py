"""Bench of the compact core's weight unit: random streams, and all that is no block."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.isa import Format
from kaniwa.sim.benches.compact.compact_ports import CONFIGS, WordServer, begin
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.weight_streams import ExpectedStreams


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.weight_decoder import CompactWeightDecoder

    return [Dut(name, CompactWeightDecoder(config), config) for name, config in CONFIGS.items()]


BENCH = Bench("compact_weights", _duts, required=[
    "raw", "parameters", "shared", "table", "empty_block", "repeat", "no_weights",
    "chunk_stalled", "unknown_format", "bad_argument", "bad_count"])


class Outputs:
    """Values that came out; chunks are taken at random."""

    def __init__(self, env: Env, stall: float) -> None:
        self.env, self.stall = env, stall
        self.chunks: list[dict[str, int]] = []
        self.records: list[list[dict[str, int]]] = []
        self.entries: list[tuple[int, int]] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        from kaniwa.hw.interfaces import parameter_layout

        env, unpack = self.env, codec(parameter_layout())[1]
        while True:
            ready = int(env.rng.random() >= self.stall)
            env.set("chunk_ready", ready)
            await env.cycles(1)
            if env.get("chunk_valid"):
                if ready:
                    self.chunks.append({"weights": env.get("chunk"), "whole": 0})
                else:
                    cover("chunk_stalled")
            record = unpack(env.get("record"))
            if env.get("record_valid"):
                self.records.append([record])
            if env.get("entry_valid"):
                self.entries.append((env.get("table"), record["bias"]))


async def run(env: Env, parameters: bytes, weights: bytes, repeat: int, stall: float) -> list[int]:
    """Begin an instruction with these streams somewhere in memory; returns the words read."""
    assert env.config is not None
    at = [env.rng.randrange(env.config.memory_bytes // 32) for _ in range(2)]
    at[1] += len(parameters) // 8 + at[0]
    memory = {}
    for place, data in zip(at, (parameters, weights), strict=True):
        for i in range(0, len(data), 8):
            memory[place + i // 8] = int.from_bytes(data[i:i + 8], "little")
    server = WordServer(env, "memory", lambda word: memory[word], stall)
    await begin(env, {
        "parameter_address": at[0], "parameter_bytes": len(parameters) // 8,
        "weight_address": at[1], "weight_bytes": len(weights) // 8, "weight_repeat": repeat})
    for _ in range(60000):
        await env.cycles(1)
        if not env.get("active") or env.get("error"):
            break
    await env.cycles(5)
    return server.words


def draw_streams(env: Env, weight_blocks: int,
                 repeat: int) -> tuple[ExpectedStreams, bytes, bytes]:
    """Parameters and weights, and what they give, that the config's memory holds together: longer
    ones have no length in an instruction's fields."""
    assert env.config is not None
    kinds = (Format.RAW, Format.PARAMETERS, Format.PARAMETERS_SHARED)
    while True:
        expected = ExpectedStreams(env)
        empty = bytes([env.rng.choice(kinds)]).ljust(8, b"\0")
        parameters = expected.table() + expected.region(env.rng.randint(2, 5)) + empty
        parameters += b"".join(expected.parameters(env.rng.randint(2, 5), shared)
                               for shared in (False, True))
        weights = expected.region(weight_blocks, repeat)
        if len(parameters) + len(weights) <= env.config.memory_bytes:
            return expected, parameters, weights


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def items_equal_model(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    repeat = env.rng.randint(2, 3)
    expected, parameters, weights = draw_streams(
        env, 0 if env.dut_name == "six_lanes" and stall else 4, repeat)
    cover("empty_block")
    cover("repeat" if weights else "no_weights")
    outputs = Outputs(env, stall)
    words = await run(env, parameters, weights, repeat, stall)
    check(len(words), len(parameters) // 8 + repeat * len(weights) // 8, "words read")
    check(outputs.chunks, expected.chunks, "chunks")
    check(outputs.records, expected.records, "records")
    check(outputs.entries, [(e["table"], e["values"][0]) for e in expected.entries], "entries")
    check(env.get("active") + env.get("error"), 0, "active or error")


@cocotb.test()
@cocotb.parametrize(kind=["unknown_format", "bad_argument", "bad_count"])
async def anything_else_is_an_error(dut: Any, kind: str) -> None:
    env = await start(dut, BENCH)
    rng = env.rng
    header = {"unknown_format": rng.choice([Format.PACKED, 5, 15, Format.PACKED | 3 << 4]) | 1 << 8,
              "bad_argument": rng.choice([Format.RAW, Format.PARAMETERS, Format.PARAMETERS_SHARED,
                                          Format.TABLE | 1 << 4]) | 1 << rng.randint(5, 7) | 1 << 8,
              "bad_count": Format.TABLE | rng.choice([0, 2, 256]) << 8}[kind]
    cover(kind)
    expected = ExpectedStreams(env)
    good = expected.weights(2, 8)
    outputs = Outputs(env, 0.0)
    await run(env, good + header.to_bytes(8, "little") + bytes(32), b"", 1, 0.0)
    check(env.get("error"), 1, "error")
    check(outputs.chunks, expected.chunks, "chunks before it")
    await env.cycles(30)
    check(env.get("error"), 1, "error stays")
