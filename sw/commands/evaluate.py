"""``kaniwa evaluate``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kaniwa.commands.options import (
    compile_options,
    device_options,
    input_options,
    json_option,
    open_program,
    opened_workers,
    scheduler_option,
    shape_option,
    show_json,
    target_for,
)
from kaniwa.commands.progress import device_progress, expected_cycles, progress, track
from kaniwa.errors import InputError

if TYPE_CHECKING:
    from kaniwa.data.inputs import Inputs
    from kaniwa.evaluation.compared import Compared, ComparedRun, Reference
    from kaniwa.program.program import Program

__all__ = ["evaluate_command"]

AT_ONCE = 32     # inferences that go to a worker together, at most


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
@scheduler_option
@json_option
@click.pass_context
def evaluate_command(ctx: click.Context, model: Path, target: str, device: str, data: str,
                     against: str, uint8: bool, limit: int | None, stalls: float, seed: int,
                     scheduler: str | None, as_json: bool, **options: Any) -> None:
    """Accuracy of MODEL over labelled data; the answer is the first largest output.

    Several devices, with commas between them, share out the inferences. So do the workers of a
    scheduler, which open the device each.
    """
    from kaniwa.data.inputs import load_inputs, load_labels
    from kaniwa.driver.devices import check_name
    from kaniwa.evaluation.accuracy import Accuracy
    from kaniwa.evaluation.compared import Reference

    began = time.monotonic()
    names = device.split(",")
    for name in names:
        check_name(name)
    if stalls and names != ["sim"]:
        raise click.UsageError("--stalls is for one device, sim", ctx)
    if scheduler and len(names) > 1:
        raise click.UsageError("--scheduler takes one device, which each worker opens", ctx)
    with progress("compiling") as update:
        program, graph = open_program(model, target_for(ctx, target, *names), options, False,
                                      names, update)
    if graph is None:
        raise InputError(f"{model}: evaluate needs the model, not a program file")
    inputs = load_inputs(data, program.inputs, uint8=uint8, limit=limit)
    labels = load_labels(data, limit)
    if len(labels) < len(inputs):
        raise InputError(f"{data}: {len(inputs)} inferences but {len(labels)} labels")
    accuracy, different = Accuracy(), 0
    run = _Run(program, names, {"stalls": stalls, "seed": seed},
               Reference(against, model.read_bytes(), graph), scheduler)
    for got in run.compared(inputs):
        accuracy.take(got.output, int(labels[accuracy.count]))
        different += got.different
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
    """The inferences, on one device, shared out among several, or on a scheduler's workers.

    ``seconds`` is the time that they took. ``shares``: "devices", what each of several did.
    """

    def __init__(self, program: Program, names: list[str], sim_options: dict[str, Any],
                 reference: Reference, scheduler: str | None) -> None:
        self.seconds = 0.0
        self.shares: dict[str, Any] = {}
        self._program, self._names = program, names
        self._options = sim_options if names == ["sim"] else {}
        self._reference, self._scheduler = reference, scheduler

    def compared(self, inputs: Inputs) -> Iterator[Compared]:
        """The first output of an inference of each of ``inputs``, with cleared state."""
        if self._scheduler is not None:
            return self._on_workers(inputs, self._scheduler)
        return self._alone(inputs) if len(self._names) == 1 else self._shared(inputs)

    def _alone(self, inputs: Inputs) -> Iterator[Compared]:
        from kaniwa.evaluation.compared import ComparedRun, open_device

        program, (name,) = self._program, self._names
        with progress(f"starting {name}") as update:
            opened = open_device(program, name, self._options, update)
        with opened:
            with device_progress(opened, f"loading {name}"):
                run = ComparedRun(program, opened, self._reference)
            found = (self._timed(run, item) for item in inputs)
            yield from track(found, len(inputs), f"running on {name}", opened,
                             expected_cycles(program, name))

    def _timed(self, run: ComparedRun, item: Any) -> Compared:
        compared = run.infer(item)
        self.seconds += compared.seconds
        return compared

    def _shared(self, inputs: Inputs) -> Iterator[Compared]:
        from kaniwa.evaluation.compared import compare
        from kaniwa.pool.pool import Pool

        with progress(f"starting {len(self._names)} devices") as update:
            pool = Pool(self._names, self._program, progress=update)
        with pool:
            began = time.monotonic()
            reference, output = self._reference.opened(), self._program.outputs[0].name
            for item, got in track(zip(inputs, pool.map(inputs), strict=True), len(inputs),
                                   f"running on {len(self._names)} devices", None):
                yield compare(got[output], reference(item), 0.0)
            self.seconds = time.monotonic() - began
            self.shares["devices"] = [asdict(stats) for stats in pool.stats]

    def _on_workers(self, inputs: Inputs, scheduler: str) -> Iterator[Compared]:
        from kaniwa.evaluation.compared import ComparedRun, open_run
        from kaniwa.parallel.workers import Work

        (name,) = self._names
        work = Work(ComparedRun.infer, partial(open_run, self._program, name, self._options,
                                               self._reference),
                    "inference {}".format, "inferences", AT_ONCE, name)
        with opened_workers(scheduler) as workers:
            began = time.monotonic()
            yield from track(workers.map(work, inputs), len(inputs),
                             f"running on {workers.name}", None)
            self.seconds = time.monotonic() - began
