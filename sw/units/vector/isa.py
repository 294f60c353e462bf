"""The vector unit's instruction table: layout, meaning and legal values of every field.

Encoder, decoder, assembler, emulator, gateware and ``docs/isa.md`` are made from these tables.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from kaniwa.isa.bit_table import BitTable, Field, in_order

__all__ = ["VECTOR_BYTES", "STORE_INSTRUCTIONS", "WORDS", "BLOCK_WORDS", "SCALAR", "SCALAR_BLOCK",
           "CONTROL_REGISTERS", "TAPS", "Opcode", "Function", "Width", "Control", "Factor", "Shift",
           "Addend", "Reduce", "INSTRUCTION", "FIELDS", "USED", "encode", "decode", "illegal",
           "is_constant", "piece_of", "word_of"]

VECTOR_BYTES = 8           # of an instruction: two 32-bit words
STORE_INSTRUCTIONS = 512   # what the program store holds
BLOCK_WORDS = 32           # groups of a vector register
WORDS = 32 * BLOCK_WORDS   # of a lane's memory
SCALAR = 24                # registers from here on are scalars: a word a lane
SCALAR_BLOCK = 24          # the block in which scalars lie, one word each
CONTROL_REGISTERS = 16


class Opcode(enum.IntEnum):
    """What an instruction is."""

    COMPUTE = 0  # d = function(A * F >> shift, Y), group by group
    LOAD = 1     # words of memory to d
    STORE = 2    # X + Y, as ADD makes it, to words of memory
    CONTROL = 3  # loops, addresses, lengths; see Control


class Function(enum.IntEnum):
    """What COMPUTE makes of X, the shifted product, and Y, the addend."""

    ADD = 0            # X rounded, plus Y (with negate: Y - X), limited to 32 bits
    MINIMUM = 1        # the smaller of X and Y
    MAXIMUM = 2        # the larger of X and Y
    LESS = 3           # -1 where X < Y, else 0
    AND = 4            # X and Y, bit by bit
    OR = 5             # X or Y, bit by bit
    SELECT = 6         # Y, written only where X is not 0
    LEADING_ZEROS = 7  # zeros above the highest 1 of X: 0 to 32


class Width(enum.IntEnum):
    """Elements in memory; the function field of LOAD and STORE."""

    INT8 = 0   # 1 byte
    INT16 = 1  # 2 bytes
    INT32 = 2  # 4 bytes


class Control(enum.IntEnum):
    """The function field of CONTROL; c is control register b."""

    END = 0     # the program is done
    SET = 1     # c = immediate
    ADD = 2     # c = c + immediate, modulo 2^32
    NEXT = 3    # c = c - 1; where that is not 0, go on at instruction immediate
    LENGTH = 4  # groups = immediate bits 0..5, lanes of the last group = bits 8..15
    PITCH = 5   # bytes from one row to the next, for LOAD and STORE of rows
    BACK = 6    # bytes from the last row's piece to the first row's next one


class Factor(enum.IntEnum):
    """What A is multiplied by."""

    ONE = 0        # 1
    IMMEDIATE = 1  # the immediate
    B = 2          # register b
    LEFT = 3       # 2^n, n the low 5 bits of register b
    RIGHT = 4      # 2^(31-n), n the low 5 bits of register b
    ZERO = 5       # 0
    TABLE_256 = 6  # the word of the table in registers b to b + 7 that 8 bits of A select
    TABLE_512 = 7  # the word of the table in registers 0 to 15 that 9 bits of A select


class Shift(enum.IntEnum):
    """How far the product is shifted right, and how ADD rounds it."""

    LOW = 0       # by 0
    FLOOR_15 = 1  # by 15, down
    FLOOR_31 = 2  # by 31, down
    UP_15 = 3     # by 15, half up: SaturatingRoundingDoublingHighMul of 16 bits
    UP_31 = 4     # by 31, half up: SaturatingRoundingDoublingHighMul
    AWAY_15 = 5   # by 15, half away from zero: RoundingDivideByPOT
    AWAY_31 = 6   # by 31, half away from zero: RoundingDivideByPOT


TAPS = (0, 15, 31, 15, 31, 15, 31)   # bits that each Shift drops


class Addend(enum.IntEnum):
    """What Y is."""

    ZERO = 0       # 0
    IMMEDIATE = 1  # the immediate
    B = 2          # register b, or the table's word


class Reduce(enum.IntEnum):
    """Folding of the groups into one, of which only the last result is written; or a HOLD."""

    NONE = 0    # no
    GROUPS = 1  # from the second group on, Y is the result of the group before; LOAD, STORE: rows
    LANES = 2   # as many steps as lanes, on word 0; then Y is the result before of the next lane
    HOLD = 3    # one step: A becomes H, and 8 bits of B the offset; nothing is written


_TABLE: tuple[tuple[str, int, bool, int, str], ...] = (
    ("opcode", 2, False, 3, "Opcode"),
    ("function", 3, False, 7, "Function; LOAD, STORE: Width; CONTROL: Control"),
    ("factor", 3, False, 7, "Factor"),
    ("shift", 3, False, 6, "Shift"),
    ("negate", 1, False, 1, "1: ADD takes Y - X; other functions take all bits of X inverted"),
    ("addend", 2, False, 2, "Addend"),
    ("reduce", 2, False, 3, "Reduce; LOAD: LANES: each element goes to all lanes (INT32)"),
    ("tail", 1, False, 1, "1: lanes past the length's end are not written in the last group; "
     "STORE: A is H"),
    ("d", 5, False, 31, "register that is written; STORE: control register (0..15)"),
    ("a", 5, False, 31, "register A"),
    ("b", 5, False, 31, "register b, first one of a table (0, 8, 16); "
     "LOAD, CONTROL: control register (0..15)"),
    ("immediate", 32, True, (1 << 31) - 1,
     "a number for all lanes; a word's number; LOAD, STORE: added to c"),
)


def _illegal_use(values: Mapping[str, int]) -> str | None:
    """Use that the opcode of an instruction refuses, as the unit does; fields are within range."""
    opcode, function = Opcode(values["opcode"]), values["function"]
    if opcode == Opcode.COMPUTE:
        return _illegal_table(values)
    unused = [name for name in FIELDS if name not in USED[opcode] and values[name]]
    if unused:
        return f"{unused[0]} means nothing to {opcode.name}"
    kinds: type[enum.IntEnum] = Control if opcode == Opcode.CONTROL else Width
    if function >= len(kinds):
        return f"function must be 0..{len(kinds) - 1} for {opcode.name}, not {function}"
    register = values["d" if opcode == Opcode.STORE else "b"]
    if register >= CONTROL_REGISTERS:
        return f"control register must be 0..{CONTROL_REGISTERS - 1}, not {register}"
    if opcode == Opcode.CONTROL:
        return None
    if values["reduce"] == Reduce.HOLD or (
            opcode == Opcode.STORE and values["reduce"] == Reduce.LANES):
        return f"reduce means nothing to {opcode.name} as {Reduce(values['reduce']).name}"
    if opcode == Opcode.STORE and values["factor"] in (Factor.TABLE_256, Factor.TABLE_512):
        return "factor of STORE cannot be a table"
    if values["reduce"] == Reduce.LANES and function != Width.INT32:
        return "a LOAD to all lanes must be of INT32"
    if values["reduce"] == Reduce.GROUPS and function != Width.INT8:
        return f"a {opcode.name} of rows must be of INT8"
    if values["reduce"] == Reduce.GROUPS and opcode == Opcode.LOAD and values["d"] >= SCALAR:
        return "rows cannot be loaded to a scalar"
    return None


def _illegal_table(values: Mapping[str, int]) -> str | None:
    factor, b = values["factor"], values["b"]
    blocks = {Factor.TABLE_256: 8, Factor.TABLE_512: 16}.get(Factor(factor))
    if blocks and (b % blocks or b + blocks > SCALAR):
        return f"a table of {blocks * BLOCK_WORDS} words cannot begin at register {b}"
    if blocks and b <= values["d"] < b + blocks:
        return f"register {values['d']} is part of the table that it is looked up in"
    return None


INSTRUCTION = BitTable("a vector instruction", VECTOR_BYTES, in_order(
    Field.of(name, width, meaning, signed=signed, high=high)
    for name, width, signed, high, meaning in _TABLE), _illegal_use)
FIELDS: dict[str, Field] = INSTRUCTION.fields
encode, decode, illegal = INSTRUCTION.encode, INSTRUCTION.decode, INSTRUCTION.illegal

# Fields that mean something, by opcode; the others are 0.
USED: dict[Opcode, tuple[str, ...]] = {
    Opcode.COMPUTE: tuple(FIELDS),
    Opcode.LOAD: ("opcode", "function", "reduce", "tail", "d", "b", "immediate"),
    Opcode.STORE: tuple(FIELDS),
    Opcode.CONTROL: ("opcode", "function", "b", "immediate"),
}


def is_constant(values: Mapping[str, int]) -> bool:
    """True where the immediate is the factor or the addend, and so no word or step."""
    return values["factor"] == Factor.IMMEDIATE or values["addend"] == Addend.IMMEDIATE


def piece_of(lanes: int) -> int:
    """Bytes of a row that LOAD and STORE move at once, and of a write to memory at most."""
    return min(lanes, 8)


def word_of(register: int, group: int) -> int:
    """The word of a lane's memory that holds a group of a register; scalars have one word."""
    if register >= SCALAR:
        return SCALAR_BLOCK * BLOCK_WORDS + register - SCALAR
    return register * BLOCK_WORDS + group
