"""Keyword spotting on a SoC by LiteX, simulated whole: VexRiscv, its firmware, the accelerator.

    python examples/litex_soc/keywords.py --clips 2

The firmware in C loads the network through the driver, runs it on each clip, and writes the class
and all scores to the UART. They are compared with the golden model's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from firmware import build_firmware
from simulation import Run, build, lint, run, write_verilog
from soc import AcceleratorSoC

import kaniwa
from kaniwa import golden
from kaniwa.program.program import Program

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
WORDS = "down go left no off on right stop up yes silence unknown".split()


def simulate(program: Program, target: str, clips: np.ndarray, names: list[str],
             folder: Path, limit: int = 20_000_000) -> Run:
    """``program`` on each of ``clips``, by the firmware of a simulated SoC."""
    rom_bytes = 1 << (sum(len(data) for _, data in program.images) + clips.size + 8191).bit_length()
    soc = AcceleratorSoC(target, rom_bytes)
    soc.finalize()
    soc.init_rom("rom", build_firmware(soc, program, clips, names, folder), auto_size=False)
    files = write_verilog(soc, folder)
    assert not (warnings := lint(files, folder)), warnings
    return run(build(files, folder), folder, limit)


def expected(program: Program, clips: np.ndarray, names: list[str]) -> list[str]:
    """The lines that the firmware shall write, without cycles."""
    graph = program.graph
    lines = []
    for clip in clips:
        values = golden.run(graph, {graph.tensors[graph.inputs[0]].name: clip})
        scores = values[graph.outputs[0]].reshape(-1)
        lines.append(" ".join([names[int(np.argmax(scores))], *map(str, scores)]))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default=str(HERE / "target.toml"))
    parser.add_argument("--clips", type=int, default=2)
    args = parser.parse_args()

    program = kaniwa.compile(MODELS / "mlperf_kws_dscnn.tflite", target=args.target)
    with np.load(MODELS / "inputs" / "kws01_1000.npz") as file:
        clips, labels = file["x"][:args.clips, None], file["y"][:args.clips]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = simulate(program, args.target, clips, WORDS, Path(folder))
    print(done.text, end="")
    written = [line.partition(" cycles ")[0] for line in done.text.splitlines()]
    if written != expected(program, clips, WORDS):
        raise SystemExit("not equal to golden")
    print(f"spoken: {' '.join(WORDS[label] for label in labels)}; equal to golden; "
          f"{done.cycles:,} cycles, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
