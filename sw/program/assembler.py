"""Program files as text and back: ``assemble(disassemble(program))`` gives the same bytes.

    # a comment has a line of its own
    program name "resnet8"           a field of the program, as JSON
    config out_lanes 8               a field of its config
    tensor {"id": 0, ...}            an entry of the tensor table
    layer {...}                      of the layers
    step {...}                       of what host and device do in turn
    host {...}                       of the host's operators
    host_tensor {...}                of their operands and results; constants in hexadecimal digits
    state {...}                      of what goes from one inference to the next
    code 0x0                         an image at this address, of instructions:
        LAYER mode=DENSE tag=0       fields that are left out have their default
            ifm_address=0x700        more fields of the same instruction
        END
    data 0x600                       an image of bytes, in hexadecimal digits
        a0b1...
"""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Iterator
from typing import Any

from kaniwa import isa
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError, ProgramError
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, Mode, Rounding
from kaniwa.program.file import OPTIONAL, from_bytes, to_bytes
from kaniwa.program.host_part import HostOp, HostState, HostTensor
from kaniwa.program.program import LayerInfo, Program, Step, TensorInfo
from kaniwa.units.register import mnemonics

__all__ = ["assemble", "disassemble"]

LINE_BYTES = 32
ENUMS: dict[str, type[enum.IntEnum]] = {
    "mode": Mode, "rounding": Rounding, "add_rounding": Rounding}
RAW = "RAW"  # an instruction with bits set that belong to no field
TABLES = {"tensor": ("tensors", TensorInfo), "layer": ("layers", LayerInfo),
          "step": ("steps", Step), "host": ("host_ops", HostOp),
          "host_tensor": ("host_tensors", HostTensor), "state": ("state", HostState)}
BYTES = ("data", "initial")      # fields that are hexadecimal digits in the text
# These have statements of their own, or are not part of the file.
SPECIAL = {"config", "images", "graph", "rounding",
           *(attribute for attribute, _ in TABLES.values())}
PLAIN = [field.name for field in dataclasses.fields(Program) if field.name not in SPECIAL]


def disassemble(program: Program) -> str:
    """The text of ``program``, complete."""
    lines = [f"# kaniwa program for target '{program.config.name}', config {program.config.hash}"]
    lines += [f"program {name} {_json(value)}" for name in PLAIN
              if (value := getattr(program, name)) or name not in OPTIONAL]
    lines.append(f"config name {_json(program.config.name)}")
    lines += [f"config {name} {_json(value)}" for name, value in program.config.as_dict().items()]
    for keyword, (attribute, _) in TABLES.items():
        lines += [f"{keyword} {_json(_plain(item))}" for item in getattr(program, attribute)]
    for address, data in program.images:
        if program.is_code(address) and len(data) % INSTRUCTION_BYTES == 0:
            lines += [f"code {address:#x}", *_code(program, data)]
        else:
            lines += [f"data {address:#x}", *("    " + data[i:i + LINE_BYTES].hex()
                                              for i in range(0, len(data), LINE_BYTES))]
    return "\n".join(lines) + "\n"


def assemble(text: str) -> bytes:
    """The content of the program file that ``text`` describes.

    Raises ProgramError with the number of the line, or with what does not fit together.
    """
    values: dict[str, Any] = {attribute: [] for attribute, _ in TABLES.values()}
    config: dict[str, Any] = {}
    images: list[_Image] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            if line[0].isspace():
                if not images:
                    raise ValueError("expected code or data before an indented line")
                images[-1].add(words)
            elif words[0] in ("code", "data"):
                images.append(_Image(words))
            else:
                _statement(line, values, config)
        except (ValueError, TypeError, KeyError, RecursionError, ProgramError) as error:
            raise ProgramError(f"line {number}: {error}") from None
    return _program(values, config, [image.finish() for image in images])


