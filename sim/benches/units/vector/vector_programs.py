"""Random programs for the vector unit: every instruction, on registers that keep their values."""

from __future__ import annotations

import random
from collections.abc import Callable

from kaniwa.config import AcceleratorConfig
from kaniwa.units.vector import isa
from kaniwa.units.vector.isa import Addend, Control, Factor, Function, Opcode, Reduce, Shift, Width

__all__ = ["MEMORY_BYTES", "PROGRAM_AT", "random_program", "random_memory", "clearing", "control",
           "illegal_instructions", "moved"]

MEMORY_BYTES = 1 << 14
# A program keeps off this part of memory, for programs are loaded from there.
PROGRAM_AT = MEMORY_BYTES - isa.STORE_INSTRUCTIONS * isa.VECTOR_BYTES
CORNERS = (0, 1, -1, 2, 127, -128, 255, 32767, -32768, 65535, 1 << 30, -(1 << 30),
           (1 << 31) - 1, -(1 << 31), (1 << 17) - 1, 1 << 17, -(1 << 17), 1 << 16, 1 << 14)
Values = dict[str, int]


def number(rng: random.Random) -> int:
    """A 32-bit number of any magnitude, or of an edge."""
    if rng.random() < 0.3:
        return rng.choice(CORNERS)
    return rng.randrange(-(1 << 31), 1 << 31) >> rng.randrange(32)


def random_memory(rng: random.Random) -> bytearray:
    """Bytes that make numbers of any magnitude, in each width."""
    content = bytearray()
    while len(content) < MEMORY_BYTES:
        if rng.random() < 0.5:
            content += (number(rng) & 0xFFFF_FFFF).to_bytes(4, "little")
        else:
            content += rng.randbytes(4)
    return content


def control(kind: Control, c: int = 0, immediate: int = 0) -> Values:
    """A CONTROL instruction."""
    return {"opcode": Opcode.CONTROL, "function": kind, "b": c, "immediate": immediate}


