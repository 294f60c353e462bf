"""The pins of a board's DDR3 chip, under the names that LiteDRAM has for them."""

from __future__ import annotations

from typing import Any

from amaranth import *
from amaranth.lib import io

from kaniwa.boards.board import Ddr3
from kaniwa.hw.ddr3.signatures import Ddr3Shape

__all__ = ["memory_pads"]

# LiteDRAM's name of a pad by that of amaranth-boards. Which level is on is LiteDRAM's matter.
NAMES = {"a": "a", "ba": "ba", "ras": "ras_n", "cas": "cas_n", "we": "we_n", "cs": "cs_n",
         "clk_en": "cke", "odt": "odt", "rst": "reset_n", "dm": "dm", "dq": "dq"}
PAIRS = {"clk": "clk_p", "dqs": "dqs_p"}     # of which the FPGA makes the other pin itself


def memory_pads(m: Module, ddr3: Ddr3, shape: Ddr3Shape, platform: Any) -> dict[str, Any]:
    """The pads by LiteDRAM's names. Address pins beyond the chip's rows are held low, and the
    board's supplies at their levels."""
    there = [pin.name for pin in platform.lookup(ddr3.resource).ios]
    ports = platform.request(ddr3.resource, dir=dict.fromkeys(there, "-"))
    pads: dict[str, Any] = {NAMES[name]: getattr(ports, name).io for name in there if name in NAMES}
    pads |= {PAIRS[name]: getattr(ports, name).p for name in there if name in PAIRS}
    if len(pads["a"]) > shape.row_pins:
        m.submodules.beyond_rows = beyond = io.Buffer("o", ports.a[shape.row_pins:])
        m.d.comb += beyond.o.eq(0)
        pads["a"] = pads["a"][:shape.row_pins]
    if ddr3.supplies is not None:
        platform.request(ddr3.supplies)     # the levels are those of pins that nothing drives
    return pads
