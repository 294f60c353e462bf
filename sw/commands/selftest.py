"""``kaniwa selftest``."""

from __future__ import annotations

from pathlib import Path

import click

from kaniwa.commands.completion import complete_devices, complete_targets
from kaniwa.commands.options import json_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
from kaniwa.commands.values import OutputFile

__all__ = ["selftest_command"]


@click.command("selftest", epilog="Example: kaniwa selftest --device serial:/dev/ttyUSB0")
@click.option("--device", required=True, metavar="D",
              shell_complete=complete_devices,
              help="emulator, sim, sim:BOARD, serial:PORT[?baud=B], tcp:HOST:PORT, "
                   "udp:HOST[:PORT], spi:PATH[?hz=N], uio:PATH or mem:ADDRESS[:SIZE].")
@click.option("--target", default=None, metavar="T",
              shell_complete=complete_targets,
              help="The target that a board must have, or that sim is to be (default: base).")
@click.option("--memory", type=click.Choice(["auto", "full", "quick"]), default="auto",
              show_default=True, help="How much is moved to test memory: 18 times its size, 4 "
                                      "times, or (auto) 18 times if that takes up to a minute.")
@click.option("--model", type=click.Path(path_type=Path), default=None, metavar="M.tflite",
              help="A model with recorded vectors (default: tflm_micro_speech of models/).")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, metavar="N",
              help="Draws the array's weights and inputs.")
@click.option("--stuck-bit", default=None, metavar="ADDRESS:BIT=V",
              help="Plant a fault in front of memory, to see how it is reported.")
@click.option("--report", type=OutputFile(), default=None, metavar="FILE",
              help="Write all that was found as text.")
@json_option
@click.pass_context
def selftest_command(ctx: click.Context, device: str, target: str | None, memory: str,
                     model: Path | None, seed: int, stuck_bit: str | None, report: Path | None,
                     as_json: bool) -> None:
    """Test a device's link, memory, array and a model's answers; exit status 1 if one fails."""
    from kaniwa.driver import devices
    from kaniwa.files import write_atomic
    from kaniwa.selftest.stuck_bit import parse_stuck_bit
    from kaniwa.selftest.suite import selftest

    planted = None if stuck_bit is None else parse_stuck_bit(stuck_bit)
    devices.check_name(device)
    with progress(f"testing {device}") as update:
        with devices.open(device, target=target, progress=update) as opened:
            found = selftest(opened, model=model or _shipped_model(), memory=memory, seed=seed,
                             stuck_bit=planted, progress=update)
    if as_json:
        show_json(found.as_dict())
    else:
        click.echo(", ".join(f"{key.replace('_', ' ')} {value}"
                             for key, value in found.device.items()))
        show_table("", ("part", "result", "seconds", "found"),
                   [(p.name, p.result, p.seconds, p.text) for p in found.parts])
    if report is not None:      # not before what was found is shown
        write_atomic(report, found.page().encode())
    if not as_json:
        click.echo((f"wrote {report}\n" if report is not None else "") + found.verdict)
    if not found.passed:
        ctx.exit(1)


def _shipped_model() -> Path | None:
    """The model of the sources' folder; None where kaniwa is installed without it."""
    from kaniwa.benchmark.cases import models_folder
    from kaniwa.errors import InputError
    from kaniwa.selftest.suite import MODEL

    try:
        return models_folder() / MODEL
    except InputError:
        return None
