"""Bench of the compact sequencer: random programs one instruction at a time, everything illegal."""

from __future__ import annotations

import random
from typing import Any

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    OUTSIDE,
    ErrorCode,
    Mode,
    Opcode,
    decode,
    encode,
)
from kaniwa.sim.benches.compact.compact_ports import (
    WITH_OUTSIDE,
    WordServer,
    draw_address,
    held_address,
)
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.random_instructions import spoil

ALIGNED = ("line_pitch", "parameter_address", "parameter_bytes", "weight_address", "weight_bytes")
# What a compact core lacks.
ZERO = ("patch", "multiply", "table_bank", "weight_zero_point")
SPOILED = ("mode", "patch", "multiply", "table_bank", "weight_zero_point", "block_width",
           "last_width", "line_pitch", "ifm_rows", "chunks", "stride_rows", "dilation_rows",
           "weight_repeat", "ofm_row_pitch", "weight_bytes", "table")


def _duts() -> list[Dut]:
    from kaniwa.hw.compact.sequencer import CompactSequencer

    return [Dut(name, CompactSequencer(config), config) for name, config in WITH_OUTSIDE.items()]


BENCH = Bench("compact_sequencer", _duts, required=[
    "layers", "empty_program", "illegal_opcode", "beyond_memory", "bad_format", "address_error",
    "lowest", "highest", "outside", "on_chip", *(f"spoiled_{name}" for name in SPOILED)])


def legal_layer(config: AcceleratorConfig, rng: random.Random) -> dict[str, int]:
    """Random fields that the core of ``config`` must accept."""
    values = {}
    for name, field in FIELDS.items():
        high = config.field_limit(name, field.high)
        kind = rng.randrange(4)
        values[name] = (field.low, high, rng.randint(field.low, high),
                        rng.randint(field.low, high))[kind]
        cover(("lowest", "highest", "inside", "inside")[kind])
        if config.outside_bits and name.endswith("_address"):
            values[name] = draw_address(config, rng)
            cover("outside" if values[name] >= OUTSIDE else "on_chip")
    for name in ALIGNED:
        values[name] = max(values[name] & ~7, 8 if FIELDS[name].low else 0)
    values |= {"opcode": Opcode.LAYER, "mode": rng.choice([Mode.DENSE, Mode.DEPTHWISE]),
               **dict.fromkeys(ZERO, 0)}
    most = config.out_lanes if values["mode"] == Mode.DENSE else config.depthwise_lanes
    values["block_width"] = rng.randint(1, most)
    values["last_width"] = rng.randint(1, values["block_width"])
    values["table"] &= ~values["add"]
    return values


def illegal(config: AcceleratorConfig, name: str, values: dict[str, int],
            rng: random.Random) -> int:
    """A value of the field that the core must refuse."""
    limit = config.field_limit(name, FIELDS[name].high)
    if name == "mode":
        return rng.choice([Mode.MAX_POOL, Mode.COLUMN])
    if name == "block_width":
        return rng.choice([0, config.out_lanes + 1, 255])
    if name == "last_width":
        return rng.choice([0, values["block_width"] + 1])
    if name in ZERO or name == "table":
        return 1
    if name in ALIGNED:
        return values[name] | 1 << rng.randrange(3)
    if limit < (1 << FIELDS[name].width) - 1 and rng.random() < 0.6:
        return limit + 1
    return 0 if FIELDS[name].low else limit + 1


