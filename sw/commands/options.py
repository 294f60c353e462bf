"""Options that several verbs share, and how results and progress are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kaniwa.errors import ProgramError

if TYPE_CHECKING:
    from kaniwa.graph import Graph
    from kaniwa.program.program import Program

__all__ = ["apply_options", "compile_options", "json_option", "input_options", "device_options",
           "target_for", "open_program", "show_json", "show_table", "progress", "board_progress",
           "track"]

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")


def apply_options(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """A decorator that adds ``options`` to a command, in their order."""
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


compile_options = apply_options([
    click.option("--target", default="base", show_default=True, metavar="T",
                 help="A preset (nano, small, base, base_vector, base_recurrent, large, xl) or a "
                      "TOML file."),
    click.option("--outside", default=None, metavar="KIND",
                 help="Outside memory: none, ideal, or sdram[,bytes=4,latency=10]."),
    click.option("--materialize", is_flag=True,
                 help="Store every tensor: no fusion, reuse in place or elimination."),
    click.option("--keep-dead-channels", is_flag=True, help="Compute constant channels too."),
    click.option("--require-accelerator", is_flag=True,
                 help="Fail if an operator would run on the host."),
])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

input_options = apply_options([
    click.option("--uint8", is_flag=True, help="Take uint8 data for an int8 input as x - 128."),
    click.option("--limit", type=click.IntRange(min=1), default=None, metavar="N",
                 help="Use the first N inferences only."),
])

device_options = apply_options([
    click.option("--device", default="emulator", show_default=True, metavar="D",
                 help="golden, emulator, sim, sim:BOARD, serial:PORT[?baud=B] or tcp:HOST:PORT."),
    click.option("--stalls", type=click.FloatRange(0, 0.95), default=0.0, metavar="P",
                 help="sim: chance that memory stalls in a cycle."),
    click.option("--seed", type=int, default=0, metavar="N", help="sim: seed of the stalls."),
])


def target_for(ctx: click.Context, target: str, *devices: str) -> str:
    """``--target``; where it is not given, what one of ``devices`` has of its own."""
    from kaniwa.driver.devices import target_of

    if ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT:
        return target
    return next((own for device in devices if (own := target_of(device))), target)


def open_program(path: Path, target: str, options: dict[str, Any],
                 target_given: bool) -> tuple[Program, Graph | None]:
    """The program in a ``.kaniwa`` file, or the one compiled from a model, and the model's graph.

    Raises ProgramError where a program file is for another target than the one asked for.
    """
    if path.suffix == ".kaniwa":
        from kaniwa.program.file import load_program

        program = load_program(path)
        if target_given:
            from kaniwa.config import load_target

            program.check_target(load_target(target))
        if any(options[name] for name in ("materialize", "keep_dead_channels")):
            raise ProgramError(f"{path}: is compiled already; give the model for compile options")
        return program, None
    from kaniwa.compiler.pipeline import compile
    from kaniwa.importers import load_model

    graph = load_model(path)
    return compile(graph, target=target, **options), graph


def show_json(values: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(values, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    """NumPy scalars and the like as plain Python values."""
    return value.item() if hasattr(value, "item") else str(value)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in rows) if rows else False
        table.add_column(column, justify="right" if numeric else "left", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(table)


def _text(cell: Any) -> str:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.3f}"


@contextmanager
def progress(what: str) -> Iterator[Callable[..., None]]:
    """Show what is being done on a terminal; yields a function that changes the text.

    Its optional second argument, the seconds a stage took, is not shown: the spinner moves on.
    """
    if not sys.stderr.isatty():
        yield lambda text, seconds=0.0: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda text, seconds=0.0: status.update(f"{what}: {text}")


@contextmanager
def board_progress(device: Any, what: str) -> Iterator[None]:
    """Show ``what`` with the transfers and runs that a board tells of; other devices tell nothing.
    """
    from kaniwa.driver.board_device import BoardDevice

    with progress(what) as update:
        if not isinstance(device, BoardDevice):
            yield
            return
        before, device.progress = device.progress, update
        try:
            yield
        finally:
            device.progress = before


def track(items: Sequence[Item], what: str, device: Any = None) -> Iterable[Item]:
    """The items, with a progress bar on a terminal; on a board, what it does for each."""
    from kaniwa.driver.board_device import BoardDevice

    if isinstance(device, BoardDevice):
        return _track_on_board(items, what, device)
    if not sys.stderr.isatty() or len(items) < 2:
        return items
    from rich.console import Console
    from rich.progress import track as rich_track

    return rich_track(items, description=what, console=Console(stderr=True), transient=True)


def _track_on_board(items: Sequence[Item], what: str, device: Any) -> Iterator[Item]:
    for number, item in enumerate(items, 1):
        with board_progress(device, f"{what}, inference {number} of {len(items)}"):
            yield item
