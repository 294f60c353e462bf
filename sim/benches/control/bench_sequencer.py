"""Sequencer: random programs under back-pressure on every stream, and everything illegal."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import cocotb

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.isa import (
    FIELDS,
    INSTRUCTION_BYTES,
    UNITS,
    ErrorCode,
    Opcode,
    decode,
    encode,
    unit_fields,
)
from kaniwa.sim.harness.bench import PERIOD_NS, Bench, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.random_instructions import alignments, illegal_layers, legal_layer, spoil
from kaniwa.sim.worlds.serial_config import SERIAL


def _duts() -> list[Dut]:
    from kaniwa.hw.control.sequencer import Sequencer

    plain = dataclasses.replace(PRESETS["small"], elementwise=False, max_pool=False,
                                depthwise=False, patch_bytes=0, name="plain")
    configs = [SERIAL, plain, PRESETS["base"], PRESETS["xl"]]
    return [Dut(config.name, Sequencer(config), config=config) for config in configs]


BENCH = Bench("sequencer", _duts, required=[
    "stall_only_load", "stall_only_weights", "stall_only_array", "stall_only_post",
    "stall_only_operand", "stall_only_store", "stalls_everywhere", "no_stall", "empty_program",
    "illegal_opcode", "illegal_low", "illegal_high", "illegal_relation", "lacks_elementwise",
    "lacks_multiply", "lacks_max_pool", "lacks_depthwise", "lacks_patch",
    "end_waits_for_retire", "end_waits_for_idle", "bad_format", "address_error", "program_outside",
    "field_lowest", "field_highest",
])


def fetched_words(config: AcceleratorConfig) -> int:
    """Words of memory that hold the fields of an instruction."""
    return -(-4 * (1 + max(f.word for f in FIELDS.values())) // config.read_bytes)


class Memory:
    """Answers the command reader: words in order, as fast as the memory system or slower."""

    def __init__(self, env: Env, stall: float) -> None:
        self.env, self.stall = env, stall
        self.contents: dict[int, bytes] = {}
        self.reads: list[int] = []
        cocotb.start_soon(self._run())

    def load(self, address: int, data: bytes) -> None:
        """Put a program there; bytes beyond it are random."""
        size = self.env.config.read_bytes
        data += self.env.rng.randbytes(-len(data) % size)
        for at in range(0, len(data), size):
            self.contents[address + at] = data[at:at + size]

    async def _run(self) -> None:
        env, rng = self.env, self.env.rng
        waiting: deque[tuple[int, int]] = deque()
        cycle = 0
        while True:
            ready = rng.random() >= self.stall
            env.set("memory__request__ready", ready)
            answer = waiting and waiting[0][0] <= cycle and rng.random() >= self.stall
            env.set("memory__response__valid", bool(answer))
            if answer:
                address = waiting.popleft()[1]
                size = env.config.read_bytes
                word = self.contents.get(address) or rng.randbytes(size)
                env.set("memory__response__payload", int.from_bytes(word, "little"))
            await env.cycles(1)
            cycle += 1
            if env.get("rst"):
                waiting.clear()
            elif ready and env.get("memory__request__valid"):
                address = env.get("memory__request__payload")
                self.reads.append(address)
                waiting.append((cycle + 1 + env.config.memory_latency, address))


class Setup:
    """The sequencer with a memory and six monitors, or with units that are always ready."""

    def __init__(self, env: Env, stalls: dict[str, float] | None, memory_stall: float) -> None:
        from kaniwa.hw.interfaces import unit_layout

        self.env = env
        self.memory = Memory(env, memory_stall)
        if stalls is None:
            self.sinks: dict[str, Monitor] = {}
            for unit in UNITS:
                env.set(f"o_{unit}__ready", 1)
        else:
            self.sinks = {unit: Monitor(env, f"o_{unit}", unit_layout(unit), stalls.get(unit, 0.0))
                          for unit in UNITS}

    async def begin(self, layers: list[bytes], *, end: bool = True) -> None:
        """Put a program into memory at a random place and start it."""
        env = self.env
        outside = env.rng.random() < 0.3
        if outside:
            cover("program_outside")
        size = env.config.read_bytes
        self.base = env.rng.randrange(1 << 30) // size * size
        if env.rng.random() < 0.5:  # the address carries far in the first instructions
            self.base = (1 << env.rng.randint(12, 30)) - env.rng.randint(1, 300 // size + 1) * size
        self.base |= outside << 31
        self.memory.contents.clear()
        self.memory.load(self.base, b"".join(layers) + (encode({"opcode": 0}) if end else b""))
        env.set("program_address", self.base)
        env.set("units_idle", (1 << len(UNITS)) - 1)
        env.set("start", 1)
        await env.cycles(1)
        env.set("start", 0)

    async def wait(self, name: str, limit: int = 3000) -> None:
        """Wait until an output is 1."""
        for _ in range(limit):
            if self.env.get(name):
                return
            await self.env.cycles(1)
        raise AssertionError(f"{name} did not come within {limit} cycles")

    async def expect(self, layers: list[dict[str, int]]) -> None:
        """Every unit got its fields of every layer, once and in order."""
        for unit, sink in self.sinks.items():
            names = [field.name for field in unit_fields(unit)]
            expected = [{name: layer[name] for name in names} for layer in layers]
            check(await sink.take(len(layers), 2000 + 100 * len(layers)), expected, unit)

    async def reset(self) -> None:
        """Reset the sequencer between two runs."""
        for sink in self.sinks.values():
            check(len(sink.items), sink._taken, f"{sink.prefix}: nothing left over")
        self.env.set("rst", 1)
        self.env.set("retired", 0)
        await self.env.cycles(2)
        self.env.set("rst", 0)
        await self.env.cycles(1)


async def _random_programs(dut: Any, stalls: dict[str, float], memory_stall: float) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, stalls, memory_stall)
    for count in (3, 0, env.rng.randint(1, 12)):
        if not count:
            cover("empty_program")
        layers = [legal_layer(env.config, env.rng) for _ in range(count)]
        await setup.begin([encode(layer) for layer in layers])
        env.set("start", 1)   # means nothing while it works
        await setup.expect(layers)
        env.set("retired", count)
        await setup.wait("done")
        env.set("start", 0)
        check(env.get("error"), 0, "error")
        await setup.reset()


@cocotb.test()
async def each_stream_may_stall_alone(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    for unit in UNITS:
        setup.sinks[unit].stall = 0.9
        cover(f"stall_only_{unit}")
        layers = [legal_layer(env.config, env.rng) for _ in range(3)]
        await setup.begin([encode(layer) for layer in layers])
        await setup.expect(layers)
        await setup.reset()
        setup.sinks[unit].stall = 0.0


@cocotb.test()
async def random_programs_with_stalls(dut: Any) -> None:
    cover("stalls_everywhere")
    await _random_programs(dut, dict.fromkeys(UNITS, 0.6), 0.3)


@cocotb.test()
async def keeps_its_pace(dut: Any) -> None:
    env = await start(dut, BENCH)
    cover("no_stall")
    setup = Setup(env, {}, 0.0)
    layers = [legal_layer(env.config, env.rng) for _ in range(150)]
    await setup.begin([encode(layer) for layer in layers])
    await setup.expect(layers)
    words = fetched_words(env.config)
    for sink in setup.sinks.values():
        gaps = [b - a for a, b in zip(sink.cycles, sink.cycles[1:], strict=False)]
        check(gaps, [words + 5 + env.config.memory_latency] * len(gaps),
              "cycles between instructions")
    check(len(setup.memory.reads) % words, 0, "whole instructions are read")
    assert all(setup.base <= a < setup.base + 151 * INSTRUCTION_BYTES
               for a in setup.memory.reads)
    env.set("retired", 150)
    await setup.wait("done")


@cocotb.test()
async def end_waits(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    layers = [legal_layer(env.config, env.rng) for _ in range(2)]
    await setup.begin([encode(layer) for layer in layers])
    await setup.expect(layers)
    await env.cycles(60)
    for retired in (0, 1, 3, *(2 + (1 << bit) for bit in range(2, 16))):
        env.set("retired", retired)
        await env.cycles(3)
        check(env.get("done"), 0, "done before everything retired")
        cover("end_waits_for_retire")
    everyone = (1 << len(UNITS)) - 1
    for unit in range(len(UNITS)):
        env.set("units_idle", everyone & ~(1 << unit))
        env.set("retired", 2)
        await env.cycles(5)
        check(env.get("done"), 0, "done before all units are idle")
        cover("end_waits_for_idle")
    env.set("units_idle", everyone)
    await env.cycles(3)
    check(env.get("done"), 1, "done")


@cocotb.test()
async def refuses_what_is_illegal(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    cases = [(b, raw, ErrorCode.ILLEGAL_FIELD) for b, raw in illegal_layers(env.config, env.rng)]
    cases += [("illegal_opcode", spoil(encode(legal_layer(env.config, env.rng)), "opcode", value),
               ErrorCode.ILLEGAL_OPCODE) for value in range(2, 16)]
    for name, raw, code in cases:
        layers = [legal_layer(env.config, env.rng) for _ in range(env.rng.randint(0, 2))]
        await setup.begin([*map(encode, layers), raw])
        await setup.wait("error")
        check(env.get("error_code"), code, f"{name}: code of {decode(raw)}")
        check(env.get("error_instruction"), len(layers), "index of the illegal instruction")
        await setup.expect(layers)
        await env.cycles(30)
        check(env.get("done"), 0, "done")
        cover(name)
        await setup.reset()


@cocotb.test()
async def accepts_every_single_bit(dut: Any) -> None:
    """Fields that must not be 0 may be any power of two."""
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    units = alignments(env.config)
    names = [name for name, field in FIELDS.items()
             if field.low == 1 and name not in ("block_width", "last_width")]
    layers = []
    for bit in range(max(FIELDS[name].width for name in names)):
        fields = {name: 1 << bit for name in names
                  if bit < FIELDS[name].width and (1 << bit) % units.get(name, 1) == 0}
        layers.append({**legal_layer(env.config, env.rng), **fields, "patch": 0})
    await setup.begin([encode(layer) for layer in layers])
    await setup.expect(layers)
    env.set("retired", len(layers))
    await setup.wait("done")
    check(env.get("error"), 0, "error")


@cocotb.test()
async def end_ignores_other_fields(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    await setup.begin([spoil(env.rng.randbytes(INSTRUCTION_BYTES), "opcode", Opcode.END)])
    await setup.wait("done")
    check(env.get("error"), 0, "error")


@cocotb.test()
async def names_the_unit_at_fault(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    units = list(UNITS)
    culprits = ["commands", "operand", "load", "weights", "store"]   # by address_client
    for client in [None, *range(5)] * 4:
        layers = [legal_layer(env.config, env.rng) for _ in range(5)]
        await setup.begin([encode(layer) for layer in layers])
        await setup.expect(layers)
        begun = {unit: env.rng.randint(1, 1 << env.rng.randint(2, 12)) for unit in units}
        for step in range(max(begun.values())):
            env.set("begun", sum((step < begun[unit]) << i for i, unit in enumerate(units)))
            await env.cycles(1)
        env.set("begun", 0)
        await env.cycles(env.rng.randint(1, 3))
        env.set("retired", retired := env.rng.getrandbits(16))
        name = "bad_format" if client is None else "address_error"
        env.set("address_client", client or 0)
        env.set(name, 1)
        await env.cycles(1)
        env.set(name, 0)
        await env.cycles(2)
        check(env.get("error"), 1, "error")
        culprit = "weights" if client is None else culprits[client]
        expected = ({"commands": 5, "store": retired}[culprit] if culprit not in begun
                    or culprit == "store" else begun[culprit] - 1)
        check(env.get("error_instruction"), expected, f"instruction of {name} by {culprit}")
        check(env.get("error_code"),
              ErrorCode.BAD_FORMAT if client is None else ErrorCode.ADDRESS, "code")
        cover(name)
        await setup.reset()


@cocotb.test()
async def counts_instructions_of_units_to_16_bits(dut: Any) -> None:
    from cocotb.triggers import Timer

    env = await start(dut, BENCH)
    for client, unit in ((1, "operand"), (2, "load"), (3, "weights")):
        for begun in (env.rng.randrange(1, 1 << 16), 0xFFFF, 0x10000, 0x5556, 0xAAAB):
            env.set("begun", 1 << list(UNITS).index(unit))
            await Timer(PERIOD_NS * begun - PERIOD_NS // 2, "ns")   # without a step a cycle
            await env.cycles(1)
            env.set("begun", 0)
            await env.cycles(1)
            env.set("address_client", client)
            env.set("address_error", 1)
            await env.cycles(1)
            env.set("address_error", 0)
            await env.cycles(1)
            check(env.get("error_instruction"), (begun - 1) & 0xFFFF, f"instruction of {unit}")
            env.set("rst", 1)
            await env.cycles(2)
            env.set("rst", 0)
            await env.cycles(1)


@cocotb.test()
async def a_long_program_ends_when_all_of_it_retired(dut: Any) -> None:
    """Longer than the low half of the counter of what was issued."""
    env = await start(dut, BENCH)
    setup = Setup(env, None, 0.0)
    count = env.rng.randrange(1025, 2000)
    await setup.begin([encode(legal_layer(env.config, env.rng))] * count)
    await env.cycles(count * (fetched_words(env.config) + 5 + env.config.memory_latency) + 20)
    for wrong in (count ^ 1 << bit for bit in range(16)):
        env.set("retired", wrong)
        await env.cycles(2)
        check(env.get("done"), 0, "done before everything retired")
    env.set("retired", count)
    await setup.wait("done")
    check(len(setup.memory.reads) // fetched_words(env.config), count + 1, "instructions read")
    check(env.get("error"), 0, "error")
