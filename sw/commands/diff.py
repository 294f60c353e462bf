"""``kaniwa diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import (
    compile_options,
    json_option,
    open_program,
    progress,
    show_json,
    target_for,
)

__all__ = ["diff_command"]


@click.command("diff", epilog="Example: kaniwa diff resnet8.tflite --devices emulator,sim")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM_OR_MODEL")
@compile_options
@click.option("--devices", default="emulator,sim", show_default=True, metavar="A,B",
              help="The two devices to compare.")
@click.option("--input", "source", default="recorded", show_default=True, metavar="X.npz",
              help="Inputs, of which the first is used, or 'recorded'.")
@click.option("--uint8", is_flag=True, help="Take uint8 data for an int8 input as x - 128.")
@json_option
@click.pass_context
def diff_command(ctx: click.Context, program: Path, target: str, devices: str, source: str,
                 uint8: bool, as_json: bool, **options: Any) -> None:
    """Run on two devices and name the first stored value that differs."""
    from kaniwa.data.inputs import load_inputs, recorded_inputs
    from kaniwa.verify.diff import diff

    names = devices.split(",")
    if len(names) != 2:
        raise click.UsageError(f"--devices takes two names, not '{devices}'", ctx)
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    with progress("comparing"):
        compiled, _ = open_program(program, target_for(ctx, target, *names), options, given)
        items = (recorded_inputs(program, compiled.inputs) if source == "recorded"
                 else load_inputs(source, compiled.inputs, uint8=uint8, limit=1))
        values = diff(compiled, names, items[0])
    if as_json:
        show_json(values)
    elif values["first_difference"] is None:
        click.echo(f"no difference in {values['tensors']} stored tensors")
    else:
        click.echo(f"first difference: {values['first_difference']}")
    if values["first_difference"] is not None:
        ctx.exit(1)
