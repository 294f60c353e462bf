"""The weight decoder against the words, records and tables that its streams were made from."""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.isa import Format
from kaniwa.isa.formats import FORMATS, HEADER, header_of_widths
from kaniwa.isa.modes import FILL
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer
from kaniwa.sim.worlds.serial_config import SERIAL
from kaniwa.sim.worlds.weight_streams import ExpectedStreams

ODD = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=8, write_bytes=4)
MODES = ("raw", "packed", "modes")
CONFIGS = {
    "serial": SERIAL,
    "base": PRESETS["base"],
    "odd": ODD,
    "wide": dataclasses.replace(ODD, read_bytes=32),
    "uneven": dataclasses.replace(ODD, requant_lanes=6, read_bytes=16, write_bytes=8,
                                  step_entries=64),
    "many": AcceleratorConfig(out_lanes=16, requant_lanes=16, read_bytes=64, codebook_entries=32),
    "widest": AcceleratorConfig(out_lanes=32, dot_width=4, requant_lanes=1, read_bytes=128,
                                codebook_entries=2),
    "odd_twice": dataclasses.replace(ODD, out_lanes=20, weight_chunks=2),    # 5 entries, 10 items
    "many_twice": AcceleratorConfig(out_lanes=16, requant_lanes=16, read_bytes=64, weight_chunks=2),
    "raw_twice": dataclasses.replace(ODD, weight_formats=("raw",), weight_chunks=2),
    "raw": dataclasses.replace(SERIAL, weight_formats=("raw",)),
    "wide_modes": dataclasses.replace(ODD, read_bytes=32, weight_formats=MODES,    # 3 items
                                      codebook_entries=64, step_entries=64),
    "odd_codes": dataclasses.replace(ODD, codebook_entries=16, step_entries=64),
}
LATENCY = 10
TIMEOUT = 50000


def _duts() -> list[Dut]:
    from kaniwa.hw.weights.decoder import WeightDecoder

    return [Dut(name, WeightDecoder(config), config) for name, config in CONFIGS.items()]


LONG = ("many", "many_twice", "widest")

BENCH = Bench("weight_decoder", _duts, long=LONG, required=[
    "raw", *(f"packed_{width}" for width in range(9)), "mixed", "map", "modes",
    *(f"mode_{width}" for width in range(9)), "no_hardware_for_modes", "bad_map", "parameters",
    "short", "shared", "table", "both_tables", "empty_block", "repeat", "no_parameters",
    "no_weights", "empty_instruction", "table_waits", "number_wraps", "bad_format", "bad_argument",
    "bad_count", "bad_width", "no_hardware_for_packed", "hostile", "stalled", "codes_packed",
    "codes_modes", "codes_map", "no_codebook", "no_hardware_for_codebook", "list",
    "no_hardware_for_list"])


class Rig:
    """The decoder with memory, instruction source and output monitors around it."""

    def __init__(self, env: Env, stall: float, latency: tuple[int, int]) -> None:
        from amaranth.lib import data

        from kaniwa.hw.interfaces import chunk_layout, parameter_layout, unit_layout
        from kaniwa.hw.results.elementwise import table_layout

        self.env = env
        self.expected = ExpectedStreams(env)
        self.config = self.expected.config
        self.words: dict[int, int] = {}
        self.memory = ReadServer(env, "memory", self.words.__getitem__, stall, latency)
        self.next_free = 0
        self.instructions = Driver(env, "i_instruction", unit_layout("weights", self.config), stall)
        self.weights = Monitor(env, "o_weights", chunk_layout(self.config), stall)
        self.parameters = Monitor(env, "o_parameters", data.ArrayLayout(
            parameter_layout(), self.config.shared_records), stall)
        self.tables = Monitor(env, "o_table", table_layout(), stall)
        self.lists = Monitor(env, "o_list", 32, stall) if self.config.step_entries else None

    @property
    def outputs(self) -> list[tuple[Monitor, list[Any]]]:
        """The outputs, and all that is to come out of each."""
        expected = self.expected
        lists = [(self.lists, expected.listed)] if self.lists else []
        return [(self.weights, expected.chunks), (self.parameters, expected.records),
                (self.tables, expected.entries), *lists]

    def place(self, stream: bytes) -> int:
        """Store a stream somewhere in either memory and return its address."""
        size = self.config.read_bytes
        address = self.next_free | self.env.rng.getrandbits(12) << 20  # bit 31: outside memory
        for first in range(0, len(stream), size):
            self.words[address + first] = int.from_bytes(stream[first:first + size], "little")
        self.next_free += len(stream) + size * self.env.rng.randrange(4)
        return address

    def send(self, parameters: bytes, weights: bytes, repeat: int = 1) -> None:
        """Queue an instruction that reads these streams."""
        self.instructions.send([{
            "parameter_address": self.place(parameters), "parameter_bytes": len(parameters),
            "weight_address": self.place(weights), "weight_bytes": len(weights),
            "weight_repeat": repeat}])

    async def finish(self) -> None:
        """Compare all outputs; nothing may follow."""
        for monitor, items in self.outputs:
            check(await monitor.take(len(items), TIMEOUT), items, monitor.prefix)
        await self.instructions.drain()
        await self.env.cycles(60)
        assert self.env.get("idle") == 1 and self.env.get("error") == 0
        check([len(monitor.items) for monitor, _ in self.outputs],
              [len(items) for _, items in self.outputs], "totals")


