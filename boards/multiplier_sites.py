"""Gives the multiplier blocks of the array their places, before place-and-route.

A lane's products meet in one adder tree, so its blocks belong side by side. The placer does not
find that: it moves single blocks, and leaves each lane scattered over the width of the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["fix_multipliers"]

# The numbers of a strategy's instance, of the output channel where it has several, of the product.
BLOCK = re.compile(r"\bmac_array\.multiplier_(\d+)\.block_(?:(\d+)_)?(\d+)\b")


def fix_multipliers(module: dict[str, Any], cell_type: str, rows: Sequence[Sequence[str]]) -> int:
    """Place each lane of the array on neighboring sites of a row; how many blocks that were.

    ``module``: a netlist of yosys' JSON, changed in place. ``cell_type``: that of a block. ``rows``:
    the names of the sites in each row of the device, in their order. Lanes that no row has room
    for, and blocks outside the array, are left to the placer.
    """
    lanes: dict[tuple[int, int], dict[int, dict[str, Any]]] = {}
    for name, cell in module["cells"].items():
        block = BLOCK.search(name)
        if block and cell["type"] == cell_type:
            instance, channel, product = (int(number or 0) for number in block.groups())
            lanes.setdefault((instance, channel), {})[product] = cell
    free = [list(row) for row in rows]
    placed = 0
    for _, blocks in sorted(lanes.items()):
        row = next((row for row in free if len(row) >= len(blocks)), None)
        if row is not None:
            for (_, cell), site in zip(sorted(blocks.items()), row, strict=False):
                cell["attributes"]["BEL"] = site
            del row[:len(blocks)]
            placed += len(blocks)
    return placed
