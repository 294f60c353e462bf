"""Whole networks: their cycles beside the least that is possible, and beside Vela's."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kaniwa.benchmark.jobs import Devices, Job, measure_jobs
from kaniwa.benchmark.measure import Progress
from kaniwa.benchmark.models import compile_near
from kaniwa.benchmark.networks.bound import LayerBound, bounds
from kaniwa.benchmark.networks.table import CLASSES, Entry
from kaniwa.benchmark.networks.vela import Figures
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import seeded_inputs
from kaniwa.errors import Error
from kaniwa.graph import Graph
from kaniwa.parallel.workers import Workers
from kaniwa.program.host_segments import host_segments
from kaniwa.program.program import Program
from kaniwa.stage import Stage

__all__ = ["measure_networks"]

BEHIND = {"sim": ("emulator", "sim"), "emulator": ("emulator",), "estimate": ()}
RUN = ("key", "title", "size", "target", "compile_seconds")   # of a row, for runs
WORST = 6   # kinds of layers that are named


def measure_networks(device: str, entries: Sequence[Entry], progress: Progress,
                     size: int | None = None, named: bool = False,
                     workers: Workers | None = None) -> dict[str, Any]:
    """A row for each network and target by the cycle model, and ``runs`` on the device.

    ``size``: of all images and sequences, in place of each network's own. With ``named``, networks
    run on all their targets, else on those of the table; before "sim" comes the emulator. A
    network that the compiler refuses has a row with ``error``.
    """
    figures = Figures.found()
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    tables: list[list[dict[str, Any]]] = []     # of each job, the one that its row belongs to
    count = sum(len(entry.targets) for entry in entries)

    def jobs() -> Iterator[_Network | Job]:
        number = 0
        for entry in entries:
            file = entry.build(size=size or entry.size)
            vela = figures.of(entry.key, file) if size is None else {}
            for target in entry.targets:
                progress(Stage(f"{entry.title} on {target}", number, count, "networks",
                               steady=False))
                number += 1
                job = _compiled(entry, file.graph, target, size or entry.size, vela)
                tables.append(rows)
                yield job
                if job.program is not None and target in (entry.targets if named else entry.runs):
                    for run in _runs(job, job.program, device):
                        progress(f"{file.graph.name} on {run.device}")
                        tables.append(runs)
                        yield run

    for place, row in enumerate(measure_jobs(jobs(), device, "programs", progress, workers)):
        tables[place].append(row)
    return {"rows": rows, "runs": runs, "classes": _classes(rows), **figures.source()}


@dataclass(frozen=True)
class _Network:
    """A network on a target, to be measured by the cycle model; without ``program``: refused.

    ``vela``: Vela's figures of it, by multipliers.
    """

    title: str
    known: dict[str, Any]
    graph: Graph
    program: Program | None
    vela: Mapping[str, Any]

    def row(self, devices: Devices) -> dict[str, Any]:
        """The estimate and the bound. No device is asked for."""
        row = self.known
        if self.program is not None:
            row = row | _estimated(self.program)
        return row | _beside(row, self.vela.get(str(row["multipliers"])))


def _compiled(entry: Entry, graph: Graph, target: str, size: int, vela: Mapping[str, Any]
              ) -> _Network:
    row: dict[str, Any] = {"key": entry.key, "title": entry.title, "class": entry.family,
                           "size": size, "target": target,
                           "multipliers": PRESETS[target].multipliers, "error": None}
    program = None
    began = time.monotonic()
    try:
        program = compile_near(graph, PRESETS[target])
        row["compile_seconds"] = round(time.monotonic() - began, 2)
    except Error as error:
        row |= {"error": str(error), "compile_seconds": 0.0}
    return _Network(f"{entry.title} on {target}", row, graph, program, vela)


def _runs(job: _Network, program: Program, device: str) -> Iterator[Job]:
    """One inference on each device, compared with golden."""
    known = {key: job.known[key] for key in RUN} | {
        "weight_bytes": program.weight_bytes, "outside_bytes": program.outside_bytes}
    inputs = seeded_inputs(program.inputs, 1, seed=0)
    for name in BEHIND[device]:
        yield Job(f"{job.title}, {name}", known | {"device": name}, job.graph, program, inputs,
                  name)


def _estimated(program: Program) -> dict[str, Any]:
    statistics = estimate(program)
    layers = bounds(program, statistics)
    bound = math.ceil(sum(layer.bound for layer in layers))
    lost: Counter[str] = Counter()
    for layer in layers:
        lost.update(layer.lost)
    return {
        "macs": program.macs, "weight_bytes": program.weight_bytes,
        "outside": program.outside, "cycles": statistics.cycles,
        "utilization": program.utilization(program.macs, statistics.cycles),
        "bound": bound, "over_bound": statistics.cycles / bound, "lost": dict(lost),
        "segments": host_segments(program).as_dict(), "host": _host(program),
        "worst": _worst(layers), "excess": _excess(layers)}


def _host(program: Program) -> list[dict[str, Any]]:
    """Operators of the host, with their reasons."""
    found = Counter((op.kind, op.why) for op in program.host_ops)
    return [{"op": kind, "why": why, "count": count} for (kind, why), count in found.items()]


def _worst(layers: list[LayerBound]) -> list[dict[str, Any]]:
    """The layers that are the furthest above their bounds, in cycles; equal ones are one entry."""
    found: dict[tuple[object, ...], list[LayerBound]] = {}
    for layer in layers:
        found.setdefault((layer.op, layer.kernel, layer.shape, layer.macs), []).append(layer)
    rows: list[dict[str, Any]] = []
    for alike in found.values():
        lost: Counter[str] = Counter()
        for layer in alike:
            lost.update(layer.lost)
        rows.append({
            "op": alike[0].op, "kernel": alike[0].kernel, "shape": list(alike[0].shape),
            "times": len(alike), "macs": sum(layer.macs for layer in alike),
            "cycles": sum(layer.cycles for layer in alike),
            "bound": math.ceil(sum(layer.bound for layer in alike)), "by": alike[0].by,
            "issued": sum(layer.issued for layer in alike), "lost": dict(lost)})
    return sorted(rows, key=lambda row: row["bound"] - row["cycles"])[:WORST]


def _excess(layers: list[LayerBound]) -> dict[str, int]:
    """Cycles above the bounds, by the first operator of a layer, the most first."""
    found: Counter[str] = Counter()
    for layer in layers:
        found[layer.op.split("+")[0]] += round(layer.cycles - layer.bound)
    return dict(found.most_common())


def _beside(row: dict[str, Any], vela: dict[str, Any] | None) -> dict[str, Any]:
    cycles = row.get("cycles")
    ratio = vela["cycles"] / cycles if vela and vela["cycles"] and cycles else None
    return {"vela": vela, "vela_ratio": ratio}


def _classes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Geometric means of each class and target; Vela's over networks that it takes whole."""
    found = []
    for family in CLASSES:
        mine = [row for row in rows if row["class"] == family and not row["error"]]
        for target in dict.fromkeys(row["target"] for row in mine):
            own = [row for row in mine if row["target"] == target]
            whole = [(row["vela_ratio"], row["over_bound"]) for row in own
                     if row["vela_ratio"] and not row["vela"]["cpu_operators"]]
            found.append({"class": family, "target": target, "networks": len(own),
                          "over_bound": _mean([row["over_bound"] for row in own]),
                          "utilization": _mean([row["utilization"] for row in own]),
                          "beside_vela": len(whole),
                          "vela_ratio": _mean([ratio for ratio, _ in whole]),
                          "vela_over_bound": _mean([ratio * over for ratio, over in whole])})
    return found


def _mean(values: list[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
