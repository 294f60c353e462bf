"""Copies of cells whose output has many loads, so that placement need not choose between them.

The enable of hundreds of registers often decides something too: what a counter does next, whether
the next step may go. Placement draws its one cell into the middle of the registers, far from what
decides in the next cycle. With two cells, each lies where its own loads are. The same holds for a
memory of many blocks, which fill the device from edge to edge: a register of its address gets a
copy for every few of them.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Logic", "split_fanout"]

MANY = 16        # loads of an output that is looked at
BULK = 10        # of them that must be moved only, for a copy to be worth its place
DECIDES = 6      # registers and memory inputs that a load's own output reaches: it decides
FAR = 64         # more of them are not told apart
BLOCKS = 32      # of memory at a register


class Logic(NamedTuple):
    """A family's cell types: ``gates`` are without registers; ``copied`` are those with one output
    and no side effect, which may be there twice; of ``registers`` the pins ``data`` are state."""

    gates: tuple[str, ...]
    chains: tuple[str, ...]   # those of ``gates`` that are parts of carry chains
    registers: tuple[str, ...]
    copied: tuple[str, ...]
    data: tuple[str, ...]
    memories: tuple[str, ...]


class _Load(NamedTuple):
    cell: str
    port: str
    index: int


class _Nets:
    """The nets of a flat module: driver and loads of each bit."""

    def __init__(self, module: Mapping[str, Any], logic: Logic) -> None:
        self.cells: dict[str, Any] = module["cells"]
        self._logic = logic
        self.loads: dict[int, list[_Load]] = collections.defaultdict(list)
        self.drivers: dict[int, _Load] = {}
        for name, cell in self.cells.items():
            if cell["type"].startswith("$"):
                continue
            for port, bits in cell["connections"].items():
                for index, bit in enumerate(bits):
                    if not isinstance(bit, int):
                        continue
                    if cell["port_directions"][port] == "input":
                        self.loads[bit].append(_Load(name, port, index))
                    else:
                        self.drivers[bit] = _Load(name, port, index)
        self.last = max((bit for net in module["netnames"].values() for bit in net["bits"]
                         if isinstance(bit, int)), default=1)
        self.reached = self._reach()

    def outputs(self, cell: str) -> list[int]:
        """The bits that a cell drives."""
        entry = self.cells[cell]
        return [bit for port, bits in entry["connections"].items()
                if entry["port_directions"][port] == "output" for bit in bits
                if isinstance(bit, int)]

    def _reach(self) -> dict[int, int]:
        """For each bit how many inputs of registers and memories hang on it, up to FAR."""
        reached: dict[int, int] = {}
        for root in list(self.loads):
            waiting = [root]
            while waiting:
                bit = waiting[-1]
                if reached.get(bit, -1) >= 0:
                    waiting.pop()
                    continue
                behind = [output for load in self.loads[bit] if self._is_gate(load.cell)
                          for output in self.outputs(load.cell)]
                if bit not in reached:
                    reached[bit] = -1   # begun; a loop of gates counts as nothing
                    waiting += [output for output in behind if output not in reached]
                    continue
                ends = sum(not self._is_gate(load.cell) for load in self.loads[bit])
                reached[bit] = min(FAR, ends + sum(max(0, reached[output]) for output in behind))
                waiting.pop()
        return reached

    def _is_gate(self, cell: str) -> bool:
        return self.cells[cell]["type"] in self._logic.gates

    def deciding(self, loads: list[_Load]) -> list[_Load]:
        """The loads that decide, and with them the gates, if those that do not are few: beside
        hundreds of enables a lone gate is no part of a word."""
        moved = [load for load in loads if not self._decides(load)]
        gates = {load for load in moved if self._is_gate(load.cell)}
        if len(gates) < BULK:
            moved = [load for load in moved if load not in gates]
        kept = set(moved)
        return [load for load in loads if load not in kept]

    def _decides(self, load: _Load) -> bool:
        """True where what the load makes of the bit goes on to much else, or is a single state."""
        kind = self.cells[load.cell]["type"]
        if kind in self._logic.chains:
            return True
        if kind in self._logic.gates:
            return any(self.reached[bit] >= DECIDES for bit in self.outputs(load.cell))
        return kind in self._logic.registers and load.port in self._logic.data


def split_fanout(module: dict[str, Any], logic: Logic) -> int:
    """Give the loads that decide a copy of their driver, where it has many others, and blocks of
    memory copies of their registers; how many it made.

    ``module`` is that of yosys' JSON, flat and mapped; it is changed. The same netlist gives the
    same copies. What a register or gate makes does not change.
    """
    nets = _Nets(module, logic)
    copies = _split_memories(module, nets, logic)
    for bit in sorted(nets.loads, key=lambda bit: -len(nets.loads[bit])):
        driver = nets.drivers.get(bit)
        if driver is None or len(nets.loads[bit]) < MANY:
            continue
        cell = nets.cells[driver.cell]
        deciding = nets.deciding(nets.loads[bit])
        if (cell["type"] not in logic.copied or not deciding
                or len(nets.loads[bit]) - len(deciding) < BULK):
            continue
        _copy(module, nets, bit, driver, deciding, "_copy")
        copies += 1
    return copies


def _split_memories(module: dict[str, Any], nets: _Nets, logic: Logic) -> int:
    """Copies of registers that many blocks of memory hang on, neighbors in the memory on one."""
    copies = 0
    for bit, loads in list(nets.loads.items()):
        driver = nets.drivers.get(bit)
        blocks = [load for load in loads if nets.cells[load.cell]["type"] in logic.memories]
        if (driver is None or len(blocks) < 2 * BLOCKS
                or nets.cells[driver.cell]["type"] not in logic.registers):
            continue
        blocks.sort(key=lambda load: ([int(number) for number in re.findall(r"\d+", load.cell)],
                                      load))
        for first in range(BLOCKS, len(blocks), BLOCKS):
            _copy(module, nets, bit, driver, blocks[first:first + BLOCKS], f"_copy_{first}")
            copies += 1
    return copies


def _copy(module: dict[str, Any], nets: _Nets, bit: int, driver: _Load,
          loads: list[_Load], suffix: str) -> None:
    """A second ``driver`` for some of its loads."""
    cell = nets.cells[driver.cell]
    nets.last += 1
    name, output = driver.cell + suffix, nets.last
    connections = {port: list(bits) for port, bits in cell["connections"].items()}
    connections[driver.port][driver.index] = output
    nets.cells[name] = {**cell, "connections": connections}
    module["netnames"][f"{name}_{driver.port}"] = {
        "hide_name": 1, "bits": [output], "attributes": {}}
    for load in loads:
        nets.cells[load.cell]["connections"][load.port][load.index] = output
    moved = set(loads)
    nets.loads[bit] = [load for load in nets.loads[bit] if load not in moved]
    nets.loads[output] = loads
    nets.drivers[output] = _Load(name, driver.port, driver.index)
    nets.reached[output] = nets.reached[bit]
    for port, bits in connections.items():
        if cell["port_directions"][port] == "input":
            for index, source in enumerate(bits):
                if isinstance(source, int):
                    nets.loads[source].append(_Load(name, port, index))
