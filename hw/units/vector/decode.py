"""Facts of an instruction that the vector unit's control needs before the instruction begins."""

from amaranth import *
from amaranth.lib import data

from kaniwa.hw.parts.bit_fields import layout_of
from kaniwa.units.vector.isa import (
    CONTROL_REGISTERS,
    FIELDS,
    SCALAR,
    USED,
    Control,
    Factor,
    Function,
    Opcode,
    Reduce,
    Width,
)

__all__ = ["instruction_layout", "decoded_layout", "decode_instruction", "is_scalar"]


def instruction_layout() -> data.StructLayout:
    """An instruction's fields, as the instruction table has them."""
    return layout_of(FIELDS.values())


def decoded_layout() -> data.StructLayout:
    """``bad``: it is refused. ``alone``: it waits until all results are written. ``fence``: what
    follows it does. ``single``: it has one group, whatever the length."""
    return data.StructLayout({
        "bad": unsigned(1), "alone": unsigned(1), "fence": unsigned(1), "single": unsigned(1),
        "table": unsigned(1),
    })


def is_scalar(register):
    """True for the number of a scalar register: SCALAR and up, a power of two from the top."""
    assert SCALAR == 24
    return register[3] & register[4]


def decode_instruction(m, instruction):
    """The decoded form of an ``instruction_layout``, combinational."""
    decoded = Signal(decoded_layout())
    opcode, function, reduce = instruction.opcode, instruction.function, instruction.reduce
    is_control = opcode == Opcode.CONTROL
    table = (opcode == Opcode.COMPUTE) & (
        (instruction.factor == Factor.TABLE_256) | (instruction.factor == Factor.TABLE_512))
    register = Mux(opcode == Opcode.STORE, instruction.a, instruction.d)
    m.d.comb += [
        decoded.table.eq(table),
        decoded.alone.eq(table | (opcode == Opcode.LOAD) | (opcode == Opcode.STORE)
                         | (is_control & (function == Control.END))),
        decoded.fence.eq(table | (reduce != Reduce.NONE)),
        decoded.single.eq(is_scalar(register)),
    ]
    with m.Switch(opcode):
        with m.Case(Opcode.COMPUTE):
            b = instruction.b
            # A table of 256 or 512 words begins at a multiple of that, below the scalars, and
            # nothing is written to it meanwhile.
            wrong = Mux(instruction.factor[0], b.any() | ~instruction.d[4],
                        b[:3].any() | (b[3:] == 3) | (b[3:] == instruction.d[3:]))
            m.d.comb += decoded.bad.eq((instruction.addend == 3) | (reduce == 3)
                                          | (instruction.shift == 7) | (table & wrong))
        for case in (Opcode.LOAD, Opcode.STORE, Opcode.CONTROL):
            unused = Cat(instruction[name] for name in FIELDS if name not in USED[case])
            wrong = unused.any() | (instruction.b >= CONTROL_REGISTERS)
            if case == Opcode.CONTROL:
                wrong |= function >= len(Control)
            else:
                wrong |= function >= len(Width)
            if case == Opcode.LOAD:
                wrong |= reduce[0] | (reduce[1] & (function != Width.INT32))
            with m.Case(case):
                m.d.comb += decoded.bad.eq(wrong)
    return decoded


def compares(function):
    """True where X and Y are compared: X then comes inverted, as ``VectorLane`` wants it."""
    return ((function == Function.MINIMUM) | (function == Function.MAXIMUM)
            | (function == Function.LESS))
