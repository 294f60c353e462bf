"""Behavioral models of the FPGA primitives that gateware and netlists may be made of."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CellModel", "cell_models", "primitive_models", "primitive_ports"]

FOLDER = Path(__file__).parent
HEAD = re.compile(r"^module (\w+) (?:#\((.*?)\) )?\((.*?)\);$", re.MULTILINE | re.DOTALL)
PARAMETER = re.compile(r"parameter (?:\[[^\]]*\] )?(\w+) =")
PORT = re.compile(r"(\w+)(?: = 1'b[01])?(?=,|$)")
INSTANCE = re.compile(r"^ *([A-Za-z][A-Za-z0-9_]+) (?:#\(|\w)", re.MULTILINE)


@dataclass(frozen=True)
class CellModel:
    """A modelled cell: the file that it is in, the names of its parameters and of its ports."""

    path: Path
    parameters: frozenset[str]
    ports: frozenset[str]


@functools.cache
def cell_models() -> dict[str, CellModel]:
    """All cells that have a model, by type: primitives of gateware and cells of netlists."""
    models = {}
    for path in sorted(FOLDER.rglob("*.v")):
        for name, parameters, ports in HEAD.findall(path.read_text()):
            models[name] = CellModel(path, frozenset(PARAMETER.findall(parameters)),
                                     frozenset(PORT.findall(ports.strip())))
    return models


def primitive_models(verilog: str, types: Collection[str] | None = None) -> str:
    """Verilog of the primitives that ``verilog`` has instances of, empty if there are none.

    With ``types`` it is that of these cells. Models of what a model is made of are among them.
    """
    models = cell_models()
    found: dict[Path, str] = {}
    wanted = [name for name in (INSTANCE.findall(verilog) if types is None else sorted(types))
              if name in models]
    while wanted:
        path = models[wanted.pop()].path
        if path not in found:
            found[path] = path.read_text()
            wanted += [name for name in INSTANCE.findall(found[path]) if name in models]
    return "".join(found[path] for path in sorted(found))


def primitive_ports() -> str:
    """Verilog of the primitives that gateware has instances of, without what is inside."""
    text = "".join(path.read_text() for path in sorted(FOLDER.glob("*.v")))
    return re.sub(r"(\nmodule [^;]*;).*?\nendmodule", r"\1\nendmodule", text, flags=re.DOTALL)
