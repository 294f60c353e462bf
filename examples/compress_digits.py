"""A network for handwritten digits of 8x8 pixels, compressed step by step, on the simulated core.

    pip install '.[sim,quantize,compress]'
    python examples/compress_digits.py --output digits_small.onnx
    python examples/compress_digits.py --device emulator --json steps.json

Three convolutions and a dense layer learn the first 1,437 of scikit-learn's 1,797 digits (Alpaydin
and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0), each in four forms. Then
channels are removed, words of the weight ring become zero, weights are shared, and get 4 bits. The
last 360 digits are held back: accuracy is theirs, through the quantised model. Rows show the pruned
weights on the same target with step lists, which leave words of zeros out of the array's loops, and
the shared ones on that with codebooks. With --checkpoint FILE a run that was stopped goes on where
it was.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import _needs  # noqa: F401
import torch
from parts.compressing import Steps, options_of, run, save
from parts.digits import TRAINING, digits, varied_digits
from torch import nn

from kaniwa.commands.progress import progress
from kaniwa.compression.pytorch.measure import Bench
from kaniwa.compression.pytorch.recipe import Recipe, compress
from kaniwa.compression.pytorch.steps import (
    BlockPruning,
    ChannelPruning,
    FoldNormalization,
    Quantized,
    Step,
    Training,
    WeightSharing,
)
from kaniwa.compression.pytorch.training import Data, Settings, accuracy
from kaniwa.config import load_target

TARGET = "base"
WITH_LISTS = replace(load_target(TARGET), step_entries=1024, name="base with step lists")
WITH_CODES = replace(load_target(TARGET), codebook_entries=16, name="base with codebooks")
FORMS = 4
FLOAT = Recipe((Training(epochs=6),), Settings(rate=3e-3, distillation=0.0))
SMALL = Recipe((
    ChannelPruning(sparsity=0.25, multiple=8, epochs=3),
    BlockPruning(sparsity=0.25, target=TARGET, epochs=2),
    FoldNormalization(),
    WeightSharing(entries=16, epochs=2),
    Quantized(bits=4, epochs=2)), Settings(rate=1e-3))


def network() -> nn.Module:
    """Three convolutions of 3x3, normalised, and a dense layer: 58,144 weights."""
    def convolution(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                nn.ReLU()]

    return nn.Sequential(
        *convolution(1, 32), *convolution(32, 64), nn.MaxPool2d(2), *convolution(64, 64),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10))


def samples() -> tuple[Data, Data]:
    """Those to learn from, and those that are held back, [n, 1, 8, 8]."""
    x, labels = digits()
    many, wanted = varied_digits(x, labels)
    count = FORMS * TRAINING
    return (Data(many[:count].transpose(0, 3, 1, 2), wanted[:count].argmax(1)),
            Data(x[TRAINING:].transpose(0, 3, 1, 2), labels[TRAINING:]))


def main() -> int:
    options = options_of(__doc__.splitlines()[0]).parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)      # the same weights every time
    torch.manual_seed(0)
    learned, held_back = samples()
    first = options.checkpoint and options.checkpoint.with_suffix(".float")
    with progress("compressing") as update:
        steps = Steps(Bench(learned, held_back, TARGET))
        codes = Bench(learned, held_back, WITH_CODES, by_channel=False)
        lists = Bench(learned, held_back, WITH_LISTS)

        def after(module: nn.Module, number: int, step: Step) -> None:
            if step.epochs:
                steps.take(module, type(step).__name__, getattr(step, "bits", 8))
            if isinstance(step, WeightSharing):
                steps.take(module, "the same, with codes", 8, codes)
            if isinstance(step, BlockPruning | Quantized):
                steps.take(module, "the same, with lists", getattr(step, "bits", 8), lists)

        module = compress(network(), FLOAT, learned, checkpoint=first, progress=update)
        in_float = accuracy(module, held_back)
        steps.take(module, "float, int8", 8)
        float_bytes = 4 * steps.rows[0]["weights"]
        compress(module, SMALL, learned, checkpoint=options.checkpoint, progress=update,
                 after=after)
        update(f"running on {options.device}")
        ran = run(steps.model, held_back, WITH_LISTS, options.device)
    steps.show("the float model's weights have", float_bytes)
    small = steps.rows[-1]
    print(f"float32: {in_float:.1%} right; int4: {small['accuracy']:.1%}, with constants "
          f"{float_bytes / small['bytes']:.1f} times smaller than 4 bytes a weight")
    print(f"{ran['device']}: {ran['inferences']} digits, {ran['right']} right, "
          f"{ran['different']} different from golden, {ran['cycles']:,} cycles each")
    print(f"done in {time.monotonic() - began:.0f} s")
    save(options, steps, {
        "target": TARGET, "float_bytes": float_bytes, "float_accuracy": in_float,
        "steps": steps.rows, "run": ran})
    return 1 if ran["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
