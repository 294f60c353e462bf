"""``kaniwa evaluate``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from kaniwa.data.inputs import Inputs
    from kaniwa.driver.session import Session
    from kaniwa.program.program import Program

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
    """Accuracy of MODEL over labelled data; the answer is the first largest output.

    Several devices, with commas between them, share out the inferences.
    """
    from kaniwa.data.inputs import load_inputs, load_labels
    from kaniwa.driver.devices import check_name
    from kaniwa.evaluation.accuracy import Accuracy

    began = time.monotonic()
    names = device.split(",")
    for name in names:
        check_name(name)
    if stalls and len(names) > 1:
        raise click.UsageError("--stalls is for one device, sim", ctx)
    with progress("compiling") as update:
        program, graph = open_program(model, target_for(ctx, target, *names), options, False,
                                      names, update)
    if graph is None:
        raise InputError(f"{model}: evaluate needs the model, not a program file")
    inputs = load_inputs(data, program.inputs, uint8=uint8, limit=limit)
    labels = load_labels(data, limit)
    if len(labels) < len(inputs):
        raise InputError(f"{data}: {len(inputs)} inferences but {len(labels)} labels")
    reference = _reference(against, model, graph)
    output = program.outputs[0].name
    accuracy, different = Accuracy(), 0
    run = _Run(program, names, {"stalls": stalls, "seed": seed})
    for item, got in run.outputs(inputs):
        accuracy.take(got[output], int(labels[accuracy.count]))
        different += int(np.count_nonzero(got[output] != reference(item)))
    count, correct = accuracy.count, accuracy.correct
    values = {"device": device, "target": program.config.name, "inferences": count,
              "correct": correct, "accuracy": accuracy.accuracy, "against": against,
              "mismatches": different, "seconds": round(time.monotonic() - began, 3),
              "seconds_per_inference": round(run.seconds / count, 4), **run.shares}
    if as_json:
        show_json(values)
    else:
        click.echo(f"{correct} of {count} right, accuracy {values['accuracy']:.3f}; "
                   f"mismatches with {against}: {different}; "
                   f"{values['seconds_per_inference']} s an inference")
        for share in run.shares.get("devices", ()):
            click.echo(f"{share['name']}: {share['inferences']} inferences"
                       + (f", lost: {share['lost']}" if share["lost"] else ""))
    if different:
        ctx.exit(1)


class _Run:
    """The inferences, on one device or shared out among several.

    ``seconds`` is the time that they took. ``shares``: "devices", what each of several did.
    """

    def __init__(self, program: Program, names: list[str], sim_options: dict[str, Any]) -> None:
        self.seconds = 0.0
        self.shares: dict[str, Any] = {}
        self._program, self._names, self._sim_options = program, names, sim_options

    def outputs(self, inputs: Inputs) -> Iterator[tuple[Any, Any]]:
        """Each of ``inputs``, and the outputs of an inference with cleared state."""
        return self._alone(inputs) if len(self._names) == 1 else self._shared(inputs)

    def _alone(self, inputs: Inputs) -> Iterator[tuple[Any, Any]]:
        from kaniwa.driver import devices
        from kaniwa.driver.session import Session

        program, (name,) = self._program, self._names
        with progress(f"starting {name}") as update:
            opened = devices.open(name, target=program.config, outside=program.outside,
                                  progress=update,
                                  **(self._sim_options if name == "sim" else {}))
        with opened:
            with device_progress(opened, f"loading {name}"):
                session = Session(program, opened)
            found = ((item, self._timed(session, item)) for item in inputs)
            yield from track(found, len(inputs), f"running on {name}", opened,
                             expected_cycles(program, name))

    def _timed(self, session: Session, item: Any) -> Any:
        session.reset()
        began = time.monotonic()
        outputs = session.run(item)
        self.seconds += time.monotonic() - began
        return outputs

    def _shared(self, inputs: Inputs) -> Iterator[tuple[Any, Any]]:
        from kaniwa.pool.pool import Pool

        with progress(f"starting {len(self._names)} devices") as update:
            pool = Pool(self._names, self._program, progress=update)
        with pool:
            began = time.monotonic()
            yield from track(zip(inputs, pool.map(inputs), strict=True), len(inputs),
                             f"running on {len(self._names)} devices", None)
            self.seconds = time.monotonic() - began
            self.shares["devices"] = [asdict(stats) for stats in pool.stats]


def _reference(against: str, model: Path, graph: Any) -> Any:
    """A function from inputs to the first output, by the golden model or LiteRT."""
    output = graph.outputs[0]
    if against == "golden":
        from kaniwa import golden

        return lambda item: golden.run(graph, item)[output]
    from kaniwa.verify.litert import LiteRT

    litert = LiteRT(model, graph)
    return lambda item: litert.run_cleared(item, [output])[output]
