"""Whole models through a virtual board on a pseudo-terminal: `python bench/virtual_board.py`.

Runs ``kaniwa board-sim`` and, against it, ``kaniwa run --device serial:...`` as with a real board:
keyword spotting and ResNet-8 on a good line, then --inferences of a small model on a line with bit
errors, drops and duplicates. Every output is compared with golden; fails if one differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.importers import load_model

MODELS = Path(__file__).resolve().parent.parent / "models"
KANIWA = [sys.executable, "-m", "kaniwa.cli"]
GOOD_LINE = ("mlperf_kws_dscnn", "mlperf_ic_resnet8")
SMALL = "tflm_micro_speech"


@contextlib.contextmanager
def board_sim(board: str, *options: str) -> Iterator[dict[str, Any]]:
    """What the virtual board says of itself; it ends with the block."""
    process = subprocess.Popen([*KANIWA, "board-sim", "--board", board, "--json", *options],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def run(board: dict[str, Any], model: str, *options: str) -> dict[str, Any]:
    """Inferences of a model on the board, compared with golden; prints what came of them."""
    began = time.monotonic()
    done = subprocess.run(
        [*KANIWA, "run", str(MODELS / f"{model}.tflite"), "--target", board["target"], "--device",
         board["device"], "--check", "--json", *options], stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        sys.exit(1)   # it has said why
    values = json.loads(done.stdout)
    row = {"model": model, "inferences": values["inferences"], "cycles": values["cycles"],
           "mismatches": values["mismatches"], "checked": values["checked"],
           **values["link"], "seconds": round(time.monotonic() - began, 1)}
    print("  ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                    for name, value in row.items()), flush=True)
    return row


def random_inputs(model: str, count: int, path: Path) -> None:
    """Write random inputs of a model with one input."""
    graph = load_model(MODELS / f"{model}.tflite")
    tensor = graph.tensors[graph.inputs[0]]
    shape = (count, *tensor.shape[1:])
    np.save(path, np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8))


def main() -> int:
    """Exit status 1 if an output differs from golden."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="ulx3s_85f")
    parser.add_argument("--inferences", type=int, default=200, help="on the bad line")
    parser.add_argument("--bit-errors", default="1e-4")
    parser.add_argument("--drops", default="1e-4")
    parser.add_argument("--duplicates", default="1e-4")
    options = parser.parse_args()
    rows = []
    with board_sim(options.board) as board:
        rows += [run(board, model, "--limit", "1") for model in GOOD_LINE]
    faults = [f"--{name}={getattr(options, name.replace('-', '_'))}"
              for name in ("bit-errors", "drops", "duplicates")]
    with tempfile.TemporaryDirectory() as folder, board_sim(options.board, *faults) as board:
        inputs = Path(folder) / "inputs.npy"
        random_inputs(SMALL, options.inferences, inputs)
        rows.append(run(board, SMALL, "--input", str(inputs)))
    return 1 if any(row["mismatches"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
