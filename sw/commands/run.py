"""``kaniwa run``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from math import prod
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
    random_option,
    shape_option,
    show_json,
    take_arrays,
    target_for,
)
from kaniwa.commands.preprocess import (
    Answers,
    Preprocessing,
    answer_options,
    preprocess_options,
    show_answers,
)
from kaniwa.commands.progress import device_progress, expected_cycles, progress, track
from kaniwa.commands.tables import shape_text, show_behind, show_layers, show_table
from kaniwa.commands.values import OutputFile
from kaniwa.errors import InputError
from kaniwa.program.layer_labels import layer_labels
from kaniwa.runtimes import NAMES

if TYPE_CHECKING:
    from kaniwa.data.inputs import Inputs
    from kaniwa.report.run_timeline import RunTimeline

__all__ = ["run_command"]

SHOWN = 10          # inferences whose outputs are printed
FIRST_WIDTH = (30, 12)    # of an output's first values, and beside a class


@click.command("run", epilog="Example: kaniwa run resnet8.tflite --device sim --input images.npz "
                             "--output answers.npz --check")
@click.argument("program", type=click.Path(path_type=Path), metavar="PROGRAM_OR_MODEL")
@shape_option
@compile_options
@device_options
@click.option("--input", "source", default="recorded", show_default=True, metavar="X.npz",
              help="Inputs (.npz or .npy), or 'recorded' for the model's reference samples.")
@random_option
@preprocess_options
@answer_options
@click.option("--output", type=OutputFile(), default=None, metavar="Y.npz",
              help="Where to write the outputs, keyed by output name.")
@click.option("--check", is_flag=True, help="Compare every output with the golden model.")
@click.option("--model", type=click.Path(path_type=Path), default=None,
              help="The model of a program file, for --check.")
@input_options
@click.option("--float", "as_float", is_flag=True,
              help="Quantize float inputs (--input), and dequantize the outputs.")
@click.option("--stream", is_flag=True, help="Keep the state from one inference to the next.")
@click.option("--loaded", is_flag=True,
              help="A board that has loaded the program from its flash: compare memory with the "
                   "program, and write nothing but inputs.")
@click.option("--trace", type=OutputFile(), default=None, metavar="FILE.vcd",
              help="sim: write a waveform of the run, and how GTKWave and Surfer show it.")
@click.option("--trace-events", "events", type=OutputFile(), default=None,
              metavar="FILE.json", help="sim, emulator: write a timeline for Perfetto.")
@json_option
@click.pass_context
def run_command(ctx: click.Context, program: Path, target: str, device: str, source: str,
                random_seed: int | None, output: Path | None, check: bool, model: Path | None,
                uint8: bool, limit: int | None, as_float: bool, label_file: Path | None,
                top: int | None, stream: bool, loaded: bool, trace: Path | None,
                events: Path | None, stalls: float, seed: int, as_json: bool,
                **options: Any) -> None:
    """Run a program file or a model on a device."""
    from kaniwa.driver import devices
    from kaniwa.files import write_npz

    began = time.monotonic()
    devices.check_name(device)
    if trace is not None and device != "sim":
        raise click.UsageError("--trace is for --device sim", ctx)
    if stalls and device != "sim":
        raise click.UsageError("--stalls is for --device sim", ctx)
    _check_events(ctx, events, device)
    if loaded and not device.startswith((*devices.BOARDS, devices.VIRTUAL)):
        raise click.UsageError("--loaded is for boards, which load a program from flash", ctx)
    preprocessing = Preprocessing.take(ctx, options)
    given = ctx.get_parameter_source("target") is not click.core.ParameterSource.DEFAULT
    with progress("compiling") as update:
        compiled, graph = open_program(program, target_for(ctx, target, device), options, given,
                                       [device], update)
        graph = graph or _graph_for_check(check, model, program)
    answers = Answers.of(compiled, label_file, top)
    done: dict[str, Any] | None = None
    if preprocessing.files:
        inputs, done = preprocessing.inputs(compiled.inputs)
        inputs = inputs[:limit]
    else:
        inputs = take_arrays(model or program, compiled.inputs, source, random_seed, limit,
                             ", --image FILE, --wav FILE",
                             lambda path: _load(path, compiled, uint8, limit, as_float))
    sim_options = {"stalls": stalls, "seed": seed, "trace": trace} if device == "sim" else {}
    timeline = None if events is None else _timeline(compiled, device)
    results, runs, link = _run(device, compiled, inputs, stream, loaded, sim_options,
                               timeline)
    values = _report(device, compiled, runs, round(time.monotonic() - began, 3))
    values |= {"link": link} if link else {}
    values |= {"preprocessing": done} if done is not None else {}
    values |= _outputs(compiled, results, as_float)
    if answers is not None:
        values["answers"] = answers.name(results, preprocessing.files)
    if check:
        values |= _compare(graph, inputs, results, {} if stream else None)
    if output is not None:
        write_npz(output, _stack(compiled, results, as_float))
    if events is not None and timeline is not None:
        values["trace_events"] = _write_events(events, timeline)
    if as_json:
        show_json(values)
    else:
        _show(values)
    if values.get("mismatches") or values.get("behind", {}).get("mismatches"):
        ctx.exit(1)


def _check_events(ctx: click.Context, path: Path | None, device: str) -> None:
    """Refuse ``--trace-events`` for a device without a timeline."""
    if path is None:
        return
    if device not in ("sim", "emulator"):
        raise click.UsageError("--trace-events is for --device sim or emulator", ctx)


def _timeline(program: Any, device: str) -> RunTimeline:
    from kaniwa.report.run_timeline import RunTimeline

    return RunTimeline(program, device)


def _write_events(path: Path, timeline: RunTimeline) -> dict[str, Any]:
    """Write the timeline whole or not at all; what to say of it."""
    from kaniwa.files import write_atomic
    from kaniwa.report.trace_events import TIME, trace_events

    done = timeline.finished()
    write_atomic(path, trace_events(done))
    return {"file": str(path), "time": TIME, "joined": {
        unit: track.window for unit, track in done.tracks.items() if track.window > 1}}


def _run(device: str, program: Any, inputs: Inputs, stream: bool, loaded: bool,
         sim_options: dict[str, Any], timeline: RunTimeline | None
         ) -> tuple[Inputs, list[Any], dict[str, Any] | None]:
    """The outputs and statistics of each inference, and what went over a board's line."""
    from kaniwa.driver import devices
    from kaniwa.driver.board_device import BoardDevice
    from kaniwa.driver.session import Session

    if timeline is not None and device == "sim":
        sim_options = {**sim_options, "observer": timeline}
    with progress(f"starting {device}") as update:
        opened = devices.open(device, target=program.config, outside=program.outside,
                              progress=update, **sim_options)
    results, runs = [], []
    with opened:
        with device_progress(opened, f"loading {device}"):
            session = Session(program, opened, loaded)
        if timeline is not None:
            session.watch = timeline.watch
        # What a board does is shown for each inference, and a timeline has one after the other.
        in_turn = isinstance(opened, BoardDevice) or timeline is not None
        outputs = (_one_by_one(session, inputs, stream) if in_turn
                   else session.map(inputs, keep_state=stream))
        cycles = expected_cycles(program, device)
        for result in track(outputs, len(inputs), f"running on {device}", opened, cycles):
            results.append(result)
            runs.append(session.stats)
        link = (dataclasses.asdict(opened.link_statistics) if isinstance(opened, BoardDevice)
                else None)
    return results, runs, link


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


