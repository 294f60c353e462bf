"""Kept results of place-and-route, recorded from a small design on each family."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from kaniwa.boards.board import load_board
from kaniwa.boards.floor.placement import PLACEMENT, keep_placement
from kaniwa.boards.flow.build import REPORT, TOP, Bitstream
from kaniwa.boards.flow.timing import load_report, read_timing

RECORDED = Path(__file__).parents[1] / "boards" / "placements"
BOARDS = {"ecp5": "ulx3s_25f", "ice40": "icebreaker", "gowin": "tang_primer_20k",
          "nexus": "crosslink_nx", "gatemate": "gatemate_a1_evb"}


class Blocks:
    """The block of a cell from its name alone: where the recorded names keep the module."""

    def block(self, name: str) -> str:
        levels = [level for level in name.split(".")[:-1]
                  if level not in ("accelerator", "core", "datapath")]
        return ".".join(levels) or "top"


def written(family: str) -> dict[str, Any]:
    """The cells of the netlist that nextpnr wrote."""
    text = (RECORDED / f"{family}_placed.json").read_text()
    return json.loads(text)["modules"][TOP]["cells"]


def kept_result(family: str, folder: Path) -> Bitstream:
    """The build whose files are kept in ``folder``."""
    folder.mkdir(exist_ok=True)
    keep_placement(RECORDED / f"{family}_placed.json", folder / PLACEMENT, TOP)
    shutil.copy(RECORDED / f"{family}_report.json", folder / REPORT)
    board, blocks = load_board(BOARDS[family]), Blocks()
    target = board.default_target
    return Bitstream(
        board, target, board.config(target), board.clock_mhz(target),
        {1: read_timing(load_report(folder / REPORT), blocks.block)}, 1, {"control": {"lut": 4}},
        {"lut": 4}, folder / f"{board.name}.bit", "0123", 1.0, folder,
        folder / f"{TOP}.json", blocks)
