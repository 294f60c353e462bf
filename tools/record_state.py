"""Record what the sources make, so that "nothing changed" is a command.

``python tools/record_state.py`` compares with ``tests/record.json`` and prints each difference;
``--write`` makes the file anew. ``--part`` takes one of

| part | what is recorded |
|---|---|
| programs | SHA-256 of the program file and cycles, for each preset and shipped model |
| rtlil | SHA-256 of the core's RTLIL for each preset, and of each board's design |
| cells | LUTs, flip-flops and blocks of ``nano`` on the iCEBreaker |

A program that does not fit a target's memory is recorded with outside memory; a model that a
target refuses, with the error's text.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import kaniwa
from kaniwa.config import PRESETS
from kaniwa.errors import Error, MemoryTooSmallError
from kaniwa.program.file import to_bytes

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "record.json"


def program_record(target: str, file: str) -> dict[str, Any]:
    """Hash and cycles of one model on one target, or the words with which it is refused."""
    model = ROOT / "models" / file
    outside = None
    try:
        try:
            program = kaniwa.compile(model, target=target)
        except MemoryTooSmallError:
            outside = "sdram"
            program = kaniwa.compile(model, target=target, outside=outside)
    except Error as error:
        return {"refused": str(error)}
    return {"sha256": _sha256(to_bytes(program)), "cycles": kaniwa.estimate(program).cycles,
            "outside": outside}


def programs() -> dict[str, Any]:
    """Every preset and shipped model, in parallel."""
    files = sorted(p.name for p in (ROOT / "models").iterdir() if p.suffix in (".tflite", ".onnx"))
    pairs = [(target, file) for target in PRESETS for file in files]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        records = list(pool.map(program_record, *zip(*pairs, strict=True)))
    return {f"{target} {file}": record
            for (target, file), record in zip(pairs, records, strict=True)}


def rtlil() -> dict[str, Any]:
    """Every preset's core, and every design that a bitstream is made of."""
    from amaranth.back import rtlil as back_end

    from kaniwa.boards.board import BOARDS, load_board
    from kaniwa.boards.flow.build import TOP, design_files
    from kaniwa.hw.core import make_core
    from kaniwa.hw.verilog import ports

    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # the toolchain's own, for example on its version
        for target, config in PRESETS.items():
            core = make_core(config)
            text = back_end.convert(core, name="core", ports=ports(core), emit_src=False)
            found[f"core {target}"] = _sha256(text.encode())
    for name in BOARDS:
        board = load_board(name)
        for target, mhz in board.targets.items():
            text = design_files(board, board.config(target), mhz)[f"{TOP}.il"]
            found[f"{name} {target}"] = _sha256(text.encode())
    return found


def cells() -> dict[str, Any]:
    """What synthesis makes of ``nano``."""
    from kaniwa.boards.board import load_board
    from kaniwa.boards.flow.build import count_cells

    return count_cells(load_board("icebreaker"), "nano", lambda stage: None)


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "programs": programs, "rtlil": rtlil, "cells": cells}


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """A line for each entry that is other than it was, has gone or has come."""
    return [f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}"
            for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def main() -> int:
    """Write or compare; the exit status is 1 where anything differs."""
    parser = argparse.ArgumentParser(description="Compare what the sources make with the record.")
    parser.add_argument("--write", action="store_true", help="make the record anew")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part")
    options = parser.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    status = 0
    for part in options.part or PARTS:
        made = PARTS[part]()
        changed = differences(record.get(part, {}), made)
        print(f"{part}: {len(made)} recorded, {len(changed)} changed")
        if options.write:
            record[part] = made
            continue
        status |= bool(changed)
        print("".join(f"  {line}\n" for line in changed), end="")
    if options.write:
        _replace(json.dumps(record, indent=1, sort_keys=True) + "\n")
    return status


def _replace(text: str) -> None:
    """Write the record whole or, after a failure, not at all."""
    with tempfile.NamedTemporaryFile("w", dir=RECORD.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, RECORD)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
