"""Accesses of a program's instructions to device memory: places, and bytes moved."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kaniwa.isa import Opcode
from kaniwa.program.program import Program
from kaniwa.units.register import unit_of

__all__ = ["READS", "Access", "accesses", "image_reader"]

READS = ("input", "operand", "weights", "parameters")
Values = Mapping[str, int]


@dataclass(frozen=True)
class Access:
    """What an instruction reads or writes: ``span`` bytes from ``address`` on, ``moved`` in all.

    ``kind``: one of READS, "output", or "program", a constant that a unit beside the array reads.
    ``layer``: position in the program's layers, of the first layer with this instruction.
    """

    instruction: int
    layer: int
    kind: str
    address: int
    span: int
    moved: int

    @property
    def end(self) -> int:
        return self.address + self.span


def accesses(program: Program) -> list[Access]:
    """All accesses of the layers, in the order of the instructions, as far as fields tell them.

    What a program of the vector unit reads and writes is in its own instructions: not here.
    """
    instructions, owner = program.instructions, dict[int, int]()
    for position, layer in enumerate(program.layers):
        for index in layer.instructions:
            owner.setdefault(index, position)
    found = []
    for index, position in sorted(owner.items()):
        values = instructions[index]
        rows = _of_layer(values) if values["opcode"] == Opcode.LAYER else _of_unit(program, values)
        found += [Access(index, position, *row) for row in rows if row[2]]
    return found


def _of_layer(values: Values) -> Iterator[tuple[str, int, int, int]]:
    channels = (values["blocks"] - 1) * values["block_width"] + values["last_width"]
    pixels = values["ofm_rows"] * values["ofm_columns"]

    def tensor(prefix: str) -> tuple[int, int]:
        return values[f"{prefix}_address"], (
            (values["ofm_rows"] - 1) * values[f"{prefix}_row_pitch"]
            + (values["ofm_columns"] - 1) * values[f"{prefix}_pixel_pitch"] + channels)

    yield ("input", values["ifm_address"],
           (values["ifm_rows"] - 1) * values["ifm_pitch"] + values["ifm_row_bytes"],
           values["ifm_rows"] * values["ifm_row_bytes"])
    yield ("parameters", values["parameter_address"], values["parameter_bytes"],
           values["parameter_bytes"])
    yield ("weights", values["weight_address"], values["weight_bytes"],
           values["weight_bytes"] * values["weight_repeat"])
    if values["add"]:
        yield ("operand", *tensor("operand"), pixels * channels)
    yield ("output", *tensor("ofm"), pixels * channels)


def _of_unit(program: Program, values: Values) -> Iterator[tuple[str, int, int, int]]:
    unit = unit_of(program.config, values)
    if unit is None:
        return
    for kind, spans in (("program", unit.constants(values)), ("input", unit.reads(values)),
                        ("output", unit.writes(values))):
        for address, size in spans:
            yield kind, address, size, size


def image_reader(program: Program) -> Callable[[int, int], bytes]:
    """A function (address, bytes) to what the program's images hold there."""
    starts = [address for address, _ in program.images]

    def read(address: int, size: int) -> bytes:
        position = bisect_right(starts, address) - 1
        if position < 0:
            return b""
        start, data = program.images[position]
        return data[address - start:address - start + size]

    return read
