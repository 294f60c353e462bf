"""Registers behind the block RAMs of an ECP5, taken into the RAMs.

A word leaves a DP16KD 5.6 ns after the clock, but less than 1 ns after it from the output register
that each port has. Yosys does not use these: a register right behind a port is one of the fabric,
which may lie anywhere, and the way there is much of a cycle.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

__all__ = ["fold_output_registers"]

RAM, REGISTER = "DP16KD", "TRELLIS_FF"
WHOLE = 36      # bits of a word that comes out of both ports


class _Place(NamedTuple):
    cell: str
    port: str


def fold_output_registers(module: dict[str, Any]) -> int:
    """Take the registers behind each port of a block RAM into it; how many it took.

    ``module`` is that of yosys' JSON, flat and mapped; it is changed. A port's registers are taken
    if each bit in use goes to one alone, and all of them have the port's clock and neither enable
    nor reset. What they hold at first, which is 0 in the fabric, is then undefined, as is what
    comes out of the RAM.
    """
    loads: dict[int | str, list[_Place]] = collections.defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                for bit in bits:
                    loads[bit].append(_Place(name, port))
    for port, entry in module["ports"].items():
        for bit in entry["bits"]:
            loads[bit].append(_Place("", port))
    taken = 0
    for cell in [cell for cell in module["cells"].values() if cell["type"] == RAM]:
        both = int(cell["parameters"]["DATA_WIDTH_B"], 2) == WHOLE
        for letters in ("AB",) if both else ("A", "B"):
            taken += _fold(module, cell, letters, loads)
    return taken


def _fold(module: dict[str, Any], cell: dict[str, Any], letters: str,
          loads: dict[int | str, list[_Place]]) -> int:
    """The same for a port, or for both at once."""
    connections = cell["connections"]
    outputs = [port for letter in letters for port, bits in connections.items()
               if port.startswith(f"DO{letter}") and bits and loads.get(bits[0])]
    registers = {}
    for port in outputs:
        found = loads[connections[port][0]]
        register = module["cells"].get(found[0].cell)
        if len(found) > 1 or register is None or not all(
                _fits(register, found[0].port, connections[f"CLK{letter}"]) for letter in letters):
            return 0
        registers[port] = found[0].cell
    for port, name in registers.items():
        connections[port] = module["cells"].pop(name)["connections"]["Q"]
    if registers:
        cell["parameters"] |= {f"REGMODE_{letter}": "OUTREG" for letter in letters}
    return len(registers)


def _fits(register: dict[str, Any], port: str, clock: list[int | str]) -> bool:
    """Whether it is a register of this clock, without enable and reset, that keeps ``port``."""
    wires, parameters = register["connections"], register["parameters"]
    return (register["type"] == REGISTER and port == "DI" and wires["CLK"] == clock
            and parameters.get("CLKMUX", "CLK") == "CLK" and parameters["CEMUX"].strip() == "1"
            and wires.get("LSR", ["0"]) == ["0"])
