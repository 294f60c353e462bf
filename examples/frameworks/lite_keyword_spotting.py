"""Words in a stream of spectrograms by a TensorFlow Lite model, over views of its tensors.

    python lite_keyword_spotting.py --limit 20

A script for LiteRT whose import is changed. Scores are averaged over the last frames, so that one
frame alone makes no word.
"""

import argparse
from collections import deque
from pathlib import Path

import numpy as np

import kaniwa.lite as tflite  # was: import ai_edge_litert.interpreter as tflite

MODELS = Path(__file__).resolve().parents[2] / "models"
WORDS = "down go left no off on right stop up yes silence unknown".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(MODELS / "mlperf_kws_dscnn.tflite"))
    parser.add_argument("--features", default=MODELS / "inputs" / "kws01_1000.npz")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--average", type=int, default=1, help="frames that scores are taken over")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()

    with open(args.model, "rb") as file:
        interpreter = tflite.Interpreter(model_content=file.read())
    interpreter.allocate_tensors()
    frame = interpreter.tensor(interpreter.get_input_details()[0]["index"])
    scores = interpreter.tensor(interpreter.get_output_details()[0]["index"])
    parameters = interpreter.get_output_details()[0]["quantization_parameters"]
    scale, zero_point = parameters["scales"][0], parameters["zero_points"][0]

    recent: deque[np.ndarray] = deque(maxlen=args.average)
    heard = 0
    with np.load(args.features) as features:
        frames, truth = features["x"][:args.limit], features["y"][:args.limit]
    for number, (values, label) in enumerate(zip(frames, truth, strict=True)):
        frame()[0] = values
        interpreter.invoke()
        recent.append((scores()[0].astype(np.float32) - zero_point) * scale)
        average = np.mean(recent, axis=0)
        best = int(np.argmax(average))
        if average[best] >= args.threshold:
            heard += best == label
            print(f"frame {number}: {WORDS[best]} ({average[best]:.3f})")
    print(f"{heard} of {len(frames)} heard right")


if __name__ == "__main__":
    main()