def _load(path: str, program: Any, uint8: bool, limit: int | None, as_float: bool) -> Inputs:
    from kaniwa.data import inputs

    if as_float:
        return inputs.load_float_inputs(path, program.inputs, limit=limit)
    return inputs.load_inputs(path, program.inputs, uint8=uint8, limit=limit)


def _outputs(program: Any, results: Inputs, as_float: bool) -> dict[str, Any]:
    """The first inferences' outputs in brief, and what the values of classes stand for."""
    from kaniwa.data.labels import brief, dequantize, unit

    rows = [{"inference": number, **brief(
                result[item.name], item) | ({"first": brief(dequantize(
                    result[item.name], item), item)["first"]} if as_float else {})}
            for number, result in enumerate(results[:SHOWN]) for item in program.outputs]
    return {"outputs": rows, "unit": unit(program, program.outputs[0])}


def _report(device: str, program: Any, runs: list[Any], seconds: float) -> dict[str, Any]:
    cycles = [run.cycles for run in runs]
    values: dict[str, Any] = {
        "device": device, "target": program.config.name, "inferences": len(runs),
        "cycles": cycles[0], "macs": runs[0].macs, "utilization": runs[0].utilization,
        "layers": runs[0].layers, "host": [op.kind for op in program.host_ops],
        "runtimes": [NAMES.get(op.rule, "") for op in program.host_ops],
        "why_host": [f"{op.kind} '{op.name}': {op.why}" for op in program.host_ops],
        "checked": 0, "mismatches": 0, "first_mismatch": None, "seconds": seconds}
    if min(cycles) != max(cycles):
        values |= {"cycles_min": min(cycles), "cycles_max": max(cycles)}
    return values


