"""Small seeded layers that together use every unit of the array and of the post-processing."""

from __future__ import annotations

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op, Quantization, Tensor, check

__all__ = ["layer_graphs", "layer_inputs"]

SAME_3X3 = ((1, 1), (1, 1))
SPREAD = 60.0       # standard deviation wanted of int8 results: most in range, some saturate
UNIFORM = 73.9      # that of uniform int8 values
ONE = (1, 1)


class _Layer:
    """Collects the tensors and operators of one graph."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.inputs: list[int] = []

    def tensor(self, shape: tuple[int, ...], quantization: Quantization | None,
               data: np.ndarray | None = None) -> int:
        if data is not None:
            data.setflags(write=False)
        number = len(self.tensors)
        dtype = "int8" if data is None else str(data.dtype)
        self.tensors.append(Tensor(number, f"t{number}", shape, dtype, quantization, data, number))
        return number

    def scale(self, tensor_id: int) -> float:
        quantization = self.tensors[tensor_id].quantization
        assert quantization is not None
        return quantization.scale

    def input(self, *shape: int) -> int:
        """An input with a zero point that padding shows."""
        self.inputs.append(self.tensor((1, *shape), Quantization((0.05,), (-17,))))
        return self.inputs[-1]

    def op(self, kind: str, inputs: tuple[int, ...], output: int, rule: str,
           **attributes: object) -> int:
        self.ops.append(Op(kind, self.name, inputs, (output,), attributes, rule, len(self.ops)))
        return output

    def weighted(self, kind: str, x: int, shape: tuple[int, ...], axis: int, out: tuple[int, ...],
                 products: int, rule: str, largest: int = 128, **attributes: object) -> int:
        """A layer of random weights below ``largest``, extremes among them, with a scale for each
        channel."""
        weights = self.rng.integers(-largest, largest, shape).astype(np.int8)
        for extreme in (largest - 1, 1 - largest):
            weights[self.rng.random(shape) < 0.1] = extreme
        channels = shape[axis]
        scales = 10 ** self.rng.uniform(-2.3, -1.7, channels)
        bias = self.rng.integers(-20_000, 20_000, channels).astype(np.int32)
        scale = self.scale(x) * 0.01 * UNIFORM ** 2 * largest / 128 * products ** 0.5 / SPREAD
        y = self.tensor((1, *out), Quantization((float(np.float32(scale)),), (5,)))
        w = self.tensor(shape, Quantization(tuple(float(np.float32(s)) for s in scales),
                                            (0,) * channels, axis), weights)
        return self.op(kind, (x, w, self.tensor((channels,), None, bias)), y, rule, **attributes)

    def conv(self, x: int, channels: int, kernel: tuple[int, int] = (3, 3),
             stride: tuple[int, int] = ONE,
             padding: tuple[tuple[int, int], tuple[int, int]] = SAME_3X3,
             depthwise: bool = False, activation: str = "NONE", largest: int = 128,
             dilation: int = 1) -> int:
        _, *size, depth = self.tensors[x].shape
        out = [(n + sum(p) - dilation * (k - 1) - 1) // s + 1
               for n, p, k, s in zip(size, padding, kernel, stride, strict=True)]
        extra: dict[str, object] = {"depth_multiplier": 1} if depthwise else {}
        return self.weighted(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", x,
            (1, *kernel, channels) if depthwise else (channels, *kernel, depth),
            3 if depthwise else 0, (*out, channels),
            kernel[0] * kernel[1] * (1 if depthwise else depth), "litert_double_rounding",
            largest, stride=stride, dilation=(dilation, dilation), padding=padding,
            activation=activation, **extra)

    def pool(self, x: int, kind: str, rule: str) -> int:
        _, rows, columns, depth = self.tensors[x].shape
        y = self.tensor((1, rows // 2, columns // 2, depth), self.tensors[x].quantization)
        return self.op(kind, (x,), y, rule, filter=(2, 2), stride=(2, 2),
                       padding=((0, 0), (0, 0)), activation="NONE")

    def constant_added(self, x: int) -> int:
        """ADD of a constant: a table behind the layer before it."""
        scale = self.scale(x)
        number = self.tensor((), Quantization((scale,), (0,)), np.array(40, np.int8))
        y = self.tensor(self.tensors[x].shape, Quantization((1.3 * scale,), (-17,)))
        return self.op("ADD", (x, number), y, "litert_add", activation="NONE")

    def pair(self, kind: str, a: int, b: int, scale: float) -> int:
        y = self.tensor(self.tensors[a].shape, Quantization((scale,), (-3,)))
        return self.op(kind, (a, b), y, f"litert_{kind.lower()}", activation="NONE")

    def graph(self, output: int) -> Graph:
        return check(Graph(self.name, tuple(self.tensors), tuple(self.ops), tuple(self.inputs),
                           (output,)))


def layer_graphs(config: AcceleratorConfig, seed: int = 1) -> list[Graph]:
    """The layers that a core of ``config`` has units for; each fits 24 KiB of device memory."""
    graphs = [_fully_connected(seed), _convolution(seed), _shallow(seed), _odd(seed),
              _depthwise(seed), _taps(seed), _average(seed)]
    if config.elementwise:
        graphs += [_chain(seed), _residual("ADD", seed)]
        if config.elementwise_multiply:
            graphs.append(_residual("MUL", seed))
    if config.max_pool:
        graphs.append(_max_pool(seed))
    return graphs


def layer_inputs(graph: Graph, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Two inferences: uniform values, and the two extremes alone."""
    rng = np.random.default_rng(seed)
    shapes = {graph.tensors[i].name: graph.tensors[i].shape for i in graph.inputs}
    return [
        {name: rng.integers(-128, 128, shape).astype(np.int8) for name, shape in shapes.items()},
        {name: rng.choice(np.array([-128, 127], np.int8), shape)
         for name, shape in shapes.items()}]


