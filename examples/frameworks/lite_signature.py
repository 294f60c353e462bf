"""Handwritten digits by the signature of a TensorFlow Lite model: inputs and outputs by name.

    python lite_signature.py --limit 10

A script for LiteRT whose import is changed.
"""

import argparse
from pathlib import Path

import numpy as np

from kaniwa.lite import Interpreter  # was: from ai_edge_litert.interpreter import Interpreter

MODELS = Path(__file__).resolve().parents[2] / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(MODELS / "digits_transformer.tflite"))
    parser.add_argument("--data", default=MODELS / "inputs" / "digits_transformer.npz")
    parser.add_argument("--limit", type=int, default=20)
    args = parser.parse_args()

    interpreter = Interpreter(args.model)
    for key, names in interpreter.get_signature_list().items():
        print(f"{key}: {', '.join(names['inputs'])} to {', '.join(names['outputs'])}")
    read = interpreter.get_signature_runner("serving_default")
    scale, zero_point = read.get_output_details()["output_0"]["quantization"]

    with np.load(args.data) as data:
        images, labels = data["x"][:args.limit], data["labels"][:args.limit]
    right = 0
    for image, label in zip(images, labels, strict=True):
        scores = (read(x=image[np.newaxis])["output_0"][0].astype(np.int32) - zero_point) * scale
        right += int(np.argmax(scores)) == label
        print(f"{label} is read as {np.argmax(scores)} ({scores.max():.3f})")
    print(f"{right} of {len(images)} right")


if __name__ == "__main__":
    main()
