"""Copies of drivers with many loads, on netlists of a few cells."""

from __future__ import annotations

import copy
from typing import Any

from kaniwa.boards.families.ecp5 import LOGIC
from kaniwa.boards.flow.fanout import split_fanout

CLOCK, DATA, OUTPUT = 2, 3, 4   # of the flip-flop whose output has many loads


def _cell(kind: str, inputs: dict[str, int], outputs: dict[str, int]) -> dict[str, Any]:
    return {
        "type": kind, "attributes": {}, "parameters": {},
        "port_directions": {**dict.fromkeys(inputs, "input"), **dict.fromkeys(outputs, "output")},
        "connections": {port: [bit] for port, bit in {**inputs, **outputs}.items()},
    }


def _module(enabled: int, decided: int) -> dict[str, Any]:
    """A flip-flop that enables ``enabled`` others, and goes through a LUT to ``decided`` more."""
    cells = {"room": _cell("TRELLIS_FF", {"CLK": CLOCK, "DI": DATA}, {"Q": OUTPUT})}
    gate, bit = 5, 6
    cells["decide"] = _cell("LUT4", {"A": OUTPUT}, {"Z": gate})
    for number in range(enabled):
        cells[f"word_{number}"] = _cell(
            "TRELLIS_FF", {"CLK": CLOCK, "DI": DATA, "CE": OUTPUT}, {"Q": bit + number})
    for number in range(decided):
        cells[f"state_{number}"] = _cell(
            "TRELLIS_FF", {"CLK": CLOCK, "DI": gate}, {"Q": bit + enabled + number})
    return {"cells": cells,
            "netnames": {"all": {"bits": list(range(bit + enabled + decided)), "attributes": {}}}}


def test_what_decides_gets_a_driver_of_its_own() -> None:
    module = _module(enabled=40, decided=8)
    before = copy.deepcopy(module)
    assert split_fanout(module, LOGIC) == 1
    cells = module["cells"]
    second = cells["room_copy"]["connections"].pop("Q")
    assert second != [OUTPUT] and second[0] not in before["netnames"]["all"]["bits"]
    assert cells["decide"]["connections"]["A"] == second
    assert all(cells[f"word_{n}"]["connections"]["CE"] == [OUTPUT] for n in range(40))
    # The copy is fed as the first one is, and nothing else has changed.
    first = dict(before["cells"]["room"]["connections"])
    del first["Q"]
    assert cells.pop("room_copy")["connections"] == first
    cells["decide"]["connections"]["A"] = [OUTPUT]
    assert cells == before["cells"]


def test_a_copy_must_be_worth_its_place() -> None:
    few_loads, only_moved = _module(enabled=9, decided=8), _module(enabled=40, decided=0)
    del only_moved["cells"]["decide"]
    for module in (few_loads, only_moved):
        before = copy.deepcopy(module)
        assert split_fanout(module, LOGIC) == 0
        assert module == before


def test_a_lone_gate_decides_and_the_gates_of_a_word_do_not() -> None:
    module = _module(enabled=40, decided=1)
    assert split_fanout(module, LOGIC) == 1
    assert module["cells"]["decide"]["connections"]["A"] != [OUTPUT]
    module = _module(enabled=40, decided=1)
    for number in range(20):
        module["cells"][f"bit_{number}"] = _cell("LUT4", {"A": OUTPUT}, {"Z": 200 + number})
        module["cells"][f"kept_{number}"] = _cell(
            "TRELLIS_FF", {"CLK": CLOCK, "DI": 200 + number}, {"Q": 300 + number})
    assert split_fanout(module, LOGIC) == 0


def test_what_feeds_a_copy_may_need_one_too() -> None:
    """A LUT that enables many and decides hangs on a flip-flop: the LUT gets the copy."""
    module = _module(enabled=40, decided=8)
    module["cells"]["gate"] = _cell("LUT4", {"A": OUTPUT}, {"Z": 100})
    for number in range(40):
        module["cells"][f"word_{number}"]["connections"]["CE"] = [100]
    module["cells"]["decide"]["connections"]["A"] = [100]
    assert split_fanout(module, LOGIC) == 1
    assert module["cells"]["gate_copy"]["connections"]["A"] == [OUTPUT]
    assert module["cells"]["decide"]["connections"]["A"] == (
        module["cells"]["gate_copy"]["connections"]["Z"])


def test_blocks_of_memory_share_a_register_by_32() -> None:
    module = _module(enabled=0, decided=0)
    del module["cells"]["decide"]
    for number in range(100):
        module["cells"][f"memory.0.{number}"] = _cell(
            "DP16KD", {"CLKA": CLOCK, "ADA0": OUTPUT}, {"DOA0": 10 + number})
    assert split_fanout(module, LOGIC) == 3
    cells = module["cells"]
    for first in range(0, 100, 32):
        driver = cells[f"room_copy_{first}" if first else "room"]["connections"]
        assert driver["DI"] == [DATA]
        assert all(cells[f"memory.0.{number}"]["connections"]["ADA0"] == driver["Q"]
                   for number in range(first, min(first + 32, 100)))
