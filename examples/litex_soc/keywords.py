"""Keyword spotting on a SoC by LiteX, simulated whole: VexRiscv, its firmware, the accelerator.

    pip install '.[litex]'                                     # and gcc-riscv64-unknown-elf
    python examples/litex_soc/keywords.py --clips 2            # the network in the accelerator
    python examples/litex_soc/keywords.py --outside bus        # its weights in an SDRAM

The firmware in C loads the network through the driver, runs it on each clip, and writes the class
and all scores to the UART. They are compared with the golden model's.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

import numpy as np
from firmware import build_firmware
from simulation import Run, build, run, write_verilog
from soc import AcceleratorSoC

import kaniwa
from kaniwa import golden
from kaniwa.program.program import Program

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
WORDS = "down go left no off on right stop up yes silence unknown".split()
LIMIT = 20_000_000     # cycles before a simulation is given up


def simulate(soc: AcceleratorSoC, program: Program, clips: np.ndarray, folder: Path) -> Run:
    """``program`` on each of ``clips``, by the firmware of a ``soc`` that is simulated."""
    soc.finalize()
    soc.init_rom("rom", build_firmware(soc, program, clips, WORDS, folder), auto_size=False)
    files = write_verilog(soc, folder)
    return run(build(files, folder), folder, LIMIT)


def expected(program: Program, clips: np.ndarray) -> list[str]:
    """The lines that the firmware shall write, without cycles."""
    graph = program.graph
    lines = []
    for clip in clips:
        values = golden.run(graph, {graph.tensors[graph.inputs[0]].name: clip})
        scores = values[graph.outputs[0]].reshape(-1)
        lines.append(" ".join([WORDS[int(np.argmax(scores))], *map(str, scores)]))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1, help="how many to listen to")
    parser.add_argument("--outside", choices=["bus", "sdram"],
                        help="weights in an SDRAM, reached over the SoC's bus or by a port of its "
                             "own; the network is a transformer then")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)     # LiteX tells much

    target = str(HERE / "target.toml")
    model, data = (("keyword_transformer.tflite", "keyword_transformer.npz") if args.outside else
                   ("mlperf_kws_dscnn.tflite", "kws01_1000.npz"))
    program = kaniwa.compile(MODELS / model, target=target,
                             outside="sdram" if args.outside else None)
    with np.load(MODELS / "inputs" / data) as file:
        clips = file["x"][:args.clips, None]
        labels = file["labels" if args.outside else "y"][:args.clips]
    # A port of its own is worth AXI: Wishbone has one transfer at a time.
    soc = AcceleratorSoC(target, 256 << 10, args.outside,
                         "axi4" if args.outside == "sdram" else None)
    with tempfile.TemporaryDirectory() as folder:
        done = simulate(soc, program, clips, Path(folder))
    print(done.text, end="")
    written = [line.partition(" cycles ")[0] for line in done.text.splitlines()]
    if written != expected(program, clips):
        raise SystemExit("not equal to golden")
    print(f"spoken: {' '.join(WORDS[label] for label in labels)}; all scores equal to golden; "
          f"{done.cycles:,} cycles of the SoC")


if __name__ == "__main__":
    main()
