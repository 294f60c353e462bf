"""A vision transformer for handwritten digits of 8x8 pixels, as an int8 or int16 TFLite file.

    pip install litert-torch==0.10.0 torch==2.14.1 ai-edge-quantizer==0.10.0 \
        ai-edge-litert==2.3.0 scikit-learn==1.9.1
    python examples/digits_transformer.py --output models/digits_transformer.tflite
    python examples/digits_transformer.py --activations int16 \
        --output models/digits_transformer_int16.tflite

Two blocks of 32 channels and 2 heads over the 16 windows of 2x2 pixels, normalised before each
part, ReLU. It learns the first 1,437 of the 1,797 digits that scikit-learn carries (Alpaydin and
Kaynak, Optical Recognition of Handwritten Digits, UCI, CC BY 4.0), each in ten forms, and is
tried on the last 360. Beside the model go `refs/` (tensors of LiteRT's reference kernels) and
`inputs/NAME.npz`: the 360 test digits, their labels, and LiteRT's answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits
from torch import nn
from transformer import Block, Transformer, accuracy, save_answers, save_quantized, train

TRAINING = 1437     # the digits before are to learn from


def varied(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image float32 [n, 8, 8, 1] turned, sheared, scaled and moved, with a little noise."""
    made = np.empty_like(x)
    for image, result in zip(x[..., 0], made[..., 0], strict=True):
        turn, shear, scale = rng.normal(0, 0.12), rng.normal(0, 0.12), rng.normal(1, 0.08, 2)
        matrix = np.array([[np.cos(turn), shear - np.sin(turn)],
                           [np.sin(turn), np.cos(turn)]]) / scale
        offset = 3.5 - matrix @ (3.5, 3.5) + rng.normal(0, 0.4, 2)
        affine_transform(image, matrix, offset, output=result, order=1)
    made *= rng.uniform(0.85, 1.15, (len(x), 1, 1, 1))
    return np.clip(made + rng.normal(0, 0.03, x.shape), 0, 1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("digits_transformer.tflite"))
    parser.add_argument("--activations", choices=("int8", "int16"), default="int8")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    rng = np.random.default_rng(0)
    learned = np.concatenate([x[:TRAINING], *(varied(x[:TRAINING], rng) for _ in range(9))])
    targets = np.eye(10, dtype=np.float32)[np.tile(labels[:TRAINING], 10)]
    network = Transformer(16, 32, 10, (2, 2), (2, 2), [
        Block(32, 2, 64, first=True, activation=nn.ReLU()) for _ in range(2)])
    train(network, learned, targets, options.epochs)
    save_quantized(network, x[:256], options.output, options.activations)
    correct = save_answers(options.output, x[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, x[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, "
          f"in {options.activations} {correct:.1%}")


if __name__ == "__main__":
    main()