class _Writer:
    """A program as it grows."""

    def __init__(self, rng: random.Random, config: AcceleratorConfig, base: int) -> None:
        self.rng, self.config, self.base = rng, config, base
        self.items: list[Values] = []
        self.groups = 1
        # A few registers, so that results are used soon and often.
        self.registers = rng.sample(range(isa.SCALAR), 5) + rng.sample(range(isa.SCALAR, 32), 3)

    def length(self) -> None:
        self.groups = groups = self.rng.choice([1, 1, 2, 3, 4, 6, 7, 8, 9, self.rng.randint(1, 32)])
        self.items.append(control(Control.LENGTH, 0,
                                  groups | self.rng.randint(1, self.config.requant_lanes) << 8))

    def address(self, c: int) -> None:
        """An address with room for all that a program may step over."""
        address = self.base + 2048 + self.rng.randrange(PROGRAM_AT - 8192)
        self.items.append(control(Control.SET, c, address - ((address >> 31) << 32)))

    def transfer(self, opcode: Opcode) -> None:
        rng = self.rng
        c = rng.randrange(isa.CONTROL_REGISTERS)
        self.address(c)
        width = rng.choice(list(Width))
        register = rng.choice(self.registers)
        rows = rng.random() < 0.5 and width == Width.INT8 and (
            opcode == Opcode.STORE or register < isa.SCALAR)
        values = {"opcode": opcode, "function": width,
                  "immediate": rng.choice([0, 0, 8, 16, 64, rng.randrange(256)]),
                  "reduce": Reduce.GROUPS if rows else Reduce.NONE}
        if opcode == Opcode.LOAD:
            values |= {"b": c, "d": register, "tail": rng.randrange(2)}
            if width == Width.INT32 and rng.random() < 0.5:
                values["reduce"] = Reduce.LANES
        else:
            values |= {"d": c, "a": register}
            if rng.random() < 0.5:
                values |= self.product(register)
        self.items.append(values)
        if rng.random() < 0.3:   # once more from where that ended
            self.items.append(dict(values))

    def product(self, register: int) -> Values:
        """What STORE makes of A, or of what is held."""
        rng = self.rng
        return {"factor": rng.randrange(Factor.TABLE_256), "shift": rng.choice(list(Shift)),
                "addend": rng.choice(list(Addend)), "negate": rng.randrange(2),
                "tail": rng.randrange(2), "b": rng.choice([register, *self.registers])}

    def pitch(self) -> None:
        """Rows of up to 64 bytes, which go up or down, and overlap now and then."""
        rng = self.rng
        self.items.append(control(Control.PITCH, 0, rng.randrange(64)))
        self.items.append(control(Control.BACK, 0, rng.randrange(-128, 128)))

    def compute(self) -> None:
        rng, registers = self.rng, self.registers
        factor = rng.choice(list(Factor))
        if rng.random() < 0.2:   # plain numbers, as they were loaded
            factor = Factor.ONE
        d, b = rng.choice(registers), rng.choice(registers)
        if factor == Factor.TABLE_256:
            b = rng.choice([first for first in (0, 8, 16) if not first <= d < first + 8])
        elif factor == Factor.TABLE_512:
            b = 0
            d = rng.choice([n for n in registers if n >= 16])
        shift = rng.choice([Shift.LOW] * (20 if factor == Factor.ONE else 2) + list(Shift))
        immediate = number(rng)
        if factor == Factor.IMMEDIATE and isa.TAPS[shift] and rng.random() < 0.5:
            immediate = 1 << isa.TAPS[shift] - 1     # what is rounded is a half, or nothing
        self.items.append({
            "opcode": Opcode.COMPUTE,
            "function": rng.choice([Function.ADD] * 4 + list(Function)), "factor": factor,
            "shift": shift, "negate": rng.randrange(2), "addend": rng.choice(list(Addend)),
            "reduce": rng.choice([Reduce.NONE] * 4
                                 + [Reduce.GROUPS, Reduce.LANES, Reduce.HOLD]),
            "tail": int(rng.random() < 0.3), "d": d, "a": rng.choice(registers),
            "b": b, "immediate": immediate})

    def skip(self) -> None:
        """A jump forward over an instruction, or, if the counter was 1, none."""
        c = self.rng.randrange(isa.CONTROL_REGISTERS)
        self.items.append(control(Control.SET, c, self.rng.choice([1, 0, number(self.rng)])))
        self.items.append(control(Control.NEXT, c, len(self.items) + 2))
        self.compute()

    def save(self) -> None:
        """Store what the registers hold in memory, with the lanes past the length."""
        self.items.append(control(Control.LENGTH, 0,
                                  self.groups | self.config.requant_lanes << 8))
        for register in self.registers:
            self.address(0)
            self.items.append({"opcode": Opcode.STORE, "function": Width.INT32, "d": 0,
                               "immediate": 0, "a": register})

    def loop(self, body: Callable[[], None]) -> None:
        c = self.rng.randrange(isa.CONTROL_REGISTERS)
        self.items.append(control(Control.SET, c, self.rng.randint(1, 3)))
        begin = len(self.items)
        body()
        for item in self.items[begin:]:   # which must not change the counter
            field = "d" if item["opcode"] == Opcode.STORE else "b"
            if item["opcode"] != Opcode.COMPUTE and item.get(field) == c:
                item[field] = (c + 1) % isa.CONTROL_REGISTERS
        self.items.append(control(Control.NEXT, c, begin))


def clearing(lanes: int) -> list[Values]:
    """A program that makes every word of every register 0."""
    return [control(Control.LENGTH, 0, isa.BLOCK_WORDS | lanes << 8),
            *({"opcode": Opcode.COMPUTE, "factor": Factor.ZERO, "d": d} for d in range(32)),
            *(control(Control.SET, c) for c in range(isa.CONTROL_REGISTERS)),
            control(Control.PITCH, 0, 0), control(Control.BACK, 0, 0),
            {"opcode": Opcode.COMPUTE, "reduce": Reduce.HOLD},
            control(Control.END)]


