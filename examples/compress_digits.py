"""A network for handwritten digits of 8x8 pixels, compressed step by step, on the simulated core.

    pip install '.[sim,quantize,compress]'
    python examples/compress_digits.py --output digits_small.onnx
    python examples/compress_digits.py --device emulator --json steps.json

Three convolutions and a dense layer learn the first 1,437 of scikit-learn's 1,797 digits (Alpaydin
and Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0), each in four forms. Then
channels are removed, words of the weight ring become zero, weights are shared, and get 4 bits. The
last 360 digits are held back: accuracy is theirs, through the quantised model. With --checkpoint
FILE a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _needs  # noqa: F401
import numpy as np
import torch
from parts.digits import TRAINING, digits, varied_digits
from torch import nn

import kaniwa
from kaniwa import golden
from kaniwa.commands.progress import progress
from kaniwa.commands.tables import show_table
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
    weights_left,
)
from kaniwa.compression.pytorch.training import Data, Settings, accuracy
from kaniwa.files import write_atomic
from kaniwa.importers import load_model

TARGET = "base"
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


class Steps:
    """A row for each step: what the module is as a quantised model, compiled for TARGET."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.rows: list[dict[str, Any]] = []
        self.model = b""

    def take(self, module: nn.Module, name: str, bits: int) -> None:
        """Add the row of ``module`` with weights of ``bits``."""
        self.model = self._bench.model(module, bits)
        found = self._bench.measure_model(self.model)
        left = weights_left(module)
        self.rows.append({
            "step": name, "bits": bits, "weights": sum(count for _, count in left.values()),
            "not_zero": sum(count for count, _ in left.values()),
            "accuracy_float": accuracy(module, self._bench.held_back),
            "accuracy": found.accuracy, "bytes": found.bytes, "cycles": found.cycles})

    def show(self, float_bytes: int) -> None:
        """Print the rows; bytes are those of the program, ratios those beside float32."""
        show_table(f"On target '{TARGET}'; the float model's weights have {float_bytes:,} bytes",
                   ("step", "weights", "not 0", "bits", "accuracy", "bytes", "smaller", "cycles"),
                   [(row["step"], f"{row['weights']:,}", f"{row['not_zero']:,}", str(row["bits"]),
                     f"{row['accuracy']:.1%}", f"{row['bytes']:,}",
                     f"{float_bytes / row['bytes']:.1f}x", f"{row['cycles']:,}")
                    for row in self.rows])


def run(model: bytes, held_back: Data, device_name: str, folder: Path) -> dict[str, Any]:
    """All held-back digits through a device, each beside golden."""
    path = folder / "small.onnx"
    path.write_bytes(model)
    graph = load_model(path)
    right = different = 0
    with kaniwa.open(device_name) as device:
        session = kaniwa.Session(kaniwa.compile(graph, TARGET), device)
        for image, label in zip(held_back.x, held_back.labels, strict=True):
            (scores,) = session.run({"image": image[None]}).values()
            expected = golden.run(graph, {"image": image[None]})[graph.outputs[0]]
            different += not np.array_equal(scores, expected)
            right += int(scores.argmax() == label)
    return {"device": device_name, "inferences": len(held_back.x), "right": right,
            "different": different, "cycles": session.stats.cycles}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--device", choices=("sim", "emulator"), default="sim")
    parser.add_argument("--output", type=Path, help="write the quantised ONNX model")
    parser.add_argument("--json", type=Path, help="write the rows")
    parser.add_argument("--checkpoint", type=Path, help="go on from this file, and write it")
    options = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)      # the same weights every time
    torch.manual_seed(0)
    learned, held_back = samples()
    first = options.checkpoint and options.checkpoint.with_suffix(".float")
    with tempfile.TemporaryDirectory() as made, progress("compressing") as update:
        steps = Steps(Bench(learned, held_back, TARGET))

        def after(module: nn.Module, number: int, step: Step) -> None:
            if step.epochs:
                steps.take(module, type(step).__name__, getattr(step, "bits", 8))

        module = compress(network(), FLOAT, learned, checkpoint=first, progress=update)
        float_bytes = 4 * sum(count for _, count in weights_left(module).values())
        in_float = accuracy(module, held_back)
        steps.take(module, "float, int8", 8)
        compress(module, SMALL, learned, checkpoint=options.checkpoint, progress=update,
                 after=after)
        update(f"running on {options.device}")
        ran = run(steps.model, held_back, options.device, Path(made))
    steps.show(float_bytes)
    small = steps.rows[-1]
    print(f"float32: {in_float:.1%} right; int4: {small['accuracy']:.1%}, with constants "
          f"{float_bytes / small['bytes']:.1f} times smaller than 4 bytes a weight")
    print(f"{ran['device']}: {ran['inferences']} digits, {ran['right']} right, "
          f"{ran['different']} different from golden, {ran['cycles']:,} cycles each")
    print(f"done in {time.monotonic() - began:.0f} s")
    if options.output:
        write_atomic(options.output, steps.model)
    if options.json:
        write_atomic(options.json, json.dumps({
            "target": TARGET, "float_bytes": float_bytes, "float_accuracy": in_float,
            "steps": steps.rows, "run": ran}, indent=1).encode() + b"\n")
    return 1 if ran["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
