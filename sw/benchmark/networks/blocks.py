"""What networks of several families are made of."""

from __future__ import annotations

import numpy as np

from kaniwa.benchmark.networks.network import Network

__all__ = ["classifier", "hard_sigmoid", "hard_swish", "layer_norm", "sigmoid", "swish", "tanh"]

EPSILON = 1e-3   # beside the variance, Keras' choice


def classifier(network: Network, x: int, classes: int = 1000) -> int:
    """The mean of each channel, and a fully connected layer."""
    return network.fully_connected(network.global_average(x), classes)


def hard_swish(network: Network, x: int) -> int:
    """x · relu6(x + 3) / 6 as one operator."""
    sample = network.sample(x)
    return network.function("HARD_SWISH", x, sample * np.clip(sample + 3, 0, 6) / 6)


def hard_sigmoid(network: Network, x: int) -> int:
    """relu6(x + 3) / 6 as a sum and a product with constants."""
    shifted = network.add(x, network.constant("three", np.full(1, 3.0)), "RELU6")
    return network.mul(shifted, network.constant("sixth", np.full(1, 1 / 6)))


def sigmoid(network: Network, x: int) -> int:
    """1 / (1 + exp(-x))."""
    return network.function("LOGISTIC", x, 1 / (1 + np.exp(-network.sample(x))))


def tanh(network: Network, x: int) -> int:
    """The hyperbolic tangent."""
    return network.function("TANH", x, np.tanh(network.sample(x)))


def swish(network: Network, x: int) -> int:
    """x · sigmoid(x) as two operators."""
    gate, sample = sigmoid(network, x), network.sample(x)
    return network.elementwise("MUL", x, gate, sample / (1 + np.exp(-sample)))


def layer_norm(network: Network, x: int) -> int:
    """Normalization over the last axis in the operators of Keras' LayerNormalization.

    The mean, the squared difference, its mean, RSQRT, and the products and sums with gamma and
    beta.
    """
    sample, depth, axis = network.sample(x), network.shape(x)[-1], len(network.shape(x)) - 1
    count, rng = len(sample), network.rng
    gamma = 1 + 0.1 * rng.normal(size=depth)
    beta = 0.1 * rng.normal(size=depth)
    variance = float(sample.var())
    mean = network.mean(x, (axis,), rng.normal(0, sample.std() / np.sqrt(depth), count))
    square = network.elementwise("SQUARED_DIFFERENCE", x, mean, (sample - sample.mean()) ** 2)
    spread = variance * np.clip(1 + rng.normal(0, np.sqrt(2 / depth), count), 0.3, None)
    around = network.add(network.mean(square, (axis,), spread),
                         network.constant("epsilon", np.full(1, EPSILON)))
    inverse = network.function("RSQRT", around, network.sample(around) ** -0.5)
    scaled = network.mul(inverse, network.constant("gamma", gamma))
    left = network.elementwise("MUL", x, scaled, sample / np.sqrt(variance))
    right = network.sub(network.constant("beta", beta), network.mul(mean, scaled))
    return network.add(left, right)
