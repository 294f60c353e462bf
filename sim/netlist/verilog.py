"""A netlist in the JSON of yosys or nextpnr, as Verilog with a model of each cell."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kaniwa.boards.flow import tools
from kaniwa.errors import BuildError
from kaniwa.sim.netlist.ecp5_pins import direct_pins, settle_pins
from kaniwa.sim.netlist.hidden_wires import connect_hidden
from kaniwa.sim.primitives.models import cell_models, primitive_models

__all__ = ["check_models", "netlist_verilog"]

BOOKKEEPING = ("$scopeinfo",)   # cells of yosys that stand for no hardware
SCRIPT = "read_json netlist.json\nwrite_verilog -noattr netlist.v\n"


def netlist_verilog(module: Mapping[str, Any], top: str) -> str:
    """Verilog of the module ``top``, whose ports are the device's pins, and of its cells' models.

    ``module``: that of yosys' or nextpnr's JSON, flat and mapped; it is not changed. Raises
    BuildError for a cell, a parameter or a pin that has no model, and where yosys fails.
    """
    own = copy.deepcopy(dict(module))
    own["cells"] = {name: cell for name, cell in own["cells"].items()
                    if cell["type"] not in BOOKKEEPING}
    for cell in own["cells"].values():
        cell["connections"] = {pin: bits for pin, bits in cell["connections"].items() if bits}
    direct_pins(own)
    settle_pins(own)
    connect_hidden(own)
    check_models(own)
    # Names of cells and wires would be half of the text, and more of what is made of it.
    own["cells"] = {f"c{number}": cell for number, cell in enumerate(own["cells"].values())}
    own["netnames"] = {}
    text = _write({"creator": "kaniwa", "modules": {top: own}})
    return primitive_models("", {cell["type"] for cell in own["cells"].values()}) + text


def check_models(module: Mapping[str, Any]) -> None:
    """Raise BuildError for the first cell with a type, a parameter or a pin that has no model.

    A value that a model does not know is refused by the model itself, when Verilator reads it.
    """
    models = cell_models()
    for name, cell in module["cells"].items():
        model = models.get(cell["type"])
        if model is None:
            raise BuildError(f"netlist: no model of the cell {cell['type']} ({name})")
        for what, used, known in (("parameter", cell["parameters"], model.parameters),
                                  ("pin", cell["connections"], model.ports)):
            if strange := sorted(set(used) - known):
                raise BuildError(f"netlist: the model of {cell['type']} has no {what} "
                                 f"{strange[0]} ({name})")


def _write(netlist: Mapping[str, Any]) -> str:
    """What yosys makes of a netlist: cells, parameters and connections as they are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "netlist.json").write_text(json.dumps(netlist))
        (folder / "write.ys").write_text(SCRIPT)
        log = folder / "yosys.log"
        status = tools.run(tools.yosys_command("write.ys"), folder, log)
        written = folder / "netlist.v"
        if status or not written.exists():
            errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR")]
            raise BuildError(f"yosys could not write the netlist: {(errors or ['no output'])[-1]}")
        return written.read_text()
