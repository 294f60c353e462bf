"""The design of a board as it is built, made into a simulation that is driven at its pins."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

import kaniwa.boards
from kaniwa.boards.board import Board, load_board
from kaniwa.config import AcceleratorConfig
from kaniwa.driver.transports import BITS_A_BYTE
from kaniwa.sim.device.verilate import (
    SHIM,
    Progress,
    build_library,
    gateware_sources,
    kept_verilog,
    source_texts,
)
from kaniwa.sim.primitives.models import FOLDER, primitive_models

__all__ = ["BIT_CYCLES", "BoardDesign", "board_design"]

SOURCE = SHIM[0].with_name("pin_shim.cpp")
BIT_CYCLES = 8   # of a virtual board's UART, unless a baud is asked for
# Bytes a second that a virtual board tells, times its multipliers: about what is simulated of it.
# It sets how long the host waits: in the board's time or, at a pseudo-terminal, in its own.
PACE = 320_000


@dataclass(frozen=True)
class BoardDesign:
    """A board's top for ``config``. ``pace``: bytes a second that it tells the host.

    ``bit_cycles``: cycles of a bit at its UART.
    """

    board: Board
    config: AcceleratorConfig
    baud: int
    pace: int
    bit_cycles: float

    def rtlil(self) -> str:
        """The gateware; that of a bitstream if baud and pace are."""
        from kaniwa.boards.flow.build import TOP, design_files

        files = design_files(self.board, self.config, self.board.clock_mhz(self.config.name),
                             baud=self.baud, pace=self.pace)
        return files[f"{TOP}.il"]

    def library(self, progress: Progress | None = None) -> Path:
        """The shared object with its simulation, built if there is none yet."""
        text = kept_verilog(f"{self.board.name}-{self.config.name}", self._made_from(),
                            self._verilog, progress)
        return build_library(text, self.config, progress=progress, sources=[SOURCE])

    def _made_from(self) -> list[str]:
        return [self.config.hash, str(self.baud), str(self.pace), self.board.name,
                importlib.metadata.version("amaranth-boards"),
                *gateware_sources(), *source_texts([Path(__file__)]),
                *source_texts(Path(kaniwa.boards.__path__[0]).rglob("*.py")),
                *source_texts(FOLDER.glob("*.v"))]

    def _verilog(self) -> str:
        """Models of the primitives, the board's design, and around it a module of three pins."""
        from kaniwa.hw.verilog import from_rtlil

        text = from_rtlil(self.rtlil())
        return f"{primitive_models(text)}{text}\n{self._pins(text)}"

    def _pins(self, text: str) -> str:
        """The module of three pins around the top module of ``text``."""
        from kaniwa.boards.flow.build import TOP

        head = re.search(rf"^module {TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
        assert head is not None
        link = f"{self.board.link}_0"
        wires = {f"{link}__rx__io": "rx_pin", f"{link}__tx__io": "tx"}
        pins = [f".{pin}({wires.get(pin, 'clk' if pin.startswith('clk') else 1)})"
                for pin in re.split(r",\s*", head[1])]
        return ("module core(input clk, input rx, output tx);\n"
                f"  wire rx_pin = rx;\n  {TOP} board({', '.join(pins)});\nendmodule\n")


def board_design(name: str, config: AcceleratorConfig | None = None,
                 baud: int | None = None) -> BoardDesign:
    """The design of the board ``name`` for ``config``, by default the board's first target.

    With ``baud`` it is what a bitstream of that baud holds; without, its UART has a bit in
    BIT_CYCLES cycles and it tells a pace by PACE, for a simulation that ends soon. Raises
    ConfigError for an unknown board.
    """
    from kaniwa.boards.families.family import load_family

    board = load_board(name)
    config = config or board.config(board.default_target)
    hz = board.make_platform().default_clk_frequency
    clock_hz = load_family(board.family).pll(hz, board.clock_mhz(config.name),
                                               board.device).hz
    if baud is None:
        pace = PACE // (config.out_lanes * config.dot_width)
        return BoardDesign(board, config, clock_hz // BIT_CYCLES, pace, BIT_CYCLES)
    return BoardDesign(board, config, baud, baud // BITS_A_BYTE, clock_hz / baud)
