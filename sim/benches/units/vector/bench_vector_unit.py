"""Bench of the vector unit: random programs against the emulator, memory held up at random."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np

from kaniwa.config import PRESETS
from kaniwa.sim.benches.units.vector.vector_programs import (
    PROGRAM_AT,
    clearing,
    control,
    illegal_instructions,
    moved,
    random_memory,
    random_program,
)
from kaniwa.sim.harness.bench import TALLY, Bench, Driver, Dut, Env, check, cover, start
from kaniwa.sim.worlds.memory_ports import ReadServer, WriteServer, config_of
from kaniwa.units.vector import isa
from kaniwa.units.vector.emulator import HIGH, LOW, VectorEmulator, product
from kaniwa.units.vector.isa import Addend, Control, Factor, Function, Opcode, Reduce, Shift, Width

CONFIGS = {
    "eight_lanes": PRESETS["base"],
    "two_lanes": PRESETS["small"],
    "four_lanes": replace(PRESETS["base"], requant_lanes=4, out_lanes=8, read_bytes=8,
                          write_bytes=8),
}
# Programs of each stall on each device; the full form is 3 * 4 * 200 = 2,400.
PROGRAMS = int(os.environ.get("KANIWA_VECTOR_PROGRAMS", "100"))
EXACT = (0.0, (0, 0))   # memory never waits, and has the latency of the config
STALLS = [EXACT, (0.0, (3, 12)), (0.3, (1, 2)), (0.6, (1, 9))]


def _duts() -> list[Dut]:
    from kaniwa.sim.benches.units.vector.vector_harness import VectorHarness

    return [Dut(name, VectorHarness(config), config) for name, config in CONFIGS.items()]


_KINDS = [
    *(f"{f.name}_{r.name}" for f in Function for r in Reduce),
    *(f"factor_{f.name}" for f in Factor), *(f"addend_{a.name}" for a in Addend),
    *(f"LOAD_{w.name}" for w in Width), "LOAD_everywhere",
    *(f"STORE_{w.name}" for w in Width), "LOAD_rows", "STORE_rows", "STORE_product", "STORE_held",
    "table_of_held", *(c.name for c in Control)]

BENCH = Bench("vector_unit", _duts, long=("four_lanes", "two_lanes"), required=[
    *(f"{kind}_{state}" for kind in _KINDS for state in ("free", "stalled")),
    *(f"shift_{s.name}_{case}" for s in Shift for case in ("exact", "up", "limited")
      if (case != "up" or s not in (Shift.LOW, Shift.FLOOR_15, Shift.FLOOR_31))
      and not (case == "exact" and s == Shift.LOW)),
    *(f"shift_{s.name}_half_{sign}" for s in Shift if isa.TAPS[s]
      for sign in ("positive", "negative")),
    "shift_LOW_limited", "ADD_limited_low", "ADD_limited_high", "ADD_negated_limited",
    *(f"STORE_{w.name}_limited_{end}" for w in (Width.INT8, Width.INT16)
      for end in ("low", "high")),
    "tail", "tail_of_load", "select_some", "misaligned", "jump", "through", "illegal",
    "illegal_length", "kept_program", "grant_late", "full_store", "reset"])


class Watched(VectorEmulator):
    """The emulator, counting what happens as coverage bins; ``state``: free or stalled."""

    state = "free"

    def _execute(self, values: dict[str, int]) -> int | None:
        opcode = Opcode(values["opcode"])
        if opcode == Opcode.COMPUTE:
            self._watch_compute(values)
        elif opcode == Opcode.CONTROL:
            cover(f"{Control(values['function']).name}_{self.state}")
        else:
            self._watch_transfer(opcode, values)
        target = super()._execute(values)
        if opcode == Opcode.CONTROL and values["function"] == Control.NEXT:
            cover("through" if target is None else "jump")
        return target

    def _watch_compute(self, values: dict[str, int]) -> None:
        function, reduce = Function(values["function"]), Reduce(values["reduce"])
        cover(f"{function.name}_{reduce.name}_{self.state}")
        cover(f"factor_{Factor(values['factor']).name}_{self.state}")
        cover(f"addend_{Addend(values['addend']).name}_{self.state}")
        if values["tail"] and self.length.last < self.lanes:
            cover("tail")
        if reduce == Reduce.HOLD:
            return
        if values["factor"] >= Factor.TABLE_256 and values["addend"] != Addend.B:
            cover(f"table_of_held_{self.state}")
        a = self._register(values["a"], 1)
        b = self._second(values, a, 1)
        whole, up = product(values, a, b)
        name = f"shift_{Shift(values['shift']).name}"
        if (abs(whole) >= HIGH).any():
            cover(f"{name}_limited")
        tap = isa.TAPS[values["shift"]]
        if values["factor"] == Factor.IMMEDIATE and tap:
            halves = (a * values["immediate"] & (1 << tap) - 1) == 1 << tap - 1
            for sign, of_sign in (("positive", a > 0), ("negative", a < 0)):
                if (halves & of_sign).any() and values["immediate"] > 0:
                    cover(f"{name}_half_{sign}")
        cover(f"{name}_{'up' if up.any() else 'exact'}")
        if function == Function.SELECT and 0 < (whole != 0).sum() < self.lanes:
            cover("select_some")
        if function == Function.ADD and not reduce:
            y = b if values["addend"] == Addend.B else (
                values["immediate"] if values["addend"] == Addend.IMMEDIATE else 0)
            total = y - whole if values["negate"] else y + whole
            if (total < LOW).any() or (total > HIGH).any():
                end = "high" if (total > HIGH).any() else "low"
                cover("ADD_negated_limited" if values["negate"] else f"ADD_limited_{end}")

    def _watch_transfer(self, opcode: Opcode, values: dict[str, int]) -> None:
        width = Width(values["function"])
        size = min(self.lanes << width, self.config.read_bytes)
        if self.control[values["b" if opcode == Opcode.LOAD else "d"]] % size:
            cover("misaligned")
        if values["reduce"] == Reduce.GROUPS:
            cover(f"{opcode.name}_rows_{self.state}")
        if opcode == Opcode.LOAD:
            everywhere = values["reduce"] == Reduce.LANES
            cover(f"LOAD_{'everywhere' if everywhere else width.name}_{self.state}")
            if values["tail"]:
                cover("tail_of_load")
            return
        cover(f"STORE_{width.name}_{self.state}")
        if values["factor"] or values["shift"] or values["tail"]:
            cover(f"STORE_{'held' if values['tail'] else 'product'}_{self.state}")
            return
        if width != Width.INT32:
            stored = self.words[isa.word_of(values["a"], 0)][:self.length.last]
            limit = 1 << (8 << width) - 1
            if (stored < -limit).any():
                cover(f"STORE_{width.name}_limited_low")
            if (stored >= limit).any():
                cover(f"STORE_{width.name}_limited_high")


class Rig:
    """A device with its memory, and an emulator with a copy of it."""

    def __init__(self, env: Env, stall: float, latency: tuple[int, int]) -> None:
        from kaniwa.hw.interfaces import vector_command_layout, write_port

        self.env, config = env, config_of(env)
        if latency == (0, 0):
            latency = (config.memory_latency, config.memory_latency)
        self.memory = random_memory(env.rng)
        self.base = base = env.rng.randrange(1 << 18) << 14   # anywhere on either side
        self.emulator = Watched(config, np.frombuffer(bytearray(self.memory), np.uint8), base=base)
        self.emulator.state = "stalled" if stall or latency[0] < latency[1] else "free"
        size = config.read_bytes
        self.read = ReadServer(
            env, "read",
            lambda a: int.from_bytes(self.memory[a - base:a - base + size], "little"), stall,
            latency)
        layout = write_port(config).members["request"].signature.members["payload"].shape
        self.write = WriteServer(env, "write", layout, self._written, stall)
        self.commands = Driver(env, "i", vector_command_layout())
        self.stall = stall
        env.set("grant", 1)

    @classmethod
    async def make(cls, env: Env, stall: float, latency: tuple[int, int]) -> Rig:
        """A rig whose device holds what the emulator holds: words 0."""
        rig = cls(env, stall, latency)
        program = clearing(rig.emulator.lanes)
        rig.emulator.run(program)
        await rig.run(moved(program, 0), 0)
        return rig

    @property
    def low(self) -> int:
        """The first address of memory, as SET has it in its immediate."""
        return self.base - ((self.base >> 31) << 32)

    def _written(self, item: dict[str, int]) -> None:
        size = config_of(self.env).write_bytes
        first = item["address"] - self.base
        assert 0 <= first <= PROGRAM_AT - size, "a write outside the programs' window"
        for i in range(size):
            if item["mask"] >> i & 1:
                self.memory[first + i] = item["data"] >> 8 * i & 255

    async def run(self, program: list[bytes], entry: int | None = None,
                  load: bool = True) -> tuple[int, int]:
        """Run a program; the cycles from the command to ``idle``, and ``error``."""
        env = self.env
        if entry is None:
            entry = env.rng.randrange(isa.STORE_INSTRUCTIONS - len(program))
        code = b"".join(program)
        if load:
            self.memory[PROGRAM_AT:PROGRAM_AT + len(code)] = code
        self.commands.send([{"address": self.base + PROGRAM_AT,
                             "count": len(program) if load else 0, "entry": entry}])
        await self.commands.drain()
        began = self.commands.cycles[-1]
        self.odd = bool(began % 2)
        await env.cycles(1)
        for _ in range(200_000):
            if env.get("idle"):
                return env.cycle - began, env.get("error")
            await env.cycles(1)
        raise AssertionError("the program does not end")

    async def reset(self) -> None:
        """Hold reset until no word is on its way."""
        self.env.set("rst", 1)
        await self.env.cycles(2)
        while self.read.in_flight:
            await self.env.cycles(1)
        self.env.set("rst", 0)
        await self.env.cycles(2)

    def compare(self, what: str) -> None:
        """Memory against the emulator's, but for where programs lie."""
        got, wanted = self.memory[:PROGRAM_AT], self.emulator.memory[:PROGRAM_AT].tobytes()
        TALLY.checks += 1
        if got != wanted:
            at = next(i for i, (a, b) in enumerate(zip(got, wanted, strict=True)) if a != b)
            raise AssertionError(f"{what}: byte {at:#x} is {got[at]}, expected {wanted[at]}")


