"""Registers behind block RAMs become the RAMs' own."""

from __future__ import annotations

from typing import Any

import pytest

from kaniwa.boards.ram_registers import fold_output_registers

CLOCK, WORDS, RESULTS = 2, 100, 200


def _cell(kind: str, parameters: dict[str, str], inputs: dict[str, list[int | str]],
          outputs: dict[str, list[int | str]]) -> dict[str, Any]:
    return {"type": kind, "parameters": parameters, "attributes": {},
            "connections": inputs | outputs, "port_directions": {
                **dict.fromkeys(inputs, "input"), **dict.fromkeys(outputs, "output")}}


def _register(bit: int) -> dict[str, Any]:
    return _cell("TRELLIS_FF", {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR"},
                 {"CLK": [CLOCK], "DI": [WORDS + bit], "LSR": ["0"]}, {"Q": [RESULTS + bit]})


def _module(width: int = 18, ports: str = "B", bits: int = 4) -> dict[str, Any]:
    """A RAM, of which ``ports`` are read, ``bits`` of each, with a register behind each."""
    outputs: dict[str, list[int | str]] = {
        f"DO{port}{bit}": [WORDS + bit + 10 * number]
        for number, port in enumerate(ports) for bit in range(bits)}
    ram = _cell("DP16KD", {"DATA_WIDTH_A": f"{width:032b}", "DATA_WIDTH_B": f"{width:032b}",
                           "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
                {"CLKA": [CLOCK], "CLKB": [CLOCK]}, outputs | {"DOB17": [999]})
    registers = {f"word_{bit + 10 * number}": _register(bit + 10 * number)
                 for number in range(len(ports)) for bit in range(bits)}
    return {"cells": {"ram": ram} | registers, "ports": {}}


def _modes(module: dict[str, Any]) -> tuple[str, str]:
    parameters = module["cells"]["ram"]["parameters"]
    return parameters["REGMODE_A"], parameters["REGMODE_B"]


def test_a_port_takes_its_registers() -> None:
    module = _module()
    assert fold_output_registers(module) == 4
    assert set(module["cells"]) == {"ram"} and _modes(module) == ("NOREG", "OUTREG")
    connections = module["cells"]["ram"]["connections"]
    assert [connections[f"DOB{bit}"] for bit in range(4)] == [[RESULTS + bit] for bit in range(4)]
    assert connections["DOB17"] == [999]      # in use nowhere


def test_a_word_of_both_ports_is_taken_as_one() -> None:
    module = _module(36, "AB")
    assert fold_output_registers(module) == 8 and _modes(module) == ("OUTREG", "OUTREG")
    module = _module(36, "AB")
    module["cells"]["word_3"]["connections"]["CLK"] = [3]
    assert fold_output_registers(module) == 0 and _modes(module) == ("NOREG", "NOREG")
    module = _module(18, "AB")
    module["cells"]["word_3"]["connections"]["CLK"] = [3]
    assert fold_output_registers(module) == 4 and _modes(module) == ("NOREG", "OUTREG")


@pytest.mark.parametrize("name, port, value", [
    ("parameters", "CEMUX", "CE"), ("parameters", "CLKMUX", "INV"), ("connections", "LSR", [7]),
    ("connections", "CLK", [3])])
def test_other_registers_stay(name: str, port: str, value: Any) -> None:
    module = _module()
    module["cells"]["word_2"][name][port] = value
    assert fold_output_registers(module) == 0
    assert len(module["cells"]) == 5 and _modes(module) == ("NOREG", "NOREG")


def test_a_word_with_another_load_stays() -> None:
    for extra in ("gate", "output"):
        module = _module()
        if extra == "gate":
            module["cells"]["gate"] = _cell("LUT4", {}, {"A": [WORDS + 1]}, {"Z": [500]})
        else:
            module["ports"]["out"] = {"direction": "output", "bits": [WORDS + 1]}
        assert fold_output_registers(module) == 0 and _modes(module) == ("NOREG", "NOREG")
