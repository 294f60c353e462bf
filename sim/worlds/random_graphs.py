"""Random small graphs and random legal configs, from a seed, for benches and tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.graph import Graph, Op, Quantization, Tensor, check

__all__ = ["KINDS", "random_compact_config", "random_config", "random_graph", "random_input"]

CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 23, 24, 31, 32, 37, 40, 48, 53, 64, 67, 80, 96,
            101, 127, 128, 131, 144, 160)
ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def random_config(rng: random.Random, largest: int = 32) -> AcceleratorConfig:
    """A random legal config with at most ``largest`` multipliers."""
    while True:
        lanes, width = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 12, 16)), rng.choice((4, 8, 16, 32))
        requant = rng.choice([r for r in range(1, lanes + 1) if lanes % r == 0])
        if lanes * width > largest:
            continue
        try:
            return AcceleratorConfig(
                out_lanes=lanes, dot_width=width, requant_lanes=requant,
                packed_multipliers=rng.random() < 0.4, product_cycles=rng.choice((1, 3)),
                requant_cycles=rng.choice((1, 2, 4, 8)) if requant == 1 else 1,
                read_bytes=rng.choice((8, 16, 32)), write_bytes=rng.choice((2, 4, 8, 16)),
                shared_channel=rng.random() < 0.25, ring_bytes=rng.choice((1, 2, 4, 16)) << 10,
                line_bytes=rng.choice((2, 4, 8, 16)) << 10,
                parameter_records=rng.choice((64, 256, 512)),
                memory_bytes=rng.choice((0, 16, 64, 256)) << 10,
                multiplier_bits=rng.choice((29, 30, 31)),
                instruction_queue=rng.choice((1, 2, 4)), result_slots=rng.choice((2, 4, 8, 16)),
                patch_bytes=rng.choice((0, 4 * width, 128, 256)),
                depthwise=rng.random() < 0.8, elementwise_multiply=rng.random() < 0.8,
                weight_formats=rng.choice((("raw",), ("raw", "packed"))),
                step_entries=rng.choice((0, 64, 1024)),
                name=f"random{rng.randrange(1 << 20)}")
        except ConfigError:
            continue


def random_compact_config(rng: random.Random) -> AcceleratorConfig:
    """A random legal config of a compact core, half of them with a way to outside memory."""
    outside_bits = rng.choice((0, 22))
    return AcceleratorConfig(
        compact=True, out_lanes=rng.choice((2, 4, 6, 8)), dot_width=4, requant_lanes=1,
        requant_cycles=rng.choice((8, 16, 32)), read_bytes=8, write_bytes=rng.choice((2, 4, 8)),
        shared_channel=True, ring_bytes=rng.choice((1, 2, 4)) << 10,
        line_bytes=rng.choice((2, 4)) << 10, patch_bytes=0,
        parameter_records=rng.choice((64, 256)), outside_bits=outside_bits,
        memory_bytes=rng.choice((4, 8, 24) if outside_bits else (64, 96, 128)) << 10,
        multiplier_bits=rng.choice((29, 31)), instruction_queue=0, result_slots=1,
        weight_formats=("raw",), elementwise_multiply=False, max_pool=False, depthwise=False,
        counters=False, count_bits=rng.choice((9, 11, 16)),
        name=f"compact{rng.randrange(1 << 20)}")


class _Builder:
    """Collects tensors and operators of one graph."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.np_rng = np.random.default_rng(rng.randrange(1 << 31))
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def quantization(self, like: Quantization | None = None) -> Quantization:
        """A per-tensor quantisation: ordinary scales, zero points over the whole range."""
        if like is not None:
            return like
        scale = float(np.float32(10 ** self.rng.uniform(-3, 0.5)))
        zero = self.rng.choice((-128, 127, 0, self.rng.randint(-128, 127)))
        return Quantization((scale,), (zero,))

    def tensor(self, shape: tuple[int, ...], quantization: Quantization | None,
               data: np.ndarray | None = None) -> int:
        """Add a tensor and return its id."""
        number = len(self.tensors)
        dtype = "int8" if data is None else str(data.dtype)
        if data is not None:
            data.setflags(write=False)
        self.tensors.append(Tensor(number, f"t{number}", shape, dtype, quantization, data, number))
        return number

    def activation(self, shape: tuple[int, ...], like: Quantization | None = None) -> int:
        """Add an int8 activation tensor."""
        return self.tensor(shape, self.quantization(like))

    def op(self, kind: str, inputs: tuple[int, ...], output: int, rule: str,
           **attributes: object) -> int:
        """Add an operator and return its output."""
        number = len(self.ops)
        self.ops.append(Op(kind, f"op{number}", inputs, (output,), attributes, rule, number))
        return output

    def graph(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
        """The finished, checked graph."""
        return check(Graph("random", tuple(self.tensors), tuple(self.ops), inputs, outputs))

    def weights(self, shape: tuple[int, ...], axis: int) -> int:
        """int8 weights: dense, sparse, small, or extreme; per tensor or per channel along axis."""
        style = self.rng.random()
        data = self.np_rng.integers(-127, 128, shape, dtype=np.int8)
        if style < 0.2:
            data[self.np_rng.random(shape) < 0.8] = 0
        elif style < 0.35:
            data = (data // 40).astype(np.int8)
        elif style < 0.45:
            data = self.np_rng.choice(np.array([-128, 127], np.int8), shape)
        channels = shape[axis]
        per_channel = self.rng.random() < 0.7 and channels > 1
        scales = 10 ** self.np_rng.uniform(-4, -1, channels if per_channel else 1)
        if self.rng.random() < 0.1:
            scales[0] = 1e-30  # a channel whose multiplier is zero
        quantization = Quantization(tuple(float(np.float32(s)) for s in scales),
                                    (0,) * len(scales), axis if per_channel else None)
        return self.tensor(shape, quantization, data)

    def bias(self, channels: int) -> int:
        """int32 biases, one of them large now and then, or -1 for none."""
        if self.rng.random() < 0.2:
            return -1
        data = self.np_rng.integers(-20000, 20000, channels, dtype=np.int32)
        if self.rng.random() < 0.15:
            data[0] = self.rng.choice((-1, 1)) * ((1 << 31) - (1 << 28))
        return self.tensor((channels,), None, data)


def random_graph(seed: int, kind: str | None = None, macs: int = 1 << 20) -> Graph:
    """A graph of one to three operators of ``kind`` (a key of KINDS), about ``macs`` at most."""
    rng = random.Random(seed)
    chosen = kind or rng.choice(list(KINDS))
    while True:
        builder = _Builder(rng)
        graph = KINDS[chosen](builder, macs)
        if graph is not None:
            return graph


def random_input(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    """Random int8 or uint8 inputs, extremes included."""
    rng = np.random.default_rng(seed)
    inputs = {}
    for tensor_id in graph.inputs:
        tensor = graph.tensors[tensor_id]
        data = rng.integers(-128, 128, tensor.shape, dtype=np.int8)
        if seed % 5 == 0:
            data = rng.choice(np.array([-128, 127], np.int8), tensor.shape)
        inputs[tensor.name] = data.view(np.uint8) ^ 128 if tensor.dtype == "uint8" else data
    return inputs


def _window(rng: random.Random, size: tuple[int, int]) -> dict[str, tuple] | None:
    """Kernel, stride, dilation and padding for an input of ``size``; None if no output is left."""
    kh = rng.choice((1, 1, 2, 3, 3, 3, 4, 5, 7))
    kw = kh if rng.random() < 0.7 else rng.choice((1, 2, 3, 4, 5, 6, 7))
    stride = (rng.choice((1, 1, 2)), rng.choice((1, 1, 2)))
    dilation = (1, 1) if rng.random() < 0.7 else (rng.choice((1, 2, 3)), rng.choice((1, 2, 3)))
    span = tuple((k - 1) * d + 1 for k, d in zip((kh, kw), dilation, strict=True))
    padding = []
    for n, k, s in zip(size, span, stride, strict=True):
        style = rng.random()
        if style < 0.5:  # SAME
            total = max(0, (-(-n // s) - 1) * s + k - n)
            padding.append((total // 2, total - total // 2))
        elif style < 0.8:
            padding.append((0, 0))
        else:
            padding.append((rng.randrange(k), rng.randrange(k)))
    out = tuple((n + sum(p) - k) // s + 1 for n, p, k, s in zip(size, padding, span, stride,
                                                                strict=True))
    if any(n + sum(p) < k for n, p, k in zip(size, padding, span, strict=True)):
        return None
    return {"kernel": (kh, kw), "stride": stride, "dilation": dilation,
            "padding": tuple(padding), "out": out}


def _size(rng: random.Random) -> tuple[int, int]:
    limit = rng.choice((4, 10, 24, 64))
    return rng.randint(1, limit), rng.randint(1, limit)


def _conv_on(b: _Builder, x: int, window: dict, channels: int, activation: str) -> int:
    _, _, _, in_channels = b.tensors[x].shape
    kh, kw = window["kernel"]
    w = b.weights((channels, kh, kw, in_channels), 0)
    y = b.activation((1, *window["out"], channels))
    return b.op("CONV_2D", (x, w, b.bias(channels)), y, "litert_double_rounding",
                stride=window["stride"], dilation=window["dilation"], padding=window["padding"],
                activation=activation)


def _conv(b: _Builder, macs: int) -> Graph | None:
    size, rng = _size(b.rng), b.rng
    window = _window(rng, size)
    ic, oc = rng.choice(CHANNELS), rng.choice(CHANNELS)
    if window is None or np.prod(window["out"]) * np.prod(window["kernel"]) * ic * oc > macs:
        return None
    x = b.activation((1, *size, ic))
    return b.graph((x,), (_conv_on(b, x, window, oc, rng.choice(ACTIVATIONS)),))


def _depthwise(b: _Builder, macs: int) -> Graph | None:
    size, rng = _size(b.rng), b.rng
    window = _window(rng, size)
    multiplier = rng.choice((1, 1, 1, 2, 3, 4))
    ic = rng.choice(CHANNELS if multiplier == 1 else (1, 2, 3, 5, 8, 16))
    if rng.random() < 0.4:
        ic = rng.choice((8, 16, 24, 32, 64))     # whole lanes: depthwise by columns
    if window is None or np.prod(window["out"]) * np.prod(window["kernel"]) * ic > macs // 8:
        return None
    x = b.activation((1, *size, ic))
    w = b.weights((1, *window["kernel"], ic * multiplier), 3)
    y = b.activation((1, *window["out"], ic * multiplier))
    b.op("DEPTHWISE_CONV_2D", (x, w, b.bias(ic * multiplier)), y, "litert_double_rounding",
         stride=window["stride"], dilation=window["dilation"], padding=window["padding"],
         activation=rng.choice(ACTIVATIONS), depth_multiplier=multiplier)
    return b.graph((x,), (y,))


def _fully_connected(b: _Builder, macs: int) -> Graph | None:
    ic, oc = b.rng.randint(1, 1200), b.rng.choice(CHANNELS)
    x = b.activation((1, ic))
    y = b.activation((1, oc))
    b.op("FULLY_CONNECTED", (x, b.weights((oc, ic), 0), b.bias(oc)), y, "litert_float_half_away",
         activation=b.rng.choice(ACTIVATIONS), keep_num_dims=False)
    return b.graph((x,), (y,))


def _pool(b: _Builder, kind: str) -> Graph | None:
    size = _size(b.rng)
    window = _window(b.rng, size)
    if window is None or window["dilation"] != (1, 1):
        return None
    if kind == "AVERAGE_POOL_2D" and any(sum(p) for p in window["padding"]):
        return None
    if any(p >= k for pair, k in zip(window["padding"], window["kernel"], strict=True)
           for p in pair):
        return None
    x = b.activation((1, *size, b.rng.choice(CHANNELS)))
    y = b.activation((1, *window["out"], b.tensors[x].shape[3]), b.tensors[x].quantization)
    b.op(kind, (x,), y, "exact" if kind == "MAX_POOL_2D" else "litert_average_pool",
         filter=window["kernel"], stride=window["stride"], padding=window["padding"],
         activation=b.rng.choice(("NONE", "NONE", "RELU")))
    return b.graph((x,), (y,))


def _pair(b: _Builder, kind: str) -> Graph | None:
    shape = (1, *_size(b.rng), b.rng.choice(CHANNELS))
    x, z = b.activation(shape), b.activation(shape)
    y = _combined(b, kind, x, z, b.rng.choice(ACTIVATIONS))
    return b.graph((x, z), (y,))


def _combined(b: _Builder, kind: str, x: int, z: int, activation: str) -> int:
    """ADD or MUL; the scale of a product goes with those of its factors, for few of it saturate."""
    y = b.activation(b.tensors[x].shape)
    if kind == "MUL":
        scales = [q.scale for q in (b.tensors[i].quantization for i in (x, z)) if q is not None]
        scale = float(np.float32(scales[0] * scales[1] * 10 ** b.rng.uniform(0.5, 2.5)))
        q = Quantization((scale,), b.quantization().zero_points)
        b.tensors[y] = replace(b.tensors[y], quantization=q)
    return b.op(kind, (x, z), y, f"litert_{kind.lower()}", activation=activation)


def _residual(b: _Builder, macs: int) -> Graph | None:
    """conv, conv, and ADD or MUL with the first one's result: fused and in place."""
    size, rng = _size(b.rng), b.rng
    channels = rng.choice(CHANNELS)
    first = {"kernel": (1, 1), "stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)),
             "out": size}
    second = first | {"kernel": (3, 3), "padding": ((1, 1), (1, 1))}
    if size[0] * size[1] * channels * channels * 10 > macs:
        return None
    x = b.activation((1, *size, channels))
    u = _conv_on(b, x, first, channels, "RELU")
    v = _conv_on(b, u, second, channels, "NONE")
    pair = (u, v) if rng.random() < 0.5 else (v, u)
    y = _combined(b, rng.choice(("ADD", "ADD", "MUL")), *pair, "RELU")
    return b.graph((x,), (y,))


def _chain(b: _Builder, macs: int) -> Graph | None:
    """Two convolutions in a row: dependencies and run-ahead."""
    size, rng = _size(b.rng), b.rng
    first = _window(rng, size)
    second = _window(rng, first["out"]) if first else None
    a, c, d = (rng.choice(CHANNELS) for _ in range(3))
    if not first or not second:
        return None
    cost = (np.prod(first["out"]) * np.prod(first["kernel"]) * a * c
            + np.prod(second["out"]) * np.prod(second["kernel"]) * c * d)
    if cost > macs:
        return None
    x = b.activation((1, *size, a))
    u = _conv_on(b, x, first, c, rng.choice(ACTIVATIONS))
    return b.graph((x,), (_conv_on(b, u, second, d, rng.choice(ACTIVATIONS)),))


def _mean(b: _Builder, macs: int) -> Graph | None:
    """Over pixels, or along the channels."""
    shape = (b.rng.choice((1, 1, 2)), *_size(b.rng), b.rng.choice(CHANNELS))
    axes = b.rng.choice(((1, 2), (1, 2), (2,), (3,)))
    x = b.activation(shape)
    y = b.activation(tuple(1 if i in axes else n for i, n in enumerate(shape)))
    b.op("MEAN", (x,), y, "litert_mean", axes=axes)
    return b.graph((x,), (y,))


def _transpose(b: _Builder, macs: int) -> Graph | None:
    """Two groups of neighboring axes change places."""
    shape = tuple(b.rng.choice((1, 2, 3, 5, 8, 16)) for _ in range(4))
    order = b.rng.choice(((0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 1, 2), (1, 0, 2, 3)))
    x = b.activation(shape)
    y = b.activation(tuple(shape[i] for i in order), b.tensors[x].quantization)
    b.op("TRANSPOSE", (x,), y, "exact", permutation=order)
    return b.graph((x,), (y,))


def _broadcast(b: _Builder, macs: int) -> Graph | None:
    """ADD or MUL of a map and a pixel, a channel or a value for all of it."""
    shape = (1, *_size(b.rng), b.rng.choice(CHANNELS))
    narrow = b.rng.choice(((1, 1, 1, shape[3]), (*shape[:3], 1), (1, 1, 1, 1)))
    x, z = b.activation(shape), b.activation(narrow)
    y = _combined(b, b.rng.choice(("ADD", "MUL")), x, z, b.rng.choice(ACTIVATIONS))
    return b.graph((x, z), (y,))


def _uint8(b: _Builder, macs: int) -> Graph | None:
    """A graph of another kind in legacy uint8, whose weights may need more than int8."""
    kind = b.rng.choice((_conv, _conv, _depthwise, _depthwise, _fully_connected, _chain, KINDS[
        "max_pool"], KINDS["average_pool"]))
    graph = kind(b, macs)
    return None if graph is None else check(replace(
        graph, tensors=tuple(_as_uint8(b, tensor) for tensor in graph.tensors)))


def _as_uint8(b: _Builder, tensor: Tensor) -> Tensor:
    q, data = tensor.quantization, tensor.data
    if tensor.dtype != "int8" or q is None:
        return tensor
    if data is None:
        return replace(tensor, dtype="uint8", quantization=replace(
            q, zero_points=(q.zero_point + 128,)))
    zero = b.rng.choice((0, 255, 128, *(b.rng.randint(0, 255) for _ in range(3))))
    if b.rng.random() < 0.3:
        values = data.astype(np.int16) + 128      # most of them far from the zero point
    else:
        values = zero + data.astype(np.int16) // 2
        values[b.np_rng.random(data.shape) < 0.02] = b.rng.choice((0, 255))
    values = np.clip(values, 0, 255).astype(np.uint8)
    values.setflags(write=False)
    return replace(tensor, dtype="uint8", data=values,
                   quantization=Quantization((q.scale,), (zero,)))


KINDS: dict[str, Callable[[_Builder, int], Graph | None]] = {
    "conv": _conv,
    "depthwise": _depthwise,
    "fully_connected": _fully_connected,
    "max_pool": lambda b, macs: _pool(b, "MAX_POOL_2D"),
    "average_pool": lambda b, macs: _pool(b, "AVERAGE_POOL_2D"),
    "add": lambda b, macs: _pair(b, "ADD"),
    "mul": lambda b, macs: _pair(b, "MUL"),
    "residual": _residual,
    "chain": _chain,
    "mean": _mean,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "uint8": _uint8,
}
