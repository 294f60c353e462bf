"""Sequencer of a core with a vector unit, or a cell unit, too: VECTOR and CELL between other
instructions, and faults in them."""

from __future__ import annotations

import dataclasses
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.isa import UNITS, ErrorCode, Opcode, encode
from kaniwa.sim.harness.bench import Bench, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.random_instructions import legal_layer, spoil
from kaniwa.sim.worlds.sequencer_world import Setup
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES
from kaniwa.units.vector.command import COMMAND
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES

IDLE = (1 << len(UNITS)) - 1


def _duts() -> list[Dut]:
    from kaniwa.hw.control.sequencer import Sequencer

    configs = [dataclasses.replace(PRESETS[name], vector_unit=True, name=name)
               for name in ("small", "base")]
    configs.append(dataclasses.replace(PRESETS["base_recurrent"], name="cells"))
    return [Dut(config.name, Sequencer(config), config=config) for config in configs]


BENCH = Bench("sequencer_vector", _duts, required=[
    "first", "behind_layers", "behind_vector", "waits_for_retire", "waits_for_idle", "stalled",
    "nothing_loaded", "whole_store", "other_fields", "illegal_alignment", "illegal_place",
    "illegal_opcode", "fault", "address_error", "cell", "illegal_descriptor"])


def vector(env: Env, **values: int) -> dict[str, int]:
    """A random legal VECTOR, in which some fields have these values."""
    rng = env.rng
    words = max(env.config.read_bytes // VECTOR_BYTES, 1)
    count = rng.choice([0, words, STORE_INSTRUCTIONS,
                        rng.randrange(0, STORE_INSTRUCTIONS + 1, words)])
    cover("nothing_loaded" if not count else "whole_store" if count == STORE_INSTRUCTIONS
          else "some_loaded")
    entry = rng.randint(0, min(STORE_INSTRUCTIONS - count, STORE_INSTRUCTIONS - 1))
    return {"opcode": Opcode.VECTOR, "tag": rng.getrandbits(10), "block_words": entry,
            "parameter_bytes": VECTOR_BYTES * count,
            "parameter_address": rng.getrandbits(32) & -env.config.read_bytes, **values}


def alone(env: Env, **values: int) -> dict[str, int]:
    """A VECTOR or, where the config has it, a CELL."""
    rng = env.rng
    if not env.config.cell_unit or rng.random() < 0.5:
        return vector(env, **values)
    cover("cell")
    return {"opcode": Opcode.CELL, "tag": rng.getrandbits(10), "block_words": rng.getrandbits(9),
            "parameter_bytes": DESCRIPTOR_BYTES,
            "parameter_address": rng.getrandbits(32) & -env.config.read_bytes, **values}


def command(values: dict[str, int]) -> dict[str, int]:
    """The fields that a unit is told; a cell unit heeds the address only."""
    return {name: values[name] for name in COMMAND.fields}


class Rig(Setup):
    """The sequencer with a memory, monitors, and the vector unit's side."""

    def __init__(self, env: Env, stall: float) -> None:
        from kaniwa.hw.units.register import unit_command_layout

        super().__init__(env, dict.fromkeys(UNITS, stall), stall)
        self.commands = Monitor(env, "o_unit", unit_command_layout(env.config), stall)
        env.set("unit_idle", 1)

    async def until(self, name: str) -> None:
        await self.wait(name, 4000)

    async def waits(self, why: str) -> None:
        await self.env.cycles(self.env.rng.randint(20, 60))
        check(self.env.get("unit_active"), 0, f"active, although {why}")
        cover(f"waits_for_{why}")

    async def through(self, values: dict[str, int], retired: int) -> None:
        """One VECTOR or CELL, from its command to its retirement, ``retired`` instructions before
        it."""
        env = self.env
        await self.until("unit_active")
        env.set("unit_idle", 0)
        if env.config.cell_unit:
            check(env.get("unit_select"), values["opcode"] == Opcode.CELL, "unit_select")
        check(await self.commands.take(1, 200), [command(values)], "command")
        reads = len(self.memory.reads)
        for _ in range(env.rng.randint(1, 40)):
            await env.cycles(1)
            check([env.get(name) for name in ("unit_active", "unit_retire")], [1, 0],
                  "active and retire while it works")
        check(len(self.memory.reads), reads, "instructions read meanwhile")
        env.set("unit_idle", 1)
        await self.until("unit_retire")
        check(env.get("unit_tag"), values["tag"], "tag")
        env.set("retired", retired + 1)
        await env.cycles(1)
        check([env.get(name) for name in ("unit_active", "unit_retire")], [0, 0],
              "active and retire afterwards")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def vectors_run_alone(dut: Any, stall: float) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, stall)
    if stall:
        cover("stalled")
    for _ in range(12):
        program = [alone(env) if env.rng.random() < 0.6 else legal_layer(env.config, env.rng)
                   for _ in range(env.rng.randint(1, 6))]
        await rig.begin([encode(values) for values in program])
        retired, layers = 0, []
        for number, values in enumerate(program):
            if values["opcode"] == Opcode.LAYER:
                layers.append(values)
                continue
            await rig.expect(layers)
            cover("first" if not number else "behind_layers" if layers else "behind_vector")
            if layers:
                env.set("units_idle", IDLE & ~(1 << env.rng.randrange(len(UNITS))))
                await rig.waits("retire")
                env.set("retired", number)
                await rig.waits("idle")
                env.set("units_idle", IDLE)
            layers, retired = [], number + 1
            await rig.through(values, number)
        await rig.expect(layers)
        if layers:
            await env.cycles(40)
            check(env.get("done"), 0, "done before everything retired")
            env.set("retired", retired + len(layers))
        await rig.until("done")
        check(env.get("error"), 0, "error")
        await rig.reset()


