"""Loads bitstreams into connected boards, and writes what boards start from into their flash."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kaniwa.boards.board import Board, file_stem
from kaniwa.boards.flow.tools import FAMILIES
from kaniwa.errors import DeviceError, InputError
from kaniwa.files import check_readable
from kaniwa.release.kept import kept_bitstream
from kaniwa.sim.device.verilate import sources_digest
from kaniwa.stage import Stage

__all__ = ["check_bitstream", "find_bitstream", "load_bitstream", "write_flash"]

# What each bitstream of the families that start from a flash has near its beginning: Lattice,
# FPGA-TN-02039 and FPGA-TN-02001. Comments may come before it.
PREAMBLES = {"ecp5": bytes.fromhex("ffffbdb3"), "ice40": bytes.fromhex("7eaa997e")}
PREAMBLE_BYTES = 4096
SHARE = re.compile(rb"(\d+)(?:\.\d+)? ?%")     # in what the tools print while they write


def find_bitstream(board: Board, target: str | None, folder: Path, cores: int = 1,
                   standalone: bool = False) -> Path:
    """The file that a build for the target wrote to ``folder``, else that of a release.

    Releases have one core and the board's baud; none is for SPI or USB, or serves memory during
    runs, and none loads a program from flash, as ``standalone`` ones do. DeviceError if there is
    none.
    """
    usual, suffix = board.target_for(cores), FAMILIES[board.family].suffix
    target = target or usual
    path = folder / f"{file_stem(board, target, cores, standalone)}{suffix}"
    if path.is_file():
        return path
    special = (f" --cores {cores}" * (cores > 1)
               + f" --link {board.line}" * (board.line != "own")
               + f" --baud {board.baud}" * board.other_baud
               + " --overlap" * board.overlap + " --standalone" * standalone
               + (f" --slot {board.slot}" if board.slot is not None else ""))
    if special:
        special = f" --target {target}" * (target != usual) + special
        raise DeviceError(f"{path}: no such bitstream; kaniwa bitstream --board {board.name}"
                          f"{special} builds it")
    released = kept_bitstream(board.name, board.config(target).hash, sources_digest)
    if released is None:
        raise DeviceError(f"{path}: no such bitstream; kaniwa bitstream --board {board.name} "
                          "builds it, kaniwa unpack takes it from a release")
    return released


def check_bitstream(board: Board, path: Path, **wanted: Any) -> None:
    """Raise InputError where the report beside a bitstream says that it is of something else, or
    for a board with a flash the file is no bitstream of its family.

    ``wanted``: values of ``kaniwa.boards.flow.report.summary`` beside the board's. Nothing is known
    of a file without a report, and of what a report leaves out.
    """
    if board.flash is not None:
        check_readable(path)
        with path.open("rb") as file:
            if PREAMBLES[board.family] not in file.read(PREAMBLE_BYTES):
                raise InputError(f"{path}: is no bitstream of {board.family}: its preamble is not "
                                 "there; give the file that kaniwa bitstream wrote")
    report = path.with_suffix(".json")
    try:
        values = json.loads(report.read_text())
        known = {name: values[name] for name in ("board", *wanted) if name in values}
    except (OSError, ValueError, TypeError):
        return
    for name, value in ({"board": board.name} | wanted).items():
        if known.get(name, value) != value:
            raise InputError(f"{path}: by {report.name} beside it the {name} is "
                             f"{_told(known[name])}, not {_told(value)}: give another file, or "
                             "build it again (kaniwa bitstream)")


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def load_bitstream(board: Board, path: Path, progress: Callable[[str], None] | None = None) -> str:
    """Load ``path`` with the first tool of the board that is installed; returns its name.

    ``progress`` is told how far the tool says that it is.
    DeviceError where there is no tool or it fails, with its last line.
    """
    if not path.is_file():
        raise DeviceError(f"{path}: no such bitstream")
    return _load(board, board.programmers, path, progress)


def write_flash(board: Board, path: Path, progress: Callable[[str], None] | None = None) -> str:
    """Write ``path`` to the flash from its first byte on; all else is as of ``load_bitstream``."""
    return _load(board, board.flash_programmers, path, progress)


def _load(board: Board, commands: Sequence[Sequence[str]], path: Path,
          progress: Callable[[str], None] | None) -> str:
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        status, output = _run([part.format(file=path) for part in command],
                              progress or (lambda text: None))
        if status:
            last = next((line for line in reversed(output.splitlines()) if line.strip()),
                        "no message")
            raise DeviceError(f"{command[0]} failed: {last.strip()}; is the board connected, and "
                              "may this user open it (udev rules)?")
        return command[0]
    names = " or ".join(command[0] for command in commands)
    raise DeviceError(f"no tool to program {board.name}: install {names}")


def _run(command: Sequence[str], progress: Callable[[str], None]) -> tuple[int, str]:
    """Exit status and output of a tool; its percentages go to ``progress`` as they come."""
    output = b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while piece := process.stdout.read1():
            output += piece
            if shares := SHARE.findall(piece):
                progress(Stage("writing", min(int(shares[-1]), 100), 100, "%"))
    return process.returncode, output.decode(errors="replace")
