"""``kaniwa doctor`` and ``kaniwa cache``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.tables import show_table

__all__ = ["doctor_command", "cache_command"]

FAMILIES = ("ecp5", "ice40", "gowin")
# part -> (what it is for, its extra, the packages by distribution and import name)
PARTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "base": ("compile, golden, emulator, boards", "", {
        "numpy": "numpy", "tflite": "tflite", "pyserial": "serial", "click": "click",
        "rich": "rich"}),
    "onnx": ("ONNX models", "onnx", {"onnx": "onnx"}),
    "image": ("run --image", "image", {"pillow": "PIL"}),
    "verify": ("verify --against a framework", "verify", {
        "ai-edge-litert": "ai_edge_litert", "onnxruntime": "onnxruntime", "onnx": "onnx"}),
    "sim": ("the simulated core and boards", "sim", {
        "amaranth": "amaranth", "amaranth-boards": "amaranth_boards"}),
    "test": ("make test, make sim", "test", {
        "cocotb": "cocotb", "pytest": "pytest", "hypothesis": "hypothesis"}),
    **{family: (f"bitstreams for {family}", "bitstream", {
        "amaranth": "amaranth", "amaranth-boards": "amaranth_boards"}) for family in FAMILIES},
    "program": ("loading bitstreams into boards", "", {}),
}
COMPILERS = (("c++", "g++", "clang++"), ("make",), ("perl",))     # beside Verilator


@click.command("doctor", epilog="Example: kaniwa doctor sim ice40")
@click.argument("parts", type=click.Choice([*PARTS]), nargs=-1)
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, parts: tuple[str, ...], as_json: bool) -> None:
    """Check what this machine has; exit status 1 if one of PARTS (by default base) does not work.

    With PARTS only these are checked, without all of them.
    """
    checks = {part: _checks(part) for part in parts or PARTS}
    works = {part: (any if part == "program" else all)(check["ok"] for check in found)
             for part, found in checks.items()}
    if as_json:
        show_json({"works": works, "checks": [check for found in checks.values()
                                              for check in found], "cores": os.cpu_count()})
    else:
        show_table("", ("part", "needs", "ok", "found"), [
            (part if check is found[0] else "", check["what"], "yes" if check["ok"] else "NO",
             check["found"]) for part, found in checks.items() for check in found])
        for part, found in checks.items():
            click.echo(f"{part} ({PARTS[part][0]}): {'works' if works[part] else 'does not work'}")
            if not works[part]:
                _advise(part, [check["what"] for check in found if not check["ok"]])
    ctx.exit(0 if all(works[part] for part in parts or ("base",)) else 1)


def _checks(part: str) -> list[dict[str, Any]]:
    """Needs of the part, each with whether it is there, and its version or place."""
    from kaniwa.extras import installed

    found = {}
    for name, module in PARTS[part][2].items():
        found[name] = metadata.version(name) if installed(module) else None
    if part == "base":
        new = sys.version_info >= (3, 11)
        found = {"Python 3.11 or newer": platform.python_version() if new else None} | found
    elif part == "sim":
        found |= _simulator()
    elif part in FAMILIES:
        found |= _builder(part)
    elif part == "program":
        found |= _programmers()
    return [{"what": what, "ok": place is not None, "for": part, "found": place or ""}
            for what, place in found.items()]


def _simulator() -> dict[str, str | None]:
    from kaniwa.cache_folder import cache_folder
    from kaniwa.sim.device.toolchain import environment

    path = environment()["PATH"]
    found = {" or ".join(names): next(filter(None, (shutil.which(n, path=path) for n in names)),
                                      None) for names in (("verilator",), *COMPILERS)}
    folder = cache_folder()
    return found | {"cache can be written": str(folder) if _writable(folder) else None}


def _builder(family: str) -> dict[str, str | None]:
    from kaniwa.boards.flow import tools
    from kaniwa.extras import installed

    own = tools.FAMILIES[family]
    yosys = "pyosys" if installed("pyosys") else tools.find("yosys")
    return {"yosys": yosys, own.place: tools.find(own.place), own.pack: tools.find(own.pack)}


def _programmers() -> dict[str, str | None]:
    """For each board the first of its tools that is installed."""
    from kaniwa.boards.board import BOARDS, load_board

    boards = {name: [command[0] for command in load_board(name).programmers] for name in BOARDS}
    return {f"{name}: {' or '.join(tools)}": next(filter(None, map(shutil.which, tools)), None)
            for name, tools in boards.items()}


def _advise(part: str, missing: list[str]) -> None:
    """One line that says what to install."""
    from kaniwa.extras import missing as extra_line

    if part == "program":
        missing = ["openFPGALoader"]     # knows all boards
    system = [what for what in missing if what in {" or ".join(names) for names in COMPILERS}
              or part in ("base", "program")]
    packages = [what for what in missing if what not in system and what != "cache can be written"]
    if packages:
        click.echo("  " + extra_line(part, ", ".join(packages), PARTS[part][1]))
    if system:
        click.echo(f"  {part} needs {', '.join(system)}: install it with the system's packages")


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


@click.command("cache", epilog="Example: kaniwa cache --clear")
@click.option("--clear", is_flag=True, help="Remove everything in it.")
@json_option
def cache_command(clear: bool, as_json: bool) -> None:
    """Show or clear the cache of Verilog and simulator builds."""
    from kaniwa.cache_folder import cache_folder

    folder = cache_folder()
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []
    size = sum(p.stat().st_size for p in files)
    if clear and folder.exists():
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    values = {"folder": str(folder), "files": len(files), "bytes": size, "cleared": clear}
    if as_json:
        show_json(values)
    else:
        state = "removed" if clear else "holds"
        click.echo(f"{folder} {state} {len(files)} files, {size / 1e6:.1f} MB")
