"""Builds int8 graphs with seeded weights whose activations neither die nor saturate."""

from __future__ import annotations

import numpy as np

from kaniwa.graph import Graph, Op, Quantization, Tensor, check

__all__ = ["Network", "Pair", "dense", "mobilenet_v2", "resnet18"]

Pair = tuple[int, int]

SPREAD = 4096         # values that stand for the distribution of a tensor
HEADROOM = 0.999      # share of them that the int8 range covers

# MobileNetV2: expansion, output channels, repeats and the stride of the first of them.
BOTTLENECKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
               (6, 160, 3, 2), (6, 320, 1, 1))


class Network:
    """Adds one operator after the other, with LiteRT's rounding rules and padding.

    Beside each activation it keeps a sample of the real numbers that the layer would produce for
    random inputs; scales and zero points are chosen from it. Weights are of variance 1/fan-in
    and of zero sum, so the positive mean of a ReLU's output does not drive channels apart.
    """

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._tensors: list[Tensor] = []
        self._ops: list[Op] = []
        self._spread: dict[int, np.ndarray] = {}

    def input(self, *shape: int) -> int:
        """An input of normally distributed numbers; returns the tensor's id, as all methods do."""
        return self._activation("input", shape, self._rng.normal(size=SPREAD))

    def conv(self, x: int, channels: int, kernel: int, stride: int = 1,
             activation: str = "NONE") -> int:
        """A square convolution with SAME padding."""
        _, height, width, depth = self._tensors[x].shape
        padding = tuple(_same(size, kernel, stride) for size in (height, width))
        shape = (1, -(-height // stride), -(-width // stride), channels)
        return self._weighted(
            "CONV_2D", x, (channels, kernel, kernel, depth), shape, "litert_double_rounding",
            activation, stride=(stride, stride), dilation=(1, 1), padding=padding)

    def depthwise(self, x: int, kernel: int, stride: int = 1, activation: str = "NONE") -> int:
        """A square kernel for each channel, with SAME padding."""
        _, height, width, depth = self._tensors[x].shape
        padding = tuple(_same(size, kernel, stride) for size in (height, width))
        shape = (1, -(-height // stride), -(-width // stride), depth)
        return self._weighted(
            "DEPTHWISE_CONV_2D", x, (1, kernel, kernel, depth), shape, "litert_double_rounding",
            activation, stride=(stride, stride), dilation=(1, 1), padding=padding,
            depth_multiplier=1)

    def fully_connected(self, x: int, channels: int, activation: str = "NONE") -> int:
        """A fully connected layer of a [1, n] tensor."""
        return self._weighted(
            "FULLY_CONNECTED", x, (channels, self._tensors[x].shape[1]), (1, channels),
            "litert_float_half_away", activation, keep_num_dims=False)

    def max_pool(self, x: int, window: int, stride: int) -> int:
        """The maximum over square windows, with SAME padding."""
        _, height, width, depth = self._tensors[x].shape
        padding = tuple(_same(size, window, stride) for size in (height, width))
        spread = self._rng.choice(self._spread[x], (window * window, SPREAD)).max(axis=0)
        y = self._activation("max_pool", (1, -(-height // stride), -(-width // stride), depth),
                             spread, self._tensors[x].quantization)
        return self._op("MAX_POOL_2D", (x,), y, "exact", filter=(window, window),
                        stride=(stride, stride), padding=padding, activation="NONE")

    def average_pool(self, x: int, window: int) -> int:
        """The mean over square windows at every position, with SAME padding: for the host."""
        shape, q = self._tensors[x].shape, self._tensors[x].quantization
        y = self._activation("average_pool", shape, self._spread[x], q)
        padding = tuple(_same(size, window, 1) for size in shape[1:3])
        return self._op("AVERAGE_POOL_2D", (x,), y, "litert_average_pool", filter=(window, window),
                        stride=(1, 1), padding=padding, activation="NONE")

    def add(self, a: int, b: int, activation: str = "NONE") -> int:
        """The sum of two tensors of one shape."""
        spread = _activated(self._spread[a] + self._rng.permutation(self._spread[b]), activation)
        y = self._activation("add", self._tensors[a].shape, spread)
        return self._op("ADD", (a, b), y, "litert_add", activation=activation)

    def global_average(self, x: int) -> int:
        """The mean of each channel, as a [1, channels] tensor."""
        _, height, width, depth = self._tensors[x].shape
        like = self._tensors[x].quantization
        mean = np.full(SPREAD, self._spread[x].mean())
        y = self._activation("average_pool", (1, 1, 1, depth), mean, like)
        self._op("AVERAGE_POOL_2D", (x,), y, "litert_average_pool", filter=(height, width),
                 stride=(height, width), padding=((0, 0), (0, 0)), activation="NONE")
        flat = self._activation("flatten", (1, depth), self._spread[x], like)
        shape = self._constant("shape", np.array((1, depth), np.int32), None)
        return self._op("RESHAPE", (y, shape), flat, "exact", shape=(1, depth))

    def graph(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
        """The finished, checked graph."""
        return check(Graph(self._name, tuple(self._tensors), tuple(self._ops), inputs, outputs))

    def _weighted(self, kind: str, x: int, weights: tuple[int, ...], shape: tuple[int, ...],
                  rule: str, activation: str, **attributes: object) -> int:
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0   # of the output channels
        channels = weights[axis]
        fan_in = int(np.prod(weights)) // channels
        real = self._rng.normal(0, fan_in ** -0.5, (channels, fan_in))
        real -= real.mean(axis=1, keepdims=True)
        scales = (np.abs(real).max(axis=1) / 127).astype(np.float32)
        values = np.rint(real / scales[:, None]).astype(np.int8)
        values = np.ascontiguousarray(values.T if axis else values).reshape(weights)
        per_channel = Quantization(tuple(map(float, scales)), (0,) * len(scales), axis)
        w = self._constant("weights", values, per_channel)
        q = self._tensors[x].quantization
        assert q is not None
        sigma = float(self._spread[x].std())
        bias = np.rint(self._rng.normal(0, 0.1 * sigma, channels) / (q.scale * scales))
        b = self._constant("bias", bias.astype(np.int32), None)
        spread = _activated(self._rng.normal(0, sigma, SPREAD), activation)
        y = self._activation(kind.lower(), shape, spread)
        return self._op(kind, (x, w, b), y, rule, activation=activation, **attributes)

    def _activation(self, name: str, shape: tuple[int, ...], spread: np.ndarray,
                    quantization: Quantization | None = None) -> int:
        if quantization is None:
            size = np.sort(np.abs(spread))
            high = float(size[int(HEADROOM * SPREAD)])
            low = -high if spread.min() < 0 else 0.0
            scale = float(np.float32((high - low) / 255))
            quantization = Quantization((scale,), (round(-128 - low / scale),))
        number = self._tensor(name, shape, "int8", quantization, None)
        self._spread[number] = spread
        return number

    def _constant(self, name: str, data: np.ndarray, quantization: Quantization | None) -> int:
        data.setflags(write=False)
        return self._tensor(name, data.shape, str(data.dtype), quantization, data)

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str,
                quantization: Quantization | None, data: np.ndarray | None) -> int:
        number = len(self._tensors)
        self._tensors.append(
            Tensor(number, f"{name}_{number}", shape, dtype, quantization, data, number))
        return number

    def _op(self, kind: str, inputs: tuple[int, ...], output: int, rule: str,
            **attributes: object) -> int:
        number = len(self._ops)
        name = f"{kind.lower()}_{number}"
        self._ops.append(Op(kind, name, inputs, (output,), attributes, rule, number))
        return output


def dense(size: int, seed: int = 0) -> Graph:
    """One fully connected layer, 1 x ``size`` by ``size`` x ``size``."""
    network = Network(f"dense_{size}", seed)
    x = network.input(1, size)
    return network.graph((x,), (network.fully_connected(x, size),))


def resnet18(seed: int = 0, size: int = 224, classes: int = 1000) -> Graph:
    """ResNet-18 for images of ``size`` x ``size`` (a multiple of 32), with seeded weights."""
    network = Network(f"resnet18_{size}", seed)
    image = network.input(1, size, size, 3)
    x = network.max_pool(network.conv(image, 64, 7, 2, "RELU"), 3, 2)
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            channels = 64 << stage
            inner = network.conv(x, channels, 3, stride, "RELU")
            skip = x if stride == 1 else network.conv(x, channels, 1, stride)
            x = network.add(network.conv(inner, channels, 3), skip, "RELU")
    return network.graph((image,), (network.fully_connected(network.global_average(x), classes),))


def mobilenet_v2(seed: int = 0, size: int = 224, classes: int = 1000) -> Graph:
    """MobileNetV2 of width 1 for images of ``size`` x ``size`` (a multiple of 32), seeded."""
    network = Network(f"mobilenet_v2_{size}", seed)
    image = network.input(1, size, size, 3)
    x, depth = network.conv(image, 32, 3, 2, "RELU6"), 32
    for expansion, channels, repeats, first in BOTTLENECKS:
        for repeat in range(repeats):
            stride = 1 if repeat else first
            inner = x if expansion == 1 else network.conv(x, expansion * depth, 1, 1, "RELU6")
            inner = network.conv(network.depthwise(inner, 3, stride, "RELU6"), channels, 1)
            x, depth = network.add(x, inner) if repeat else inner, channels
    x = network.global_average(network.conv(x, 1280, 1, 1, "RELU6"))
    return network.graph((image,), (network.fully_connected(x, classes),))


def _same(size: int, kernel: int, stride: int) -> Pair:
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _activated(values: np.ndarray, activation: str) -> np.ndarray:
    if activation == "NONE":
        return values
    return np.clip(values, 0, 6.0 if activation == "RELU6" else None)