@cocotb.test()
async def other_fields_do_not_matter(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0)
    for _ in range(20):
        values = alone(env)
        noise = {**legal_layer(env.config, env.rng), **values}
        await rig.begin([encode(noise)])
        await rig.through(values, 0)
        await rig.until("done")
        cover("other_fields")
        await rig.reset()


@cocotb.test()
async def refuses_what_is_illegal(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0)
    full = VECTOR_BYTES * STORE_INSTRUCTIONS
    cases = [("illegal_alignment", {name: unit + (1 << bit)})
             for name, unit in (("parameter_address", env.config.read_bytes),
                                ("parameter_bytes", max(env.config.read_bytes, VECTOR_BYTES)))
             for bit in range(unit.bit_length() - 1)]
    cases += [("illegal_place", {"parameter_bytes": size, "block_words": entry})
              for size, entry in ((full, 1), (full + 64, 0), (0, STORE_INSTRUCTIONS), (64, 510),
                                  *((1 << bit, 0) for bit in range(13, 24)),
                                  *((0, 1 << bit) for bit in range(9, 16)))]
    raws = [(bin_, encode(vector(env, **fields)), ErrorCode.ILLEGAL_FIELD)
            for bin_, fields in cases]
    raws += [("illegal_opcode", spoil(encode(vector(env)), "opcode", value),
              ErrorCode.ILLEGAL_OPCODE)
             for value in range(Opcode.CELL + env.config.cell_unit, 16)]
    if env.config.cell_unit:
        cells = [{"parameter_bytes": DESCRIPTOR_BYTES ^ 1 << bit} for bit in range(24)]
        cells += [{"parameter_address": 1 << bit} for bit in range(4)]
        raws += [("illegal_descriptor", encode(vector(env, **{
            "opcode": Opcode.CELL, "parameter_bytes": DESCRIPTOR_BYTES, **fields})),
                  ErrorCode.ILLEGAL_FIELD) for fields in cells]
    for bin_, raw, code in raws:
        layers = [legal_layer(env.config, env.rng) for _ in range(env.rng.randint(0, 2))]
        await rig.begin([*map(encode, layers), raw])
        await rig.until("error")
        check([env.get("error_code"), env.get("error_instruction")], [code, len(layers)], bin_)
        await rig.expect(layers)
        await env.cycles(30)
        check([env.get("unit_active"), env.get("done")], [0, 0], "active and done")
        cover(bin_)
        await rig.reset()


@cocotb.test()
async def names_the_vector_at_fault(dut: Any) -> None:
    """Faults that the unit calls an error, and addresses that are none, by whichever port."""
    env = await start(dut, BENCH)
    rig = Rig(env, 0.0)
    for client in [None, 1, 4] * 4:   # by address_client: operand, results
        count = env.rng.randint(0, 3)
        layers = [legal_layer(env.config, env.rng) for _ in range(count)]
        await rig.begin([*map(encode, layers), encode(alone(env))])
        await rig.expect(layers)
        for _ in layers:
            env.set("begun", IDLE)
            await env.cycles(1)
        env.set("begun", 0)
        env.set("retired", count)
        await rig.until("unit_active")
        env.set("unit_idle", 0)
        await rig.commands.take(1, 200)
        await env.cycles(env.rng.randint(1, 9))
        if client is None:
            env.set("unit_error", 1)
            env.set("unit_idle", 1)
        else:
            env.set("address_client", client)
            env.set("address_error", 1)
        await env.cycles(1)
        env.set("address_error", 0)
        await env.cycles(2)
        check([env.get("error"), env.get("error_code"), env.get("error_instruction")],
              [1, ErrorCode.VECTOR if client is None else ErrorCode.ADDRESS, count],
              "error, code and instruction")
        check(env.get("unit_retire"), 0, "retire")
        cover("fault" if client is None else "address_error")
        env.set("unit_error", 0)
        env.set("unit_idle", 1)
        await rig.reset()
