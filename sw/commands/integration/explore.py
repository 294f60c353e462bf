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
    input_options,
    json_option,
    opened_workers,
    scheduler_option,
    shape_option,
    show_json,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.errors import InputError

if TYPE_CHECKING:
    from kaniwa.boards.board import Board
    from kaniwa.explore.finalists import Built
    from kaniwa.explore.outcome import Outcome
    from kaniwa.explore.question import Question
    from kaniwa.explore.search import Found

__all__ = ["explore_command"]

ROWS = 12          # of the front in the terminal; the files have all
INTERRUPTED_STATUS = 130
DOCUMENT = "explore.json"


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
@click.option("--accuracy", "labelled", multiple=True, metavar="X.npz",
              help="Tell the accuracy over labelled data, x (or the input's name) and y; give one "
                   "for each model, in their order.")
@input_options
@click.option("--build", "builds", type=click.IntRange(min=1), default=None, metavar="N",
              help="Build the bitstreams of the first N configs found, in the folder of -o: "
                   "minutes to an hour for each. With --device each is run, too.")
@click.option("--build-seeds", type=click.IntRange(min=1), default=None, metavar="N",
              help="With --build: place and route with seeds 1 to N (default: 1).")
@json_option
@click.pass_context
def explore_command(ctx: click.Context, models: tuple[Path, ...], board: str, objective: str,
                    target: str | None, output: Path | None, device: str | None,
                    labelled: tuple[str, ...], uint8: bool, limit: int | None,
                    builds: int | None, build_seeds: int | None, as_json: bool,
                    **search: Any) -> None:
    """Search for the config of an accelerator for MODELs on a board.

    Cycles are the cycle model's, which equal the RTL's. Area and clock come from models fitted to
    real builds. Exit status 1 if no config runs the models, or none of --build could be built.
    """
    from kaniwa.boards.board import load_board
    from kaniwa.explore.document import document, file_names
    from kaniwa.explore.finalists import finalists
    from kaniwa.explore.question import elsewhere, make_question
    from kaniwa.explore.search import Search, explore
    from kaniwa.files import write_atomic

    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"{output}: is no folder; give another one for -o")
    chosen = load_board(board)
    _check_build(ctx, chosen, output, builds, build_seeds)
    accuracy = _accuracy(ctx, models, labelled, uint8, limit)
    with progress("exploring") as update:
        update("reading the models")
        question = make_question(models, chosen, objective, target)
        found = explore(question, Search(**search), update)
        names = file_names(found)
        to_build = [] if found.interrupted else finalists(found, builds or 0)
        confirmed = _confirm(found, to_build, names, device, update)
        others = elsewhere(question) if found.best is None else []
    if output is not None:
        _write(found, output, names, confirmed, accuracy)
    if not as_json:     # builds take long: what was found is shown before them
        _show(found, confirmed, others, accuracy)
        if output is not None:
            click.echo(f"wrote {output}: {DOCUMENT}"
                       + (f", explore.svg and {len(names)} targets" if found.best else ""))
    built: list[Built] = []
    if output is not None and to_build:
        targets = [output / names[one.config.hash] for one in to_build if one.config]
        built = _build(question, to_build, targets, build_seeds or 1, search["scheduler"])
    values = document(found, names if output else {}, confirmed, [one.as_dict() for one in built],
                      accuracy)
    if output is not None and built:
        write_atomic(output / DOCUMENT, _json_text(values))
    if as_json:
        show_json(values | {"elsewhere": others})
    elif built:
        _show_built(found, built)
    elif builds is not None and not found.interrupted:
        click.echo("nothing to build: no config was found beside the board's targets")
    if found.interrupted:
        ctx.exit(INTERRUPTED_STATUS)
    if found.best is None or (to_build and not any(one.figures for one in built)):
        ctx.exit(1)


def _check_build(ctx: click.Context, board: Board, output: Path | None, builds: int | None,
                 seeds: int | None) -> None:
    """Tell before the search what --build lacks."""
    if builds is None:
        if seeds is not None:
            raise click.UsageError("--build-seeds: only with --build", ctx)
        return
    if output is None:
        raise click.UsageError("--build: give -o, the folder for the bitstreams", ctx)
    from kaniwa.boards.flow.tools import require

    require(board.name, board.family)


