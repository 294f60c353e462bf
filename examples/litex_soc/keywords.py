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
from network import differing, expected, simulate
from soc import AcceleratorSoC

import kaniwa

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
WORDS = "down go left no off on right stop up yes silence unknown".split()
LIMIT = 20_000_000     # cycles before a simulation is given up


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
        done = simulate(soc, program, clips, WORDS, Path(folder), LIMIT)
    print(done.text, end="")
    if differing(done, expected(program, clips, WORDS)):
        raise SystemExit("not equal to golden")
    print(f"spoken: {' '.join(WORDS[label] for label in labels)}; all scores equal to golden; "
          f"{done.cycles:,} cycles of the SoC")


if __name__ == "__main__":
    main()
