"""MLPerf Tiny's keyword network, compressed step by step, on the simulated core.

    pip install '.[sim,quantize,compress]'
    python examples/compress_keywords.py --output keywords_small.onnx
    python examples/compress_keywords.py --device emulator --json steps.json

The weights of `mlperf_kws_dscnn.tflite`, int8, are a PyTorch module's to begin with, which is also
the teacher. Channels are removed, those first that the next layer can do without, and weights get 4
bits. What is left learns 700 of the 1,000 clips of `inputs/kws01_1000.npz`, each in 40 forms, from
their labels and the teacher's answers. They are test clips of MLPerf Tiny (Speech Commands v2, P.
Warden, 2018, CC BY 4.0; features by MLCommons and EEMBC). The other 300 are held back: accuracy is
theirs, through the quantised model. --validation measures on 140 of the 700 in place of them, and
learns the rest; all choices were made so. With --checkpoint FILE a run that was stopped goes on
where it was.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import _needs  # noqa: F401
import numpy as np
import torch
from parts.compressing import Steps, options_of, run, save
from parts.keywords import CLIPS, MODEL, clips, network, real, varied
from parts.refit import RefitPruning
from torch import nn

import kaniwa
from kaniwa.commands.progress import progress
from kaniwa.compression.pytorch.measure import Bench
from kaniwa.compression.pytorch.recipe import Recipe, compress
from kaniwa.compression.pytorch.steps import Quantized, Step
from kaniwa.compression.pytorch.training import Data, Settings, accuracy

TARGET = "base"
LEARNED, VALIDATION = 700, 140
FORMS = 40
KEPT = (48, 48, 48, 48, 32)     # channels of 64, group by group: blocks of 8 outputs
SETTINGS = Settings(rate=2e-3, distillation=0.9, temperature=2.0)
EPOCHS = (2, 4)                 # of the float network, and in 4 bits


def parts_of(x: np.ndarray, validation: bool) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the clips to learn from, and of those to measure with."""
    order = np.random.default_rng(0).permutation(len(x))
    if validation:
        return order[:LEARNED - VALIDATION], order[LEARNED - VALIDATION:LEARNED]
    return order[:LEARNED], order[LEARNED:]


def lessons(x: np.ndarray, labels: np.ndarray, forms: int) -> Data:
    """Each clip as it is, and in ``forms`` - 1 others of the same label."""
    rng = np.random.default_rng(0)
    return Data(np.concatenate([x, *(varied(x, rng) for _ in range(forms - 1))]),
                np.tile(labels, forms))


def of_reference(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What MLPerf Tiny's int8 model has."""
    program = kaniwa.compile(MODEL, TARGET)
    return {"model": MODEL.name, "accuracy": kaniwa.evaluate(program, (features, labels)).accuracy,
            "bytes": program.weight_bytes, "cycles": kaniwa.estimate(program).cycles}


def main() -> int:
    parser = options_of(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=CLIPS, help="clips, as x and y of an .npz")
    parser.add_argument("--validation", action="store_true", help="measure without the held back")
    options = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)      # the same weights every time
    torch.manual_seed(0)
    features, labels = clips(options.data)
    x = real(features)
    learned, measured = parts_of(x, options.validation)
    held_back = Data(x[measured], labels[measured])
    data = lessons(x[learned], labels[learned], FORMS)
    with progress("compressing") as update:
        reference = of_reference(features[measured], labels[measured])
        steps = Steps(Bench(data, held_back, TARGET, calibrated=len(learned)))

        def after(module: nn.Module, number: int, step: Step) -> None:
            steps.take(module, type(step).__name__, getattr(step, "bits", 8))

        module = network()
        steps.take(module, "its weights", 8)
        compress(module, Recipe((
            RefitPruning(kept=KEPT, samples=x[learned], epochs=EPOCHS[0]),
            Quantized(bits=4, epochs=EPOCHS[1])), SETTINGS), data,
            checkpoint=options.checkpoint, progress=update, after=after)
        update(f"running on {options.device}")
        ran = run(steps.model, held_back, TARGET, options.device)
    show(options, reference, steps, ran)
    in_float = accuracy(module, held_back)
    print(f"its weights in float32: {in_float:.1%} right")
    print(f"done in {time.monotonic() - began:.0f} s")
    save(options, steps, {
        "target": TARGET, "float_bytes": 4 * steps.rows[0]["weights"],
        "float_accuracy": in_float, "reference": reference, "steps": steps.rows, "run": ran})
    return 1 if ran["different"] else 0


def show(options: argparse.Namespace, reference: dict[str, Any], steps: Steps,
         ran: dict[str, Any]) -> None:
    """Print the table, and what the last row is beside the reference."""
    steps.show(f"the program of {reference['model']} has", reference["bytes"])
    small = steps.rows[-1]
    print(f"{reference['model']}: {reference['accuracy']:.1%} right, {reference['cycles']:,} "
          f"cycles; compressed: {small['accuracy']:.1%}, {small['cycles']:,} cycles, constants "
          f"{reference['bytes'] / small['bytes']:.2f} times smaller, "
          f"{reference['cycles'] / small['cycles']:.2f} times fewer cycles")
    print(f"{ran['device']}: {ran['inferences']} clips, {ran['right']} right, "
          f"{ran['different']} different from golden, {ran['cycles']:,} cycles each")


if __name__ == "__main__":
    sys.exit(main())
