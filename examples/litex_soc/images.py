"""MobileNetV2 on a SoC by LiteX, simulated whole, with weights and large maps in its SDRAM.

    pip install '.[litex]'                                # and gcc-riscv64-unknown-elf
    python examples/litex_soc/images.py                   # persons, 160 x 160, width 0.35
    python examples/litex_soc/images.py --network 224     # width 1, seeded weights; minutes

A boot loader has put the network into the SDRAM. The firmware in C runs it on a picture and writes
class and scores to the UART. They are compared with the golden model's, and the core's cycles with
those of the estimate.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path

import numpy as np
from firmware import sdram_contents
from network import differing, expected, simulate
from soc import AcceleratorSoC

import kaniwa
from kaniwa.benchmark.networks.mobile import mobilenet_v2
from kaniwa.cycles.estimate import estimate
from kaniwa.graph import Graph
from kaniwa.importers import load_model

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
MEMORY = "litedram,module=MT48LC4M16,bytes=4,clock=50"     # soc.py has two chips of 16 bits
LIMIT = 200_000_000     # cycles before a simulation is given up


def chosen(network: str) -> tuple[Graph, np.ndarray, list[str]]:
    """Graph, one input with an axis for inferences in front, and names of classes."""
    if network == "160":
        graph = load_model(MODELS / "cfu_mbv2_160_035.tflite")
        names = ["nobody", "person"]
    else:
        graph = mobilenet_v2().graph
        names = [str(number) for number in range(1000)]
    shape = graph.tensors[graph.inputs[0]].shape
    picture = np.random.default_rng(1).integers(-128, 128, (1, *shape)).astype(np.int8)
    return graph, picture, names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=["160", "224"], default="160",
                        help="MobileNetV2 for pictures of that size")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)     # LiteX tells much

    target = str(HERE / "target.toml")
    graph, picture, names = chosen(args.network)
    program = kaniwa.compile(graph, target=target, outside=MEMORY)
    soc = AcceleratorSoC(target, 512 << 10, "sdram", "axi4", sdram_contents(program))
    with tempfile.TemporaryDirectory() as folder:
        done = simulate(soc, program, picture, names, Path(folder), LIMIT, in_place=True)
    if differing(done, expected(program, picture, names)):
        raise SystemExit(f"not equal to golden: {done.text}")
    cycles, planned = int(done.text.split()[-1]), estimate(program).cycles
    print(f"class {done.text.split()[0]}; {len(names)} scores equal to golden")
    print(f"{cycles:,} cycles of the core, {cycles / planned - 1:+.1%} beside the estimate; "
          f"{done.cycles:,} of the SoC")


if __name__ == "__main__":
    main()
