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

import _needs  # noqa: F401
from parts.digits_onnx import learn_digits
from parts.transformer import Block, Transformer
from torch import nn


class PlainBlock(Block):
    """With PyTorch's own layer normalisation, which has a gain and a bias."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden, first=True, activation=nn.GELU())
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))


def network() -> Transformer:
    return Transformer(16, 32, 10, (2, 2), (2, 2), [PlainBlock(32, 2, 64) for _ in range(2)])


if __name__ == "__main__":
    learn_digits(__doc__.splitlines()[0], "digits_transformer_qdq.onnx", network)
