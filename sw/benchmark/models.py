"""Runs the models on one device: cycles, lost cycles, values and the estimate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.benchmark.cases import PEERS, VELA, Case
from kaniwa.benchmark.dsp_blocks import dsp_blocks
from kaniwa.benchmark.vela import vela_cycles, vela_version
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.program.host_segments import host_segments
from kaniwa.program.program import Program
from kaniwa.program.summary import summary
from kaniwa.stage import Stage

__all__ = ["Progress", "compile_near", "measure_models", "measure", "open_device", "peers"]

Progress = Callable[[str], None]
ESTIMATE = "estimate"   # the device that runs nothing


def open_device(name: str, config: AcceleratorConfig,
                progress: Progress) -> devices.Device | None:
    """The device with ideal outside memory beside its own; None for "estimate"."""
    if name == ESTIMATE:
        return None
    return devices.open(name, target=config, outside="ideal", progress=progress)


def measure_models(device: str, cases: Iterable[Case], folder: Path, samples: int,
                   progress: Progress) -> list[dict[str, Any]]:
    """One row a case. Cases of one target run one after the other on one open device."""
    rows: list[dict[str, Any]] = []
    cases = list(cases)
    for target in dict.fromkeys(case.target for case in cases):
        opened = open_device(device, PRESETS[target], progress)
        try:
            for case in cases:
                if case.target == target:
                    progress(Stage(case.key, len(rows), len(cases), "models", steady=False))
                    rows.append(_row(case, opened, device, folder, samples))
        finally:
            if opened is not None:
                opened.close()
    return rows


def _row(case: Case, opened: devices.Device | None, device: str, folder: Path,
         samples: int) -> dict[str, Any]:
    path = folder / case.file
    began = time.monotonic()
    graph = load_model(path)
    program = compile_near(graph, PRESETS[case.target], case.keep_dead_channels)
    seconds = time.monotonic() - began
    inputs = recorded_inputs(path, program.inputs)[:samples]
    row = {"key": case.key, "title": case.title, "model": case.file, "target": case.target,
           "multipliers": program.config.multipliers, "host": [op.kind for op in program.host_ops],
           "memory": _memory(program), "memory_bytes": program.local_bytes,
           "outside_bytes": program.outside_bytes, "weight_bytes": program.weight_bytes,
           **measure(graph, program, opened, device, inputs),
           "bar": case.bar, "compile_seconds": round(seconds, 2)}
    row["dsps"] = dsp_blocks(program.config)
    row["macs_per_dsp"] = row["macs_per_cycle"] / row["dsps"]
    row["reached"] = case.bar is None or row["cycles"] <= case.bar
    return row


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


def measure(graph: Graph, program: Program, opened: devices.Device | None, device: str,
            inputs: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Cycles, what they went to, and how many output elements differ from golden.

    Without a device the cycles are the estimate, and nothing is compared.
    """
    estimated = estimate(program)
    row = summary(program, estimated)
    cycles, layers = [row["cycles"]], row["layers"]
    checked = mismatches = 0
    seconds = 0.0
    if opened is not None:
        session = Session(program, opened)
        cycles = []
        for item in inputs:
            session.reset()
            outputs = session.run(item)
            assert session.stats is not None
            cycles.append(session.stats.cycles)
            layers = session.stats.layers if len(cycles) == 1 else layers
            seconds += session.stats.seconds
            expected = golden.run(graph, item)
            for number in graph.outputs:
                got = outputs[graph.tensors[number].name]
                checked += got.size
                mismatches += int(np.count_nonzero(got != expected[number]))
    lost: Counter[str] = Counter()
    for layer in layers:
        lost.update(layer["lost"])
    # From the instructions, so that issued + lost = cycles checks the device's counters.
    issued = sum(tag.issued for tag in estimated.per_layer(program.turns))
    counted = device == "sim"
    return {
        "macs": program.macs, "cycles": cycles[0], "cycles_max": max(cycles),
        "inferences": len(inputs) if opened is not None else 0,
        "utilization": program.utilization(program.macs, cycles[0]),
        "macs_per_cycle": program.macs / cycles[0],
        "issued": issued, "lost": dict(lost), "checked": checked,
        "mismatches": mismatches, "estimate": row["cycles"],
        "estimate_error": (100 * (row["cycles"] - cycles[0]) / cycles[0] if counted else None),
        "run_seconds": round(seconds / len(inputs), 2) if opened is not None else None,
    }


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
