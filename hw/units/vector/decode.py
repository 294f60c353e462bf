"""Facts of an instruction that the vector unit's control needs before the instruction begins."""

from amaranth import *
from amaranth.lib import data

from kaniwa.hw.parts.bit_fields import layout_of
from kaniwa.units.vector.isa import (
    CONTROL_REGISTERS,
    FIELDS,
    SCALAR,
    USED,
    Addend,
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
    """``bad``: it is refused. ``alone``: it waits until all results are written and stored.
    ``single``: it has one group, whatever the length; ``rows``: LOAD and STORE of rows.
    ``constant``: the immediate is an operand. Of what is computed: ``store``; ``writes`` registers;
    ``hold``; ``held``: A is what was held; ``folded``, ``across``: Reduce."""
    return data.StructLayout({name: unsigned(1) for name in (
        "bad", "alone", "single", "rows", "constant", "table", "store", "writes", "hold", "held",
        "folded", "across")})


def is_scalar(register):
    """True for the number of a scalar register: SCALAR and up, a power of two from the top."""
    assert SCALAR == 24
    return register[3] & register[4]


def decode_instruction(m, instruction):
    """The decoded form of an ``instruction_layout``, combinational."""
    decoded = Signal(decoded_layout())
    opcode, function, reduce = instruction.opcode, instruction.function, instruction.reduce
    is_control, is_store = opcode == Opcode.CONTROL, opcode == Opcode.STORE
    is_compute, holds = opcode == Opcode.COMPUTE, reduce == Reduce.HOLD
    table = is_compute & ~holds & (
        (instruction.factor == Factor.TABLE_256) | (instruction.factor == Factor.TABLE_512))
    register = Mux(is_store, instruction.a, instruction.d)
    m.d.comb += [
        decoded.table.eq(table),
        decoded.alone.eq((opcode == Opcode.LOAD) | (is_control & (
            (function == Control.END) | (function == Control.PITCH)
            | (function == Control.BACK)))),
        decoded.single.eq(is_scalar(register)),
        decoded.rows.eq(~is_compute & (reduce == Reduce.GROUPS)),
        decoded.constant.eq((instruction.factor == Factor.IMMEDIATE)
                            | (instruction.addend == Addend.IMMEDIATE)),
        decoded.store.eq(is_store),
        decoded.writes.eq(is_compute & ~holds),
        decoded.hold.eq(is_compute & holds),
        decoded.held.eq(Mux(is_store, instruction.tail,
                            table & (instruction.addend != Addend.B))),
        decoded.folded.eq(is_compute & (reduce != Reduce.NONE)),
        decoded.across.eq(is_compute & (reduce == Reduce.LANES)),
    ]
    with m.Switch(opcode):
        with m.Case(Opcode.COMPUTE):
            b = instruction.b
            # A table of 256 or 512 words begins at a multiple of that, below the scalars, and
            # nothing is written to it meanwhile.
            wrong = Mux(instruction.factor[0], b.any() | ~instruction.d[4],
                        b[:3].any() | (b[3:] == 3) | (b[3:] == instruction.d[3:]))
            found = (instruction.factor == Factor.TABLE_256) | (
                instruction.factor == Factor.TABLE_512)
            m.d.comb += decoded.bad.eq((instruction.addend == 3) | (instruction.shift == 7)
                                       | (found & wrong))
        with m.Case(Opcode.STORE):
            m.d.comb += decoded.bad.eq(
                (instruction.addend == 3) | (instruction.shift == 7) | reduce[1]
                | (reduce[0] & (function != Width.INT8)) | (instruction.factor[1:] == 3)
                | (function >= len(Width)) | (instruction.d >= CONTROL_REGISTERS))
        for case in (Opcode.LOAD, Opcode.CONTROL):
            unused = Cat(instruction[name] for name in FIELDS if name not in USED[case])
            wrong = unused.any() | (instruction.b >= CONTROL_REGISTERS)
            if case == Opcode.CONTROL:
                wrong |= function >= len(Control)
            else:
                wrong |= function >= len(Width)
            if case == Opcode.LOAD:
                wrong |= reduce.all() | (reduce[1] & (function != Width.INT32)) | (
                    reduce[0] & ((function != Width.INT8) | is_scalar(instruction.d)))
            with m.Case(case):
                m.d.comb += decoded.bad.eq(wrong)
    return decoded


def compares(function):
    """True where X and Y are compared: X then comes inverted, as ``VectorLane`` wants it."""
    return ((function == Function.MINIMUM) | (function == Function.MAXIMUM)
            | (function == Function.LESS))
