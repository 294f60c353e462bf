"""Passes ask layers what they do, not of which class they are."""

from __future__ import annotations

import re
from pathlib import Path

from kaniwa.compiler.plan.layers import ArrayLayer, OneStage, UnitProgram, VectorProgram
from kaniwa.compiler.plan.staged import RecurrentLayer, StagedLayer
from kaniwa.compiler.recurrent.cell_unit import CellSequence
from kaniwa.isa import Opcode

COMPILER = Path(__file__).resolve().parents[3] / "sw" / "compiler"


def test_no_pass_asks_for_the_class_of_a_layer() -> None:
    asks = re.compile(r"isinstance\(.*(Layer|Program|Sequence)\b")
    found = [f"{path.relative_to(COMPILER)}: {line.strip()}" for path in COMPILER.rglob("*.py")
             for line in path.read_text().splitlines() if asks.search(line)]
    assert not found


def test_layers_know_the_instruction_that_they_are() -> None:
    assert {kind: kind.opcode for kind in (
        ArrayLayer, VectorProgram, CellSequence, StagedLayer, RecurrentLayer)} == {
        ArrayLayer: Opcode.LAYER, VectorProgram: Opcode.VECTOR, CellSequence: Opcode.CELL,
        StagedLayer: Opcode.VECTOR, RecurrentLayer: Opcode.VECTOR}


def test_all_layers_answer_the_same_questions() -> None:
    questions = {name for name in vars(OneStage) if not name.startswith("_")}
    questions |= {"revised", "stage", "tiles", "without_table"}
    for kind in (ArrayLayer, UnitProgram):
        assert questions <= set(dir(kind)) | {"opcode"}, kind
