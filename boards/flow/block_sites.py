"""Chooses the sites of block RAMs and multipliers, before place-and-route.

A placer that minds timing solves for all cells at once, as if each lay between its neighbors, and
then moves blocks to sites, one by one; where most sites are taken they end far from what they
serve. So in its placement blocks change places as long as that makes the wires shorter. Then it
places the logic anew, around the blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kaniwa.boards.families.family import Sites
from kaniwa.errors import BuildError

__all__ = ["exchange", "keep_sites", "sites_of"]

SITE = "NEXTPNR_BEL"   # attribute of a cell that nextpnr has placed
PLACE = re.compile(r"X(\d+)/Y(\d+)/")

# A round that makes all wires shorter by less than this part is the last one.
ENOUGH = 1e-4
# How many exchanges of a block are tried in a round, the most promising first.
TRIED = 6
# Left of, or below, all sites: where a net has no cell but blocks.
NOWHERE = -1 << 20


def sites_of(placed: Mapping[str, Any], sites: Sites) -> dict[str, str]:
    """The sites of the blocks in a placement: cells of the types that ``sites`` has.

    ``placed``: a module as nextpnr wrote it. Raises BuildError for a block that has no site there.
    """
    found = {}
    for name, cell in placed["cells"].items():
        if cell["type"] in sites:
            if SITE not in cell["attributes"]:
                raise BuildError(f"{name} ({cell['type']}) was not placed: the first placement is "
                                 "of another netlist")
            found[name] = cell["attributes"][SITE]
    return found


def keep_sites(module: dict[str, Any], chosen: Mapping[str, str]) -> None:
    """Fix each block of ``chosen`` at its site. ``module``: a netlist of yosys' JSON, changed in
    place. Raises BuildError for a block that the netlist does not have."""
    for name, site in chosen.items():
        if name not in module["cells"]:
            raise BuildError(f"{name} is not in the netlist: the first placement is of another one")
        module["cells"][name]["attributes"]["BEL"] = site


def exchange(placed: Mapping[str, Any], sites: Sites) -> tuple[dict[str, str], int]:
    """Sites for the blocks with shorter wires, and by how many units.

    A wire's length is half the circumference of the rectangle around its ends. Logic stays where
    ``placed`` has it. Blocks change places in pairs, or go to a free site, while that gains.
    """
    wires = _Wires(placed, sites)
    gained, last = 0, None
    while last is None or last > ENOUGH * wires.length:
        last = sum(wires.improve(block) for block in wires.by_length())
        gained += last
    return wires.chosen(), gained


class _Wires:
    """The nets that blocks hang on, where a block may be, and what is where."""

    def __init__(self, placed: Mapping[str, Any], sites: Sites) -> None:
        at = sites_of(placed, sites)
        self._names = sorted(at)
        pools = sorted({tuple(names) for names in sites.values()})
        self._sites = [name for names in pools for name in names]
        number = {name: index for index, name in enumerate(self._sites)}
        self._place = np.array([_place(name) for name in self._sites])
        self._candidates = [
            np.array([number[name] for name in sites[placed["cells"][block]["type"]]])
            for block in self._names]
        self._at = np.array([number[at[block]] for block in self._names])
        self._owner = np.full(len(self._sites), -1)
        self._owner[self._at] = range(len(self._names))
        self._read_nets(placed)

    def _read_nets(self, placed: Mapping[str, Any]) -> None:
        block = {name: index for index, name in enumerate(self._names)}
        logic: dict[int, list[tuple[int, int]]] = {}
        blocks: dict[int, set[int]] = {}
        for name, cell in placed["cells"].items():
            if SITE not in cell["attributes"]:
                continue
            nets = {net for bits in cell["connections"].values() for net in bits}
            if name in block:
                for net in nets:
                    blocks.setdefault(net, set()).add(block[name])
            else:
                place = _place(cell["attributes"][SITE])
                for net in nets:
                    logic.setdefault(net, []).append(place)
        nets = [net for net, ends in blocks.items() if len(ends) + len(logic.get(net, ())) > 1]
        # The rectangle around the logic, as its least and its most; of none, what holds no end.
        self._low = np.array([np.min(logic[net], 0) if net in logic else (-NOWHERE, -NOWHERE)
                              for net in nets]).reshape(-1, 2)
        self._high = np.array([np.max(logic[net], 0) if net in logic else (NOWHERE, NOWHERE)
                               for net in nets]).reshape(-1, 2)
        self._blocks = np.full((len(nets), max((len(blocks[net]) for net in nets), default=0)), -1)
        own: list[list[int]] = [[] for _ in self._names]
        for row, net in enumerate(nets):
            self._blocks[row, :len(blocks[net])] = sorted(blocks[net])
            for index in blocks[net]:
                own[index].append(row)
        self._own = [np.array(rows, int) for rows in own]
        self._lengths = self._measured(np.arange(len(nets)))
        # Length of a block's nets with it at a site, as it was when the block last had its turn.
        self._costs = np.zeros((len(own), len(self._sites)), int)
        for index, candidates in enumerate(self._candidates):
            self._costs[index, candidates] = self._if_at(index, candidates)

    @property
    def length(self) -> int:
        """Of all nets with a block."""
        return int(self._lengths.sum())

    def chosen(self) -> dict[str, str]:
        """The site of each block."""
        return {name: self._sites[site] for name, site in zip(self._names, self._at, strict=True)}

    def by_length(self) -> list[int]:
        """Blocks, those with the longest wires first."""
        lengths = [int(self._lengths[own].sum()) for own in self._own]
        return sorted(range(len(lengths)), key=lambda block: (-lengths[block], block))

    def improve(self, block: int) -> int:
        """Move ``block`` to another site, and what is there to its own, if that makes wires
        shorter. By how many units."""
        here, sites = self._at[block], self._candidates[block]
        self._costs[block, sites] = self._if_at(block, sites)
        others = self._owner[sites]
        change = (self._costs[block, sites] - self._costs[block, here]
                  + np.where(others < 0, 0, self._costs[others, here] - self._costs[others, sites]))
        for index in np.argsort(change, kind="stable")[:TRIED]:
            if change[index] >= 0:
                break
            if gained := self._try(block, int(sites[index])):
                return gained
        return 0

    def _try(self, block: int, site: int) -> int:
        """Exchange, or leave all as it is: two blocks of the same net gain less than each alone."""
        here, other = self._at[block], self._owner[site]
        own = self._own[block]
        if other >= 0:
            own = np.union1d(own, self._own[other])
        self._move(block, other, site, here)
        lengths = self._measured(own)
        gained = int(self._lengths[own].sum() - lengths.sum())
        if gained <= 0:
            self._move(block, other, here, site)
            return 0
        self._lengths[own] = lengths
        self._owner[here], self._owner[site] = other, block
        return gained

    def _move(self, block: int, other: int, site: int, others: int) -> None:
        self._at[block] = site
        if other >= 0:
            self._at[other] = others

    def _measured(self, rows: NDArray[np.int_]) -> NDArray[np.int_]:
        """Lengths of nets."""
        low, high = self._rectangles(rows, -1)
        return (high - low).sum(1)

    def _rectangles(self, rows: NDArray[np.int_],
                    without: int) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Around the ends of nets but those of the block ``without``."""
        blocks = self._blocks[rows]
        counts = ((blocks >= 0) & (blocks != without))[..., None]
        places = self._place[self._at[blocks]]
        return (np.minimum(np.where(counts, places, -NOWHERE).min(1), self._low[rows]),
                np.maximum(np.where(counts, places, NOWHERE).max(1), self._high[rows]))

    def _if_at(self, block: int, sites: NDArray[np.int_]) -> NDArray[np.int_]:
        """Length of the nets of ``block``, all together, with it at each of ``sites``."""
        low, high = self._rectangles(self._own[block], block)
        places = self._place[sites][:, None]
        return (np.maximum(high, places) - np.minimum(low, places)).sum((1, 2))


def _place(site: str) -> tuple[int, int]:
    """Column and row."""
    found = PLACE.match(site)
    if found is None:
        raise BuildError(f"{site}: a site without column and row")
    return int(found[1]), int(found[2])
