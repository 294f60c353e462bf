"""``kaniwa estimate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kaniwa.commands.build import show_summary
from kaniwa.commands.completion import complete_boards
from kaniwa.commands.options import compile_options, json_option, shape_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.errors import ConfigError
from kaniwa.stage import Stage

__all__ = ["estimate_command"]


@click.command("estimate", epilog="Example: kaniwa estimate resnet8.tflite --all-boards")
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@compile_options
@click.option("--board", default=None, metavar="B",
              shell_complete=complete_boards,
              help="Time on this board (kaniwa bitstream --help names them), with --target or its "
                   "default target; exit status 1 if the model does not fit.")
@click.option("--all-boards", is_flag=True, help="A row for each target of each board.")
@click.option("--builds", type=click.Path(path_type=Path), default=Path("build/boards"),
              show_default=True, metavar="FOLDER",
              help="Where kaniwa bitstream wrote: the built clock counts, if there is one.")
@json_option
@click.pass_context
def estimate_command(ctx: click.Context, model: Path, target: str, board: str | None,
                     all_boards: bool, builds: Path, as_json: bool, **options: Any) -> None:
    """Cycles, utilization and memory of MODEL on a target, or its time on boards; runs nothing."""
    if board is None and not all_boards:
        from kaniwa.compiler.pipeline import compile
        from kaniwa.importers import load_model
        from kaniwa.program.summary import summary

        with progress("compiling") as update:
            graph = load_model(model)
            program = compile(graph, target=target, progress=update, **options)
            update("estimating the cycles")
            values = summary(program)
        if as_json:
            show_json(values)
        else:
            show_summary(values)
        return
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    if all_boards and (board or given):
        raise click.UsageError("--all-boards takes neither --board nor --target", ctx)
    rows = _rows(model, board, target if given else None, builds, options)
    if as_json:
        show_json({"model": rows[0]["model"], "boards": rows} if all_boards else rows[0])
    else:
        if not all_boards and rows[0]["fits"]:
            show_summary(rows[0])
        _show(rows)
    if not all_boards and not rows[0]["fits"]:
        ctx.exit(1)


def _rows(model: Path, board: str | None, target: str | None, builds: Path,
          options: dict[str, Any]) -> list[dict[str, Any]]:
    from kaniwa.boards.board import load_board
    from kaniwa.boards.flow.estimate import estimate_board, every_target
    from kaniwa.importers import load_model

    if options.pop("outside") not in (None, "none"):
        raise ConfigError("a board has the outside memory that is on it: leave --outside out")
    chosen = every_target()
    if board is not None:
        one = load_board(board)
        chosen = [(one, target or one.default_target)]
    graph = load_model(model)
    rows: list[dict[str, Any]] = []
    with progress("estimating") as update:
        for place, name in chosen:
            update(Stage(f"{place.name}, {name}", len(rows), len(chosen), "targets", steady=False))
            rows.append(estimate_board(graph, place, name, builds=builds, **options))
    return rows


def _show(rows: list[dict[str, Any]]) -> None:
    show_table(f"{rows[0]['model']}: one inference", (
        "board, target", "MHz", "KiB", "cycles", "milliseconds", "1/s", "bottleneck"),
        [_cells(row) for row in rows])
    for row in rows:
        if row["clock_note"]:
            click.echo(f"{row['board']}, {row['target']}: {row['clock_note']}")
        if not row["fits"]:
            click.echo(f"{row['board']}, {row['target']}: does not fit: {row['why']}")
    if not any(row["fits"] for row in rows) and len(rows) == 1:
        click.echo("--all-boards shows where it fits")
    if any(row["clock"] == "built" for row in rows):
        click.echo("* the clock of the build; elsewhere that of the target")
    if any(row["fits"] for row in rows):
        click.echo("KiB: on-chip memory needed / there; milliseconds: computing + link")
        click.echo("1/s: inferences one after the other, image loaded; a USB adapter adds its\n"
                   "delay to each exchange, and the host its own computing")


def _cells(row: dict[str, Any]) -> list[str]:
    clock = f"{row['clock_mhz']:g}{'*' if row['clock'] == 'built' else ''}"
    place = row["board"] + (f"\n{row['target']}" if row["target"] != row["board"] else "")
    memory = f"{-(-row['memory_bytes'] // 1024)}/" if row["memory_bytes"] is not None else ""
    memory += f"{row['available_bytes'] // 1024}"
    if not row["fits"]:
        return [place, clock, memory, "", "does not fit", "", ""]
    computing, rate = row["milliseconds"], row["inferences_per_second"]
    digits = 1 if computing >= 100 else 2   # the table has 80 columns
    return [place, clock, memory, f"{row['cycles']:,}",
            f"{computing:.{digits}f} + {row['link_milliseconds']:.1f}",
            f"{rate:.{int(rate < 100)}f}" if rate else "",
            row["bottleneck"]]
