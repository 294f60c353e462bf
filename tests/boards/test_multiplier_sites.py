"""The places of the array's multiplier blocks."""

from __future__ import annotations

from typing import Any

from kaniwa.boards.flow.multiplier_sites import fix_multipliers

ROWS = [[f"X{x}/Y{y}" for x in range(5)] for y in range(2)]


def _module(names: list[str]) -> dict[str, Any]:
    return {"cells": {name: {"type": "MUL", "attributes": {}} for name in names}}


def _sites(module: dict[str, Any]) -> dict[str, str]:
    return {name: cell["attributes"]["BEL"] for name, cell in module["cells"].items()
            if "BEL" in cell["attributes"]}


def test_a_lane_lies_side_by_side_in_one_row() -> None:
    packed = [f"core.mac_array.multiplier_{lane}.block_{product}.block"
              for product in (2, 0, 1) for lane in (1, 0, 2)]
    module = _module(packed)
    assert fix_multipliers(module, "MUL", ROWS) == 6 < len(packed)   # three sites a lane: one a row
    assert _sites(module) == {
        f"core.mac_array.multiplier_{lane}.block_{product}.block": f"X{product}/Y{lane}"
        for lane in (0, 1) for product in range(3)}


def test_lanes_of_an_instance_with_several_channels_are_told_apart() -> None:
    names = [f"mac_array.multiplier_0.block_{channel}_{product}.block"
             for channel in (0, 10, 9) for product in (0, 1)]
    module = _module(names)
    assert fix_multipliers(module, "MUL", ROWS) == 6
    assert [_sites(module)[name] for name in names] == [
        "X0/Y0", "X1/Y0", "X0/Y1", "X1/Y1", "X2/Y0", "X3/Y0"]


def test_the_requantizer_lies_in_the_middle() -> None:
    lanes = [f"mac_array.multiplier_{lane}.block_{product}.block"
             for lane in range(2) for product in range(2)]
    requantizer = [f"post.requantizer.block_{lane}_{part}.block"
                   for part in ("low", "high") for lane in (1, 0)]
    module = _module([*requantizer, *lanes])
    assert fix_multipliers(module, "MUL", [[f"S{n}" for n in range(8)]]) == 8
    sites = _sites(module)
    assert [sites[name] for name in lanes] == ["S0", "S1", "S6", "S7"]
    assert [sites[name] for name in requantizer] == ["S5", "S3", "S4", "S2"]


def test_other_cells_are_left_to_the_placer() -> None:
    module = _module(["post.scale.block_0_low.block", "mac_array.multiplier_0.total"])
    assert fix_multipliers(module, "MUL", ROWS) == 0 and not _sites(module)
    module = _module(["mac_array.multiplier_0.block_0.block"])
    assert fix_multipliers(module, "OTHER", ROWS) == 0 and not _sites(module)
