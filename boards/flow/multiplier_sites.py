"""Gives multiplier blocks their places, before place-and-route.

A lane's products meet in one adder tree, so its blocks belong side by side, and so do those of the
requantizer. The placer does not find that: it moves single blocks, and leaves them scattered over
the width of the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["fix_multipliers"]

# The numbers of a strategy's instance, of the output channel where it has several, of the product.
ARRAY = re.compile(r"\bmac_array\.multiplier_(\d+)\.block_(?:(\d+)_)?(\d+)\b")
# A lane's number; its two blocks are beside each other.
REQUANTIZER = re.compile(r"\brequantizer\.block_(\d+)_(high|low)\b")


def fix_multipliers(module: dict[str, Any], cell_type: str, rows: Sequence[Sequence[str]]) -> int:
    """Place each lane of the array on neighboring sites of a row; how many blocks have a place.

    The requantizer, which all lanes lead to, is in the middle. ``module``: a netlist of yosys'
    JSON, changed in place. ``cell_type``: that of a block. ``rows``: the names of the sites in each
    row of the device, in their order. What no row has room for is left to the placer, and so are
    other blocks.
    """
    lanes: dict[tuple[int, int], dict[int, dict[str, Any]]] = {}
    requantizer = {}
    for name, cell in module["cells"].items():
        if cell["type"] != cell_type:
            continue
        if block := ARRAY.search(name):
            instance, channel, product = (int(number or 0) for number in block.groups())
            lanes.setdefault((instance, channel), {})[product] = cell
        elif block := REQUANTIZER.search(name):
            requantizer[int(block[1]), block[2]] = cell
    groups = [_in_order(blocks) for _, blocks in sorted(lanes.items())]
    groups.insert(len(groups) // 2, _in_order(requantizer))
    free = [list(row) for row in rows]
    placed = 0
    for blocks in groups:
        row = next((row for row in free if len(row) >= len(blocks)), None)
        if row is not None:
            for cell, site in zip(blocks, row, strict=False):
                cell["attributes"]["BEL"] = site
            del row[:len(blocks)]
            placed += len(blocks)
    return placed


def _in_order(blocks: dict[Any, dict[str, Any]]) -> list[dict[str, Any]]:
    return [blocks[key] for key in sorted(blocks)]