@cocotb.test()
@cocotb.parametrize(memory=STALLS)
async def programs_equal_the_emulator(dut: Any, memory: tuple[float, tuple[int, int]]) -> None:
    """Also in cycles, where memory never waits."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *memory)
    program, entry = clearing(rig.emulator.lanes), 0
    for index in range(PROGRAMS):
        loaded = env.rng.random() < 0.9
        if loaded:
            program = random_program(env.rng, config_of(env), base=rig.base)
            entry = env.rng.randrange(isa.STORE_INSTRUCTIONS - len(program))
        else:   # what ran before is there still
            cover("kept_program")
        code = moved(program, entry)
        cycles, error = await rig.run(code, entry, loaded)
        expected = rig.emulator.run(b"".join(code) if loaded else b"", entry, rig.odd)
        text = f"{env.dut_name}, program {index}"
        check(error, 0, f"{text}: error")
        rig.compare(text)
        if memory == EXACT:
            check(cycles, expected, f"{text}: cycles")


@cocotb.test()
async def refuses_illegal_instructions(dut: Any) -> None:
    """And runs the next program; nothing behind the instruction has an effect."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, 0.2, (1, 3))
    config = config_of(env)
    for number in illegal_instructions(env.rng):
        code = number.to_bytes(isa.VECTOR_BYTES, "little")
        assert isa.illegal(isa.decode(code)), f"{number:#x} is legal"
        program = random_program(env.rng, config, 4, rig.base)[:-1]
        rig.emulator.run([*program, control(Control.END)])
        behind = random_program(env.rng, config, 4, rig.base)
        _, error = await rig.run([*moved(program, 0), code, *moved(behind, 0)], 0)
        check(error, 1, f"error of {number:#x}")
        rig.compare(f"{number:#x}")
        cover("illegal")
    lanes = config.requant_lanes
    for length in (0, 33, 40, lanes << 8, 1, 1 | (lanes + 1) << 8, 1 | 255 << 8):
        if length & 63 in range(1, 33) and length >> 8 in range(1, lanes + 1):
            continue
        program = [control(Control.LENGTH, 0, length), control(Control.END)]
        _, error = await rig.run(moved(program, 3), 3)
        check(error, 1, f"error of length {length:#x}")
        cover("illegal_length")
        clear = clearing(lanes)   # the length too is another now
        rig.emulator.run(clear)
        check((await rig.run(moved(clear, 0), 0))[1], 0, "error afterwards")