def moved(program: list[dict[str, int]], entry: int) -> list[bytes]:
    """The code of a program that lies from instruction ``entry`` on: its jumps lead there."""
    return [isa.encode(values | ({"immediate": values["immediate"] + entry}
                                 if values["opcode"] == Opcode.CONTROL
                                 and values["function"] == Control.NEXT else {}))
            for values in program]


def random_program(rng: random.Random, config: AcceleratorConfig, size: int = 16,
                   base: int = 0) -> list[Values]:
    """A program of about ``size`` computations between loads and stores, ending in END.

    It uses PROGRAM_AT bytes from address ``base`` on.
    """
    writer = _Writer(rng, config, base)
    writer.length()
    writer.pitch()
    for _ in range(rng.randint(1, 3)):
        writer.transfer(Opcode.LOAD)

    def body() -> None:
        for _ in range(rng.randint(1, max(1, size // 2))):
            kind = rng.random()
            if kind < 0.07:
                writer.length()
            elif kind < 0.12:
                writer.transfer(rng.choice([Opcode.LOAD, Opcode.STORE]))
            elif kind < 0.16:
                writer.items.append(control(Control.ADD, rng.randrange(isa.CONTROL_REGISTERS),
                                            rng.randrange(16)))
            elif kind < 0.2:
                writer.skip()
            else:
                writer.compute()

    body()
    if rng.random() < 0.4:
        writer.loop(body)
    else:
        body()
    for _ in range(rng.randint(1, 3)):
        writer.transfer(Opcode.STORE)
    writer.save()
    writer.items.append(control(Control.END))
    return writer.items


def illegal_instructions(rng: random.Random) -> list[int]:
    """Numbers of instructions that are refused, each for one reason."""
    number = {name: 1 << field.bit for name, field in isa.FIELDS.items()}
    load, store = (Opcode.LOAD * number["opcode"], Opcode.STORE * number["opcode"])
    jump = Opcode.CONTROL * number["opcode"] + Control.SET * number["function"]
    function, b, reduce = number["function"], number["b"], number["reduce"]
    wide = Width.INT32 * function
    found = [
        3 * number["addend"], 7 * number["shift"],
        store + 3 * number["addend"], store + 7 * number["shift"], store + 2 * reduce,
        store + 3 * reduce, store + 6 * number["factor"], store + 7 * number["factor"],
        store + reduce + rng.choice([Width.INT16, Width.INT32]) * function, load + 3 * reduce,
        load + 3 * reduce + wide, load + reduce + 24 * number["d"],
        Factor.TABLE_256 * number["factor"] + rng.choice([1, 2, 4, 24]) * b + 23 * number["d"],
        Factor.TABLE_512 * number["factor"] + rng.choice([1, 2, 4, 8, 16]) * b
        + 23 * number["d"],
        Factor.TABLE_256 * number["factor"] + 8 * b + rng.randrange(8, 16) * number["d"],
        Factor.TABLE_512 * number["factor"] + rng.randrange(16) * number["d"],
        load + rng.randrange(3, 8) * function, store + rng.randrange(3, 8) * function,
        jump + 6 * function, load + 16 * b, store + 16 * number["d"], jump + 16 * b,
        load + wide + reduce,
        load + rng.choice([Width.INT8, Width.INT16]) * function + 2 * reduce]
    for opcode, start_of in ((Opcode.LOAD, load), (Opcode.CONTROL, jump)):
        for name, field in isa.FIELDS.items():
            if name not in isa.USED[opcode]:
                found.append(start_of + (1 << field.bit + rng.randrange(field.width)))
    return found
