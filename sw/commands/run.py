"""``kaniwa run``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from kaniwa.commands.options import (
    board_progress,
    compile_options,
    device_options,
    input_options,
    json_option,
    open_program,
    progress,
    show_json,
    show_table,
    target_for,
    track,
)
from kaniwa.commands.preprocess import (
    Answers,
    Preprocessing,
    answer_options,
    preprocess_options,
    show_answers,
)
from kaniwa.errors import InputError

__all__ = ["run_command"]


@click.command("run", epilog="Example: kaniwa run resnet8.tflite --device sim --input images.npz "
                             "--output answers.npz --check")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM_OR_MODEL")
@compile_options
@device_options
@click.option("--input", "source", default="recorded", show_default=True, metavar="X.npz",
              help="Inputs (.npz or .npy), or 'recorded' for the model's reference samples.")
@preprocess_options
@answer_options
@click.option("--output", type=click.Path(path_type=Path), default=None, metavar="Y.npz",
              help="Where to write the outputs, keyed by output name.")
@click.option("--check", is_flag=True, help="Compare every output with the golden model.")
@click.option("--model", type=click.Path(path_type=Path), default=None,
              help="The model of a program file, for --check.")
@input_options
@click.option("--float", "as_float", is_flag=True,
              help="Quantize float inputs (--input), and dequantize the outputs.")
@click.option("--stream", is_flag=True, help="Keep the state from one inference to the next.")
@click.option("--trace", type=click.Path(path_type=Path), default=None, metavar="FILE.vcd",
              help="sim: write a waveform of the run.")
@json_option
@click.pass_context
def run_command(ctx: click.Context, program: Path, target: str, device: str, source: str,
                output: Path | None, check: bool, model: Path | None, uint8: bool,
                limit: int | None, as_float: bool, label_file: Path | None, top: int | None,
                stream: bool, trace: Path | None, stalls: float, seed: int, as_json: bool,
                **options: Any) -> None:
    """Run a program file or a model on a device."""
    from kaniwa.driver import devices
    from kaniwa.driver.board_device import BoardDevice
    from kaniwa.driver.session import Session
    from kaniwa.files import write_npz

    began = time.monotonic()
    devices.check_name(device)
    if trace is not None and device != "sim":
        raise click.UsageError("--trace is for --device sim", ctx)
    preprocessing = Preprocessing.take(ctx, options)
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    with progress("compiling"):
        compiled, graph = open_program(program, target_for(ctx, target, device), options, given)
        graph = graph or _graph_for_check(check, model, program)
    answers = Answers.of(compiled, label_file, top, as_float)
    done: dict[str, Any] | None = None
    if preprocessing.files:
        inputs, done = preprocessing.inputs(compiled.inputs)
        inputs = inputs[:limit]
    else:
        inputs = _load(source, model or program, compiled, uint8, limit, as_float)
    sim_options = {"stalls": stalls, "seed": seed, "trace": trace} if device == "sim" else {}
    results, runs = [], []
    with progress(f"starting {device}") as update:
        opened = devices.open(device, target=compiled.config, outside=compiled.outside,
                              progress=update, **sim_options)
    with opened:
        with board_progress(opened, f"loading {device}"):
            session = Session(compiled, opened)
        items = track(inputs, f"running on {device}", opened)
        # What a board does is shown for each inference, so there is one at a time.
        for outputs in (_one_by_one(session, items, stream) if isinstance(opened, BoardDevice)
                        else session.map(items, keep_state=stream)):
            results.append(outputs)
            runs.append(session.stats)
        values = _report(device, compiled, runs, round(time.monotonic() - began, 3))
        if isinstance(opened, BoardDevice):
            values["link"] = dataclasses.asdict(opened.link_statistics)
    if done is not None:
        values["preprocessing"] = done
    if answers is not None:
        values["answers"] = answers.name(results, preprocessing.files)
    if check:
        values |= _compare(graph, inputs, results, {} if stream else None)
    if output is not None:
        write_npz(output, _stack(compiled, results, as_float))
    if as_json:
        show_json(values)
    else:
        _show(values)
    if values.get("mismatches"):
        ctx.exit(1)


def _one_by_one(session: Any, items: Iterable[Any], stream: bool) -> Iterator[Any]:
    for item in items:
        if not stream:
            session.reset()
        yield session.run(item)


def _graph_for_check(check: bool, model: Path | None, program: Path) -> Any:
    if not check:
        return None
    if model is None:
        raise InputError(f"{program}: --check needs the model of a program file: add --model")
    from kaniwa.importers import load_model

    return load_model(model)


def _load(source: str, model: Path, program: Any, uint8: bool, limit: int | None,
          as_float: bool) -> list[dict[str, np.ndarray]]:
    from kaniwa.data import inputs

    if source == "recorded":
        return inputs.recorded_inputs(model, program.inputs)[:limit]
    if as_float:
        return inputs.load_float_inputs(source, program.inputs, limit=limit)
    return inputs.load_inputs(source, program.inputs, uint8=uint8, limit=limit)


def _report(device: str, program: Any, runs: list[Any], seconds: float) -> dict[str, Any]:
    cycles = [run.cycles for run in runs]
    values: dict[str, Any] = {
        "device": device, "target": program.config.name, "inferences": len(runs),
        "cycles": cycles[0], "macs": runs[0].macs, "utilization": runs[0].utilization,
        "layers": runs[0].layers, "host": [op.kind for op in program.host_ops],
        "why_host": [f"{op.kind} '{op.name}': {op.why}" for op in program.host_ops],
        "checked": 0, "mismatches": 0, "first_mismatch": None, "seconds": seconds}
    if min(cycles) != max(cycles):
        values |= {"cycles_min": min(cycles), "cycles_max": max(cycles)}
    return values


def _compare(graph: Any, inputs: list[dict[str, np.ndarray]],
             results: list[dict[str, np.ndarray]],
             state: dict[int, np.ndarray] | None) -> dict[str, Any]:
    """Counts of output elements compared with the golden model and of those that differ."""
    from kaniwa import golden
    from kaniwa.verify.diff import same

    checked = mismatches = 0
    first = None
    for number, (item, got) in enumerate(zip(inputs, results, strict=True)):
        values = golden.run(graph, item, state=state)
        for tensor_id in graph.outputs:
            tensor = graph.tensors[tensor_id]
            expected = values[tensor_id]
            different = np.argwhere(~same(got[tensor.name], expected))
            checked += expected.size
            mismatches += len(different)
            if len(different) and first is None:
                index = tuple(int(i) for i in different[0])
                first = {"inference": number, "tensor": tensor.name, "index": list(index),
                         "got": got[tensor.name][index].item(), "golden": expected[index].item()}
    return {"checked": checked, "mismatches": mismatches, "first_mismatch": first}


def _stack(program: Any, results: list[dict[str, np.ndarray]],
           as_float: bool) -> dict[str, np.ndarray]:
    """Outputs of all inferences; the inferences' axis replaces a leading axis of 1."""
    from kaniwa.data.labels import dequantize

    stacked = {}
    for item in program.outputs:
        arrays = np.stack([result[item.name] for result in results])
        if arrays.ndim > 1 and arrays.shape[1] == 1:
            arrays = arrays[:, 0]
        stacked[item.name] = dequantize(arrays, item) if as_float else arrays
    return stacked


def _show(values: dict[str, Any]) -> None:
    show_table(
        f"{values['inferences']} inferences on {values['device']}, target {values['target']}",
        ("layer", "cycles", "utilization", "lost"),
        [(layer["name"][-60:], layer["cycles"], layer["utilization"],
          ", ".join(f"{k} {v:,}" for k, v in layer["lost"].items())) for layer in values["layers"]])
    show_answers(values)
    if values["host"]:
        click.echo(f"on the host: {', '.join(values['host'])}")
    click.echo(f"cycles {values['cycles']:,}, utilization {values['utilization']:.3f}, "
               f"{values['seconds']:.1f} s")
    if "link" in values:
        link = values["link"]
        click.echo(f"link: {link['requests']:,} requests, {link['repeated']:,} of them sent again; "
                   f"{link['damaged']:,} damaged replies, {link['timeouts']:,} timeouts")
    if values["checked"]:
        click.echo(f"mismatches: {values['mismatches']} of {values['checked']} output elements")
    if values["first_mismatch"]:
        click.echo(f"first mismatch: {values['first_mismatch']}")