@cocotb.test()
async def loads_programs_of_any_length(dut: Any) -> None:
    """Up to one that fills the store: an instruction more would take the place of the first."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, 0.1, (1, 3))
    low = rig.low
    size = 4
    while size <= isa.STORE_INSTRUCTIONS:
        program = [control(Control.SET, 0, low + 4 * size), *(
            {"opcode": Opcode.COMPUTE, "factor": Factor.ZERO, "addend": Addend.IMMEDIATE,
             "immediate": env.rng.randrange(1 << 31), "d": 1} for _ in range(size - 3)),
            {"opcode": Opcode.STORE, "function": Width.INT32, "a": 1}, control(Control.END)]
        check((await rig.run(moved(program, 0), 0))[1], 0, "error")
        rig.emulator.run(program)
        rig.compare(f"a program of {size} instructions")
        size *= 2
    cover("full_store")


@cocotb.test()
async def starts_anew_after_a_reset(dut: Any) -> None:
    """In the middle of a program, wherever that is."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    clear = clearing(rig.emulator.lanes)
    for _ in range(12):
        program = random_program(env.rng, config_of(env), base=rig.base)
        running = cocotb.start_soon(rig.run(moved(program, 0), 0))
        await env.cycles(env.rng.randrange(20, 900))
        running.cancel()
        await rig.reset()
        check([env.get("idle"), env.get("request"), env.get("error")], [1, 0, 0], "after a reset")
        rig.emulator.memory[:] = np.frombuffer(bytes(rig.memory), np.uint8)
        for number, steps in enumerate((clear, random_program(env.rng, config_of(env),
                                                              base=rig.base))):
            rig.emulator.run(steps)
            check((await rig.run(moved(steps, 0), 0))[1], 0, "error")
            rig.compare(f"program {number} after a reset")
        cover("reset")


