"""Sites of blocks, taken from another placement of the same netlist and exchanged."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from kaniwa.boards.flow.block_sites import exchange, keep_sites, sites_of
from kaniwa.errors import BuildError

RAMS = [f"X{x}/Y{y}/RAM" for y in (2, 7) for x in range(0, 20, 2)]
MULTIPLIERS = [f"X{x}/Y5/MUL" for x in range(1, 20, 2)]
SITES = {"RAM": RAMS, "WIDE": RAMS, "MUL": MULTIPLIERS}


def _cell(kind: str, site: str | None = None, *nets: int) -> dict[str, Any]:
    return {"type": kind, "attributes": {"NEXTPNR_BEL": site} if site else {},
            "connections": {f"P{number}": [net] for number, net in enumerate(nets)}}


def _placed(**cells: dict[str, Any]) -> dict[str, Any]:
    return {"cells": cells}


def _length(placed: dict[str, Any], sites: dict[str, str]) -> int:
    """Of all nets: half the circumference of the rectangle around the ends of each."""
    ends: dict[int, list[tuple[int, int]]] = {}
    for name, cell in placed["cells"].items():
        site = sites.get(name, cell["attributes"]["NEXTPNR_BEL"])
        x, y = map(int, re.findall(r"\d+", site)[:2])
        for (net,) in cell["connections"].values():
            ends.setdefault(net, []).append((x, y))
    return sum(max(x) - min(x) + max(y) - min(y)
               for x, y in (zip(*places, strict=True) for places in ends.values()))


def test_blocks_that_lie_beside_each_others_logic_change_places() -> None:
    placed = _placed(a=_cell("RAM", RAMS[0], 1), b=_cell("RAM", RAMS[9], 2),
                     left=_cell("LUT", "X0/Y3/A", 2), right=_cell("LUT", "X18/Y3/A", 1))
    assert exchange(placed, {"RAM": [RAMS[0], RAMS[9]]}) == ({"a": RAMS[9], "b": RAMS[0]}, 36)


def test_a_block_goes_to_a_free_site_of_its_kind() -> None:
    placed = _placed(a=_cell("RAM", RAMS[0], 1), m=_cell("MUL", MULTIPLIERS[0], 1),
                     far=_cell("LUT", "X19/Y7/A", 1))
    sites, gained = exchange(placed, SITES)
    assert sites["a"] in RAMS and sites["m"] == MULTIPLIERS[9]
    assert _length(placed, sites) == 3 and gained == 24 - 3


def test_blocks_without_logic_and_without_nets_are_no_error() -> None:
    placed = _placed(a=_cell("RAM", RAMS[0], 1), b=_cell("WIDE", RAMS[9], 1),
                     alone=_cell("MUL", MULTIPLIERS[4]))
    sites, gained = exchange(placed, SITES)
    assert _length(placed, sites) == 2 and gained == 16
    assert sites["alone"] == MULTIPLIERS[4]


@pytest.mark.parametrize("seed", range(20))
def test_random_placements_get_shorter_by_what_is_said(seed: int) -> None:
    rng = random.Random(seed)
    rams, multipliers = rng.sample(RAMS, 17), rng.sample(MULTIPLIERS, 10)
    nets = range(rng.randint(20, 60))
    cells = {}
    for number, site in enumerate(rams):
        kind = rng.choice(("RAM", "WIDE"))
        cells[f"r{number}"] = _cell(kind, site, *rng.choices(nets, k=rng.randint(0, 8)))
    for number, site in enumerate(multipliers):
        cells[f"m{number}"] = _cell("MUL", site, *rng.choices(nets, k=rng.randint(0, 8)))
    for number in range(40):
        cells[f"l{number}"] = _cell("LUT", f"X{rng.randrange(20)}/Y{rng.randrange(9)}/A",
                                    *rng.choices(nets, k=3))
    placed = _placed(**cells)
    before = sites_of(placed, SITES)
    sites, gained = exchange(placed, SITES)
    assert sites.keys() == before.keys()
    assert len(set(sites.values())) == len(sites)
    assert all(site in SITES[placed["cells"][name]["type"]] for name, site in sites.items())
    assert gained == _length(placed, before) - _length(placed, sites) > 0
    assert exchange(placed, SITES) == (sites, gained)


def test_only_blocks_get_sites() -> None:
    module = {"cells": {"a": _cell("RAM"), "c": _cell("LUT")}}
    keep_sites(module, {"a": "X2/Y2/RAM"})
    assert {name: cell["attributes"] for name, cell in module["cells"].items()} == {
        "a": {"BEL": "X2/Y2/RAM"}, "c": {}}


def test_a_block_that_was_not_placed_or_is_of_another_netlist_is_named() -> None:
    with pytest.raises(BuildError, match=r"^a \(RAM\) was not placed: .* another netlist"):
        sites_of(_placed(a=_cell("RAM")), SITES)
    with pytest.raises(BuildError, match="^b is not in the netlist: .* of another one"):
        keep_sites({"cells": {"a": _cell("RAM")}}, {"b": RAMS[0]})
    with pytest.raises(BuildError, match="^RAM_3: a site without column and row"):
        exchange(_placed(a=_cell("RAM", "RAM_3")), {"RAM": ["RAM_3"]})
