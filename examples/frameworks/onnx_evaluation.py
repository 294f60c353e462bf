"""Accuracy of a quantised ONNX model, in batches as a loader gives them.

    python onnx_evaluation.py --limit 100

A script for ONNX Runtime whose import is changed. The model takes one sample at a time.
"""

import argparse
from pathlib import Path

import numpy as np

from kaniwa import InferenceSession  # was: from onnxruntime import InferenceSession

MODELS = Path(__file__).resolve().parents[2] / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(MODELS / "digits_gru_qdq.onnx"))
    parser.add_argument("--data", default=MODELS / "inputs" / "digits_gru_qdq.npz")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--limit", type=int, default=64)
    args = parser.parse_args()

    with np.load(args.data) as data:
        samples, labels = data["x"][:args.limit], data["labels"][:args.limit]
    session = InferenceSession(args.model)
    name = session.get_inputs()[0].name
    right = np.zeros(10, int)
    for start in range(0, len(samples), args.batch):
        answers = np.concatenate([session.run(None, {name: sample[np.newaxis]})[0]
                                  for sample in samples[start:start + args.batch]])
        batch_labels = labels[start:start + args.batch]
        hit = answers.argmax(axis=1) == batch_labels
        np.add.at(right, batch_labels[hit], 1)
        print(f"{start + len(hit)} samples, {right.sum()} right")
    for digit, count in enumerate(right):
        print(f"{digit}: {count} of {np.count_nonzero(labels == digit)}")


if __name__ == "__main__":
    main()
