"""Small transformers in PyTorch, and what trains them: for `digits_transformer.py`,
`keyword_transformer.py` and `digits_transformer_onnx.py`.

What the network is made of is chosen for integers: layer normalisation as its parts (for TFLite,
which has no operator for it), the scale of attention in the weights of the queries.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-3      # added to variances


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis; ``affine``: with gain and bias.

    As mean, difference, square, mean, 1 / root and product, which is what the file has then.
    """

    def __init__(self, width: int, affine: bool) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centered = x - x.mean(-1, keepdim=True)
        variance = (centered * centered).mean(-1, keepdim=True)
        y = centered * torch.rsqrt(variance + EPSILON)
        return y if self.gain is None else y * self.gain + self.bias


class Attention(nn.Module):
    """Self-attention, float32 [batch, tokens, width] to the same.

    There is no product with 1 / sqrt(width of a head): the weights of the queries begin with it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.query.weight.data *= (width // heads) ** -0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        query, key, value = (
            y.reshape(batch, tokens, self.heads, width // self.heads)
            for y in (self.query(x), self.key(x), self.value(x)))
        scores = query.permute(0, 2, 1, 3) @ key.permute(0, 2, 3, 1)
        mixed = functional.softmax(scores, -1) @ value.permute(0, 2, 1, 3)
        return self.out(mixed.permute(0, 2, 1, 3).reshape(batch, tokens, width))


class Block(nn.Module):
    """Attention and two dense layers, each added to its input.

    Normalised before them (``first``), where the layer behind can take the gain and the bias, or
    behind each sum.
    """

    def __init__(self, width: int, heads: int, hidden: int, first: bool,
                 activation: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.norms = nn.ModuleList(LayerNorm(width, affine=not first) for _ in range(2))
        self.attention = Attention(width, heads)
        self.dense = nn.Sequential(nn.Linear(width, hidden), activation, nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for norm, part in zip(self.norms, (self.attention, self.dense), strict=True):
            x = x + part(norm(x)) if self.first else norm(x + part(x))
        return x


class Transformer(nn.Module):
    """Maps float32 [batch, height, width, 1] to a score a class [batch, classes].

    Tokens are windows of the map, embedded by a convolution; their places are added, the blocks
    run, and the mean over the tokens is classified.
    """

    def __init__(self, tokens: int, width: int, classes: int, window: tuple[int, int],
                 stride: tuple[int, int], blocks: list[Block]) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(1, width, window, stride)
        self.places = nn.Parameter(0.1 * torch.randn(1, tokens, width))
        self.blocks = nn.Sequential(*blocks)
        self.classes = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Channels last, as TFLite has maps: the transpositions of both cancel.
        maps = self.embedding(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        tokens = maps.reshape(x.shape[0], *self.places.shape[1:]) + self.places
        return self.classes(self.blocks(tokens).mean(1))


def train(network: nn.Module, x: np.ndarray, targets: np.ndarray, epochs: int,
          rate: float = 3e-3) -> None:
    """Fit to x float32 [n, ...] and targets float32 [n, classes], in batches of 64."""
    samples, wanted = torch.from_numpy(x), torch.from_numpy(targets)
    steps = len(x) // 64
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x))[:64 * steps].reshape(steps, 64):
            likely = functional.log_softmax(network(samples[batch]), 1)
            loss = -(wanted[batch] * likely).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    network.eval()


def accuracy(network: nn.Module, x: np.ndarray, labels: np.ndarray) -> float:
    """The share of inputs that it names right."""
    with torch.no_grad():
        return float((network(torch.from_numpy(x)).argmax(1).numpy() == labels).mean())