class Core:
    """The program's memory and the units, which take some time for an instruction."""

    def __init__(self, env: Env, layers: list[bytes], start: int, stall: float) -> None:
        from kaniwa.hw.compact.fields import fields_layout, starts_layout

        self.env, self.begun = env, 0
        self.stuck = False      # the units have found an error, and do not finish
        data = b"".join(layers).ljust(INSTRUCTION_BYTES * (len(layers) + 1), b"\0")
        self.server = WordServer(env, "memory", lambda word: int.from_bytes(
            data[8 * (word - start):8 * (word - start) + 8], "little"), stall)
        self.seen: list[dict[str, int]] = []
        self._unpack = codec(fields_layout(env.config))[1]
        self._unpack_starts = codec(starts_layout(env.config))[1]
        self.names = {*fields_layout(env.config).members, *starts_layout(env.config).members}
        self._taken: dict[str, int] = {}   # of the instruction that is read
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env = self.env
        env.set("finished", 1)
        while True:
            await env.cycles(1)
            for name, taken in self._unpack_starts(env.get("starts")).items():
                if taken["valid"]:
                    check(name in self._taken, False, f"{name} came before")
                    self._taken[name] = taken["value"]
            if env.get("begin"):
                env.set("finished", 0)
                self.begun += 1
                fields = env.get("fields")
                self.seen.append(self._unpack(fields) | self._taken)
                self._taken = {}
                for _ in range(env.rng.randrange(1, 30)):
                    await env.cycles(1)
                    check(env.get("begin"), 0, "begin in an instruction")
                    check(env.get("fields"), fields, "fields stay")
                    starts = self._unpack_starts(env.get("starts")).values()
                    check(any(taken["valid"] for taken in starts), False, "a start in a run")
                while self.stuck:
                    await env.cycles(1)
                env.set("finished", 1)


async def launch(env: Env, layers: list[bytes], stall: float) -> Core:
    assert env.config is not None
    place = held_address(env.config, draw_address(env.config, env.rng, 2048)) // 8
    core = Core(env, layers, place, stall)
    env.set("program_word", place)
    env.set("start", 1)
    await env.cycles(1)
    env.set("start", 0)
    return core


async def ended(env: Env) -> None:
    for _ in range(20000):
        await env.cycles(1)
        if env.get("done") or env.get("error"):
            return
    raise AssertionError("the program does not end")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def fields_equal_program(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    count = 0 if stall and env.dut_name == "nano" else 8
    layers = [encode(legal_layer(env.config, env.rng)) for _ in range(count)]
    core = await launch(env, layers, stall)
    await ended(env)
    check((env.get("done"), env.get("error"), env.get("retired")), (1, 0, count), "the end")
    cover("layers" if count else "empty_program")
    for fields, raw in zip(core.seen, layers, strict=True):
        values = decode(raw)
        check(fields.keys() == core.names, True, "all fields come")
        for name, got in fields.items():
            value = values[name]
            if name.endswith("_address"):
                value = held_address(env.config, value)
            check(got, value >> (3 if name in ALIGNED else 0), name)


@cocotb.test()
@cocotb.parametrize(name=[*SPOILED, "opcode", "address"])
async def refuses_what_is_illegal(dut: Any, name: str) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    config, rng = env.config, env.rng
    values = legal_layer(config, rng)
    if name == "address":
        field = rng.choice([f for f in FIELDS if f.endswith("_address")])
        last = 30 if config.outside_bits else 31
        bit = 1 << rng.randint(config.span_bits, last)
        raw, code = spoil(encode(values), field, values[field] | bit), ErrorCode.ADDRESS
        cover("beyond_memory")
    elif name == "opcode":
        raw = spoil(encode(values), name, rng.randint(2, 15))
        code = ErrorCode.ILLEGAL_OPCODE
        cover("illegal_opcode")
    else:
        if name == "table":
            values |= {"add": 1, "table": 0}
        raw = spoil(encode(values), name, illegal(config, name, values, rng))
        code = ErrorCode.ILLEGAL_FIELD
        cover(f"spoiled_{name}")
    good = encode(legal_layer(config, rng))
    core = await launch(env, [good, raw, good], 0.2)
    await ended(env)
    check((env.get("error"), env.get("error_code"), env.get("error_instruction")), (1, code, 1),
          f"the error of {name}")
    await env.cycles(100)
    check(core.begun, 1, "instructions begun")


@cocotb.test()
@cocotb.parametrize(kind=["bad_format", "address_error"])
async def reports_what_units_find(dut: Any, kind: str) -> None:
    env = await start(dut, BENCH)
    assert env.config is not None
    core = await launch(env, [encode(legal_layer(env.config, env.rng))], 0.0)
    while not core.begun:
        await env.cycles(1)
    core.stuck = True
    env.set(kind, 1)
    await ended(env)
    cover(kind)
    code = ErrorCode.BAD_FORMAT if kind == "bad_format" else ErrorCode.ADDRESS
    check((env.get("error_code"), env.get("error_instruction")), (code, 0), "the error")
