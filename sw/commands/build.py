"""``kaniwa compile``, and how a program's summary is shown."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import compile_options, json_option, progress, show_json, show_table

__all__ = ["compile_command", "show_summary"]


@click.command("compile", epilog="Example: kaniwa compile resnet8.tflite -o resnet8.kaniwa")
@click.argument("model", type=click.Path(path_type=Path))
@compile_options
@click.option("-o", "--output", type=click.Path(path_type=Path), default=None,
              help="Program file to write (default: the model's name with .kaniwa).")
@json_option
def compile_command(model: Path, target: str, output: Path | None, as_json: bool,
                    **options: Any) -> None:
    """Compile MODEL (.tflite, .onnx) for a target into a program file."""
    from kaniwa.compiler.pipeline import compile
    from kaniwa.files import write_atomic
    from kaniwa.program.file import to_bytes
    from kaniwa.program.summary import summary

    began = time.monotonic()
    with progress("compiling") as update:
        program = compile(model, target=target, progress=update, **options)
    output = output or Path(model.with_suffix(".kaniwa").name)
    data = to_bytes(program)
    write_atomic(output, data)
    values = summary(program) | {"program": str(output), "program_bytes": len(data),
                                  "seconds": round(time.monotonic() - began, 3)}
    if as_json:
        show_json(values)
    else:
        show_summary(values)
        click.echo(f"wrote {output} ({len(data):,} bytes)")


def show_summary(values: dict[str, Any]) -> None:
    """Print what ``kaniwa.program.summary`` gives."""
    show_table(
        f"{values['model']} on {values['target']}",
        ("layer", "op", "where", "MACs", "removed", "cycles", "utilization", "lost"),
        [(layer["name"][-40:], layer["op"], layer["where"], layer["macs"], _removed(layer),
          layer["cycles"], layer["utilization"],
          ", ".join(f"{k} {v:,}" for k, v in layer["lost"].items()))
         for layer in values["layers"]])
    for layer in values["layers"]:
        if layer["steps"] > 1:
            click.echo(f"recurrent: {layer['name'][-40:]}: {layer['steps']} steps of "
                       f"{layer['cycles'] / layer['steps']:,.0f} cycles")
    _show_host(values)
    click.echo(f"estimated cycles {values['cycles']:,}, utilization {values['utilization']:.3f}, "
               f"device memory {values['memory_bytes']:,} bytes, weights "
               f"{values['weight_bytes']:,} bytes ({values['bits_per_weight']:.2f} bits a weight)")


def _show_host(values: dict[str, Any]) -> None:
    """What the host does, why, and what goes to and fro; nothing where it does nothing."""
    rows = [row for row in values["layers"] if row["where"] == "host"]
    if not rows:
        return
    show_table("host and device in turn", (
        "where", "from", "to", "operators", "bytes to device", "bytes from device"),
        [(step["where"], step["does"][0][-40:] if step["does"] else "",
          step["does"][-1][-40:] if step["does"] else "", len(step["does"]),
          step["bytes_to_device"], step["bytes_from_device"]) for step in values["steps"]])
    for (op, why), count in Counter((row["op"], row["why"]) for row in rows).items():
        click.echo(f"on the host: {op}{f' ({count})' if count > 1 else ''}: {why}")
    if len(rows) == len(values["layers"]):
        click.echo("the accelerator has nothing to do: all operators run on the host")


def _removed(layer: dict[str, Any]) -> str:
    """What dead channels save: "16->11 ch, 82,944" (output channels and MACs)."""
    if not layer["removed"]:
        return ""
    before, after = layer["removed"]["output_channels"]
    return f"{before}->{after} ch, {layer['removed']['macs']:,}"
