"""Registers behind block RAM that move into it, on netlists of a block and its flip-flops."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from kaniwa.boards.families.ecp5 import BLOCK_RAM
from kaniwa.boards.flow.output_registers import fold_output_registers

CLOCK, OTHER_CLOCK, OUT, REGISTERED = 2, 3, 10, 100


def _cell(kind: str, parameters: dict[str, str], inputs: dict[str, Any],
          outputs: dict[str, int]) -> dict[str, Any]:
    return {
        "type": kind, "attributes": {}, "parameters": parameters,
        "port_directions": {**dict.fromkeys(inputs, "input"), **dict.fromkeys(outputs, "output")},
        "connections": {port: [bit] for port, bit in {**inputs, **outputs}.items()},
    }


def _register(bit: int, output: int) -> dict[str, Any]:
    return _cell("TRELLIS_FF", {"CLKMUX": "CLK", "CEMUX": "1 ", "REGSET": "RESET"},
                 {"CLK": CLOCK, "DI": bit, "LSR": "0"}, {"Q": output})


def _connect(cell: dict[str, Any], **inputs: int) -> None:
    cell["connections"].update({pin: [bit] for pin, bit in inputs.items()})
    cell["port_directions"].update(dict.fromkeys(inputs, "input"))


def _module(width: int = 1) -> dict[str, Any]:
    """A block that gives two bits on side A and two on side B, each with its flip-flop."""
    outputs = {"DOA0": OUT, "DOA1": OUT + 1, "DOB0": OUT + 2, "DOB1": OUT + 3}
    block = _cell(
        "DP16KD", {"DATA_WIDTH_A": f"{width:032b}", "CLKAMUX": "CLKA", "CLKBMUX": "CLKB",
                   "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        {"CLKA": CLOCK, "CLKB": CLOCK, "OCEA": "0", "OCEB": "0"}, outputs)
    cells = {"block": block, **{f"register_{number}": _register(OUT + number, REGISTERED + number)
                                for number in range(4)}}
    return {"cells": cells, "ports": {}, "netnames": {}}


def _modes(module: dict[str, Any]) -> tuple[str, ...]:
    block = module["cells"]["block"]
    return (*(block["parameters"][f"REGMODE_{side}"] for side in "AB"),
            *(block["connections"][f"OCE{side}"][0] for side in "AB"))


@pytest.mark.parametrize("width", [1, 9, 18, 36])
def test_the_block_gives_what_its_flip_flops_gave(width: int) -> None:
    module = _module(width)
    assert fold_output_registers(module, BLOCK_RAM) == 4
    (block,) = module["cells"].values()
    assert [block["connections"][pin] for pin in ("DOA0", "DOA1", "DOB0", "DOB1")] == [
        [REGISTERED + number] for number in range(4)]
    assert _modes(module) == ("OUTREG", "OUTREG", "1", "1")


def _goes_elsewhere(module: dict[str, Any]) -> None:
    module["cells"]["gate"] = _cell("LUT4", {}, {"A": OUT}, {"Z": 7})


def _leaves_the_chip(module: dict[str, Any]) -> None:
    module["ports"]["word"] = {"direction": "output", "bits": [OUT]}


def _is_enabled(module: dict[str, Any]) -> None:
    register = module["cells"]["register_0"]
    register["parameters"]["CEMUX"] = "CE"
    _connect(register, CE=8)


def _is_reset(module: dict[str, Any]) -> None:
    module["cells"]["register_0"]["connections"]["LSR"] = [8]


def _begins_with_one(module: dict[str, Any]) -> None:
    module["cells"]["register_0"]["parameters"]["REGSET"] = "SET"


def _has_another_clock(module: dict[str, Any]) -> None:
    module["cells"]["register_0"]["connections"]["CLK"] = [OTHER_CLOCK]


def _takes_the_other_edge(module: dict[str, Any]) -> None:
    module["cells"]["block"]["parameters"]["CLKAMUX"] = "INV"


def _is_an_enable(module: dict[str, Any]) -> None:
    _connect(module["cells"]["register_0"], CE=OUT, DI=8)


def _is_in_front_of_a_multiplier(module: dict[str, Any]) -> None:
    module["cells"]["product"] = _cell("MULT18X18D", {}, {"A0": REGISTERED + 1}, {"P0": 7})


@pytest.mark.parametrize("change", [
    _is_in_front_of_a_multiplier, _goes_elsewhere, _leaves_the_chip, _is_enabled, _is_reset,
    _begins_with_one, _has_another_clock, _takes_the_other_edge, _is_an_enable])
def test_a_side_stays_as_it_is_unless_all_its_flip_flops_can_move(
        change: Callable[[dict[str, Any]], None]) -> None:
    module = _module()
    change(module)
    before = copy.deepcopy(module)
    assert fold_output_registers(module, BLOCK_RAM) == 2      # those of side B
    assert _modes(module) == ("NOREG", "OUTREG", "0", "1")
    for name in ("register_0", "register_1"):
        assert module["cells"][name] == before["cells"][name]
    assert module["cells"]["block"]["connections"]["DOA0"] == [OUT]


def test_a_word_of_both_sides_moves_whole_or_not_at_all() -> None:
    module = _module(width=36)
    _goes_elsewhere(module)
    before = copy.deepcopy(module)
    assert fold_output_registers(module, BLOCK_RAM) == 0
    assert module == before
