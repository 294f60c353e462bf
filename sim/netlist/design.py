"""A board whose netlist is simulated in place of its gateware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaniwa.sim.board.board_design import SOURCES, BoardDesign
from kaniwa.sim.device.verilate import Progress, build_library
from kaniwa.sim.netlist.verilog import netlist_verilog

__all__ = ["NetlistDesign"]


@dataclass(frozen=True)
class NetlistDesign(BoardDesign):
    """The board ``design`` with the module ``netlist`` (of yosys' or nextpnr's JSON) as its top.

    Baud and pace are those that the netlist was made with.
    """

    netlist: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def library(self, progress: Progress | None = None) -> Path:
        """The shared object with the simulation of the netlist, built if there is none yet."""
        from kaniwa.boards.flow.build import TOP

        text = netlist_verilog(self.netlist, TOP)
        return build_library(f"{text}\n{self._pins(text)}", self.config, progress=progress,
                             sources=SOURCES)
