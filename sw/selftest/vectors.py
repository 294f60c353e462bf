"""Layers through the device, compared with golden; and a stored model with its recorded answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.selftest.layers import layer_graphs, layer_inputs
from kaniwa.stage import Stage
from kaniwa.verify.litert import Recorded

__all__ = ["run_layers", "run_model", "describe_mismatch"]


def run_layers(device: Device, outside: str | None, seed: int, progress: Callable[[str], None]
               ) -> tuple[list[dict[str, Any]], list[str]]:
    """A row a layer: what was compared, and where it first differed; and why others cannot run."""
    config = device.config
    assert config is not None
    rows, left_out = [], []
    for number, graph in enumerate(graphs := layer_graphs(config, seed), 1):
        progress(Stage(f"layer {number} of {len(graphs)}: {graph.name}", number - 1, len(graphs),
                       "layers", short=graph.name, steady=False))
        inputs = layer_inputs(graph, seed)
        expected = [_outputs(graph, golden.run(graph, item)) for item in inputs]
        try:
            rows.append(_compare(graph, device, outside, inputs, expected, all_of_it=True))
        except CompileError as error:
            left_out.append(str(error))
    return rows, left_out


def run_model(device: Device, outside: str | None, path: Path,
              progress: Callable[[str], None]) -> dict[str, Any]:
    """The model's recorded samples: every output element against the framework's own answer.

    Raises CompileError where the model does not fit the device, InputError without recorded
    vectors.
    """
    graph = load_model(path)
    recorded = Recorded(path, graph)
    expected = [{graph.tensors[i].name: recorded.arrays[f"out{position}_{sample}"]
                 for position, i in enumerate(graph.outputs)}
                for sample in range(len(recorded.inputs))]
    progress(graph.name)
    return (_compare(graph, device, outside, recorded.inputs, expected)
            | {"reference": recorded.description})


def _compare(graph: Graph, device: Device, outside: str | None,
             inputs: list[dict[str, np.ndarray]],
             expected: list[dict[str, np.ndarray]], all_of_it: bool = False) -> dict[str, Any]:
    """A row; with ``all_of_it`` raises CompileError where the device cannot run every operator."""
    assert device.config is not None
    program = compile(graph, target=device.config, outside=outside, require_accelerator=all_of_it)
    session = Session(program, device)
    values: dict[str, Any] = {
        "name": graph.name, "macs": program.macs, "inferences": len(inputs), "checked": 0,
        "mismatches": 0, "first_mismatch": None, "cycles": 0,
        "estimate": estimate(program).cycles}
    for number, (item, wanted) in enumerate(zip(inputs, expected, strict=True)):
        session.reset()      # recorded answers are of inferences by themselves
        got = session.run(item)
        assert session.stats is not None
        values["cycles"] = session.stats.cycles
        for name, value in wanted.items():
            different = np.argwhere(got[name] != value)
            values["checked"] += value.size
            values["mismatches"] += len(different)
            if len(different) and values["first_mismatch"] is None:
                index = tuple(int(i) for i in different[0])
                values["first_mismatch"] = {
                    "inference": number, "tensor": name, "index": list(index),
                    "got": int(got[name][index]), "golden": int(value[index]),
                    "channels": sorted({int(i[-1]) for i in different})}
    return values


def _outputs(graph: Graph, values: Mapping[int, np.ndarray]) -> dict[str, np.ndarray]:
    return {graph.tensors[i].name: values[i] for i in graph.outputs}


def describe_mismatch(row: Mapping[str, Any], config: AcceleratorConfig) -> str:
    """Place where a row first differs, and the lane if the tensor's wrong channels share one.
    """
    first = row["first_mismatch"]
    lanes = {channel % config.out_lanes for channel in first["channels"]}
    lane = f", all in lane {lanes.pop()} of {config.out_lanes}" if len(lanes) == 1 else ""
    return (f"{row['name']}: {row['mismatches']:,} of {row['checked']:,} values differ, first "
            f"{first['index']} ({first['got']}, golden {first['golden']}){lane}")