def _compare(graph: Any, inputs: list[dict[str, np.ndarray]],
             results: list[dict[str, np.ndarray]],
             state: dict[int, np.ndarray] | None) -> dict[str, Any]:
    """Counts of output elements compared with the golden model and of those that differ.

    Outputs behind a framework's own runtime, which both sides run, are counted apart.
    """
    from kaniwa import golden
    from kaniwa.runtimes.behind import behind
    from kaniwa.verify.diff import same

    apart = behind(graph)
    counts = {False: [0, 0], True: [0, 0]}      # compared and different, by: behind a runtime
    first = None
    for number, (item, got) in enumerate(zip(inputs, results, strict=True)):
        values = golden.run(graph, item, state=state)
        for tensor_id in graph.outputs:
            tensor = graph.tensors[tensor_id]
            expected = values[tensor_id]
            different = np.argwhere(~same(got[tensor.name], expected))
            count = counts[apart is not None and tensor_id in apart.tensors]
            count[0] += expected.size
            count[1] += len(different)
            if len(different) and first is None:
                index = tuple(int(i) for i in different[0])
                first = {"inference": number, "tensor": tensor.name, "index": list(index),
                         "got": got[tensor.name][index].item(), "golden": expected[index].item()}
    found: dict[str, Any] = dict(zip(("checked", "mismatches"), counts[False], strict=True))
    if apart is not None:
        found |= {"behind": apart.as_dict() | {
            "outputs": [graph.tensors[i].name for i in graph.outputs if i in apart.tensors],
            "checked": counts[True][0], "mismatches": counts[True][1]}}
    return found | {"first_mismatch": first}


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
    count = values["inferences"]
    show_layers(f"{count} inference{'s' * (count != 1)} on {values['device']}, target "
                f"{values['target']}", values["layers"])
    show_answers(values)
    if "answers" not in values:
        _show_outputs(values)
    if values["host"]:
        done = [f"{kind} by {name}" if name else kind
                for kind, name in zip(values["host"], values["runtimes"], strict=True)]
        click.echo(f"on the host: {', '.join(done)}")
    click.echo(f"cycles {values['cycles']:,}, utilization {values['utilization']:.3f}, "
               f"{values['seconds']:.1f} s")
    if "link" in values:
        link = values["link"]
        click.echo(f"link: {link['requests']:,} requests, {link['repeated']:,} of them sent again; "
                   f"{link['damaged']:,} damaged replies, {link['timeouts']:,} timeouts")
    if "trace_events" in values:
        written = values["trace_events"]
        joined = (" (short spans are joined: the file would be too large)" if written["joined"]
                  else "")
        click.echo(f"timeline: {written['file']}, 1 us is 1 cycle{joined}")
    if values["checked"]:
        click.echo(f"mismatches: {values['mismatches']} of {values['checked']} output elements")
    if "behind" in values:
        apart = values["behind"]
        show_behind(apart, f"{apart['mismatches']} of {apart['checked']} output elements")
    if (first := values["first_mismatch"]) is not None:
        click.echo(f"first mismatch: inference {first['inference']}, tensor '{first['tensor']}', "
                   f"index {first['index']}: {first['got']}, golden has {first['golden']}")


def _show_outputs(values: dict[str, Any]) -> None:
    """A row an output: the largest class, if it has values of classes, and its first values."""
    rows = values["outputs"]
    labels = layer_labels([row["name"] for row in rows], 14)
    classes = any(row["class"] is not None for row in rows)
    columns = ["inference", "output", "shape", "dtype", *(
        ["class", values["unit"]] if classes else []), "first values"]
    table = []
    for row, label in zip(rows, labels, strict=True):
        best = ["", ""] if row["class"] is None else [row["class"], f"{row['value']:.4g}"]
        table.append([row["inference"], label, shape_text(row["shape"]), row["dtype"],
                      *(best if classes else []), _first(row, FIRST_WIDTH[classes])])
    show_table("outputs", columns, table)
    if values["inferences"] > SHOWN:
        click.echo(f"and {values['inferences'] - SHOWN} more inferences: --output FILE.npz has all")


def _first(row: dict[str, Any], width: int) -> str:
    """As many of the first values as fit into ``width`` letters."""
    texts = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row["first"]]
    shown: list[str] = []
    while texts and len(" ".join([*shown, texts[0]])) <= width:
        shown.append(texts.pop(0))
    return " ".join(shown) + (" ..." if texts or len(row["first"]) < prod(row["shape"]) else "")
