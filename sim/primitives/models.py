"""Behavioral models of the FPGA primitives that gateware may be made of."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["primitive_models", "primitive_ports"]

FOLDER = Path(__file__).parent


def primitive_models(verilog: str) -> str:
    """Verilog of the primitives that ``verilog`` has instances of, empty if there are none."""
    words = set(re.findall(r"^  ([A-Za-z][A-Za-z0-9_]+) (?:#\(|\w)", verilog, re.MULTILINE))
    return "".join(path.read_text() for path in sorted(FOLDER.glob("*.v")) if path.stem in words)


def primitive_ports() -> str:
    """Verilog of all of them without what is inside."""
    text = "".join(path.read_text() for path in sorted(FOLDER.glob("*.v")))
    return re.sub(r"(\nmodule .*?\n\);).*?\nendmodule", r"\1\nendmodule", text, flags=re.DOTALL)
