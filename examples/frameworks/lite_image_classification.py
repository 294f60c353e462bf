"""Classes of a picture by a TensorFlow Lite model: the most likely first.

    python lite_image_classification.py --image cat.png

A script for LiteRT whose import is changed.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from kaniwa.lite import Interpreter  # was: from ai_edge_litert.interpreter import Interpreter

MODELS = Path(__file__).resolve().parents[2] / "models"
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--model_file", default=MODELS / "mlperf_ic_resnet8.tflite", type=Path)
    parser.add_argument("--label_file", help="a label a line; without it, CIFAR-10's")
    parser.add_argument("--num_threads", type=int)
    args = parser.parse_args()
    labels = Path(args.label_file).read_text().splitlines() if args.label_file else CIFAR10

    interpreter = Interpreter(model_path=args.model_file, num_threads=args.num_threads)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    _, height, width, _ = taken["shape"]
    picture = Image.open(args.image).convert("RGB").resize((width, height))
    pixels = np.asarray(picture, np.float32)[np.newaxis]
    scale, zero_point = taken["quantization"]     # this model's inputs are pixels, 0 to 255
    pixels = np.clip(np.round(pixels / scale) + zero_point, -128, 127).astype(taken["dtype"])

    interpreter.set_tensor(taken["index"], pixels)
    interpreter.invoke()
    answer = interpreter.get_tensor(given["index"])[0]

    scale, zero_point = given["quantization"]
    scores = scale * (answer.astype(np.int32) - zero_point)
    for number in np.argsort(-scores, kind="stable")[:5]:
        print(f"{scores[number]:.6f}: {labels[number]}")


if __name__ == "__main__":
    main()
