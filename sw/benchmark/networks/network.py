"""Builds TFLite files with seeded weights whose activations neither die nor saturate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder
from kaniwa.graph import Graph
from kaniwa.importers.tflite.importer import import_tflite

__all__ = ["Network", "NetworkFile", "Pair", "pair"]

Pair = tuple[int, int]
Sizes = int | Pair

SPREAD = 4096         # values that stand for the distribution of a tensor
HEADROOM = 0.999      # share of them that the range of a byte covers
OUTPUTS = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128)}


@dataclass(frozen=True)
class NetworkFile:
    """A network as the content of a TFLite file."""

    name: str
    data: bytes

    @cached_property
    def graph(self) -> Graph:
        """What the importer reads."""
        return import_tflite(self.data, self.name)


class Network:
    """Adds one operator after the other; each method returns the id of the operator's result.

    Beside each activation it keeps a sample of the real numbers that the layer would produce for
    random inputs; scales and zero points are chosen from it. Weights are of zero sum, so the
    positive mean of a ReLU's output does not drive channels apart, and of a variance for which
    sums have variance 1.
    ``dtype`` is that of activations: with "uint8" the weights are uint8 too, with one scale and
    zero point a tensor.
    """

    def __init__(self, name: str, seed: int, dtype: str = "int8") -> None:
        self.rng = np.random.default_rng(seed)
        self._name, self._dtype = name, dtype
        self._low = 0 if dtype == "uint8" else -128
        self._file = ModelBuilder()
        self._spread: dict[int, np.ndarray] = {}
        self._free: set[int] = set()   # results whose scale nothing depends on yet

    def shape(self, x: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return tuple(self._file.tensors[x].shape)

    def sample(self, x: int) -> np.ndarray:
        """Real numbers distributed as those of a tensor."""
        return self._spread[x]

    def file(self, inputs: Sequence[int], outputs: Sequence[int]) -> NetworkFile:
        """The finished file."""
        return NetworkFile(self._name, self._file.build(inputs, outputs))

    def input(self, *shape: int) -> int:
        """An input of normally distributed numbers."""
        return self.activation("input", shape, self.rng.normal(size=SPREAD))

    def state(self, *shape: int) -> int:
        """An input with the scale of a hidden state, of numbers between -1 and 1."""
        return self.activation("state", shape, self.rng.uniform(-1, 1, SPREAD), OUTPUTS["TANH"])

    def conv(self, x: int, channels: int, kernel: Sizes, stride: Sizes = 1,
             activation: str = "NONE", padding: str = "SAME", dilation: Sizes = 1) -> int:
        """A convolution."""
        _, *size, depth = self.shape(x)
        k, s, d = pair(kernel), pair(stride), pair(dilation)
        shape = (1, *_outputs(size, k, s, d, padding), channels)
        return self._weighted(
            "CONV_2D", x, (channels, *k, depth), shape, activation, Padding=PADDING[padding],
            StrideH=s[0], StrideW=s[1], DilationHFactor=d[0], DilationWFactor=d[1])

    def depthwise(self, x: int, kernel: Sizes, stride: Sizes = 1,
                  activation: str = "NONE") -> int:
        """A kernel for each channel, with SAME padding."""
        _, *size, depth = self.shape(x)
        k, s = pair(kernel), pair(stride)
        shape = (1, *_outputs(size, k, s, (1, 1), "SAME"), depth)
        return self._weighted(
            "DEPTHWISE_CONV_2D", x, (1, *k, depth), shape, activation, Padding=PADDING["SAME"],
            StrideH=s[0], StrideW=s[1], DilationHFactor=1, DilationWFactor=1, DepthMultiplier=1)

    def transpose_conv(self, x: int, channels: int, kernel: int, stride: int) -> int:
        """A transposed convolution with SAME padding: ``stride`` times the rows and columns."""
        _, height, width, depth = self.shape(x)
        shape = (1, height * stride, width * stride, channels)
        return self._weighted(
            "TRANSPOSE_CONV", x, (channels, kernel, kernel, depth), shape, "NONE",
            Padding=PADDING["SAME"], StrideH=stride, StrideW=stride)

    def fully_connected(self, x: int, channels: int, activation: str = "NONE") -> int:
        """A fully connected layer along the last axis."""
        *rows, depth = self.shape(x)
        return self._weighted("FULLY_CONNECTED", x, (channels, depth), (*rows, channels),
                              activation, KeepNumDims=len(rows) > 1)

    def again(self, made: int, x: int) -> int:
        """The fully connected layer that made ``made``, on an ``x`` with its input's scale."""
        op = next(each for each in self._file.operators if made in each.outputs)
        y = self.activation("fully_connected", self.shape(made), self._spread[made],
                            self._scale(made))
        return self.op(op.kind, (x, *op.inputs[1:]), y, **dict(op.options or {}))

    def matmul(self, a: int, b: int, transposed: bool = False) -> int:
        """The product of two computed matrices, ``b`` transposed or not."""
        depth = self.shape(a)[-1]
        columns = self.shape(b)[-2 if transposed else -1]
        sigma = self._spread[a].std() * self._spread[b].std() * math.sqrt(depth)
        y = self.activation("batch_matmul", (*self.shape(a)[:-1], columns),
                            self.rng.normal(0, sigma, SPREAD))
        return self.op("BATCH_MATMUL", (a, b), y, AdjX=False, AdjY=transposed)

    def max_pool(self, x: int, window: int, stride: int, padding: str = "SAME") -> int:
        """The maximum over square windows."""
        _, *size, depth = self.shape(x)
        k, s = (window, window), (stride, stride)
        spread = self.rng.choice(self._spread[x], (window * window, SPREAD)).max(axis=0)
        y = self.activation("max_pool", (1, *_outputs(size, k, s, (1, 1), padding), depth), spread,
                            self._scale(x))
        return self._pool("MAX_POOL_2D", x, y, k, s, padding)

    def average_pool(self, x: int, window: int) -> int:
        """The mean over square windows at every position, with SAME padding: for the host."""
        y = self.activation("average_pool", self.shape(x), self._spread[x], self._scale(x))
        return self._pool("AVERAGE_POOL_2D", x, y, (window, window), (1, 1), "SAME")

    def global_average(self, x: int) -> int:
        """The mean of each channel, as a [1, channels] tensor."""
        _, height, width, depth = self.shape(x)
        y = self.activation("average_pool", (1, 1, 1, depth), self._spread[x], self._scale(x))
        size = (height, width)
        return self.reshape(self._pool("AVERAGE_POOL_2D", x, y, size, size, "VALID"), (1, depth))

    def mean(self, x: int, axes: Sequence[int], spread: np.ndarray) -> int:
        """The mean along ``axes``, which stay as 1, with values like ``spread``."""
        shape = tuple(1 if i in axes else n for i, n in enumerate(self.shape(x)))
        y = self.activation("mean", shape, spread)
        return self.op("MEAN", (x, self.numbers(*axes)), y, KeepDims=True)

    def add(self, a: int, b: int, activation: str = "NONE") -> int:
        """The sum of two tensors; one may be broadcast."""
        spread = self._spread[a] + self.rng.permutation(self._spread[b])
        return self.elementwise("ADD", a, b, spread, activation)

    def sub(self, a: int, b: int) -> int:
        """The difference of two tensors; one may be broadcast."""
        return self.elementwise("SUB", a, b, self._spread[a] - self.rng.permutation(
            self._spread[b]))

    def mul(self, a: int, b: int) -> int:
        """The product of two tensors; one may be broadcast."""
        return self.elementwise("MUL", a, b, self._spread[a] * self.rng.permutation(
            self._spread[b]))

    def elementwise(self, kind: str, a: int, b: int, spread: np.ndarray,
                    activation: str = "NONE", scale: tuple[float, int] | None = None) -> int:
        """An operator of two tensors whose results are distributed as ``spread``."""
        shape = np.broadcast_shapes(self.shape(a), self.shape(b))
        y = self.activation(kind.lower(), shape, _activated(spread, activation), scale)
        self._free |= {y} if scale is None else set()
        options: dict[str, Any] = {} if kind == "SQUARED_DIFFERENCE" else {
            "FusedActivationFunction": ACTIVATION[activation]}
        return self.op(kind, (a, b), y, **options)

    def function(self, kind: str, x: int, spread: np.ndarray, **options: Any) -> int:
        """A function of one tensor, element by element, or SOFTMAX along the last axis."""
        fixed = OUTPUTS.get(kind)
        if fixed is not None and self._dtype == "uint8":
            fixed = (fixed[0], fixed[1] + 128)
        return self.op(kind, (x,), self.activation(kind.lower(), self.shape(x), spread, fixed),
                       **options)

    def concatenation(self, parts: Sequence[int], axis: int) -> int:
        """Tensors one behind the other along ``axis``.

        Those whose scale is still open get the result's; QUANTIZE is put behind others.
        """
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        spread = self.rng.permutation(np.concatenate([self._spread[part] for part in parts]))
        scales = {self._scale(part) for part in parts}
        y = self.activation("concatenation", tuple(shape), spread[:SPREAD],
                            scales.pop() if len(scales) == 1 else None)
        return self.op("CONCATENATION", [self.rescaled(part, y) for part in parts], y, Axis=axis)

    def rescaled(self, x: int, like: int) -> int:
        """``x`` with the scale of ``like``: its own if that is still open, else by QUANTIZE."""
        if self._scale(x) == self._scale(like):
            return x
        if x in self._free:
            target, source = self._file.tensors[x], self._file.tensors[like]
            target.scales, target.zero_points = source.scales, source.zero_points
            return x
        y = self.activation("quantize", self.shape(x), self._spread[x], self._scale(like))
        return self.op("QUANTIZE", (x,), y)

    def moved(self, kind: str, x: int, shape: Sequence[int], *numbers: Sequence[int | Pair],
              **options: Any) -> int:
        """An operator that only moves values; ``numbers`` are its further operands."""
        y = self.activation(kind.lower(), tuple(shape), self._spread[x], self._scale(x))
        return self.op(kind, (x, *(self.numbers(*each) for each in numbers)), y, **options)

    def reshape(self, x: int, shape: Sequence[int]) -> int:
        """The same values in another shape."""
        return self.moved("RESHAPE", x, shape, shape, NewShape=[*shape])

    def transpose(self, x: int, permutation: Sequence[int]) -> int:
        """The axes in another order."""
        return self.moved("TRANSPOSE", x, [self.shape(x)[i] for i in permutation], permutation)

    def pad(self, x: int, *pads: Pair) -> int:
        """Zeros before and behind, a pair for each axis."""
        shape = [n + sum(each) for n, each in zip(self.shape(x), pads, strict=True)]
        return self.moved("PAD", x, shape, pads)

    def slice(self, x: int, begin: Sequence[int], end: Sequence[int]) -> int:
        """The values from ``begin`` up to ``end``."""
        shape = [b - a for a, b in zip(begin, end, strict=True)]
        return self.moved("STRIDED_SLICE", x, shape, begin, end, [1] * len(shape))

    def resize(self, x: int, factor: int) -> int:
        """Rows and columns ``factor`` times as many, by linear interpolation."""
        batch, height, width, depth = self.shape(x)
        size = (height * factor, width * factor)
        return self.moved("RESIZE_BILINEAR", x, (batch, *size, depth), size,
                          HalfPixelCenters=True)

    def constant(self, name: str, real: np.ndarray) -> int:
        """A constant of the activations' dtype that has these real values."""
        high = float(np.abs(real).max()) or 1.0
        scale, zero = float(np.float32(high / 127)), self._low + 128
        values = np.clip(np.rint(real / scale), -127, 127) + zero
        number = self._constant(name, values.astype(self._dtype), scale, zero)
        self._spread[number] = self.rng.choice(real.ravel(), SPREAD)
        return number

    def numbers(self, *values: int | Pair) -> int:
        """A constant of integers."""
        data = np.array(values, np.int32)
        return self._file.tensor(f"numbers_{len(self._file.tensors)}", data.shape, "int32",
                                 data=data)

    def weights(self, channels: int, fan_in: int, name: str = "weights") -> int:
        """int8 weights [channels, fan_in] of one scale, as recurrent layers have them."""
        real = self.rng.normal(0, fan_in ** -0.5, (channels, fan_in))
        scale = float(np.float32(np.abs(real).max() / 127))
        return self._constant(name, np.rint(real / scale).astype(np.int8), scale, 0)

    def zeros(self, name: str, count: int, scale: float) -> int:
        """An int32 bias of zeros."""
        return self._constant(name, np.zeros(count, np.int32), scale, 0)

    def scale_of(self, tensor: int) -> float:
        """The scale of a tensor that has one."""
        return float(self._file.tensors[tensor].scales[0])

    def between(self, dtype: str, scale: tuple[float, int] | None = None,
                shape: tuple[int, ...] = (0,), variable: bool = False) -> int:
        """A tensor that belongs to an operator: of its inner sums, or kept by it."""
        quantized: dict[str, Any] = {} if scale is None else {
            "scale": scale[0], "zero_point": scale[1]}
        return self._file.tensor(f"between_{len(self._file.tensors)}", shape, dtype,
                                 variable=variable, **quantized)

    def activation(self, name: str, shape: tuple[int, ...], spread: np.ndarray,
                   scale: tuple[float, int] | None = None) -> int:
        """A tensor of ``dtype`` with this scale and zero point, else with those for ``spread``."""
        if scale is None:
            size = np.sort(np.abs(spread))
            high = float(size[int(HEADROOM * len(size))])
            low = min(0.0, max(-high, float(spread.min())))
            step = float(np.float32((high - low) / 255))
            scale = (step, round(self._low - low / step))
        number = self._file.tensor(f"{name}_{len(self._file.tensors)}", shape, self._dtype,
                                   scale=scale[0], zero_point=scale[1])
        self._spread[number] = spread
        return number

    def op(self, kind: str, inputs: Sequence[int], output: int,
           intermediates: Sequence[int] = (), **options: Any) -> int:
        """Add an operator; returns ``output``."""
        self._free -= set(inputs)
        self._file.op(kind, inputs, [output], intermediates=intermediates, **options)
        return output

    def _pool(self, kind: str, x: int, y: int, size: Pair, stride: Pair, padding: str) -> int:
        return self.op(kind, (x,), y, Padding=PADDING[padding], FilterHeight=size[0],
                       FilterWidth=size[1], StrideH=stride[0], StrideW=stride[1],
                       FusedActivationFunction=0)

    def _weighted(self, kind: str, x: int, shape: tuple[int, ...], result: tuple[int, ...],
                  activation: str, **options: Any) -> int:
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0   # of the output channels
        channels = shape[axis]
        fan_in = int(np.prod(shape)) // channels
        real = self.rng.normal(0, fan_in ** -0.5, (channels, fan_in))
        real -= real.mean(axis=1, keepdims=True)
        scales, zeros, values = self._quantized(real)
        scales = (scales / self._spread[x].std()).astype(np.float32)
        values = np.ascontiguousarray(values.T if axis else values).reshape(shape)
        w = self._file.tensor(f"weights_{len(self._file.tensors)}", shape, str(values.dtype),
                              scale=scales, zero_point=zeros, axis=axis, data=values)
        steps = np.float32(self.scale_of(x)) * scales
        bias = np.rint(self.rng.normal(0, 0.1, channels) / steps)
        b = self._file.tensor(f"bias_{len(self._file.tensors)}", (channels,), "int32",
                              scale=steps, zero_point=[0] * len(steps),
                              data=bias.astype(np.int32))
        spread = _activated(self.rng.normal(0, 1, SPREAD), activation)
        y = self.activation(kind.lower(), result, spread)
        self._free.add(y)
        operands: tuple[int, ...] = (x, w, b)
        if kind == "TRANSPOSE_CONV":
            operands = (self.numbers(*result), w, x, b)
        return self.op(kind, operands, y, FusedActivationFunction=ACTIVATION[activation],
                       **options)

    def _quantized(self, real: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray]:
        """Scales, zero points and values of weights: by channel, of uint8 by tensor."""
        if self._dtype == "uint8":
            low, high = float(real.min()), float(real.max())
            scales = np.array([(high - low) / 255], np.float32)
            zero = round(-low / float(scales[0]))
            values = np.clip(np.rint(real / scales[0]) + zero, 0, 255).astype(np.uint8)
            return scales, [zero], values
        scales = (np.abs(real).max(axis=1) / 127).astype(np.float32)
        return scales, [0] * len(scales), np.rint(real / scales[:, None]).astype(np.int8)

    def _constant(self, name: str, data: np.ndarray, scale: float, zero_point: int) -> int:
        return self._file.tensor(f"{name}_{len(self._file.tensors)}", data.shape,
                                 str(data.dtype), scale=scale, zero_point=zero_point, data=data)

    def _scale(self, x: int) -> tuple[float, int]:
        tensor = self._file.tensors[x]
        return float(tensor.scales[0]), int(tensor.zero_points[0])


def pair(sizes: Sizes) -> Pair:
    """Rows and columns of a size that may be one number for both."""
    return (sizes, sizes) if isinstance(sizes, int) else sizes


def _outputs(sizes: Sequence[int], kernel: Pair, stride: Pair, dilation: Pair,
             padding: str) -> list[int]:
    if padding == "SAME":
        return [-(-n // s) for n, s in zip(sizes, stride, strict=True)]
    return [(n - (k - 1) * d - 1) // s + 1
            for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)]


def _activated(values: np.ndarray, activation: str) -> np.ndarray:
    if activation == "NONE":
        return values
    return np.clip(values, 0, 6.0 if activation == "RELU6" else None)
