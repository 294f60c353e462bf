"""A recurrent network for handwritten digits of 8x8 pixels, as a quantised ONNX file.

    pip install torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 scikit-learn==1.9.1
    python examples/digits_gru_onnx.py --output models/digits_gru_qdq.onnx

`nn.GRU` sees an image row by row, and a dense layer classifies what it is left with. ONNX Runtime's
`quantize_static` leaves recurrent operators in float32 unless it is told their kinds, as here; then
it puts QuantizeLinear and DequantizeLinear around them, and around their weights. Beside the model
go `refs/` and `inputs/`, as in `digits_transformer_onnx.py`.
"""

from __future__ import annotations

import _needs  # noqa: F401
import torch
from parts.digits_onnx import learn_digits
from torch import nn


class Rows(nn.Module):
    """Maps float32 [batch, 8, 8, 1] to a score a class [batch, 10]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.cells = nn.GRU(8, size, batch_first=True)
        self.classes = nn.Linear(size, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classes(self.cells(x.reshape(-1, 8, 8))[0][:, -1])


if __name__ == "__main__":
    learn_digits(__doc__.splitlines()[0], "digits_gru_qdq.onnx", lambda: Rows(40), rate=6e-3,
                 kinds=["GRU", "Gemm"])
