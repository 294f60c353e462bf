"""``kaniwa evaluate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from kaniwa.commands.options import (
    compile_options,
    device_options,
    input_options,
    json_option,
    open_program,
    shape_option,
    show_json,
    target_for,
)
from kaniwa.commands.progress import device_progress, expected_cycles, progress, track
from kaniwa.errors import InputError

__all__ = ["evaluate_command"]


@click.command("evaluate", epilog="Example: kaniwa evaluate resnet8.tflite --device emulator "
                                  "--data cifar10.npz --uint8")
@click.argument("model", type=click.Path(path_type=Path))
@shape_option
@compile_options
@device_options
@click.option("--data", required=True, metavar="X.npz",
              help="Labelled data: x (or the input's name) and y.")
@click.option("--against", type=click.Choice(["golden", "litert"]), default="golden",
              show_default=True, help="What every output is compared with.")
@input_options
@json_option
@click.pass_context
def evaluate_command(ctx: click.Context, model: Path, target: str, device: str, data: str,
                     against: str, uint8: bool, limit: int | None, stalls: float, seed: int,
                     as_json: bool, **options: Any) -> None:
    """Accuracy of MODEL over labelled data; the answer is the first largest output."""
    from kaniwa.data.inputs import load_inputs, load_labels
    from kaniwa.driver import devices
    from kaniwa.driver.session import Session
    from kaniwa.evaluation.accuracy import Accuracy

    began = time.monotonic()
    devices.check_name(device)
    with progress("compiling") as update:
        program, graph = open_program(model, target_for(ctx, target, device), options, False,
                                      [device], update)
    if graph is None:
        raise InputError(f"{model}: evaluate needs the model, not a program file")
    inputs = load_inputs(data, program.inputs, uint8=uint8, limit=limit)
    labels = load_labels(data, limit)
    if len(labels) < len(inputs):
        raise InputError(f"{data}: {len(inputs)} inferences but {len(labels)} labels")
    reference = _reference(against, model, graph)
    sim_options = {"stalls": stalls, "seed": seed} if device == "sim" else {}
    with progress(f"starting {device}") as update:
        opened = devices.open(device, target=program.config, outside=program.outside,
                              progress=update, **sim_options)
    output = program.outputs[0].name
    accuracy, different, device_seconds = Accuracy(), 0, 0.0
    with opened:
        with device_progress(opened, f"loading {device}"):
            session = Session(program, opened)
        found = ((item, *_timed(session, item)) for item in inputs)
        cycles = expected_cycles(program, device)
        for item, got, seconds in track(found, len(inputs), f"running on {device}", opened,
                                        cycles):
            device_seconds += seconds
            accuracy.take(got[output], int(labels[accuracy.count]))
            different += int(np.count_nonzero(got[output] != reference(item)))
    count, correct = accuracy.count, accuracy.correct
    values = {"device": device, "target": program.config.name, "inferences": count,
              "correct": correct, "accuracy": accuracy.accuracy, "against": against,
              "mismatches": different, "seconds": round(time.monotonic() - began, 3),
              "seconds_per_inference": round(device_seconds / count, 4)}
    if as_json:
        show_json(values)
    else:
        click.echo(f"{correct} of {count} right, accuracy {values['accuracy']:.3f}; "
                   f"mismatches with {against}: {different}; "
                   f"{values['seconds_per_inference']} s an inference")
    if different:
        ctx.exit(1)


def _timed(session: Any, item: Any) -> tuple[Any, float]:
    """The outputs of an inference with cleared state, and the seconds that it took."""
    session.reset()
    at = time.monotonic()
    return session.run(item), time.monotonic() - at


def _reference(against: str, model: Path, graph: Any) -> Any:
    """A function from inputs to the first output, by the golden model or LiteRT."""
    output = graph.outputs[0]
    if against == "golden":
        from kaniwa import golden

        return lambda item: golden.run(graph, item)[output]
    from kaniwa.verify.litert import LiteRT

    litert = LiteRT(model, graph)
    return lambda item: litert.run_cleared(item, [output])[output]
