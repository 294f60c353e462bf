"""Runs the models on one device: cycles, lost cycles, values and the estimate."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kaniwa.benchmark.cases import PEERS, VELA, Case
from kaniwa.benchmark.dsp_blocks import dsp_blocks
from kaniwa.benchmark.jobs import Job, measure_jobs
from kaniwa.benchmark.measure import Progress
from kaniwa.benchmark.vela import vela_cycles, vela_version
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.data.inputs import recorded_inputs
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.parallel.workers import Workers
from kaniwa.program.host_segments import host_segments
from kaniwa.program.program import Program
from kaniwa.stage import Stage

__all__ = ["compile_near", "measure_models", "peers"]


def measure_models(device: str, cases: Iterable[Case], folder: Path, samples: int,
                   progress: Progress, workers: Workers | None = None) -> list[dict[str, Any]]:
    """One row a case. Cases of one target are one after the other."""
    cases = list(cases)
    rows = []
    for row in measure_jobs(_jobs(device, cases, folder, samples, progress), device, "models",
                            progress, workers):
        row["macs_per_dsp"] = row["macs_per_cycle"] / row["dsps"]
        row["reached"] = row["bar"] is None or row["cycles"] <= row["bar"]
        rows.append(row)
    return rows


def _jobs(device: str, cases: list[Case], folder: Path, samples: int, progress: Progress
          ) -> Iterator[Job]:
    """The cases, compiled; those of one target together."""
    targets = list(dict.fromkeys(case.target for case in cases))
    cases = sorted(cases, key=lambda case: targets.index(case.target))
    for number, case in enumerate(cases):
        progress(Stage(case.key, number, len(cases), "models", steady=False))
        path = folder / case.file
        began = time.monotonic()
        graph = load_model(path)
        program = compile_near(graph, PRESETS[case.target], case.keep_dead_channels)
        seconds = time.monotonic() - began
        known = {"key": case.key, "title": case.title, "model": case.file, "target": case.target,
                 "multipliers": program.config.multipliers,
                 "host": [op.kind for op in program.host_ops],
                 "memory": _memory(program), "memory_bytes": program.local_bytes,
                 "outside_bytes": program.outside_bytes, "weight_bytes": program.weight_bytes,
                 "bar": case.bar, "compile_seconds": round(seconds, 2),
                 "dsps": dsp_blocks(program.config)}
        yield Job(case.key, known, graph, program,
                  recorded_inputs(path, program.inputs)[:samples], device)


def compile_near(graph: Graph, config: AcceleratorConfig,
                 keep_dead_channels: bool = False, require_accelerator: bool = False) -> Program:
    """The program with everything on chip, else with ideal outside memory.

    Also with that memory if operators in the middle would run on the host for want of room.
    """
    def compiled(outside: str | None) -> Program:
        return compile(graph, config, keep_dead_channels=keep_dead_channels,
                       require_accelerator=require_accelerator, outside=outside)

    constants = sum(t.data.nbytes for t in graph.tensors if t.data is not None)
    # Weights hardly shrink: where they are twice the memory, the first attempt is spared.
    if constants < 2 * config.memory_bytes:
        try:
            program = compiled(None)
        except CompileError:
            return compiled("ideal")   # what is not for want of memory is raised again
        if not host_segments(program).count:
            return program
        return min(compiled("ideal"), program, key=lambda each: len(each.host_ops))
    return compiled("ideal")


def _memory(program: Program) -> str:
    on_chip = f"on chip, {program.config.memory_bytes >> 10} KiB"
    return on_chip if program.outside is None else f"{program.outside}, outside"


def peers(folder: Path, rows: Iterable[dict[str, Any]],
          progress: Progress) -> dict[str, Any]:
    """Figures of others for the models of ``rows``; Vela's are made anew where it is installed."""
    version = vela_version()
    macs = {row["model"]: row["macs"] for row in rows}
    models: dict[str, list[dict[str, Any]]] = {file: [] for file in macs}
    for peer in PEERS:
        if peer.file not in macs:
            continue
        values = peer.as_dict(macs[peer.file])
        if version is not None and peer.name.startswith(VELA) and peer.multipliers is not None:
            progress(f"vela on {peer.file}")
            cycles = vela_cycles(folder / peer.file, peer.multipliers)
            values |= {"cycles": cycles, "rerun": True,
                       "utilization": macs[peer.file] / (cycles * peer.multipliers),
                       "source": f"Vela {version} estimate, all in SRAM"}
        models[peer.file].append(values)
    return {"vela": version, "models": models}
