"""Gives blocks the sites that another placement found for them, before place-and-route.

A placer that minds timing solves for all cells at once, as if each lay between its neighbors, and
then moves block RAMs and multipliers to sites, one by one; where most sites are taken they end far
from what they serve. An electrostatic placer spreads blocks and logic together, with shorter wires,
but knows no timing. So the one chooses the sites of the blocks, and the other places the logic
around them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kaniwa.errors import BuildError

__all__ = ["keep_sites"]

SITE = "NEXTPNR_BEL"   # attribute of a cell that nextpnr has placed


def keep_sites(module: dict[str, Any], placed: dict[str, Any], cell_types: Collection[str]) -> int:
    """Fix each cell of ``cell_types`` where ``placed`` has it; how many there are.

    ``module``: a netlist of yosys' JSON, changed in place; a cell with a site of its own keeps it.
    ``placed``: the same one as nextpnr wrote it. Raises BuildError for a cell without a site there.
    """
    fixed = 0
    for name, cell in module["cells"].items():
        if cell["type"] not in cell_types or "BEL" in cell["attributes"]:
            continue
        try:
            cell["attributes"]["BEL"] = placed["cells"][name]["attributes"][SITE]
        except KeyError:
            raise BuildError(f"{name} ({cell['type']}) was not placed: the first placement is of "
                             "another netlist") from None
        fixed += 1
    return fixed
