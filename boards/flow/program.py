"""Loads bitstreams into connected boards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from kaniwa.boards.board import Board
from kaniwa.boards.flow.tools import FAMILIES
from kaniwa.errors import DeviceError

__all__ = ["find_bitstream", "load_bitstream"]


def find_bitstream(board: Board, target: str | None, folder: Path) -> Path:
    """The file that a build for the target wrote to ``folder``; DeviceError if there is none."""
    suffix = FAMILIES[board.family].suffix
    path = folder / f"{board.name}-{Path(target or board.default_target).stem}{suffix}"
    if not path.is_file():
        raise DeviceError(f"{path}: no such bitstream; kaniwa bitstream --board {board.name} "
                          "builds it")
    return path


def load_bitstream(board: Board, path: Path) -> str:
    """Load ``path`` with the first tool of the board that is installed; returns its name.

    DeviceError where there is no tool or it fails, with its last line.
    """
    if not path.is_file():
        raise DeviceError(f"{path}: no such bitstream")
    for command in board.programmers:
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run([part.format(file=path) for part in command],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace")
        if done.returncode:
            lines = (done.stdout + done.stderr).split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "no message")
            raise DeviceError(f"{command[0]} failed: {last.strip()}; is the board connected, and "
                              "may this user open it (udev rules)?")
        return command[0]
    names = " or ".join(command[0] for command in board.programmers)
    raise DeviceError(f"no tool to program {board.name}: install {names}")
