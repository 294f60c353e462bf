"""The blocks that the floor is coloured by, and their names for people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["BY_NEXTPNR", "block_names", "group_blocks"]

# A block within a block is shown by itself from this share of all cells on.
OWN_SHARE = 0.05
BY_NEXTPNR = "$nextpnr"    # cells that it adds: ends of carry chains, clock buffers
PINS = "pins"
QUEUES = "queues"

TITLES = {
    "array": "array control", "load": "load DMA", "mac_array": "MAC array",
    "memory": "memory ports", "on_chip_memory": "on-chip memory", "operand": "operand DMA",
    "post": "post unit", "post.requantizer": "requantizer", "store": "store DMA",
    "weights": "weight decoder", "top": "top level", "uart": "UART", PINS: "pins",
    "standalone": "start from flash", QUEUES: "instruction queues",
    BY_NEXTPNR: "added by nextpnr",
}


def group_blocks(paths: Iterable[str]) -> dict[str, str]:
    """The block to show for the path of each cell: its first level, or two where that is large.

    Levels that are numbered, like lanes, stay together.
    """
    cells = Counter(paths)
    seconds: Counter[str] = Counter()
    for path, count in cells.items():
        seconds[_levels(path, 2)] += count
    enough = OWN_SHARE * cells.total()
    shown = {}
    for path in cells:
        second = _levels(path, 2)
        own = "." in second and seconds[second] >= enough and not re.search(r"\d$", second)
        shown[path] = second if own else _levels(path, 1)
    return shown


def _levels(path: str, count: int) -> str:
    """The first levels of a path, without the numbers that make names of modules unique."""
    levels = [re.sub(r"\$\d+$", "", level) for level in path.split(".")[:count]]
    if levels[0].startswith("pin_"):
        return PINS
    if levels[0].endswith("_queue"):
        return QUEUES
    return ".".join(levels)


def block_names(blocks: Iterable[str]) -> dict[str, str]:
    """A name for people of each block."""
    blocks = list(blocks)
    names = {block: TITLES.get(block, block.replace(".", ": ").replace("_", " "))
             for block in blocks}
    for block in blocks:
        if any(other.startswith(f"{block}.") for other in blocks):
            names[block] += ", the rest"
    return names
