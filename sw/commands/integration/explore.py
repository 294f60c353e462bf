"""``kaniwa explore``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.completion import complete_targets
from kaniwa.commands.options import (
    board_option,
    json_option,
    scheduler_option,
    shape_option,
    show_json,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.errors import InputError

if TYPE_CHECKING:
    from kaniwa.explore.outcome import Outcome
    from kaniwa.explore.search import Found

__all__ = ["explore_command"]

ROWS = 12          # of the front in the terminal; the files have all
INTERRUPTED_STATUS = 130


@click.command("explore", epilog="Example: kaniwa explore kws.tflite --board icebreaker "
                                 "--objective latency -n 50 -o found")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...",
                type=click.Path(path_type=Path))
@shape_option
@board_option
@click.option("--objective", type=click.Choice(["latency", "area", "energy"]), default="latency",
              show_default=True, help="What is to be small.")
@click.option("-n", "--budget", "trials", type=click.IntRange(min=1), default=100,
              show_default=True, metavar="N", help="Configs to measure.")
@click.option("--target", default=None, metavar="T", shell_complete=complete_targets,
              help="The board's target to compare with; a config leaves no other operators to the "
                   "host than it does (default: the one that stops least often for the host).")
@click.option("--study", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="Keep the search in this file, and go on with what it holds.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="Seed of the search: the same one proposes the same configs.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Processes that measure configs.")
@scheduler_option
@click.option("--device", type=click.Choice(["emulator", "sim"]), default=None,
              help="Run one inference of each model on the best config, and compare cycles with "
                   "the cycle model and outputs with golden.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None, metavar="DIR",
              help="Write the front as targets (TOML), as JSON and as a picture (SVG).")
@json_option
@click.pass_context
def explore_command(ctx: click.Context, models: tuple[Path, ...], board: str, objective: str,
                    target: str | None, output: Path | None, device: str | None, as_json: bool,
                    **search: Any) -> None:
    """Search for the config of an accelerator for MODELs on a board.

    Cycles are the cycle model's, which equal the RTL's. Area and clock come from models fitted to
    real builds. Exit status 1 if no config runs the models.
    """
    from kaniwa.boards.board import load_board
    from kaniwa.explore.document import document
    from kaniwa.explore.question import elsewhere, make_question
    from kaniwa.explore.search import Search, explore

    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"{output}: is no folder; give another one for -o")
    with progress("exploring") as update:
        update("reading the models")
        question = make_question(models, load_board(board), objective, target)
        found = explore(question, Search(**search), update)
        confirmed = _confirm(found, device, update)
        others = elsewhere(question) if found.best is None else []
    names = {} if output is None else _write(found, output, confirmed)
    if as_json:
        show_json(document(found, names, confirmed) | {"elsewhere": others})
    else:
        _show(found, confirmed, others)
        if output is not None:
            click.echo(f"wrote {output}: explore.json"
                       + (f", explore.svg and {len(names)} targets" if found.best else ""))
    if found.interrupted:
        ctx.exit(INTERRUPTED_STATUS)
    if found.best is None:
        ctx.exit(1)


def _confirm(found: Found, device: str | None, update: Callable[[str], None]
             ) -> list[dict[str, Any]]:
    best = found.best
    if device is None or best is None or best.config is None:
        return []
    from kaniwa.explore.confirm import confirm

    return [confirm(path, best.config, device, update).as_dict()
            for path in found.question.models]


def _write(found: Found, folder: Path, confirmed: list[dict[str, Any]]) -> dict[str, str]:
    """Write the files of a search; the name of each target's file, by the hash of its config."""
    from kaniwa.explore.document import document, pareto, pll_mhz, target_toml
    from kaniwa.explore.picture import picture
    from kaniwa.files import write_all

    board = found.question.board
    names: dict[str, str] = {}
    files: dict[Path, bytes] = {}
    for number, one in enumerate(pareto(found), 1):
        if one.target or one.config is None or one.figures is None:
            continue
        name = f"explored-{number}.toml"
        clock = pll_mhz(board, one.figures.clock_mhz)
        notes = [f"For {board.name}, clock by model {one.figures.clock_mhz:.1f} MHz",
                 f"kaniwa bitstream --board {board.name} --target {name}"
                 + (f" --clock-mhz {clock:g}" if clock else "")]
        files[folder / name] = target_toml(one.config, notes).encode()
        names[one.config.hash] = name
    if found.best is not None:
        files[folder / "explore.svg"] = picture(found)
    files[folder / "explore.json"] = json.dumps(document(found, names, confirmed),
                                                indent=2).encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_all(files)
    return names


def _show(found: Found, confirmed: list[dict[str, Any]], others: list[str]) -> None:
    from kaniwa.explore.document import advice, pareto, row, verdict

    question = found.question
    rows = pareto(found)
    if rows:
        show_table(f"{question.board.name}: configs that no other one beats, by "
                   f"{question.objective}", (
                       "", "array", "R", "KiB", "ms", "area", "uJ", "MHz", "LUT", "BRAM", "MUL"),
                   [row(number, one, question.board) for number, one in enumerate(rows[:ROWS], 1)])
        if len(rows) > ROWS:
            click.echo(f"and {len(rows) - ROWS} more, which -o and --json have")
        click.echo("array: S compact core, P packed multipliers, V vector unit, C cell unit\n"
                   "KiB: device memory/weight ring/line buffer. area: mean % of the device")
    _show_targets(found.presets)
    for kind, count in sorted(found.refused.items(), key=lambda item: -item[1]):
        click.echo(f"{count:,} proposals: {kind}")
    measured = sum(one.figures is not None for one in found.outcomes)
    click.echo(f"{measured:,} configs measured{', interrupted' if found.interrupted else ''}; "
               f"{verdict(found)}")
    if found.best is None:
        for line in advice(found, others):
            click.echo(line)
    for one in confirmed:
        click.echo(f"{one['model']} on {one['device']}: {one['counted']:,} cycles, modelled "
                   f"{one['modelled']:,}; mismatches: {one['mismatches']} of {one['checked']:,}")


def _show_targets(presets: dict[str, Outcome] | Any) -> None:
    """What became of the board's targets."""
    for name, one in presets.items():
        if one.figures is None:
            click.echo(f"target {name}: {one.kind}: {one.why}")
        else:
            click.echo(f"target {name}: {one.figures.latency:.3f} ms, area "
                       f"{one.figures.area:.1f} %, {one.figures.energy:.2f} uJ")