def _code(program: Program, data: bytes) -> Iterator[str]:
    names = {layer.instructions[0]: layer.name for layer in program.layers if layer.instructions}
    words = {opcode: word for word, opcode in mnemonics().items()}
    for index in range(len(data) // INSTRUCTION_BYTES):
        if index in names:
            yield f"    # {' '.join(names[index].split())}"
        piece = data[index * INSTRUCTION_BYTES:(index + 1) * INSTRUCTION_BYTES]
        values = isa.decode(piece)
        if values["opcode"] not in words or not _is_encoded(values, piece):
            yield f"    {RAW} {piece.hex()}"
            continue
        yield f"    {words[values['opcode']]}"
        groups: dict[str, list[str]] = {}
        for name, field in FIELDS.items():
            if name != "opcode" and values[name] != max(0, field.low):
                # A line for each unit, so that a change shows in the lines it concerns.
                groups.setdefault(field.units[0], []).append(_assignment(name, values[name]))
        for assignments in groups.values():
            yield f"        {' '.join(assignments)}"


def _is_encoded(values: dict[str, int], data: bytes) -> bool:
    try:
        return isa.encode(values) == data
    except ProgramError:
        return False


def _assignment(name: str, value: int) -> str:
    if name in ENUMS and value in list(ENUMS[name]):
        return f"{name}={ENUMS[name](value).name}"
    return f"{name}={value:#x}" if name.endswith("_address") else f"{name}={value}"


class _Image:
    """An image as its lines come in."""

    def __init__(self, words: list[str]) -> None:
        if len(words) != 2:
            raise ValueError(f"expected '{words[0]} ADDRESS'")
        self._is_code = words[0] == "code"
        self._address = int(words[1], 0)
        self._data = bytearray()
        self._instructions: list[dict[str, int] | bytes] = []

    def add(self, words: list[str]) -> None:
        if not self._is_code:
            self._data += bytes.fromhex("".join(words))
        elif words[0] == RAW:
            data = bytes.fromhex("".join(words[1:]))
            if len(data) != INSTRUCTION_BYTES:
                raise ValueError(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(data)}")
            self._instructions.append(data)
        else:
            self._add_instruction(words)

    def _add_instruction(self, words: list[str]) -> None:
        if "=" not in words[0]:
            known = mnemonics()
            if words[0] not in known:
                raise ValueError(f"unknown instruction '{words[0]}': expected "
                                 f"{', '.join(known)} or {RAW}")
            self._instructions.append({"opcode": known[words[0]]})
            words = words[1:]
        if not self._instructions or isinstance(self._instructions[-1], bytes):
            raise ValueError("expected an instruction before its fields")
        values = self._instructions[-1]
        for word in words:
            name, _, value = word.partition("=")
            if name not in FIELDS or name == "opcode":
                raise ValueError(f"unknown field '{name}'")
            if name in values:
                raise ValueError(f"{name} is given twice")
            values[name] = _value(name, value)
            isa.encode(values)

    def finish(self) -> tuple[int, bytes]:
        data = b"".join(item if isinstance(item, bytes) else isa.encode(item)
                        for item in self._instructions)
        return self._address, data or bytes(self._data)


def _value(name: str, text: str) -> int:
    members = ENUMS[name].__members__ if name in ENUMS else {}
    if text in members:
        return members[text]
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"{name} must be a number"
                         f"{' or one of ' + ', '.join(members) if members else ''}, "
                         f"not '{text}'") from None


def _statement(line: str, values: dict[str, Any], config: dict[str, Any]) -> None:
    keyword, _, rest = line.partition(" ")
    if keyword in TABLES:
        attribute, kind = TABLES[keyword]
        item = _tuples(_parse(rest))
        item |= {name: bytes.fromhex(item[name]) for name in BYTES if item.get(name) is not None}
        values[attribute].append(kind(**item))
        return
    name, _, value = rest.partition(" ")
    if keyword == "program":
        known, target = PLAIN, values
    elif keyword == "config":
        known, target = [f.name for f in dataclasses.fields(AcceleratorConfig)], config
    else:
        raise ValueError(f"unknown statement '{keyword}'")
    if name not in known:
        raise ValueError(f"unknown field '{name}' of the {keyword}")
    if name in target:
        raise ValueError(f"{name} is given twice")
    target[name] = _tuples(_parse(value))


def _program(values: dict[str, Any], config: dict[str, Any],
             images: list[tuple[int, bytes]]) -> bytes:
    missing = set(PLAIN).difference(values, OPTIONAL)
    if missing:
        raise ProgramError(f"the text lacks 'program {min(missing)}'")
    tables = {attribute: tuple(values[attribute]) for attribute, _ in TABLES.values()}
    try:
        program = Program(config=AcceleratorConfig(**config), images=tuple(images),
                          **(values | tables))
        data = to_bytes(program)
    except ConfigError as error:
        raise ProgramError(f"the config is not legal: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ProgramError(f"the text is not a program: {error}") from None
    from_bytes(data, "the assembled text")
    return data


def _plain(item: Any) -> dict[str, Any]:
    """An entry of a table; bytes as digits."""
    return {key: value.hex() if isinstance(value, bytes) else value
            for key, value in dataclasses.asdict(item).items()}


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}, column {error.colno} of '{text[:40]}'") from None


def _tuples(value: Any) -> Any:
    """Lists as tuples, as the program has them."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
