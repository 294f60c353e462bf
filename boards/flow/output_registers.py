"""Registers behind block RAM that move into the blocks.

A block's word leaves it 5.7 ns after the clock; from the register inside the block it leaves after
1.0 ns (nextpnr's timings of ECP5, speed grade 6). yosys does not use that register (its issue 5814
asks for it): a design that has a register behind each block pays for flip-flops, and the wire to
them has half of a cycle. Here the flip-flops go, and the blocks' own registers take their place.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

__all__ = ["Block", "fold_output_registers"]


class Block(NamedTuple):
    """A family's block RAM with registers at its outputs, and the flip-flop that one replaces.

    ``sides`` are the two read sides: outputs, clock, enable of the register and its mode. A block
    whose ``width`` is ``whole`` reads one word through both, at the clock of the second.
    ``plain`` are the parameters of a flip-flop without enable whose word is 0 at first. ``slow``
    are cells that take so long that the register in front of them has to be on the way to them.
    """

    kind: str
    sides: tuple[Side, Side]
    width: str
    whole: int
    register: str
    plain: Mapping[str, str]
    slow: Collection[str]


class Side(NamedTuple):
    outputs: str    # a pattern of the pins' names
    clock: str
    edge: str       # the clock's parameter
    enable: str
    mode: str


def fold_output_registers(module: dict[str, Any], block: Block) -> int:
    """Move the flip-flops that take a whole side of a block, and nothing else; how many went.

    ``module`` is that of yosys' JSON, flat and mapped; it is changed. A side is left as it is if
    one of its outputs goes anywhere but to the data input of one plain flip-flop of its clock, or
    if a flip-flop is in front of a slow cell.
    """
    cells: dict[str, Any] = module["cells"]
    loads = _loads(module)
    gone = 0
    for cell in list(cells.values()):
        if cell["type"] != block.kind:
            continue
        first, second = block.sides
        if int(cell["parameters"][block.width], 2) == block.whole:
            groups = [(second, (first, second))]
        else:
            groups = [(first, (first,)), (second, (second,))]
        for clocked, sides in groups:
            registers = _registers(cell, cells, loads, clocked, sides, block)
            if not registers:
                continue
            for side in sides:
                cell["parameters"][side.mode] = "OUTREG"
                cell["connections"][side.enable] = ["1"]
            for (pin, index), name in registers.items():
                cell["connections"][pin][index] = cells.pop(name)["connections"]["Q"][0]
            gone += len(registers)
    return gone


def _loads(module: Mapping[str, Any]) -> dict[int, list[tuple[str, str]]]:
    """Cell and pin of all that hangs on a bit; the module's own ports are cells without a name."""
    loads: dict[int, list[tuple[str, str]]] = collections.defaultdict(list)
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "input":
                for bit in bits:
                    loads[bit].append((name, pin))
    for name, port in module["ports"].items():
        for bit in port["bits"]:
            loads[bit].append(("", name))
    return loads


def _registers(cell: dict[str, Any], cells: dict[str, Any],
               loads: Mapping[int, list[tuple[str, str]]], clocked: Side,
               sides: tuple[Side, ...], block: Block) -> dict[tuple[str, int], str]:
    """The flip-flop of each output of ``sides`` that is used; none if there is anything else."""
    found: dict[tuple[str, int], str] = {}
    clock = cell["connections"][clocked.clock]
    if cell["parameters"][clocked.edge] != clocked.clock:
        return {}
    for pin, bits in cell["connections"].items():
        if not any(re.fullmatch(side.outputs, pin) for side in sides):
            continue
        for index, bit in enumerate(bits):
            behind = loads.get(bit)
            if not behind:
                continue
            (name, at), *more = behind
            load = cells.get(name)
            if more or load is None or at != "DI" or not _is_plain(load, block, clock):
                return {}
            if any(cells[taker]["type"] in block.slow
                   for taker, _ in loads.get(load["connections"]["Q"][0], ()) if taker):
                return {}
            found[pin, index] = name
    return found


def _is_plain(cell: dict[str, Any], block: Block, clock: list[int]) -> bool:
    """Whether a cell is a flip-flop of this clock that does what a block's register does."""
    return (cell["type"] == block.register and cell["connections"]["CLK"] == clock
            and cell["connections"].get("LSR", ["0"]) == ["0"]
            and all(cell["parameters"].get(name) == value for name, value in block.plain.items()))
