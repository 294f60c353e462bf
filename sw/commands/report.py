"""``kaniwa report``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.completion import complete_boards, complete_devices, complete_targets
from kaniwa.commands.options import OUTSIDE_KINDS, input_options, shape_option
from kaniwa.commands.progress import progress
from kaniwa.commands.values import FiniteRange, OutputFile

__all__ = ["report_command"]


@click.command("report", epilog="Example: kaniwa report resnet8.tflite --target base --target "
                                "large -o report.html")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...",
                type=click.Path(path_type=Path))
@shape_option
@click.option("--target", "targets", multiple=True, metavar="T", shell_complete=complete_targets,
              help="A preset or a TOML file; several are compared [default: base].")
@click.option("--board", default=None, metavar="B", shell_complete=complete_boards,
              help="Clock, link and default target of this board.")
@click.option("--clock", "clock_mhz", type=FiniteRange(0, 10_000, min_open=True),
              default=None, metavar="MHZ", help="Milliseconds at this clock.")
@click.option("-o", "--output", type=OutputFile(), default=None, metavar="FILE",
              help="The page to write [default: the first model's name with .html].")
@click.option("--json", "json_file", type=OutputFile(text=True), default=None, metavar="FILE",
              help="Write the figures as JSON; - is standard output.")
@click.option("--csv", "csv_file", type=OutputFile(text=True), default=None, metavar="FILE",
              help="Write a row for each layer; - is standard output.")
@click.option("--before", type=click.Path(path_type=Path), default=None, metavar="SAVED.json",
              help="Compare with a report that --json wrote.")
@click.option("--run", "counted", type=click.Path(path_type=Path), default=None, metavar="RUN.json",
              help="Show the counters of this run, which kaniwa run --json printed.")
@click.option("--data", default=None, metavar="X.npz",
              help="Labelled data, for the accuracy: x (or the input's name) and y.")
@click.option("--device", default="emulator", show_default=True, metavar="D",
              shell_complete=complete_devices, help="Runs the labelled data.")
@input_options
@click.option("--outside", default=None, metavar="KIND",
              help=f"Outside memory: {OUTSIDE_KINDS} "
                   "[default: sdram where a model needs it, and no board is given].")
@click.option("--materialize", is_flag=True,
              help="Store every tensor: no fusion, reuse in place or elimination.")
@click.option("--keep-dead-channels", is_flag=True, help="Compute constant channels too.")
@click.option("--require-accelerator", is_flag=True,
              help="Fail if an operator would run on the host.")
@click.pass_context
def report_command(ctx: click.Context, models: tuple[Path, ...], targets: tuple[str, ...],
                   output: Path | None, before: Path | None, counted: Path | None,
                   **options: Any) -> None:
    """A page that shows cycles, waits, memory and layers of MODELs on targets; it needs no network.

    A MODEL is a .tflite, .onnx or .kaniwa file. Exit status 1 if nothing fits.
    """
    from kaniwa.report.document import document, load_counted, load_document
    from kaniwa.report.make import make_runs

    saved = [] if before is None else load_document(before)["runs"]
    run = None if counted is None else load_counted(counted)
    json_file, csv_file = options.pop("json_file"), options.pop("csv_file")
    if json_file == csv_file == "-":
        raise click.UsageError("--json and --csv cannot both be on standard output", ctx)
    with progress("report") as update:
        made = document(make_runs(models, targets or None, _wanted(options, run, update)), saved)
    _write(made, output or Path(f"{models[0].stem}.html"), json_file, csv_file)
    if not any(run["fits"] for run in made["runs"] if not run["before"]):
        ctx.exit(1)


def _wanted(options: dict[str, Any], run: dict[str, Any] | None, update: Any) -> Any:
    from kaniwa.report.make import Wanted

    data, device = options.pop("data"), options.pop("device")
    uint8, limit = options.pop("uint8"), options.pop("limit")
    measure = None
    if data is not None:
        from kaniwa.driver.devices import check_name
        from kaniwa.report.accuracy import accuracy

        check_name(device)

        def measure(program: Any) -> dict[str, Any]:
            return accuracy(program, device, data, uint8, limit, watch)

        def watch(results: Iterable[Any], count: int, what: str, device: Any) -> Iterator[Any]:
            for number, result in enumerate(results, 1):
                update(f"{what}: {number} of {count}")
                yield result

    return Wanted(options.pop("board"), options.pop("clock_mhz"), Path("build/boards"), options,
                  run, measure, update)


def _write(made: dict[str, Any], page: Path, json_file: str | None, csv_file: str | None) -> None:
    """Write the page, and the other files asked for; say on standard error what was written."""
    import json

    from kaniwa.files import write_atomic
    from kaniwa.report.page import to_csv, to_html

    for run in made["runs"]:
        if not run["before"]:
            verdict = run["verdict"]
            click.echo(f"{run['label']}: {verdict['headline']} {verdict['waits']}".strip(),
                       err=True)
    texts = [(str(page), to_html(made))]
    if json_file is not None:
        texts.append((json_file, json.dumps(made, separators=(",", ":")) + "\n"))
    if csv_file is not None:
        texts.append((csv_file, to_csv(made)))
    for name, text in texts:
        if name == "-":
            click.echo(text, nl=False)
        else:
            data = text.encode()
            write_atomic(name, data)
            click.echo(f"wrote {name} ({len(data):,} bytes)", err=True)
