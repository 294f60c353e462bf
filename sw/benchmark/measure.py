"""A program on a device: cycles, what they went to, values beside golden, and the estimate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from kaniwa import golden
from kaniwa.config import AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.program.program import Program
from kaniwa.program.summary import summary

__all__ = ["ESTIMATE", "Progress", "measure", "open_device"]

Progress = Callable[[str], None]
ESTIMATE = "estimate"   # the device that runs nothing


def open_device(name: str, config: AcceleratorConfig,
                progress: Progress | None = None) -> devices.Device | None:
    """The device with ideal outside memory beside its own; None for "estimate"."""
    if name == ESTIMATE:
        return None
    return devices.open(name, target=config, outside="ideal", progress=progress)


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