def _set_free(env: Env) -> None:
    """Let every table pass: post_done is far ahead."""
    env.set("post_done", 1000)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.7])
async def gives_what_was_encoded(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    _set_free(env)
    rig = Rig(env, stall, (1, 12) if stall else (LATENCY, LATENCY))
    if stall:
        cover("stalled")
    for _ in range(8):
        repeat = env.rng.choice([1, 1, 2, 5])
        parameters, weights = env.rng.randrange(4), env.rng.randrange(6)
        if repeat > 1 and weights:
            cover("repeat")
        cover("empty_instruction" if not parameters + weights else
              "no_parameters" if not parameters else "no_weights" if not weights else "both")
        rig.send(rig.expected.region(parameters), rig.expected.region(weights, repeat), repeat)
    await rig.finish()


@cocotb.test()
async def every_width_comes_out(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.2, (1, 5))
    for width in (*range(9), 0, 8):
        rig.send(b"", rig.expected.weights(9, width))
        rig.send(b"", rig.expected.mixed_weights(5))
        rig.send(b"", rig.expected.mode_weights(5))
        rig.send(b"", rig.expected.coded_weights(5))
    for _ in range(3):
        rig.send(b"", b"")
        cover("empty_instruction")
    rig.send(rig.expected.parameters(3, False), b"")
    cover("no_weights")
    await rig.finish()


def _span(monitor: Monitor) -> int:
    return monitor.cycles[-1] - monitor.cycles[0] + 1


def _words_read(rig: Rig, chunks: list[dict[str, int]]) -> int:
    """Words of memory with ``chunks`` of weights of 8 bits. The first chunk comes when
    weight_chunks of them have been read."""
    return len(chunks) * rig.config.weight_chunks


@cocotb.test()
@cocotb.parametrize(width=[0, 1, 4, 7, 8])
async def decodes_a_chunk_a_cycle(dut: Any, width: int) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    words = -(-200 * rig.config.read_bytes // rig.config.tile_bytes)
    rig.send(b"", rig.expected.weights(words, width))
    await rig.finish()
    # The start of a width-0 block needs no payload, so no word is waited for. A payload of more
    # than a word a cycle comes as fast as its words, of which the first item has read two.
    bits = width if "packed" in rig.config.weight_formats else 8
    read = words * rig.config.tile_bytes * bits // 8 // rig.config.read_bytes
    check(_span(rig.weights), max(len(rig.expected.chunks), read + 1 - rig.config.weight_chunks),
          f"cycles of {words} words")


@cocotb.test()
@cocotb.parametrize(narrow=[True, False])
async def decodes_an_item_with_modes_a_cycle(dut: Any, narrow: bool) -> None:
    env = await start(dut, BENCH)
    if "modes" not in env.config.weight_formats:
        return
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    stream = rig.expected.mode_weights(50, range(4) if narrow else range(5, 9))
    rig.send(b"", stream)
    await rig.finish()
    # Of wide groups the words come one after the other, and the header is not among those waited
    # for. The first item has read two of them, or three, if its modes make it long.
    read, items = len(stream) // rig.config.read_bytes - 1, len(rig.expected.chunks)
    if narrow:
        check(_span(rig.weights), items, "cycles of narrow items")
    else:
        ahead = 1 + rig.config.weight_chunks
        assert read + 1 - ahead <= _span(rig.weights) <= max(read, items), "cycles of wide items"


@cocotb.test()
async def modes_wait_three_cycles_behind_a_header(dut: Any) -> None:
    env = await start(dut, BENCH)
    if "modes" not in env.config.weight_formats:
        return
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    blocks = 20
    rig.send(b"", b"".join(rig.expected.mode_weights(9, range(4)) for _ in range(blocks)))
    await rig.finish()
    least = len(rig.expected.chunks) + (blocks - 1) * (1 + FILL)
    # Where one word is held, a block that ends within a word may cost one more.
    late = (blocks - 1) * (2 - rig.config.weight_chunks)
    assert least <= _span(rig.weights) <= least + late, f"{_span(rig.weights)}, not {least}"


@cocotb.test()
async def a_header_costs_a_cycle(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    blocks = 20
    stream = b"".join(rig.expected.weights(2, 8) for _ in range(blocks))
    chunks, repeat = list(rig.expected.chunks), 4
    rig.expected.chunks = chunks * repeat
    rig.send(b"", stream, repeat)
    await rig.finish()
    check(_span(rig.weights), repeat * (_words_read(rig, chunks) + blocks) - 1
          - (rig.config.weight_chunks - 1), "cycles of repeated blocks")


@cocotb.test()
@cocotb.parametrize(width=range(9))
async def a_block_costs_at_most_two_cycles(dut: Any, width: int) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    blocks = [rig.expected.weights(env.rng.randint(1, 3), width) for _ in range(20)]
    rig.send(b"", b"".join(blocks))
    await rig.finish()
    words = sum(map(len, blocks)) // rig.config.read_bytes  # narrow blocks are mostly header
    assert _span(rig.weights) <= max(words, len(rig.expected.chunks) + 2 * len(blocks))


@cocotb.test()
@cocotb.parametrize(parameters=[False, True])
async def instructions_follow_closely(dut: Any, parameters: bool) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    for _ in range(10):
        rig.send(b"\0" * rig.config.read_bytes if parameters else b"",  # an empty block
                 rig.expected.weights(10, 8))
    await rig.finish()
    # Accepting costs a cycle, as do a header, the empty block and the turn past no parameters.
    check(_span(rig.weights), _words_read(rig, rig.expected.chunks) + 9 * 3
          - (rig.config.weight_chunks - 1), "cycles")


@cocotb.test()
@cocotb.parametrize(kind=["own", "short", "shared", "table", "list"])
async def values_come_as_fast_as_promised(dut: Any, kind: str) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    config = rig.config
    words = 144 // config.requant_lanes
    records = words * config.requant_lanes
    if kind == "table":
        monitor, cycles = rig.tables, 256
        rig.send(rig.expected.table(), b"")
    elif kind == "list":
        if rig.lists is None:
            return
        monitor, stream = rig.lists, b"".join(rig.expected.step_list() for _ in range(10))
        # A header costs a cycle, and another one where the block ends within a word.
        cycles = max(len(rig.expected.listed) + 20, len(stream) // config.read_bytes)
        rig.send(stream, b"")
    else:
        at_once = config.shared_records if kind == "shared" else config.own_records
        payload = records * {"own": 9, "short": 7, "shared": 4}[kind]
        monitor, cycles = rig.parameters, max(records // at_once, -(-payload // config.read_bytes))
        rig.send(rig.expected.parameters(words, kind == "shared", kind == "short"), b"")
    await rig.finish()
    assert _span(monitor) <= cycles, f"{_span(monitor)} cycles, not {cycles}"


@cocotb.test()
async def repeats_are_counted(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (LATENCY, LATENCY))
    empty = b"\0" * rig.config.read_bytes
    repeat = env.rng.randint(2048, 4095)
    rig.send(b"", empty, repeat)
    await rig.instructions.drain()
    await env.cycles(repeat + 60)
    check([len(rig.memory.addresses), env.get("idle")], [repeat, 1], "reads, idle")
    check(rig.memory.cycles[-1] - rig.memory.cycles[0], repeat - 1, "cycles of the reads")
    for bit in range(6, 32):
        rig.send(b"", empty, 1 << bit)
        await env.cycles(60)
        check(env.get("idle"), 0, "idle while repeats remain")
        await _reset(env, rig)


@cocotb.test()
async def tables_wait_for_the_post_unit(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (1, 4))
    empty = b"\0" * rig.config.read_bytes  # a block without words; shifts what follows
    owners, number = [], 0
    for _ in range(6):
        for _ in range(env.rng.randrange(8)):
            rig.send(empty * env.rng.randrange(3), empty * env.rng.randrange(3))
            number += 1
        rig.send(empty * env.rng.randrange(3) + rig.expected.table()
                 + rig.expected.parameters(2, False), rig.expected.weights(2, 8))
        owners.append(number)
        number += 1
    for done in sorted({max(0, owner + late) for owner in owners for late in (-2, -1)}):
        env.set("post_done", done)
        await env.cycles(900)
        ready = sum(owner - 1 <= done for owner in owners)
        check(len(rig.tables.items), 256 * ready, f"entries with {done} instructions done")
        check(env.get("idle"), int(ready == len(owners)), "idle once no table waits")
        cover("table_waits")
    await rig.finish()


@cocotb.test()
async def counts_have_16_bits(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0, (1, 1))
    for bit in range(16):
        words = min(1 << bit, 100)
        if "packed" in rig.config.weight_formats:
            header, payload = Format.PACKED, b""
        else:
            header, payload = Format.RAW, bytes(words * rig.config.tile_bytes)
        count = bytes([header, *(1 << bit).to_bytes(2, "little")])
        rig.send(b"", count.ljust(rig.config.read_bytes, b"\0") + payload)
        whole = header == Format.PACKED
        chunks = words if whole else words * rig.config.tile_bytes // rig.config.decoded_bytes
        check(await rig.weights.take(chunks, chunks * rig.config.weight_chunks + 60),
              [{"weights": 0, "whole": int(whole)}] * chunks, "zeros")
        await _reset(env, rig)


@cocotb.test()
async def instruction_numbers_wrap(dut: Any) -> None:
    env = await start(dut, BENCH)
    if env.dut_name != "serial":
        return
    rig = Rig(env, 0.0, (1, 4))
    rig.instructions.send([{"weight_repeat": 1}] * 65535)
    env.set("post_done", 65533)
    rig.send(rig.expected.table(), b"")  # number 65535
    rig.send(rig.expected.table(), b"")  # number 65536, that is 0
    while rig.instructions.pending > 1:
        await env.cycles(100)
    for done, tables in ((65533, 0), (65534, 1), (65535, 2)):
        env.set("post_done", done)
        await env.cycles(400)
        check(len(rig.tables.items), 256 * tables, f"entries with {done} instructions done")
    cover("number_wraps")
    await rig.finish()


@cocotb.test()
async def a_bad_header_stops_the_unit(dut: Any) -> None:
    env = await start(dut, BENCH)
    _set_free(env)
    rng = env.rng
    bad = [(rng.randint(len(Format), 15), 0, 1, "bad_format"),
           (Format.PACKED, rng.randint(4, 15), 1, "bad_argument"),
           (Format.PACKED, rng.randint(2, 3), 1, "no_codebook"),
           (Format.PACKED, 1, rng.randint(65, 65535), "bad_map"),
           (Format.RAW, rng.randint(1, 15), 1, "bad_argument"),
           (Format.PARAMETERS, rng.randint(2, 15), 0, "bad_argument"),
           (Format.PARAMETERS_SHARED, rng.randint(1, 15), 1, "bad_argument"),
           *((Format.TABLE, arg, 1, "bad_argument") for arg in range(16)
             if arg not in FORMATS[Format.TABLE].arguments(env.config)),
           (Format.TABLE, 0, rng.choice([0, 2, 257]), "bad_count")]
    rig = Rig(env, 0.1, (1, 4))
    packed = "packed" in rig.config.weight_formats
    bad += ([(Format.PACKED, 0, 1, "bad_width")] * 8 if packed
            else [(Format.PACKED, 0, 1, "no_hardware_for_packed")])
    bad += ([(Format.CODEBOOK, rng.randint(1, 15), 1, "bad_argument"),
             (Format.CODEBOOK, 0, rng.choice([0, 2, 257]), "bad_count")]
            if rig.config.codebook_entries
            else [(Format.CODEBOOK, 0, 1, "no_hardware_for_codebook")])
    bad += ([(Format.MODES, rng.choice([1, *range(3, 16)]), 1, "bad_argument"),
             (Format.MODES, 2, 1, "no_codebook")]
            + [(Format.MODES, 0, 1, "bad_width")] * 8
            if "modes" in rig.config.weight_formats
            else [(Format.MODES, 0, 1, "no_hardware_for_modes")])
    bad.append((Format.STEPS, rng.randint(1, 15), 1, "bad_argument") if rig.config.step_entries
               else (Format.STEPS, 0, 1, "no_hardware_for_list"))
    for number, (kind, arg, count, name) in enumerate(bad):
        good = rig.expected.weights(3, 8) + rig.expected.parameters(2, False)
        header = bytes([kind | arg << 4, count & 255, count >> 8, *rng.randbytes(5)])
        if name == "bad_map":
            header = HEADER.encode({"format": kind, "arg": arg, "count": count}
                                   | header_of_widths([1] * 8))
        elif kind in (Format.PACKED, Format.MODES) and not arg:
            widths = [rng.randint(0, 8) for _ in range(8)]
            if name == "bad_width":
                widths[number % 8] = rng.randint(9, 15)
            header = HEADER.encode({"format": kind, "count": count} | header_of_widths(widths))
        rig.send(b"", good + header.ljust(rig.config.read_bytes, b"\0"))
        rig.send(b"", good)
        await env.cycles(200 + 10 * len(good) // rig.config.read_bytes)
        expected = rig.expected
        check(await rig.weights.take(len(expected.chunks)), expected.chunks, "chunks before")
        check(await rig.parameters.take(len(expected.records)), expected.records, "records")
        check([env.get("error"), env.get("idle")], [1, 0], f"error and idle, {name}")
        check(len(rig.weights.items), rig.weights._taken, "nothing follows")
        cover(name)
        await _reset(env, rig)
    rig.send(rig.expected.parameters(2, True), rig.expected.weights(3, 8))
    await rig.finish()


@cocotb.test()
async def hostile_streams_end_where_the_host_ends_them(dut: Any) -> None:
    env = await start(dut, BENCH)
    _set_free(env)
    rig = Rig(env, 0.3, (1, 6))
    for _ in range(40):
        stream, illegal = rig.expected.hostile(6)
        rig.send(b"", stream)
        expected = rig.expected
        for monitor, items in ((rig.weights, expected.chunks), (rig.parameters, expected.records),
                               (rig.tables, expected.entries)):
            check(await monitor.take(len(items), TIMEOUT), items, monitor.prefix)
        await rig.instructions.drain()
        await env.cycles(100)
        check([env.get("error"), env.get("idle")], [illegal, not illegal], "error and idle")
        check([len(rig.weights.items), len(rig.parameters.items), len(rig.tables.items)],
              [len(expected.chunks), len(expected.records), len(expected.entries)], "totals")
        await _reset(env, rig)


async def _reset(env: Env, rig: Rig) -> None:
    env.set("rst", 1)
    await env.cycles(30)
    env.set("rst", 0)
    await env.cycles(1)
    check([env.get("error"), env.get("idle")], [0, 1], "error and idle after reset")
    for output in (rig.expected.chunks, rig.expected.records, rig.expected.entries,
                   rig.weights.items, rig.parameters.items, rig.tables.items):
        output.clear()
    rig.weights._taken = rig.parameters._taken = rig.tables._taken = 0
