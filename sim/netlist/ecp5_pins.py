"""What the pins of ECP5's cells are without a wire, and behind a multiplexer of constants."""

from __future__ import annotations

from typing import Any

from kaniwa.errors import BuildError
from kaniwa.sim.primitives.models import cell_models

__all__ = ["direct_pins", "settle_pins"]

# A device's pin by its direction, and the names that its own pins have in this model.
DIRECTED = {"INPUT": ("IB", {"B": "I", "O": "O"}),
            "OUTPUT": ("OBZ", {"B": "O", "I": "I", "T": "T"})}
# Cells whose pins nextpnr ties by a parameter of each pin, such as CEAMUX of CEA.
MULTIPLEXED = ("DP16KD", "MULT18X18D")
PULLED_UP = "1"   # a pin of these without a wire


def direct_pins(module: dict[str, Any]) -> None:
    """Make each TRELLIS_IO of a module of yosys' or nextpnr's JSON the pin of its direction.

    Raises BuildError for one that is neither an input nor an output, or uses a wire of the other.
    """
    for name, cell in module["cells"].items():
        if cell["type"] != "TRELLIS_IO":
            continue
        direction = cell["parameters"].get("DIR")
        if direction not in DIRECTED:
            raise BuildError(f"netlist: no model of a TRELLIS_IO of direction {direction} ({name})")
        cell["type"], pins = DIRECTED[direction]
        if strange := sorted(cell["connections"].keys() - pins):
            raise BuildError(f"netlist: a TRELLIS_IO of direction {direction} has a wire at "
                             f"{strange[0]} ({name})")
        cell["parameters"] = {}
        cell["connections"] = {pins[pin]: bits for pin, bits in cell["connections"].items()}
        cell["port_directions"] = {
            pin: "output" if pin == "O" else "input" for pin in cell["connections"]}


def settle_pins(module: dict[str, Any]) -> None:
    """Give pins of blocks in nextpnr's JSON the levels that their multiplexers give them.

    A parameter ``<pin>MUX`` is 0, 1, INV (the complement of what comes) or the pin's own name. An
    input without a wire is 1 (nextpnr's source, ecp5/pack.cc and ecp5/bitstream.cc). Of a lookup
    table it is said which of its two multiplexers drives OFX: the one that has wires. Raises
    BuildError for a value that is none of these, and for the complement of a wire.
    """
    models = cell_models()
    for name, cell in module["cells"].items():
        if cell["type"] == "TRELLIS_COMB" and "IS_Z1" not in cell["parameters"]:
            second = {"FXA", "FXB"} & cell["connections"].keys()
            cell["parameters"]["IS_Z1"] = "1" if second else "0"
        if cell["type"] in MULTIPLEXED and _is_routed(cell):
            for pin in models[cell["type"]].ports:
                if cell["port_directions"].get(pin) == "input":
                    _settle(name, cell, pin)


def _is_routed(cell: dict[str, Any]) -> bool:
    """Whether nextpnr has written the cell: it lists pins that have no wire."""
    return cell["port_directions"].keys() > cell["connections"].keys()


def _settle(name: str, cell: dict[str, Any], pin: str) -> None:
    source = cell["parameters"].pop(f"{pin}MUX", pin).strip()
    wire = cell["connections"].get(pin)
    if source in ("0", "1"):
        level = source
    elif source == "INV" and wire is None:
        level = "0"
    elif source == pin and wire is None:
        level = PULLED_UP
    elif source == pin:
        return
    else:
        raise BuildError(f"netlist: no model of {cell['type']} with {source} at {pin} ({name})")
    cell["connections"][pin] = [level]
