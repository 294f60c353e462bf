"""Host and device at the same time: `python bench/pipeline.py`.

A model with work for the host between two parts of the simulated device, made so that both take
about the same time. Runs --items inferences one after the other, with the time of each step, then
as a pipeline, and compares every output with golden. Fails if one differs, or if the pipeline
takes --bar of the sum of host and device time or more.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

import kaniwa
from kaniwa import golden
from kaniwa.benchmark.networks.network import Network
from kaniwa.compiler.pipeline import compile
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Inference, Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program, Step


class Timed(Session):
    """A session that adds up the seconds of its steps, by who does them."""

    def __init__(self, program: Program, device: Device) -> None:
        super().__init__(program, device)
        self.seconds = {"device": 0.0, "host": 0.0}

    def _do(self, step: Step, inference: Inference) -> None:
        began = time.perf_counter()
        super()._do(step, inference)
        self.seconds[step.where] += time.perf_counter() - began


def model(pools: int) -> Graph:
    """Convolutions, ``pools`` averages with padding for the host, and convolutions."""
    network = Network("pipeline", seed=1)
    x = network.input(1, 12, 12, 16)
    y = network.conv(network.conv(x, 32, 3), 16, 3)
    for _ in range(pools):
        y = network.average_pool(y, 3)
    return network.file((x,), (network.conv(network.conv(y, 32, 3), 16, 3),)).graph


def inputs_of(graph: Graph, count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(2)
    shape = graph.tensors[graph.inputs[0]].shape
    return [[rng.integers(-128, 128, shape, np.int8)] for _ in range(count)]


def balanced(device: Device, target: str) -> Graph:
    """The model whose host takes about what the device takes."""
    graph = model(4)
    session = Timed(compile(graph, target), device)
    for item in inputs_of(graph, 3):
        session.run(item)
    each = session.seconds["host"] / 4
    return model(max(1, round(session.seconds["device"] / each)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--target", default="small")
    parser.add_argument("--bar", type=float, default=0.7)
    options = parser.parse_args()
    with kaniwa.open("sim", target=options.target) as device:
        graph = balanced(device, options.target)
        inputs = inputs_of(graph, options.items)
        expected = [golden.run(graph, item)[graph.outputs[0]] for item in inputs]
        session = Timed(compile(graph, options.target), device)
        one_by_one = [next(iter(session.run(item).values())) for item in inputs]
        both = dict(session.seconds)
        began = time.perf_counter()
        at_once = [next(iter(outputs.values())) for outputs in session.map(inputs)]
        seconds = time.perf_counter() - began
    mismatches = sum(int(np.count_nonzero(got != want)) for results in (one_by_one, at_once)
                     for got, want in zip(results, expected, strict=True))
    share = seconds / sum(both.values())
    print(json.dumps({
        "items": options.items, "target": options.target, "host_operators": len(graph.ops) - 4,
        "host_seconds": round(both["host"], 3), "device_seconds": round(both["device"], 3),
        "pipeline_seconds": round(seconds, 3), "share": round(share, 3), "bar": options.bar,
        "mismatches": mismatches}))
    return int(share >= options.bar or mismatches > 0)


if __name__ == "__main__":
    sys.exit(main())
