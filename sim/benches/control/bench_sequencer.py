"""Sequencer: random programs under back-pressure on every stream, and everything illegal."""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS, ErrorCode, Opcode, decode, encode
from kaniwa.sim.harness.bench import PERIOD_NS, Bench, Dut, check, cover, start
from kaniwa.sim.worlds.random_instructions import (
    alignments,
    illegal_layers,
    legal_layer,
    lowest_layer,
    spoil,
)
from kaniwa.sim.worlds.sequencer_world import END, Setup, SteadyMemory, fetched_words
from kaniwa.sim.worlds.serial_config import SERIAL


def _duts() -> list[Dut]:
    from kaniwa.hw.control.sequencer import Sequencer

    plain = dataclasses.replace(PRESETS["small"], elementwise=False, max_pool=False,
                                depthwise=False, patch_bytes=0, name="plain")
    configs = [SERIAL, plain, PRESETS["base"], PRESETS["xl"]]
    return [Dut(config.name, Sequencer(config), config=config) for config in configs]


BENCH = Bench("sequencer", _duts, long=("xl",), required=[
    "stall_only_load", "stall_only_weights", "stall_only_array", "stall_only_post",
    "stall_only_operand", "stall_only_store", "stalls_everywhere", "no_stall", "empty_program",
    "illegal_opcode", "illegal_low", "illegal_high", "illegal_relation", "lacks_elementwise",
    "lacks_multiply", "lacks_max_pool", "lacks_depthwise", "lacks_patch",
    "end_waits_for_retire", "end_waits_for_idle", "bad_format", "address_error", "program_outside",
    "field_lowest", "field_highest", "carry_within_instruction", "carry_between_instructions",
    "second_fault", "count_shown_by_end", "count_shown_by_illegal", "count_shown_by_fault",
])


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
        begun = {unit: env.rng.randint(1, 1 << env.rng.randint(2, 10)) for unit in units}
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
async def counts_instructions_issued(dut: Any) -> None:
    """Counts with each highest bit, up to bit 12 at least, and to 15 where a fetch is short."""
    env = await start(dut, BENCH)
    memory = SteadyMemory(env)
    env.set("units_idle", (1 << len(UNITS)) - 1)
    layer = encode(lowest_layer(env.config))
    longest = min(((1 << 16) // fetched_words(env.config)).bit_length() - 1, 15)
    for bits in range(longest + 1):
        count = env.rng.randrange(1 << bits, 2 << bits)
        await memory.begin()
        await memory.give(layer, count)
        shown = ("end", "illegal", "fault")[(longest - bits) % 3]
        if shown == "end":
            await _ends_at(memory, count)
        else:
            if shown == "illegal":
                await memory.give(spoil(END, "opcode", 15))
            else:
                env.set("address_error", 1)
            await env.cycles(2)
            check([env.get("error"), env.get("error_instruction")], [1, count],
                  f"instruction of an error by {shown}")
            env.set("address_error", 0)
        cover(f"count_shown_by_{shown}")
        env.set("rst", 1)
        await env.cycles(2)
        env.set("rst", 0)
        await env.cycles(1)


async def _ends_at(memory: SteadyMemory, count: int) -> None:
    """The program ends when all that was issued retired, and at no number a bit away."""
    env = memory.env
    await memory.give(END)
    for wrong in (count ^ 1 << bit for bit in range(16)):
        env.set("retired", wrong)
        await env.cycles(2)
        check(env.get("done"), 0, "done before everything retired")
    env.set("retired", count)
    await env.cycles(3)
    check([env.get("done"), env.get("error")], [1, 0], "done and error")


@cocotb.test()
async def addresses_carry_into_every_bit(dut: Any) -> None:
    """From word to word and from instruction to instruction, below any higher bits."""
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    size, words = env.config.read_bytes, fetched_words(env.config)
    steps = [(INSTRUCTION_BYTES, "between")] + [(size, "within")] * (words > 1)
    for step, where in steps:
        for bit in range(step.bit_length(), 32):
            base = ((env.rng.getrandbits(32) >> bit << bit) - step) % (1 << 32)
            layers = [legal_layer(env.config, env.rng)]
            setup.memory.reads.clear()
            await setup.begin([*map(encode, layers)], base)
            await setup.expect(layers)
            env.set("retired", 1)
            await setup.wait("done")
            check(setup.memory.reads, [
                (base + INSTRUCTION_BYTES * number + size * word) % (1 << 32)
                for number in range(2) for word in range(words)], "addresses read")
            cover(f"carry_{where}_instruction{'s' * (where == 'between')}")
            await setup.reset()


@cocotb.test()
async def later_faults_change_nothing(dut: Any) -> None:
    env = await start(dut, BENCH)
    setup = Setup(env, {}, 0.0)
    faults = {"bad_format": (ErrorCode.BAD_FORMAT, 4), "address_error": (ErrorCode.ADDRESS, 9),
              "illegal": (ErrorCode.ILLEGAL_OPCODE, 1)}
    for first in faults:
        layers = [legal_layer(env.config, env.rng)]
        setup.sinks["store"].stall = 1.0    # the illegal instruction is not fetched meanwhile
        await setup.begin([*map(encode, layers), spoil(END, "opcode", 15)])
        env.set("begun", 1 << list(UNITS).index("weights"))
        await env.cycles(5)
        env.set("begun", 0)
        env.set("retired", 9)
        env.set("address_client", 4)
        await env.cycles(50)
        check(env.get("error"), 0, "error")
        for name in (first, *faults):
            if name == "illegal":
                setup.sinks["store"].stall = 0.0
                await env.cycles(60)
            else:
                env.set(name, 1)
                await env.cycles(1)
                env.set(name, 0)
                await env.cycles(2)
            check([env.get(f"error{what}") for what in ("", "_code", "_instruction")],
                  [1, *faults[first]], f"{first}, then {name}")
        cover("second_fault")
        await setup.expect(layers)
        await setup.reset()
