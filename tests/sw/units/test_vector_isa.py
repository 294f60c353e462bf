"""The vector unit's instruction table, its text form, and what the builder and emulator refuse."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kaniwa.config import PRESETS
from kaniwa.errors import ProgramError
from kaniwa.sim.benches.units.vector.vector_programs import random_program
from kaniwa.units.vector import isa
from kaniwa.units.vector.builder import Builder
from kaniwa.units.vector.emulator import VectorEmulator
from kaniwa.units.vector.isa import Control, Factor, Function, Opcode, Reduce, Shift, Width
from kaniwa.units.vector.text import assemble, disassemble


def test_random_programs_go_to_text_and_back() -> None:
    rng = random.Random(1)
    for _ in range(50):
        code = b"".join(map(isa.encode, random_program(rng, PRESETS["base"])))
        assert assemble(disassemble(code)) == code


def test_anything_goes_to_text_and_back() -> None:
    code = random.Random(2).randbytes(8 * 2000)
    text = disassemble(code)
    assert assemble(text) == code
    assert "RAW" in text and "COMPUTE" in text


def test_text_names_what_an_instruction_does() -> None:
    code = isa.encode({"opcode": Opcode.COMPUTE, "function": Function.MAXIMUM, "d": isa.SCALAR + 2,
                       "a": 3, "addend": isa.Addend.IMMEDIATE, "immediate": -128,
                       "reduce": Reduce.GROUPS})
    assert disassemble(code) == ("COMPUTE function=MAXIMUM addend=IMMEDIATE reduce=GROUPS d=s2 "
                                 "a=v3 immediate=-128\n")
    assert disassemble(isa.encode({"opcode": Opcode.CONTROL, "function": Control.SET, "b": 4,
                                   "immediate": 7})) == "SET b=c4 immediate=7\n"


@pytest.mark.parametrize("text, message", [
    ("\nJUMP", "line 2: unknown instruction 'JUMP': expected COMPUTE, LOAD, STORE, END, SET, ADD, "
               "NEXT, LENGTH, PITCH, BACK, RAW"),
    ("COMPUTE e=1", "line 1: unknown field 'e'"),
    ("COMPUTE d=1 d=1", "line 1: d is given twice"),
    ("COMPUTE d=v24", "line 1: d cannot be v24"),
    ("LOAD b=v1", "line 1: b cannot be v1"),
    ("COMPUTE factor=FOUR", "line 1: factor cannot be 'FOUR'"),
    ("LOAD factor=B", "line 1: factor means nothing to LOAD"),
    ("RAW 00", "line 1: an instruction has 8 bytes, not 1"),
])
def test_bad_text_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ProgramError) as error:
        assemble(text)
    assert str(error.value) == message


@pytest.mark.parametrize("values, message", [
    ({"immediate": 1 << 31}, "immediate of a vector instruction must be "
     "-2147483648..2147483647, not 2147483648"),
    ({"shift": 7}, "shift of a vector instruction must be 0..6, not 7"),
    ({"factor": Factor.TABLE_256, "b": 4}, "a table of 256 words cannot begin at register 4"),
    ({"factor": Factor.TABLE_512, "b": 16}, "a table of 512 words cannot begin at register 16"),
    ({"factor": Factor.TABLE_256, "b": 8, "d": 15},
     "register 15 is part of the table that it is looked up in"),
    ({"opcode": Opcode.LOAD, "function": 3}, "function must be 0..2 for LOAD, not 3"),
    ({"opcode": Opcode.STORE, "d": 16}, "control register must be 0..15, not 16"),
    ({"opcode": Opcode.STORE, "factor": 6}, "factor of STORE cannot be a table"),
    ({"opcode": Opcode.STORE, "reduce": 2}, "reduce means nothing to STORE as LANES"),
    ({"opcode": Opcode.STORE, "reduce": 1, "function": 1}, "a STORE of rows must be of INT8"),
    ({"opcode": Opcode.LOAD, "reduce": 3}, "reduce means nothing to LOAD as HOLD"),
    ({"opcode": Opcode.LOAD, "reduce": 1, "function": 2}, "a LOAD of rows must be of INT8"),
    ({"opcode": Opcode.LOAD, "reduce": 1, "d": 24}, "rows cannot be loaded to a scalar"),
    ({"opcode": Opcode.LOAD, "reduce": 2}, "a LOAD to all lanes must be of INT32"),
])
def test_illegal_instructions_are_named(values: dict[str, int], message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        isa.encode(values)


def run(build: object, memory_bytes: int = 1024) -> np.ndarray:
    """Memory after a program that ``build`` writes."""
    builder = Builder(PRESETS["base"])
    build(builder)
    memory = np.zeros(memory_bytes, np.uint8)
    VectorEmulator(PRESETS["base"], memory).run(builder.finish())
    return memory


def test_stores_limit_and_leave_what_is_past_the_length() -> None:
    def build(k: Builder) -> None:
        x = k.vector()
        k.length(11)
        k.constant(x, 300)
        k.store(x, k.pointer(8), Width.INT8)

    memory = run(build)
    assert memory[8:19].tolist() == [127] * 11
    assert not memory[19:].any() and not memory[:8].any()


def test_loops_nest() -> None:
    def build(k: Builder) -> None:
        total = k.scalar()
        k.length(1)
        k.constant(total, 0)
        with k.loop(3):
            k.add(total, total, 100)
            with k.loop(5):
                k.add(total, total, 1)
        k.store(total, k.pointer(0), Width.INT32)

    assert run(build)[:4].view(np.int32)[0] == 315


@pytest.mark.parametrize("steps, message", [
    (lambda k: k.length(257), "a vector register holds 1..256 elements, not 257"),
    (lambda k: k.multiply(k.vector(), k.vector(), 3, plus=4), "no room for a second constant"),
    (lambda k: k.multiply(k.vector(), k.vector(), k.vector(), plus=k.vector()),
     "no room for a third register"),
    (lambda k: [k.scalar() for _ in range(9)], "no scalars are left"),
    (lambda k: [k.table(512), k.table(512)], "no 16 vector registers are left for a table of 512"),
    (lambda k: k.loop(0).__enter__(), "a loop of 0"),
])
def test_the_builder_refuses_what_has_no_room(steps: object, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        steps(Builder(PRESETS["base"]))


@pytest.mark.parametrize("text, message", [
    ("", "vector program: no END before instruction 0"),
    ("SET b=c0 immediate=2\nNEXT b=c0 immediate=9\nEND", "no END before instruction 9"),
    ("SET b=c1 immediate=3\nLENGTH immediate=257\nSET b=c0 immediate=1024\n"
     "STORE d=c0\nEND", "vector instruction 3: bytes 0x400 to 0x401 lie outside memory of 0x400"),
    ("LENGTH immediate=33", "vector instruction 0: a length of 33 groups of which the last has 0"),
    ("SET b=c0 immediate=0\nNEXT b=c0 immediate=1", "more than 1000 instructions"),
])
def test_the_emulator_ends_a_bad_program(text: str, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        VectorEmulator(PRESETS["base"], np.zeros(1024, np.uint8), limit=1000).run(assemble(text))


def test_rounding_is_that_of_gemmlowp() -> None:
    """SaturatingRoundingDoublingHighMul and RoundingDivideByPOT at their edges."""
    from kaniwa.golden.numbers.rounding import (
        rounding_divide_by_pot,
        saturating_rounding_doubling_high_mul,
    )
    from kaniwa.units.vector.emulator import product

    edges = np.array([-(1 << 31), -(1 << 31) + 1, -3, -2, -1, 0, 1, 2, 3, 1 << 30, (1 << 31) - 1])
    a, b = (grid.ravel() for grid in np.meshgrid(edges, edges))
    values = {"factor": Factor.B, "shift": Shift.UP_31, "immediate": 0}
    np.testing.assert_array_equal(sum(product(values, a, b)),
                                  saturating_rounding_doubling_high_mul(a, b))
    for n in range(32):
        values = {"factor": Factor.RIGHT, "shift": Shift.AWAY_31, "immediate": 0}
        np.testing.assert_array_equal(sum(product(values, a, np.full_like(a, n))),
                                      rounding_divide_by_pot(a, n))
