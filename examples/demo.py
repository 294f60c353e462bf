"""`make demo`: ten CIFAR-10 images through ResNet-8 on the simulated core, checked with golden."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import _needs  # noqa: F401
import numpy as np

import kaniwa
from kaniwa import golden
from kaniwa.commands.tables import show_layers, show_table
from kaniwa.data.inputs import load_inputs
from kaniwa.importers import load_model

MODELS = Path(__file__).resolve().parent.parent / "models"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def main() -> int:
    """Run the demo; 0 if every answer equals the golden model's."""
    began = time.monotonic()
    graph = load_model(MODELS / "mlperf_ic_resnet8.tflite")
    program = kaniwa.compile(graph, target="base")
    images = load_inputs(MODELS / "inputs" / "resnet8_ten.npz", program.inputs)
    labels = np.load(MODELS / "inputs" / "resnet8_ten.npz")["labels"]
    print(f"compiled ResNet-8 for target 'base': {len(program.instructions)} instructions, "
          f"{program.local_bytes:,} bytes of device memory", flush=True)
    print("building the simulated core (about a minute the first time, then cached) ...",
          flush=True)
    rows, mismatches = [], 0
    with kaniwa.open("sim", target="base") as device:
        session = kaniwa.Session(program, device)
        print(f"ready after {time.monotonic() - began:.1f} s", flush=True)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            output = session.run(image)[program.outputs[0].name]
            expected = golden.run(graph, image)[graph.outputs[0]]
            different = int(np.count_nonzero(output != expected))
            mismatches += different
            rows.append((number, CLASSES[label], CLASSES[int(np.argmax(output))],
                         "no" if different else "yes"))
    show_table("Ten CIFAR-10 test images on the Verilated core",
               ("image", "truth", "answer", "equal to golden"), rows)
    show_layers("Cycles of one inference", session.stats.layers)
    print(f"cycles an inference: {session.stats.cycles:,} "
          f"(utilization {session.stats.utilization:.3f}); SOFTMAX runs on the host")
    print(f"mismatches: {mismatches}")
    print(f"done in {time.monotonic() - began:.1f} s")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
