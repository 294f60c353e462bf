"""Block of the diagram that each cell of a synthesized design belongs to."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Netlist", "mark_commands"]

BLOCK = "kaniwa_block"   # attribute of nets that the gateware names: the module they are in
INPUT = "kaniwa_input"   # attribute of a module's inputs

# Levels of the hierarchy that only hold blocks.
CONTAINERS = ("accelerator", "core", "datapath")
# Parts of one core of several, and the block that they are of it.
OF_CORE = re.compile(r"(core|memory|port)_(\d+)")
BLOCKS_OF_CORE = {"memory": "on_chip_memory", "port": "local_port"}


def mark_commands(rtlil: str) -> list[str]:
    """Commands of yosys that mark the nets of a design, while it has its hierarchy still."""
    modules = re.findall(r"^module \\(\S+)$", rtlil, re.MULTILINE)
    return [*(f'setattr -set {BLOCK} "{module}" {module}/w:*' for module in modules),
            f"setattr -set {INPUT} 1 i:*"]


class Netlist:
    """A flat netlist of yosys, as loaded from its JSON, with the block of each net and cell.

    A memory or instance belongs to the module that its name begins with, another cell to that of
    its output net. A net that the gateware names belongs to the module that drives it; one that
    synthesis made to that of the cells that it feeds: logic counts for the registers behind it.
    """

    def __init__(self, design: Mapping[str, Any], top: str):
        module = design["modules"][top]
        self._cells = {name: cell for name, cell in module["cells"].items()
                       if not cell["type"].startswith("$")}
        self._modules = _modules_of_bits(module["netnames"])
        self._paths = set(self._modules.values())
        self._blocks = self._find_blocks(top)

    def _find_blocks(self, top: str) -> dict[str, str]:
        """The block of every cell."""
        blocks: dict[str, str] = {}
        feeds: dict[int, list[str]] = collections.defaultdict(list)   # bit -> cells that it feeds
        for name, cell in self._cells.items():
            if f"_{cell['type']}" not in name:   # a name that synthesis did not make
                blocks[name] = _block_of(self._longest_path(f"{top}.{name}"))
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "input":
                    for bit in bits:
                        feeds[bit].append(name)
                elif name not in blocks:
                    owner = next((self._modules[bit] for bit in bits if bit in self._modules), None)
                    if owner is not None:
                        blocks[name] = _block_of(owner)
        waiting = [name for name in self._cells if name not in blocks]
        while waiting:
            found = {}
            for name in waiting:
                block = next((blocks[sink] for bit in self._outputs(name) for sink in feeds[bit]
                              if sink in blocks), None)
                if block is not None:
                    found[name] = block
            blocks |= found
            waiting = [name for name in waiting if name not in blocks]
            if not found:   # what is left drives nothing of ours, like pins
                blocks |= {name: "top" for name in waiting}
                break
        return blocks

    def _longest_path(self, name: str) -> str:
        """The module, of those with nets, that a cell's name begins with."""
        while name not in self._paths and "." in name:
            name = name.rpartition(".")[0]
        return name

    def _outputs(self, name: str) -> list[int]:
        cell = self._cells[name]
        return [bit for port, bits in cell["connections"].items()
                if cell["port_directions"][port] == "output" for bit in bits]

    def block(self, name: str) -> str:
        """The block of a cell, as place-and-route names it: some get a suffix there."""
        while name not in self._blocks:
            shorter = re.sub(r"[$_.][^$_.]*$", "", name)
            if shorter == name or not shorter:
                return "top"
            name = shorter
        return self._blocks[name]

    def counts(self, cells: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
        """Resources that each block takes, by kind, the largest block first."""
        total: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for name, cell in self._cells.items():
            levels = self._blocks[name].split(".")
            total[".".join(levels[:1 + bool(OF_CORE.fullmatch(levels[0]))])].update(
                cells.get(cell["type"], {}))
        return {block: dict(sorted(counts.items()))
                for block, counts in sorted(total.items(), key=lambda item: (-item[1]["lut"],
                                                                             item[0]))}


def _modules_of_bits(nets: Mapping[str, Any]) -> dict[int, str]:
    """The module that drives each bit: the deepest one that names it and not as an input."""
    driven: dict[int, str] = {}
    inputs: dict[int, str] = {}
    for net in nets.values():
        module = net["attributes"].get(BLOCK)
        if module is None:
            continue
        owners = inputs if INPUT in net["attributes"] else driven
        for bit in net["bits"]:
            if bit not in owners or _depth(module) > _depth(owners[bit]):
                owners[bit] = module
    return inputs | driven


def _depth(module: str) -> tuple[int, str]:
    return module.count("."), module


def _block_of(module: str) -> str:
    """The path of a module from the block on, without the levels that only hold blocks.

    Blocks of several cores are below ``core_0``, ``core_1`` and so on.
    """
    path = module.split(".")[1:]
    if path[:2] == ["accelerator", "memory"]:
        return "on_chip_memory"
    part = OF_CORE.fullmatch(path[1]) if path[:1] == ["accelerator"] and path[1:] else None
    if part is not None:
        if part[1] in BLOCKS_OF_CORE:
            return f"core_{part[2]}.{BLOCKS_OF_CORE[part[1]]}"
        inner = [level for level in path[2:3] if level not in CONTAINERS]
        return ".".join([f"core_{part[2]}", *inner, *path[3:]])
    while path and path[0] in CONTAINERS:
        path = path[1:]
    return ".".join(path) or "top"