@cocotb.test()
async def waits_for_the_blocks(dut: Any) -> None:
    """A program begins when it is granted the blocks, and gives them back."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    for _ in range(8):
        env.set("grant", 0)
        program = random_program(env.rng, config_of(env), 4, rig.base)
        running = cocotb.start_soon(rig.run(moved(program, 7), 7))
        delay = env.rng.randrange(60, 200)
        before = bytes(rig.memory)
        await env.cycles(delay)
        check([env.get("request"), env.get("idle")], [1, 0], "request and idle before the grant")
        check(bytes(rig.memory)[:PROGRAM_AT], before[:PROGRAM_AT], "memory before the grant")
        env.set("grant", 1)
        await running
        check(env.get("request"), 0, "request while idle")
        rig.emulator.run(program)
        rig.compare("a program with a late grant")
        cover("grant_late")


@cocotb.test()
async def counts_leading_zeros_of_every_place(dut: Any) -> None:
    """In every lane, of numbers with each bit as the highest one, alone and not, and inverted."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    lanes, low = rig.emulator.lanes, rig.low
    for alone in (True, False):
        for number in range(isa.BLOCK_WORDS * lanes):
            top = 1 << (number // lanes + number) % 32
            value = top if alone else top | env.rng.randrange(top)
            rig.memory[4 * number:4 * number + 4] = value.to_bytes(4, "little")
        rig.emulator.memory[:] = np.frombuffer(bytes(rig.memory), np.uint8)
        program = [control(Control.LENGTH, 0, isa.BLOCK_WORDS | lanes << 8),
                   control(Control.SET, 0, low), control(Control.SET, 1, low + 4096)]
        program.append({"opcode": Opcode.LOAD, "function": Width.INT32, "d": 1})
        for negate in (0, 1):
            program += [{"opcode": Opcode.COMPUTE, "function": Function.LEADING_ZEROS, "d": 2,
                         "a": 1, "negate": negate},
                        {"opcode": Opcode.STORE, "function": Width.INT32, "a": 2, "d": 1,
                         "immediate": 2048}]
        program.append(control(Control.END))
        rig.emulator.run(program)
        await rig.run(moved(program, 0), 0)
        rig.compare(f"{env.dut_name}: leading zeros")


@cocotb.test()
async def a_table_keeps_what_is_held(dut: Any) -> None:
    """Until its last group is multiplied: the next table takes A a slot early."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    lanes, low = rig.emulator.lanes, rig.low
    program = [control(Control.LENGTH, 0, isa.BLOCK_WORDS | lanes << 8),
               control(Control.SET, 0, low), control(Control.SET, 1, low + 4096)]
    program += [{"opcode": Opcode.LOAD, "function": Width.INT32, "d": d, "immediate": 64}
                for d in (*range(8), 16, 17)]
    for second in (Addend.B, Addend.ZERO):
        program += [
            {"opcode": Opcode.COMPUTE, "factor": Factor.ONE, "d": 18, "a": 17},
            *({"opcode": Opcode.COMPUTE, "factor": Factor.TABLE_256, "addend": addend, "d": d,
               "a": 16} for d, addend in ((19, Addend.ZERO), (20, second))),
            *({"opcode": Opcode.STORE, "function": Width.INT32, "a": a, "d": 1,
               "immediate": 4 * isa.BLOCK_WORDS * lanes} for a in (19, 20))]
    program.append(control(Control.END))
    code = moved(program, 0)
    cycles, _ = await rig.run(code, 0)
    expected = rig.emulator.run(b"".join(code), 0, rig.odd)
    rig.compare(f"{env.dut_name}: held")
    check(cycles, expected, f"{env.dut_name}: cycles")


@cocotb.test()
async def limits_products_of_the_extremes(dut: Any) -> None:
    """With each Shift, added and subtracted: random numbers hardly ever are as large."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    lanes, low = rig.emulator.lanes, rig.low
    extremes = (LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH)
    numbers = [[env.rng.choice(extremes) for _ in range(isa.BLOCK_WORDS * lanes)] for _ in range(2)]
    data = np.array(numbers, "<i4").tobytes()
    rig.memory[:len(data)] = data
    rig.emulator.memory[:] = np.frombuffer(bytes(rig.memory), np.uint8)
    for negate in (0, 1):
        program = [control(Control.LENGTH, 0, isa.BLOCK_WORDS | lanes << 8),
                   control(Control.SET, 0, low), control(Control.SET, 1, low + len(data))]
        program += [{"opcode": Opcode.LOAD, "function": Width.INT32, "d": d, "b": 0,
                     "immediate": len(data) // 2} for d in (1, 2)]
        for shift in Shift:
            program += [{"opcode": Opcode.COMPUTE, "function": Function.ADD, "d": 3, "a": 1, "b": 2,
                         "factor": Factor.B, "shift": shift, "negate": negate},
                        {"opcode": Opcode.STORE, "function": Width.INT32, "a": 3, "d": 1,
                         "immediate": len(data) // 2}]
        program.append(control(Control.END))
        rig.emulator.run(program)
        await rig.run(moved(program, 0), 0)
        rig.compare(f"{env.dut_name}: products of the extremes")


@cocotb.test()
async def rounds_halves_of_either_sign(dut: Any) -> None:
    """With each Shift that rounds: random programs may have no such pair."""
    env = await start(dut, BENCH)
    rig = await Rig.make(env, *EXACT)
    low, size = rig.low, 4 * isa.BLOCK_WORDS * rig.emulator.lanes
    odd = [env.rng.randrange(LOW, HIGH) | 1 for _ in range(size // 4)]
    rig.memory[:size] = np.array(odd, "<i4").tobytes()
    rig.emulator.memory[:] = np.frombuffer(bytes(rig.memory), np.uint8)
    program = [control(Control.LENGTH, 0, isa.BLOCK_WORDS | rig.emulator.lanes << 8),
               control(Control.SET, 0, low), control(Control.SET, 1, low + size),
               {"opcode": Opcode.LOAD, "function": Width.INT32, "d": 1}]
    for shift in (s for s in Shift if isa.TAPS[s]):
        program += [{"opcode": Opcode.COMPUTE, "factor": Factor.IMMEDIATE, "shift": shift, "d": 2,
                     "a": 1, "immediate": 1 << isa.TAPS[shift] - 1},
                    {"opcode": Opcode.STORE, "function": Width.INT32, "a": 2, "d": 1,
                     "immediate": size}]
    program.append(control(Control.END))
    rig.emulator.run(program)
    await rig.run(moved(program, 0), 0)
    rig.compare(f"{env.dut_name}: halves")
