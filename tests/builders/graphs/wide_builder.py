"""Small graphs with operators of int16, written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from builders.graphs.graph_builder import GraphBuilder
from kaniwa.graph import Quantization
from kaniwa.importers import OPERATORS

__all__ = ["FULL", "WideBuilder", "gated"]

FULL = 1 / 32768


class WideBuilder(GraphBuilder):
    """Int16 activations have zero point 0."""

    def wide(self, shape: tuple[int, ...], scale: float, data: np.ndarray | None = None) -> int:
        """An int16 tensor."""
        made = self.tensor(shape, scale, 0, data)
        self.tensors[made] = replace(self.tensors[made], dtype="int16")
        return made

    def quantize(self, x: int, scale: float, zero_point: int | None = None) -> int:
        """QUANTIZE to int16, or with a zero point to int8."""
        shape = self.tensors[x].shape
        y = self.wide(shape, scale) if zero_point is None else self.tensor(shape, scale, zero_point)
        return self.op("QUANTIZE", (x,), y, "litert_double_rounding")

    def over_float(self, x: int) -> int:
        """The host's, of bytes: a float32 between two of them."""
        (scale, zero_point), shape = self.steps(x), self.tensors[x].shape
        real = self.op("DEQUANTIZE", (x,), self.tensor(shape, None), "float32")
        self.tensors[real] = replace(self.tensors[real], dtype="float32")
        return self.op("QUANTIZE", (real,), self.tensor(shape, scale * 1.5, zero_point),
                       "litert_quantize")

    def function(self, kind: str, x: int, scale: float) -> int:
        """A function of int16."""
        return self.op(kind, (x,), self.wide(self.tensors[x].shape, scale),
                       OPERATORS[kind].rules["int16"],
                       **({"approximate": False} if kind == "GELU" else {}))

    def arithmetic(self, kind: str, a: int, b: int, scale: float, activation: str = "NONE") -> int:
        """ADD, SUB or MUL of int16."""
        shape = np.broadcast_shapes(self.tensors[a].shape, self.tensors[b].shape)
        return self.op(kind, (a, b), self.wide(shape, scale), f"litert_{kind.lower()}",
                       activation=activation)

    def int64_bias(self, channels: int) -> int:
        """Random biases of sums of int16."""
        return self.tensor((channels,), None, 0, self.rng.integers(-10**7, 10**7, channels))

    def wide_conv(self, x: int, channels: int, kernel: tuple[int, int] = (3, 3),
                  depthwise: int = 0, scale: float = 0.03, **settings: Any) -> int:
        """``conv`` of int16, with a scale for each channel."""
        y = self.conv(x, channels, kernel, depthwise=depthwise, **settings)
        x, weights, _ = self.ops[-1].inputs
        scales = tuple(map(float, self.rng.uniform(0.001, 0.01, channels)))
        self.tensors[weights] = replace(self.tensors[weights], quantization=Quantization(
            scales, (0,) * channels, 3 if depthwise else 0))
        self.ops[-1] = replace(self.ops[-1], inputs=(x, weights, self.int64_bias(channels)),
                               rule="litert_int16")
        self.tensors[y] = replace(self.tensors[y], dtype="int16",
                                  quantization=Quantization((scale,), (0,)))
        return y

    def wide_dense(self, x: int, channels: int, scale: float = 0.03) -> int:
        """FULLY_CONNECTED of int16 rows, with one scale."""
        *outer, depth = self.tensors[x].shape
        return self.op("FULLY_CONNECTED", (x, self.weights((channels, depth)),
                                           self.int64_bias(channels)),
                       self.wide((*outer, channels), scale), "litert_float_half_away",
                       activation="NONE", keep_num_dims=True)

    def wide_mean(self, x: int, axes: tuple[int, ...]) -> int:
        """MEAN of int16, of other steps, that keeps its axes."""
        shape = tuple(1 if n in axes else size for n, size in enumerate(self.tensors[x].shape))
        return self.op("MEAN", (x,), self.wide(shape, self.steps(x)[0] * 0.7), "litert_mean",
                       axes=axes, keep_dims=True)

    def wide_pool(self, x: int, window: tuple[int, int], stride: tuple[int, int],
                  kind: str = "AVERAGE_POOL_2D") -> int:
        """AVERAGE_POOL_2D or MAX_POOL_2D of int16."""
        y = self.pool(x, kind, window, stride)
        self.tensors[y] = replace(self.tensors[y], dtype="int16")
        return y

    def wide_product(self, a: int, b: int, scale: float, adj_x: bool = False,
                     adj_y: bool = False) -> int:
        """BATCH_MATMUL of int16."""
        rows = self.tensors[a].shape[-1 if adj_x else -2]
        columns = self.tensors[b].shape[-2 if adj_y else -1]
        y = self.wide((*self.tensors[a].shape[:-2], rows, columns), scale)
        return self.op("BATCH_MATMUL", (a, b), y, "litert_int16", adj_x=adj_x, adj_y=adj_y)

    def wide_softmax(self, x: int, beta: float = 1.0) -> int:
        """SOFTMAX of int16."""
        return self.op("SOFTMAX", (x,), self.wide(self.tensors[x].shape, FULL),
                       "litert_softmax_tables", beta=beta)

    def wide_normalised(self, x: int, scale: float) -> int:
        """x over the root of its mean square along the last axis, as (x - mean) * rsqrt(...)."""
        axis = len(self.tensors[x].shape) - 1
        steps = self.steps(x)[0]
        centered = self.arithmetic("SUB", x, self.wide_mean(x, (axis,)), steps)
        square = self.arithmetic("MUL", centered, centered, 32768 * steps**2)
        more = self.wide((), steps**2, np.array(100, np.int16))
        sum_of = self.arithmetic("ADD", self.wide_mean(square, (axis,)), more, 32768 * steps**2)
        return self.arithmetic("MUL", centered, self.function("RSQRT", sum_of, 0.1 / steps / 32768),
                               scale)


def gated(b: WideBuilder, x: int) -> int:
    """sigmoid(x) · tanh(x) in int16, by another name before it is bytes again."""
    wide = b.quantize(x, 0.0005)
    product = b.arithmetic("MUL", b.function("LOGISTIC", wide, FULL),
                           b.function("TANH", wide, FULL), FULL)
    shape = b.tensors[product].shape
    flat = b.op("RESHAPE", (product,), b.wide((1, b.size(product)), FULL),
                shape=(1, b.size(product)))
    return b.op("RESHAPE", (b.quantize(flat, 0.01, 0),), b.tensor(shape, 0.01, 0), shape=shape)
