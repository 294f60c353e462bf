"""``kaniwa compile``, and how a program's summary is shown."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from kaniwa.commands.options import compile_options, json_option, shape_option, show_json
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_layers, show_table
from kaniwa.commands.values import FiniteRange, OutputFile
from kaniwa.program.layer_labels import layer_labels

__all__ = ["compile_command", "show_summary"]

LABEL_WIDTH = 24


@click.command("compile", epilog="Example: kaniwa compile resnet8.tflite -o resnet8.kaniwa")
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@compile_options
@click.option("-o", "--output", type=OutputFile(), default=None,
              help="Program file to write (default: the model's name with .kaniwa).")
@click.option("--behind", type=click.Path(path_type=Path), multiple=True, metavar="P",
              help="A program file whose device memory this one leaves alone, so that a device can "
                   "hold both; may be repeated.")
@click.option("--double-buffered", is_flag=True,
              help="Two places for inputs and outputs, used in turn: a device that serves memory "
                   "during runs moves those of one inference while it computes another.")
@click.option("--bits", is_flag=True, help="Show the bits a weight of each layer, by cause.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Cut the model into stages for N devices, a program file each: NAME.1.kaniwa "
                   "and so on.")
@click.option("--pace", type=FiniteRange(min=1), default=None, metavar="B",
              help="With --devices: bytes a second of a device's line (default: it takes no time).")
@json_option
def compile_command(model: Path, target: str, output: Path | None, behind: tuple[Path, ...],
                    bits: bool, as_json: bool, devices: int, pace: float | None,
                    **options: Any) -> None:
    """Compile MODEL (.tflite, .onnx) for a target into a program file, or one for each device."""
    from kaniwa.compiler.pipeline import compile
    from kaniwa.files import write_atomic
    from kaniwa.importers import load_model
    from kaniwa.program.file import load_program, to_bytes
    from kaniwa.program.summary import summary
    from kaniwa.report.layer_bits import layer_bits

    if devices > 1 or pace is not None:
        if behind:
            raise click.UsageError("--behind is for one device, not with --devices or --pace")
        _compile_stages(model, target, output, devices, pace, as_json, options)
        return
    began = time.monotonic()
    with progress("compiling") as update:
        graph = load_model(model)
        others = [load_program(path) for path in behind]
        program = compile(graph, target=target, behind=others, progress=update, **options)
        output = output or Path(model.with_suffix(".kaniwa").name)
        data = to_bytes(program)
        write_atomic(output, data)
        update("estimating the cycles")
        facts = summary(program)
    values = facts | {"program": str(output), "program_bytes": len(data),
                      "seconds": round(time.monotonic() - began, 3)}
    if bits or as_json:
        values["bits"] = layer_bits(program, graph)
    if as_json:
        show_json(values)
    else:
        show_summary(values)
        if bits:
            _show_bits(values["bits"])
        click.echo(f"wrote {output} ({len(data):,} bytes)")


def _compile_stages(model: Path, target: str, output: Path | None, devices: int,
                    pace: float | None, as_json: bool, options: dict[str, Any]) -> None:
    """Write a program file for each stage, all or none of them, and show what each takes."""
    from kaniwa.config import load_target
    from kaniwa.driver.device_clock import CLOCK_MHZ
    from kaniwa.files import write_all
    from kaniwa.importers import load_model
    from kaniwa.pool.stages import split
    from kaniwa.program.file import to_bytes

    with progress("compiling") as update:
        graph = load_model(model)
        # As of one device: memory that is not asked for is not there.
        options["outside"] = options["outside"] or "none"
        stages = split(graph, devices, load_target(target), pace=pace, progress=update, **options)
        output = output or Path(model.with_suffix(".kaniwa").name)
        files = [output.with_suffix(f".{n}{output.suffix}") for n in range(1, devices + 1)]
        write_all({file: to_bytes(stage.program)
                   for file, stage in zip(files, stages, strict=True)})
    rows: list[dict[str, Any]] = [
        {"program": str(file), "operators": [s.first + 1, s.last + 1],
         "first_channel": s.first_channel, "end_channel": s.end_channel, "cycles": s.cycles,
         "bytes_in": sum(t.bytes for t in s.program.inputs),
         "bytes_out": sum(t.bytes for t in s.program.outputs),
         "milliseconds": 1e3 * s.seconds} for file, s in zip(files, stages, strict=True)]
    slowest = max(row["milliseconds"] for row in rows)
    if as_json:
        show_json({"model": stages[0].program.name, "target": stages[0].program.config.name,
                   "clock_mhz": CLOCK_MHZ, "pace": pace, "stages": rows,
                   "inferences_per_second": 1e3 / slowest})
        return
    show_table(f"{model.name} on {devices} devices", (
        "program", "operators", "cycles", "bytes in", "bytes out", "ms"), [
        (Path(row["program"]).name, "{} to {}".format(*row["operators"]), f"{row['cycles']:,}",
         f"{row['bytes_in']:,}", f"{row['bytes_out']:,}", f"{row['milliseconds']:.3f}")
        for row in rows])
    for row, behind in pairwise(rows):
        if row["end_channel"] is not None:
            kind, until = graph.ops[row["operators"][1] - 1].kind, row["end_channel"]
            click.echo(f"{kind}, operator {row['operators'][1]}: channels up to {until} in "
                       f"{Path(row['program']).name}, from {until + 1} in "
                       f"{Path(behind['program']).name}")
    click.echo(f"{1e3 / slowest:,.0f} inferences a second, as many as the slowest stage does at "
               f"{CLOCK_MHZ:.0f} MHz")


def _show_bits(rows: list[dict[str, Any]]) -> None:
    """Bytes become bits a weight of the layer, or, where there are none, stay bytes."""
    causes = list(rows[-1]["bytes"])
    names = layer_labels([row["name"] for row in rows], LABEL_WIDTH)
    show_table("bits a weight, by cause", ("layer", "weights", "bits", *causes), [
        (name, f"{row['weights']:,}", "" if row["bits"] is None else f"{row['bits']:.2f}",
         *(_bits_of(row["bytes"].get(cause, 0), row["weights"]) for cause in causes))
        for name, row in zip(names, rows, strict=True)])


def _bits_of(size: int, weights: int) -> str:
    return f"{8 * size / weights:.2f}" if weights else f"{size:,} B"


def show_summary(values: dict[str, Any]) -> None:
    """Print what ``kaniwa.program.summary`` gives."""
    layers = values["layers"]
    show_layers(f"{values['model']} on {values['target']}", layers)
    for number, layer in enumerate(layers, 1):
        if layer["steps"] > 1:
            click.echo(f"layer {number} is recurrent: {layer['steps']} steps of "
                       f"{layer['cycles'] / layer['steps']:,.0f} cycles")
    _show_host(values)
    dead = f" ({values['removed_macs']:,} with dead channels left out)" \
        if values["removed_macs"] else ""
    click.echo(f"estimated cycles {values['cycles']:,}, utilization {values['utilization']:.3f}, "
               f"multiplications {values['macs']:,}{dead}")
    click.echo(f"device memory {values['memory_bytes']:,} bytes, weights "
               f"{values['weight_bytes']:,} bytes ({values['bits_per_weight']:.2f} bits a weight)")


def _show_host(values: dict[str, Any]) -> None:
    """Show the host's work, why, and what goes to and fro; nothing where there is no work."""
    rows = [row for row in values["layers"] if row["where"] == "host"]
    if not rows:
        return
    steps, first = [], 1
    for step in values["steps"]:
        last = first + len(step["does"]) - 1
        steps.append((step["where"], f"{first} to {last}" if last > first else str(first),
                      step["bytes_to_device"], step["bytes_from_device"]))
        first = last + 1
    show_table("host and device in turn", (
        "where", "layers", "bytes to device", "bytes from device"), steps)
    middle = values["host_segments"]
    click.echo(f"host segments in the middle: {middle['count']}"
               + (f", of {middle['operators']} operators, {middle['bytes_from_device']:,} bytes "
                  f"from the device and {middle['bytes_to_device']:,} to it"
                  if middle["count"] else ""))
    for (op, why, runtime), count in Counter(
            (row["op"], row["why"], row["runtime"]) for row in rows).items():
        by = f", by {runtime}" if runtime else ""
        click.echo(f"on the host{by}: {op}{f' ({count})' if count > 1 else ''}: {why}")
    if len(rows) == len(values["layers"]):
        click.echo("the accelerator has nothing to do: all operators run on the host")
