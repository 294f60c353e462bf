"""This installation: ``kaniwa doctor``, ``kaniwa cache`` and ``kaniwa examples``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.completion import complete_examples
from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.tables import show_table

if TYPE_CHECKING:
    from kaniwa.data.examples import Example

__all__ = ["doctor_command", "cache_command", "examples_command"]

FAMILIES = ("ecp5", "ice40", "gowin", "nexus", "gatemate")
# part -> (what it is for, its extra, the packages by distribution and import name)
PARTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "base": ("compile, golden, emulator, boards", "", {
        "numpy": "numpy", "tflite": "tflite", "pyserial": "serial", "click": "click",
        "rich": "rich"}),
    "onnx": ("ONNX models", "onnx", {"onnx": "onnx"}),
    "image": ("run --image", "image", {"pillow": "PIL"}),
    "quantize": ("kaniwa quantize", "quantize", {
        "onnxruntime": "onnxruntime", "onnx": "onnx", "ai-edge-quantizer": "ai_edge_quantizer"}),
    "verify": ("verify --against a framework", "verify", {
        "ai-edge-litert": "ai_edge_litert", "onnxruntime": "onnxruntime", "onnx": "onnx"}),
    "sim": ("the simulated core and boards", "sim", {
        "amaranth": "amaranth", "amaranth-boards": "amaranth_boards"}),
    "test": ("make test, make sim", "test", {
        "cocotb": "cocotb", "pytest": "pytest", "hypothesis": "hypothesis"}),
    "fast": ("a compiled cycle model, else interpreted: as exact, slower", "fast", {
        "mypy": "mypy", "setuptools": "setuptools"}),
    **{family: (f"bitstreams for {family}", "bitstream", {
        "amaranth": "amaranth", "amaranth-boards": "amaranth_boards"}) for family in FAMILIES},
    "program": ("loading bitstreams into boards", "", {}),
}
OWN_PACKAGES = "named in the script"     # by examples that no extra is for
NOTHING = "none"                         # the extras of an example that kaniwa alone runs
COMPILERS = (("c++", "g++", "clang++"), ("make",), ("perl",))     # beside Verilator
C_COMPILER = ("cc", "gcc", "clang")
BUILT = "compiled modules in the cache"


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
    elif part == "fast":
        found |= _cycle_model()
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
    found = {" or ".join(names): _first(names, path) for names in (("verilator",), *COMPILERS)}
    folder = cache_folder()
    return found | {"cache can be written": str(folder) if _writable(folder) else None}


def _cycle_model() -> dict[str, str | None]:
    from kaniwa.cycles.compiled.place import compiled_folder

    folder = compiled_folder()
    return {" or ".join(C_COMPILER): _first(C_COMPILER),
            BUILT: None if folder is None else str(folder)}


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
    return {f"{name}: {' or '.join(tools)}": _first(tools) for name, tools in boards.items()}


def _first(names: Sequence[str], path: str | None = None) -> str | None:
    """The place of the first of these programs that there is."""
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def _advise(part: str, missing: list[str]) -> None:
    """One line that says what to install."""
    from kaniwa.extras import missing as extra_line

    if part == "program":
        missing = ["openFPGALoader"]     # knows all boards
    if missing == [BUILT]:
        click.echo("  python -m kaniwa.cycles.compiled.build compiles it, which takes a minute")
    system = [what for what in missing
              if what in {" or ".join(names) for names in (*COMPILERS, C_COMPILER)}
              or part in ("base", "program")]
    packages = [what for what in missing if what not in (*system, BUILT, "cache can be written")]
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
    sizes = list(_sizes(folder))
    if clear and folder.exists():
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    values = {"folder": str(folder), "files": len(sizes), "bytes": sum(sizes), "cleared": clear}
    if as_json:
        show_json(values)
    else:
        state = "removed" if clear else "holds"
        click.echo(f"{folder} {state} {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of each file, but for those that a build takes away meanwhile."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                yield os.lstat(os.path.join(parent, name)).st_size


@click.group("examples", invoke_without_command=True,
             epilog="Example: kaniwa examples copy keyword --to my-examples")
@json_option
@click.pass_context
def examples_command(ctx: click.Context, as_json: bool) -> None:
    """List the examples, scripts and notebooks, or copy some into a folder."""
    if ctx.invoked_subcommand is not None:
        return
    from kaniwa.data.examples import all_examples

    examples = list(all_examples().values())
    if as_json:
        show_json({"examples": [_as_json(example) for example in examples]})
        return
    show_table("", ("example", "kind", "about", "extras"), [
        (example.name, example.kind, example.about + (" (in a clone)" if example.missing else ""),
         example.extras or OWN_PACKAGES) for example in examples])
    click.echo("kaniwa examples copy NAME copies one with what it reads; docs/notebooks.md says "
               "how to open notebooks")


@examples_command.command("copy", epilog="Example: kaniwa examples copy keyword stall")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_examples)
@click.option("--to", "folder", type=click.Path(path_type=Path), default=Path("kaniwa-examples"),
              show_default=True, metavar="FOLDER", help="Where to copy to; made if need be.")
@click.option("--all", "every", is_flag=True, help="Copy all examples that are here.")
@click.option("--force", is_flag=True, help="Replace files that are there and differ.")
@json_option
@click.pass_context
def copy_command(ctx: click.Context, names: tuple[str, ...], folder: Path, every: bool,
                 force: bool, as_json: bool) -> None:
    """Copy examples, with the models and inputs that they read."""
    from kaniwa.data.examples import all_examples, copy_examples, find_example

    if every == bool(names):
        raise click.UsageError("give names of examples, or --all", ctx)
    examples = ([example for example in all_examples().values() if not example.missing] if every
                else [find_example(name) for name in names])
    written = copy_examples(examples, folder, force)
    if as_json:
        show_json({"folder": str(folder), "written": [str(path) for path in written],
                   "examples": [_as_json(example) for example in examples]})
        return
    click.echo(f"{folder}: {len(written)} files written")
    for example in examples:
        click.echo(f"{folder / example.file}: needs {_needs(example)}")


def _as_json(example: Example) -> dict[str, Any]:
    return {"name": example.name, "kind": example.kind, "about": example.about,
            "file": str(example.file),
            "extras": [e for e in example.extras.split(",") if e not in ("", NOTHING)],
            "models": [str(path) for path in example.models],
            "missing": [str(path) for path in example.missing]}


def _needs(example: Example) -> str:
    """What has to be installed for an example, as one command."""
    from kaniwa.extras import install_command

    if example.extras == NOTHING:
        return "nothing beside kaniwa"
    if not example.extras:
        return f"the packages {OWN_PACKAGES}"
    return install_command(example.extras)
