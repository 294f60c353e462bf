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

import _needs  # noqa: F401
import torch
from parts.digits import TRAINING, digits, varied_digits
from parts.litert_file import save_answers, save_quantized
from parts.transformer import Block, Transformer, accuracy, train
from torch import nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("digits_transformer.tflite"))
    parser.add_argument("--activations", choices=("int8", "int16"), default="int8")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    x, labels = digits()
    network = Transformer(16, 32, 10, (2, 2), (2, 2), [
        Block(32, 2, 64, first=True, activation=nn.ReLU()) for _ in range(2)])
    train(network, *varied_digits(x, labels), options.epochs)
    save_quantized(network, x[:256], options.output, options.activations)
    correct = save_answers(options.output, x[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, x[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, "
          f"in {options.activations} {correct:.1%}")


if __name__ == "__main__":
    main()
