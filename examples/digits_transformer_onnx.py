"""A vision transformer for handwritten digits of 8x8 pixels, as a quantised ONNX file.

    pip install torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 scikit-learn==1.9.1
    python examples/digits_transformer_onnx.py --output models/digits_transformer_qdq.onnx

The network of `digits_transformer.py` as one writes it in PyTorch, with `nn.LayerNorm` and
`nn.GELU`: PyTorch's exporter writes them as the operators that ONNX has for them, ONNX Runtime's
`quantize_static` puts QuantizeLinear and DequantizeLinear around each (QDQ form, int8, weights by
output channel, ranges from calibration). Beside the model go `refs/` (ONNX Runtime's values, graph
optimisation off) and `inputs/NAME.npz`: the 360 test digits, their labels, and its answers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from digits import TRAINING, digits, varied_digits
from onnx_file import save_answers, save_quantized
from torch import nn
from transformer import Block, Transformer, accuracy, train


class PlainBlock(Block):
    """With PyTorch's own layer normalisation, which has a gain and a bias."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden, first=True, activation=nn.GELU())
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("digits_transformer_qdq.onnx"))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    x, labels = digits()
    network = Transformer(16, 32, 10, (2, 2), (2, 2), [PlainBlock(32, 2, 64) for _ in range(2)])
    train(network, *varied_digits(x, labels), options.epochs)
    save_quantized(network, x[:256], options.output)
    correct = save_answers(options.output, x[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, x[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, quantised {correct:.1%}")


if __name__ == "__main__":
    main()
