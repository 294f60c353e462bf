"""Vector programs as text and back: ``assemble(disassemble(program)) == program``.

    # a comment has a line of its own
    LENGTH immediate=264
    LOAD function=INT8 d=v3 b=c0 immediate=8
    COMPUTE function=MAXIMUM d=s0 a=v3 addend=IMMEDIATE immediate=-128 reduce=GROUPS
    RAW 0123456789abcdef             an instruction that is not legal, in hexadecimal digits

Fields that are left out are 0. Vector registers are v0 to v23, scalars s0 to s7, control registers
c0 to c15.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from kaniwa.errors import ProgramError
from kaniwa.units.vector import isa
from kaniwa.units.vector.isa import Addend, Control, Factor, Function, Opcode, Reduce, Shift, Width

__all__ = ["assemble", "disassemble"]

RAW = "RAW"
ENUMS: dict[str, type[enum.IntEnum]] = {
    "factor": Factor, "shift": Shift, "addend": Addend, "reduce": Reduce}
FUNCTIONS: dict[Opcode, type[enum.IntEnum]] = {
    Opcode.COMPUTE: Function, Opcode.LOAD: Width, Opcode.STORE: Width}
REGISTERS = ("d", "a", "b")


def disassemble(program: bytes) -> str:
    """The text of a program, a line an instruction. Raises ProgramError for half an instruction."""
    lines = []
    for at in range(0, len(program), isa.VECTOR_BYTES):
        piece = program[at:at + isa.VECTOR_BYTES]
        values = isa.decode(piece)
        lines.append(_line(values) if isa.illegal(values) is None else f"{RAW} {piece.hex()}")
    return "".join(f"{line}\n" for line in lines)


def assemble(text: str) -> bytes:
    """The program that ``text`` describes. Raises ProgramError with the number of the line."""
    program = bytearray()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            program += _instruction(words)
        except (ValueError, ProgramError) as error:
            raise ProgramError(f"line {number}: {error}") from None
    return bytes(program)


def _line(values: Mapping[str, int]) -> str:
    opcode = Opcode(values["opcode"])
    is_control = opcode == Opcode.CONTROL
    words = [Control(values["function"]).name if is_control else opcode.name]
    for name in isa.FIELDS:
        value = values[name]
        if name == "opcode" or (name == "function" and is_control) or not value:
            continue
        if name == "function":
            text = FUNCTIONS[opcode](value).name
        elif name in ENUMS:
            text = ENUMS[name](value).name
        elif name in REGISTERS:
            text = _register(value, _is_control(opcode, name))
        else:
            text = str(value)
        words.append(f"{name}={text}")
    return " ".join(words)


def _is_control(opcode: Opcode, field: str) -> bool:
    """True for the field that names a control register."""
    return field == {Opcode.COMPUTE: "", Opcode.STORE: "d"}.get(opcode, "b")


def _register(number: int, is_control: bool) -> str:
    if is_control:
        return f"c{number}"
    return f"v{number}" if number < isa.SCALAR else f"s{number - isa.SCALAR}"


def _instruction(words: list[str]) -> bytes:
    name = words[0]
    if name == RAW:
        data = bytes.fromhex("".join(words[1:]))
        if len(data) != isa.VECTOR_BYTES:
            raise ValueError(f"an instruction has {isa.VECTOR_BYTES} bytes, not {len(data)}")
        return data
    if name in Control.__members__:
        values = {"opcode": int(Opcode.CONTROL), "function": int(Control[name])}
    elif name in Opcode.__members__ and name != Opcode.CONTROL.name:
        values = {"opcode": int(Opcode[name])}
    else:
        known = [*(o.name for o in FUNCTIONS), *Control.__members__, RAW]
        raise ValueError(f"unknown instruction '{name}': expected {', '.join(known)}")
    given = set(values) if "function" in values else {"opcode"}
    for word in words[1:]:
        field, _, text = word.partition("=")
        if field not in isa.FIELDS or field == "opcode":
            raise ValueError(f"unknown field '{field}'")
        if field in given:
            raise ValueError(f"{field} is given twice")
        given.add(field)
        values[field] = _value(Opcode(values["opcode"]), field, text)
    return isa.encode(values)


def _value(opcode: Opcode, field: str, text: str) -> int:
    kind = FUNCTIONS.get(opcode) if field == "function" else ENUMS.get(field)
    if kind is not None and text in kind.__members__:
        return kind[text]
    if field in REGISTERS and text[:1] in ("v", "s", "c") and text[1:].isdecimal():
        number, is_control = int(text[1:]), _is_control(opcode, field)
        limit = {"v": isa.SCALAR, "s": 32 - isa.SCALAR, "c": isa.CONTROL_REGISTERS}[text[0]]
        if number >= limit or (text[0] == "c") != is_control:
            raise ValueError(f"{field} cannot be {text}")
        return number + (isa.SCALAR if text[0] == "s" else 0)
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{field} cannot be '{text}'") from None
