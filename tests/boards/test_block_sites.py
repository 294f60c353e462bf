"""Sites of blocks, taken from another placement of the same netlist."""

from typing import Any

import pytest

from kaniwa.boards.flow.block_sites import keep_sites
from kaniwa.errors import BuildError


def _cell(kind: str, **attributes: str) -> dict[str, Any]:
    return {"type": kind, "attributes": attributes}


def test_only_the_cells_of_the_types_get_sites_and_those_with_one_keep_it() -> None:
    module = {"cells": {"a": _cell("RAM"), "b": _cell("RAM", BEL="X9"), "c": _cell("LUT")}}
    placed = {"cells": {name: _cell("RAM", NEXTPNR_BEL=f"X{number}")
                        for number, name in enumerate("abcd")}}
    assert keep_sites(module, placed, {"RAM"}) == 1
    sites = {name: cell["attributes"].get("BEL") for name, cell in module["cells"].items()}
    assert sites == {"a": "X0", "b": "X9", "c": None}


@pytest.mark.parametrize("placed", [{}, {"a": _cell("RAM")}])
def test_a_cell_that_was_not_placed_is_named(placed: dict[str, Any]) -> None:
    with pytest.raises(BuildError, match=r"^a \(RAM\) was not placed: .* another netlist"):
        keep_sites({"cells": {"a": _cell("RAM")}}, {"cells": placed}, {"RAM"})
