"""``kaniwa hil``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kaniwa.commands.completion import complete_boards, complete_devices, complete_targets
from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import FiniteRange, OutputFile

if TYPE_CHECKING:
    from kaniwa.config import AcceleratorConfig

__all__ = ["hil_command"]


@click.command("hil", epilog="Example: kaniwa hil --device serial:/dev/ttyUSB0 -o board.json")
@click.option("--device", required=True, metavar="D", shell_complete=complete_devices,
              help="serial:PORT[?baud=B], tcp:HOST:PORT, udp:HOST[:PORT], spi:PATH[?hz=N], "
                   "sim:BOARD, sim or emulator.")
@click.option("--board", default=None, metavar="B", shell_complete=complete_boards,
              help="The board, whose first target it must have unless --target names another.")
@click.option("--target", default=None, metavar="T", shell_complete=complete_targets,
              help="The target that a board must have, or that sim is to be (default: base).")
@click.option("--models", type=click.Path(path_type=Path), default=None, metavar="FOLDER",
              help="Models with recorded answers in refs/ (default: those of the sources).")
@click.option("--soak", type=FiniteRange(min=0), default=60.0, show_default=True,
              metavar="S", help="Seconds of inferences on random inputs; one at least.")
@click.option("--memory", type=click.Choice(["auto", "full", "quick"]), default="auto",
              show_default=True, help="How much the memory test moves, as for selftest.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N",
              help="Draws weights and inputs.")
@click.option("-o", "--output", type=OutputFile(), default=None, metavar="FILE",
              help="Write the report as JSON, to compare later ones with.")
@click.option("--against", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="An earlier report: show what differs from it.")
@json_option
@click.pass_context
def hil_command(ctx: click.Context, device: str, board: str | None, target: str | None,
                models: Path | None, soak: float, memory: str, seed: int, output: Path | None,
                against: Path | None, as_json: bool) -> None:
    """Try a board with all there is: self-test, models and a soak; exit status 1 if one fails."""
    from kaniwa.benchmark.cases import models_folder
    from kaniwa.driver import devices
    from kaniwa.files import write_atomic
    from kaniwa.hil.compare import changes, load_report
    from kaniwa.hil.suite import hil, models_in

    devices.check_name(device)
    config = _config_of(board, target)
    files = models_in(models if models is not None else models_folder())
    before = None if against is None else load_report(against)
    with progress(f"testing {device}") as update:
        with devices.open(device, target=config, progress=update) as opened:
            found = hil(opened, files, soak_seconds=soak, memory=memory, seed=seed,
                        progress=update)
    values = found.as_dict()
    if before is not None:
        values["changes"] = changes(before, values)
    if output is not None:
        write_atomic(output, (json.dumps(values, indent=2) + "\n").encode())
    if as_json:
        show_json(values)
    else:
        click.echo(", ".join(f"{key.replace('_', ' ')} {value}"
                             for key, value in found.device.items()))
        show_table("", ("part", "result", "seconds", "found"),
                   [(p.name, p.result, p.seconds, p.text) for p in found.parts])
        if before is not None:
            _show_changes(values["changes"], str(against))
        click.echo((f"wrote {output}\n" if output is not None else "") + found.verdict)
    if not found.passed:
        ctx.exit(1)


def _config_of(board: str | None, target: str | None) -> AcceleratorConfig | None:
    """What the device must be; None where nothing was said of it."""
    from kaniwa.boards.board import load_board
    from kaniwa.config import load_target

    if board is None:
        return None if target is None else load_target(target)
    known = load_board(board)
    return known.config(target or known.default_target)


def _show_changes(found: list[tuple[str, str, str]], against: str) -> None:
    if found:
        show_table(f"not as in {against}", ("what", "before", "now"), found)
    else:
        click.echo(f"all as in {against}")
