"""Dense layers by size, ResNet-18 by size of the array, and its layers one by one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from kaniwa.benchmark.jobs import Job, measure_jobs
from kaniwa.benchmark.measure import ESTIMATE, Progress
from kaniwa.benchmark.models import compile_near
from kaniwa.benchmark.networks.residual import dense, resnet18
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.data.inputs import seeded_inputs
from kaniwa.graph import Graph, Op, check
from kaniwa.parallel.workers import Workers
from kaniwa.stage import Stage

__all__ = ["ARRAYS", "DENSE_SIZES", "distinct_layers", "measure_dense", "measure_layers",
           "measure_scaling"]

DENSE_SIZES = (16, 32, 64, 128, 256, 512, 1024)
LAYERS_TARGET = "large"

# The width of the memory port grows with the array and is reported beside it.
ARRAYS = (
    AcceleratorConfig(name="8 x 8", out_lanes=8, dot_width=8, requant_lanes=4, read_bytes=8,
                      write_bytes=8),
    PRESETS["large"],
    PRESETS["xl"],
)
# multipliers -> how many times faster than the smallest array, to reach
SPEEDUPS = {256: 3.5, 1024: 11.0}
# What is kept of the row of an array.
SCALING = ("array", "multipliers", "read_bytes", "write_bytes", "requantized", "ring_bytes",
           "memory_bytes", "cycles", "issued", "lost", "utilization", "bar", "compile_seconds")


def measure_dense(device: str, target: str, sizes: Sequence[int], run_sizes: Sequence[int],
                  clock_mhz: float, progress: Progress, workers: Workers | None = None
                  ) -> dict[str, Any]:
    """Cycles of 1 x n by n x n layers by the cycle model; those of ``run_sizes`` also run."""
    def jobs() -> Iterator[Job]:
        for number, size in enumerate(sizes):
            progress(Stage(f"dense {size}", number, len(sizes), "layers", steady=False))
            graph = dense(size).graph
            program = compile_near(graph, PRESETS[target], require_accelerator=True)
            yield Job(f"dense {size}", {"size": size, "outside": program.outside}, graph, program,
                      seeded_inputs(program.inputs, 1, seed=size),
                      device if size in run_sizes else ESTIMATE)

    rows = [{
        "size": row["size"], "macs": row["macs"], "estimate": row["estimate"],
        "cycles": row["cycles"] if row["inferences"] else None,
        "checked": row["checked"], "mismatches": row["mismatches"],
        "utilization": row["utilization"], "outside": row["outside"],
        "inferences_per_second": clock_mhz * 1e6 / row["cycles"]}
        for row in measure_jobs(jobs(), device, "layers", progress, workers)]
    return {"target": target, "clock_mhz": clock_mhz, "rows": rows}


def measure_scaling(size: int, progress: Progress, arrays: Sequence[AcceleratorConfig] = ARRAYS,
                    workers: Workers | None = None) -> dict[str, Any]:
    """ResNet-18 on arrays of growing size, by the cycle model, with ideal outside memory."""
    graph = resnet18(size=size).graph

    def jobs() -> Iterator[Job]:
        for number, config in enumerate(arrays):
            progress(Stage(f"ResNet-18 on {config.name}", number, len(arrays), "arrays",
                           steady=False))
            began = time.monotonic()
            program = compile(graph, config, outside="ideal", require_accelerator=True)
            seconds = time.monotonic() - began
            yield Job(f"ResNet-18 on {config.name}", {
                "array": config.name, "multipliers": config.multipliers,
                "read_bytes": config.read_bytes, "write_bytes": config.write_bytes,
                "requantized": str(config.requant_rate), "ring_bytes": config.ring_bytes,
                "memory_bytes": config.memory_bytes, "bar": SPEEDUPS.get(config.multipliers),
                "compile_seconds": round(seconds, 2)}, graph, program, [], ESTIMATE)

    found = list(measure_jobs(jobs(), ESTIMATE, "arrays", progress, workers))
    rows = [{key: row[key] for key in SCALING}
            | {"speedup": found[0]["cycles"] / row["cycles"]} for row in found]
    return {"size": size, "macs": found[-1]["macs"], "rows": rows}


def measure_layers(device: str, size: int, progress: Progress, limit: int | None = None,
                   workers: Workers | None = None) -> dict[str, Any]:
    """Each distinct layer of ResNet-18 as a model of its own: run, estimate and golden."""
    graph = resnet18(size=size).graph
    layers = distinct_layers(graph)[:limit]

    def jobs() -> Iterator[Job]:
        for number, (op, count) in enumerate(layers):
            progress(Stage(op.name, number, len(layers), "layers", steady=False))
            single = _single(graph, op)
            program = compile_near(single, PRESETS[LAYERS_TARGET], require_accelerator=True)
            shapes = [single.tensors[i].shape for i in (*single.inputs, *single.outputs)]
            yield Job(op.name, {
                "name": op.name, "op": op.kind, "times": count, "input": shapes[0],
                "output": shapes[1], "kernel": _kernel(graph, op), "outside": program.outside},
                single, program, seeded_inputs(program.inputs, 1, seed=0), device)

    rows = list(measure_jobs(jobs(), device, "layers", progress, workers))
    return {"target": LAYERS_TARGET, "size": size, "rows": rows}


def distinct_layers(graph: Graph) -> list[tuple[Op, int]]:
    """An operator of each shape that the array runs as a layer, and how many there are of it."""
    found: dict[tuple[object, ...], list[Op]] = {}
    for op in graph.ops:
        if op.kind in ("CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"):
            shapes = tuple(graph.tensors[i].shape for i in (*op.inputs, *op.outputs))
            found.setdefault((op.kind, shapes, op.attributes.get("stride")), []).append(op)
    return [(ops[0], len(ops)) for ops in found.values()]


def _kernel(graph: Graph, op: Op) -> tuple[int, ...]:
    """Kernel rows and columns, and the stride."""
    if op.kind == "FULLY_CONNECTED":
        return (1, 1, 1)
    window = op.attributes.get("filter") or graph.tensors[op.inputs[1]].shape[1:3]
    stride = op.attributes["stride"]
    assert isinstance(window, Iterable) and isinstance(stride, tuple)
    return (*window, stride[0])


def _single(graph: Graph, op: Op) -> Graph:
    """A graph of one operator of ``graph``."""
    used = [*op.inputs, *op.outputs]
    ids = {old: new for new, old in enumerate(used)}
    tensors = tuple(replace(graph.tensors[old], id=new) for old, new in ids.items())
    alone = replace(op, inputs=tuple(ids[i] for i in op.inputs),
                    outputs=tuple(ids[i] for i in op.outputs))
    return check(Graph(op.name, tensors, (alone,), (ids[op.inputs[0]],), alone.outputs))