def _accuracy(ctx: click.Context, models: tuple[Path, ...], labelled: tuple[str, ...],
              uint8: bool, limit: int | None) -> list[dict[str, Any]]:
    """The accuracy of each model, which is that of every config: its outputs are the same."""
    if not labelled:
        if uint8 or limit is not None:
            raise click.UsageError("--uint8 and --limit: only with --accuracy", ctx)
        return []
    if len(labelled) != len(models):
        raise click.UsageError(f"--accuracy: give one for each of the {len(models)} models, not "
                               f"{len(labelled)}", ctx)
    from kaniwa.evaluation.evaluate import evaluate

    found = []
    for path, data in zip(models, labelled, strict=True):
        one = evaluate(path, data, device="golden", uint8=uint8, limit=limit)
        found.append({"model": path.name, "inferences": one.inferences, "correct": one.correct,
                      "accuracy": one.accuracy})
    return found


def _confirm(found: Found, to_build: list[Outcome], names: dict[str, str], device: str | None,
             update: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run the best config, and those that are to be built."""
    if device is None or found.best is None:
        return []
    from kaniwa.explore.confirm import confirm

    board = found.question.board
    configs = {one.config.hash: (one.config, one.target or names[one.config.hash],
                                 board.outside_at(one.figures.clock_mhz))
               for one in (found.best, *to_build) if one.config and one.figures}
    return [confirm(path, config, name, device, outside, update).as_dict()
            for config, name, outside in configs.values() for path in found.question.models]


def _build(question: Question, to_build: list[Outcome], targets: list[Path], seeds: int,
           scheduler: str | None) -> list[Built]:
    """Build each config, whose file is among ``targets`` in the same place."""
    from kaniwa.explore.finalists import build_finalist

    built = []
    with opened_workers(scheduler) as workers:
        for one, target in zip(to_build, targets, strict=True):
            with progress(target.stem) as update:
                built.append(build_finalist(question, one, target, seeds,
                                            workers if scheduler else None, update))
    return built


def _write(found: Found, folder: Path, names: dict[str, str], confirmed: list[dict[str, Any]],
           accuracy: list[dict[str, Any]]) -> None:
    """Write the files of a search. ``names``: of each target's file, by the hash of its config."""
    from kaniwa.explore.document import document, pareto, pll_mhz, target_toml
    from kaniwa.explore.picture import picture
    from kaniwa.files import write_all

    board = found.question.board
    files: dict[Path, bytes] = {}
    for one in pareto(found):
        if one.config is None or one.figures is None or one.config.hash not in names:
            continue
        name = names[one.config.hash]
        clock = pll_mhz(board, one.figures.clock_mhz)
        notes = [f"For {board.name}, clock by model {one.figures.clock_mhz:.1f} MHz",
                 f"kaniwa bitstream --board {board.name} --target {name}"
                 + (f" --clock-mhz {clock:g}" if clock else "")]
        files[folder / name] = target_toml(one.config, notes).encode()
    if found.best is not None:
        files[folder / "explore.svg"] = picture(found)
    files[folder / DOCUMENT] = _json_text(document(found, names, confirmed, accuracy=accuracy))
    folder.mkdir(parents=True, exist_ok=True)
    write_all(files)


def _json_text(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode()


def _show(found: Found, confirmed: list[dict[str, Any]], others: list[str],
          accuracy: list[dict[str, Any]]) -> None:
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
    for one in accuracy:
        click.echo(f"{one['model']}: {one['correct']:,} of {one['inferences']:,} right, accuracy "
                   f"{one['accuracy']:.3f} on every config")
    for one in confirmed:
        click.echo(f"{one['model']} on {one['device']}, {one['config']}: {one['counted']:,} "
                   f"cycles, modelled {one['modelled']:,}; mismatches: {one['mismatches']} of "
                   f"{one['checked']:,}")


def _show_targets(presets: dict[str, Outcome] | Any) -> None:
    """What became of the board's targets."""
    for name, one in presets.items():
        if one.figures is None:
            click.echo(f"target {name}: {one.kind}: {one.why}")
        else:
            click.echo(f"target {name}: {one.figures.latency:.3f} ms, area "
                       f"{one.figures.area:.1f} %, {one.figures.energy:.2f} uJ")


def _show_built(found: Found, built: list[Built]) -> None:
    """What became of the finalists: figures of the models, and behind routing."""
    from kaniwa.explore.finalists import verdict_of_builds

    done = [(one, one.figures) for one in built if one.figures]
    if done:
        show_table("built, beside the models'", (
            "", "MHz", "modelled", "ms", "modelled", "LUT", "modelled", "minutes"),
            [(Path(one.file).stem, f"{figures.clock_mhz:.2f}", f"{one.modelled.clock_mhz:.1f}",
              f"{figures.latency:.3f}", f"{one.modelled.latency:.3f}", str(figures.used["lut"]),
              str(one.modelled.used["lut"]), f"{one.seconds / 60:.1f}") for one, figures in done])
    for one in built:
        if one.why:
            click.echo(f"{one.file} was not built: {one.why}")
    click.echo(verdict_of_builds(found, built))
