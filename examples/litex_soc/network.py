"""A network on the simulated SoC, and what golden says of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from firmware import build_firmware
from simulation import Run, build, run, write_verilog
from soc import AcceleratorSoC

from kaniwa import golden
from kaniwa.program.program import Program


def simulate(soc: AcceleratorSoC, program: Program, inputs: np.ndarray, names: Sequence[str],
             folder: Path, limit: int, in_place: bool = False) -> Run:
    """``program`` on each of ``inputs``, by the firmware of a ``soc`` that is simulated.

    ``limit``: cycles before the simulation is given up. The rest is as for ``build_firmware``.
    """
    soc.finalize()
    words = build_firmware(soc, program, inputs, names, folder, in_place)
    soc.init_rom("rom", words, auto_size=False)
    files = write_verilog(soc, folder)
    return run(build(files, folder), folder, limit)


def expected(program: Program, inputs: np.ndarray, names: Sequence[str]) -> list[str]:
    """The lines that the firmware shall write, without cycles."""
    graph = program.graph
    lines = []
    for one in inputs:
        values = golden.run(graph, {graph.tensors[graph.inputs[0]].name: one})
        scores = values[graph.outputs[0]].reshape(-1)
        lines.append(" ".join([names[int(np.argmax(scores))], *map(str, scores)]))
    return lines


def differing(done: Run, lines: Sequence[str]) -> int:
    """Lines of the firmware that are not those of golden."""
    written = [line.partition(" cycles ")[0] for line in done.text.splitlines()]
    return sum(one != other for one, other in zip(written, lines, strict=False)) + abs(
        len(written) - len(lines))
