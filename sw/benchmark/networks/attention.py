"""Transformers: of images, and of keywords."""

from __future__ import annotations

import math

import numpy as np

from kaniwa.benchmark.networks.blocks import layer_norm, sigmoid, swish
from kaniwa.benchmark.networks.network import Network, NetworkFile

__all__ = ["conformer", "vit_tiny"]

WORDS = 12


def vit_tiny(seed: int = 0, size: int = 224, blocks: int = 12) -> NetworkFile:
    """ViT-tiny (DeiT-Ti: Touvron et al., arXiv:2012.12877, table 1): 12 blocks of 192 channels
    and 3 heads over patches of 16 x 16 and a class token. ``size`` is a multiple of 16."""
    network = Network(f"vit_tiny_{size}", seed)
    rng = network.rng
    image = network.input(1, size, size, 3)
    patches = network.conv(image, 192, 16, 16, padding="VALID")
    count = (size // 16) ** 2
    token = network.constant("token", rng.normal(size=(1, 1, 192)))
    x = network.concatenation([token, network.reshape(patches, (1, count, 192))], 1)
    x = network.add(x, network.constant("positions", rng.normal(size=(1, count + 1, 192))))
    for _ in range(blocks):
        x = network.add(x, _attention(network, layer_norm(network, x), 3))
        y = network.fully_connected(layer_norm(network, x), 768)
        y = network.function("GELU", y, _gelu(network.sample(y)), Approximate=False)
        x = network.add(x, network.fully_connected(y, 192))
    first = network.slice(layer_norm(network, x), (0, 0, 0), (1, 1, 192))
    y = network.fully_connected(network.reshape(first, (1, 192)), 1000)
    return network.file((image,), (y,))


def conformer(seed: int = 0, size: int = 98, blocks: int = 4) -> NetworkFile:
    """A keyword conformer: blocks of Conformer-S (Gulati et al., arXiv:2005.08100, table 1),
    144 channels, 4 heads and kernels of 31, over ``size`` frames of 40 mel bands.

    The paper's encoder has 16 blocks and relative positions, this one ``blocks`` and none.
    """
    network = Network(f"conformer_{size}", seed)
    frames = network.input(1, size, 40, 1)
    x = network.conv(network.conv(frames, 144, 3, 2, "RELU"), 144, 3, 2, "RELU")
    _, rows, bands, depth = network.shape(x)
    x = network.fully_connected(network.reshape(x, (1, rows, bands * depth)), 144)
    for _ in range(blocks):
        x = network.add(x, _feed_forward(network, x))
        x = network.add(x, _attention(network, layer_norm(network, x), 4))
        x = network.add(x, _convolutions(network, x))
        x = layer_norm(network, network.add(x, _feed_forward(network, x)))
    x = network.mean(x, (1,), network.rng.normal(0, rows ** -0.5, len(network.sample(x))))
    y = network.fully_connected(network.reshape(x, (1, 144)), WORDS)
    sample = np.exp(network.sample(y))
    y = network.function("SOFTMAX", y, sample / (sample + (WORDS - 1) * sample.mean()), Beta=1.0)
    return network.file((frames,), (y,))


def _attention(network: Network, x: int, heads: int) -> int:
    _, rows, depth = network.shape(x)
    each = depth // heads
    query, key, value = (network.transpose(network.reshape(
        network.fully_connected(x, depth), (1, rows, heads, each)), (0, 2, 1, 3))
        for _ in range(3))
    factor = network.constant("scale", np.full(1, 1 / math.sqrt(each)))
    scores = network.matmul(network.mul(query, factor), key, transposed=True)
    sample = np.exp(network.sample(scores))
    shares = network.function("SOFTMAX", scores, sample / (rows * sample.mean()), Beta=1.0)
    # A mean of rows values with unequal weights: smaller than a value, by about this much.
    mixed = network.matmul(shares, value)
    joined = network.reshape(network.transpose(mixed, (0, 2, 1, 3)), (1, rows, depth))
    return network.fully_connected(joined, depth)


def _feed_forward(network: Network, x: int) -> int:
    depth = network.shape(x)[-1]
    y = swish(network, network.fully_connected(layer_norm(network, x), 4 * depth))
    y = network.fully_connected(y, depth)
    return network.mul(y, network.constant("half", np.full(1, 0.5)))


def _convolutions(network: Network, x: int) -> int:
    """The convolution module: a gated linear unit, a depthwise kernel of 31, and swish."""
    _, rows, depth = network.shape(x)
    y = network.fully_connected(layer_norm(network, x), 2 * depth)
    halves = [network.slice(y, (0, 0, k * depth), (1, rows, (k + 1) * depth)) for k in (0, 1)]
    y = network.mul(halves[0], sigmoid(network, halves[1]))
    y = network.depthwise(network.reshape(y, (1, rows, 1, depth)), (31, 1))
    y = network.reshape(swish(network, y), (1, rows, depth))
    return network.fully_connected(y, depth)


def _gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))
