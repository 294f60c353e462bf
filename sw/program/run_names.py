"""What each instruction of a run belongs to and reads, for those who show a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kaniwa.isa import INSTRUCTION_BYTES, Mode, Opcode, decode
from kaniwa.program.instruction import Values
from kaniwa.program.program import Program, Step
from kaniwa.units.register import unit_of

__all__ = ["InstructionName", "instruction_names"]


@dataclass(frozen=True)
class InstructionName:
    """An instruction: its place in the program, and its layer's tag, name and operator.

    ``mode``: the array's, "" where it is for the ``unit`` beside the array. ``words``: of memory
    that the load unit and the weight decoder read for it.
    """

    index: int
    tag: int
    layer: str
    operator: str
    mode: str
    unit: str
    words: Mapping[str, int]


def instruction_names(program: Program, run: Step) -> list[InstructionName]:
    """The instructions of a run but for its END."""
    layers = {index: layer for layer in program.layers_of(run) for index in layer.instructions}
    commands, names = program.commands, []
    for index in range(run.first, run.first + run.count - 1):
        values = decode(commands[index * INSTRUCTION_BYTES:(index + 1) * INSTRUCTION_BYTES])
        unit = unit_of(program.config, values) if values["opcode"] != Opcode.LAYER else None
        layer = layers[index]
        names.append(InstructionName(
            index, values["tag"], layer.name, layer.op,
            Mode(values["mode"]).name if unit is None else "",
            "" if unit is None else unit.command.name.lower(),
            _words(values, program.config.read_bytes) if unit is None else {}))
    return names


def _words(values: Values, size: int) -> dict[str, int]:
    """Words of ``size`` bytes of a LAYER's input rows and of its weight stream."""
    rows = (values["ifm_address"] + row * values["ifm_pitch"] for row in range(values["ifm_rows"]))
    return {
        "load": sum((row + values["ifm_row_bytes"] - 1) // size - row // size + 1 for row in rows),
        "weights": (values["parameter_bytes"]
                    + values["weight_bytes"] * values["weight_repeat"]) // size}
