"""Wires that a device has and a routed netlist lacks, put back before it is simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kaniwa.errors import BuildError

__all__ = ["connect_hidden"]


def connect_hidden(module: dict[str, Any]) -> None:
    """Connect, in a module of nextpnr's JSON, what only the places of cells connect.

    On iCE40 a clock generator takes its reference from the pin beside it and drives the global
    buffer beside it: both wires are fixed, so nextpnr leaves them out (its source, ice40/pack.cc).
    Raises BuildError where it is not clear which pin and which buffer these are.
    """
    cells = module["cells"]
    generators = [cell for cell in cells.values() if cell["type"] == "ICESTORM_PLL"]
    if not generators:
        return
    if len(generators) > 1:
        raise BuildError("netlist: more than one clock generator, whose wires nextpnr leaves out")
    generator = generators[0]
    pin = _only(cells, "a pin without a wire beside the clock generator",
                lambda cell: cell["type"] == "SB_IO" and int(cell["parameters"]["PIN_TYPE"], 2) == 1
                and "D_IN_0" not in cell["connections"])
    buffer = _only(cells, "a global buffer without a source beside the clock generator",
                   lambda cell: cell["type"] == "SB_GB"
                   and "USER_SIGNAL_TO_GLOBAL_BUFFER" not in cell["connections"])
    used = [bit for cell in cells.values() for bits in cell["connections"].values()
            for bit in bits if isinstance(bit, int)]
    clock = [max(used) + 1]
    generator["connections"]["PLLOUT_A_GLOBAL"] = clock
    cells[buffer]["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] = clock
    # Of the pin nothing is used but its pad.
    generator["connections"]["REFERENCECLK"] = cells.pop(pin)["connections"]["PACKAGE_PIN"]


def _only(cells: dict[str, Any], what: str, test: Callable[[dict[str, Any]], bool]) -> str:
    """The name of the only cell for which ``test`` is true."""
    found = [name for name, cell in cells.items() if test(cell)]
    if len(found) != 1:
        raise BuildError(f"netlist: {what} is looked for, and there are {len(found)}")
    return found[0]
