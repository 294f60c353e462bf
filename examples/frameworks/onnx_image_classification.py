"""Classes of a picture by a quantised ONNX model: the most likely first.

    python onnx_image_classification.py --image cat.png

A script for ONNX Runtime whose import is changed.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import kaniwa as ort  # was: import onnxruntime as ort

MODELS = Path(__file__).resolve().parents[2] / "models"
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--model", default=str(MODELS / "onnx_mlperf_ic_qdq.onnx"))
    args = parser.parse_args()

    session = ort.InferenceSession(args.model, providers=ort.get_available_providers())
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    _, height, width, _ = taken.shape
    picture = Image.open(args.image).convert("RGB").resize((width, height))
    pixels = np.expand_dims(np.asarray(picture, np.float32), 0)

    scores = session.run([given.name], {taken.name: pixels})[0][0]
    for number in np.argsort(-scores, kind="stable")[:5]:
        print(f"{scores[number]:.4f}: {CIFAR10[number]}")


if __name__ == "__main__":
    main()
