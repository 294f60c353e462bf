"""``kaniwa diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kaniwa.commands.completion import complete_devices
from kaniwa.commands.options import (
    compile_options,
    json_option,
    open_program,
    random_option,
    shape_option,
    show_json,
    take_arrays,
    target_for,
)
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import layer_title
from kaniwa.program.layer_labels import layer_labels

__all__ = ["diff_command"]


@click.command("diff", epilog="Example: kaniwa diff resnet8.tflite --devices emulator,sim")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM_OR_MODEL")
@shape_option
@compile_options
@click.option("--devices", default="emulator,sim", show_default=True, metavar="A,B",
              shell_complete=complete_devices,
              help="The two devices to compare.")
@click.option("--input", "source", default="recorded", show_default=True, metavar="X.npz",
              help="Inputs, of which the first is used, or 'recorded'.")
@random_option
@click.option("--uint8", is_flag=True, help="Take uint8 data for an int8 input as x - 128.")
@json_option
@click.pass_context
def diff_command(ctx: click.Context, program: Path, target: str, devices: str, source: str,
                 random_seed: int | None, uint8: bool, as_json: bool, **options: Any) -> None:
    """Run on two devices and name the first stored value that differs."""
    from kaniwa.data.inputs import load_inputs
    from kaniwa.verify.diff import diff

    if (random_seed is not None
            and ctx.get_parameter_source("source") is not click.core.ParameterSource.DEFAULT):
        raise click.UsageError("give --input or --random, not both", ctx)
    names = devices.split(",")
    if len(names) != 2:
        raise click.UsageError(f"--devices takes two names, not '{devices}'", ctx)
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    with progress("comparing") as update:
        compiled, _ = open_program(program, target_for(ctx, target, *names), options, given, names,
                                   update)
        items = take_arrays(program, compiled.inputs, source, random_seed, 1, "", lambda path:
                            load_inputs(path, compiled.inputs, uint8=uint8, limit=1))
        values = diff(compiled, names, items[0], update)
    if as_json:
        show_json(values)
    elif values["first_difference"] is None:
        click.echo(f"no difference in {values['tensors']} stored tensors")
    else:
        _show(compiled, values["first_difference"])
    if values["first_difference"] is not None:
        ctx.exit(1)


def _show(program: Any, difference: dict[str, Any]) -> None:
    """The first difference: layer, tensor, place, and the value of each device."""
    from kaniwa.program.layer_facts import layer_facts, layer_numbers

    labels = layer_labels([layer.name for layer in program.layers])
    for number, layer, label in zip(layer_numbers(program), program.layers, labels, strict=True):
        if difference["instruction"] in layer.instructions:
            title = layer_title(number, {"op": layer.op, **layer_facts(program, layer)}, label)
            click.echo(f"first difference: {title}, instruction {difference['instruction']}")
            break
    else:
        click.echo(f"first difference: instruction {difference['instruction']}")
    values = ", ".join(f"{name} {value}" for name, value in difference["values"].items())
    click.echo(f"tensor '{difference['tensor']}', index {difference['index']}: {values}; "
               f"{difference['different']} of {difference['elements']} elements differ")