def _fully_connected(seed: int) -> Graph:
    """Weights once each: streamed through the ring."""
    layer = _Layer("fully connected 256 to 48", seed)
    x = layer.input(256)
    return layer.graph(layer.weighted(
        "FULLY_CONNECTED", x, (48, 256), 0, (48,), 256, "litert_float_half_away",
        activation="NONE", keep_num_dims=False))


def _convolution(seed: int) -> Graph:
    """Whole blocks of every preset's lanes and reads."""
    layer = _Layer("convolution 3 x 3, 32 to 32", seed)
    return layer.graph(layer.conv(layer.input(8, 8, 32), 32, activation="RELU"))


def _shallow(seed: int) -> Graph:
    """Few input channels: the way of a model's first layer."""
    layer = _Layer("convolution 5 x 5 of 3 channels, stride 2", seed)
    return layer.graph(layer.conv(layer.input(16, 16, 3), 16, (5, 5), (2, 2), ((2, 1), (2, 1))))


def _odd(seed: int) -> Graph:
    """Sizes that divide nothing: remainders of lanes, reads and words."""
    layer = _Layer("convolution 2 x 3, 13 to 11, odd sizes", seed)
    return layer.graph(layer.conv(layer.input(7, 9, 13), 11, (2, 3), ONE, ((1, 0), (0, 2))))


def _depthwise(seed: int) -> Graph:
    """A channel a lane."""
    layer = _Layer("depthwise 3 x 3, 40 channels", seed)
    return layer.graph(layer.conv(layer.input(10, 10, 40), 40, depthwise=True))


def _taps(seed: int) -> Graph:
    """A tap at a time."""
    layer = _Layer("depthwise 3 x 3, dilation 2, 20 channels", seed)
    return layer.graph(layer.conv(layer.input(9, 9, 20), 20, depthwise=True, dilation=2))


def _chain(seed: int) -> Graph:
    """Weights of four bits, a table, and a layer that waits for the one before it."""
    layer = _Layer("convolution 1 x 1, table, depthwise 3 x 3 with stride 2", seed)
    x = layer.conv(layer.input(9, 9, 16), 24, ONE, ONE, ((0, 0), (0, 0)), largest=8)
    return layer.graph(layer.conv(layer.constant_added(x), 24, (3, 3), (2, 2), depthwise=True))


def _average(seed: int) -> Graph:
    layer = _Layer("average pooling 2 x 2", seed)
    return layer.graph(layer.pool(layer.input(10, 10, 24), "AVERAGE_POOL_2D",
                                  "litert_average_pool"))


def _max_pool(seed: int) -> Graph:
    layer = _Layer("max pooling 2 x 2", seed)
    return layer.graph(layer.pool(layer.input(10, 10, 24), "MAX_POOL_2D", "exact"))


def _residual(kind: str, seed: int) -> Graph:
    """A convolution, and its result with its input: the elementwise unit, in place."""
    layer = _Layer(f"convolution 1 x 1 and {kind}", seed)
    x = layer.input(8, 8, 24)
    y = layer.conv(x, 24, ONE, ONE, ((0, 0), (0, 0)))
    scale = layer.scale(x) * layer.scale(y) * 80 if kind == "MUL" else 1.2 * layer.scale(y)
    return layer.graph(layer.pair(kind, x, y, float(np.float32(scale))))
