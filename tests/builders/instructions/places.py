"""The memory sides in which a program has what it reads and writes."""

from __future__ import annotations

from kaniwa.isa import OUTSIDE
from kaniwa.program.program import Program

__all__ = ["PLACES", "places_of"]

OF_INSTRUCTIONS = ("ifm", "parameter", "weight", "ofm", "operand")
# All that there are: what, and whether it lies outside.
PLACES = {(what, outside) for what in ("commands", *OF_INSTRUCTIONS) for outside in (False, True)}


def places_of(program: Program) -> set[tuple[str, bool]]:
    """Those of PLACES that a program has; operands only of instructions that add one."""
    return {("commands", program.program_address >= OUTSIDE)} | {
        (what, i[f"{what}_address"] >= OUTSIDE) for i in program.instructions
        for what in OF_INSTRUCTIONS if what != "operand" or i["add"]}
