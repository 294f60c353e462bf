"""Small graphs written by hand, for tests of the compiler."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.graph import Graph, Op, Quantization, Tensor, check

__all__ = ["GraphBuilder"]


class GraphBuilder:
    """Collects tensors and operators; every method returns the id of the tensor it made."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def tensor(self, shape: tuple[int, ...], scale: float | None = 0.5, zero_point: int = 3,
               data: np.ndarray | None = None) -> int:
        """A tensor; activations are int8."""
        q = None if scale is None else Quantization((scale,), (zero_point,))
        dtype = "int8" if data is None else str(data.dtype)
        self.tensors.append(Tensor(len(self.tensors), f"t{len(self.tensors)}", shape, dtype, q,
                                   data, len(self.tensors)))
        return len(self.tensors) - 1

    def op(self, kind: str, inputs: tuple[int, ...], output: int, rule: str = "exact",
           **attributes: object) -> int:
        """An operator; returns ``output``."""
        self.ops.append(Op(kind, f"{kind.lower()}{len(self.ops)}", inputs, (output,), attributes,
                           rule, len(self.ops)))
        return output

    def size(self, tensor_id: int) -> int:
        """Elements of a tensor."""
        return int(np.prod(self.tensors[tensor_id].shape))

    def steps(self, tensor_id: int) -> tuple[float, int]:
        """Scale and zero point of a tensor."""
        q = self.tensors[tensor_id].quantization
        assert q is not None
        return q.scale, q.zero_point

    def requantized(self, tensor_id: int, scale: float, zero_point: int) -> int:
        """The same tensor, which now has this scale and zero point."""
        self.tensors[tensor_id] = replace(self.tensors[tensor_id],
                                          quantization=Quantization((scale,), (zero_point,)))
        return tensor_id

    def weights(self, shape: tuple[int, ...], scale: float = 0.01) -> int:
        """Random int8 weights with one scale."""
        return self.tensor(shape, scale, 0, self.rng.integers(-127, 128, shape, np.int8))

    def bias(self, channels: int) -> int:
        """Random int32 biases."""
        return self.tensor((channels,), None, 0,
                           self.rng.integers(-9999, 9999, channels, np.int32))

    def conv(self, x: int, channels: int, kernel: tuple[int, int] = (3, 3),
             stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1),
             pad: int | None = None, activation: str = "NONE", depthwise: int = 0) -> int:
        """CONV_2D, or DEPTHWISE_CONV_2D with multiplier ``depthwise``; ``pad`` on each side."""
        batch, rows, columns, depth = self.tensors[x].shape
        pads = [(k - 1) * d // 2 if pad is None else pad
                for k, d in zip(kernel, dilation, strict=True)]
        size = [(n + 2 * p - (k - 1) * d - 1) // s + 1 for n, p, k, d, s in zip(
            (rows, columns), pads, kernel, dilation, stride, strict=True)]
        shape = (1, *kernel, channels) if depthwise else (channels, *kernel, depth)
        w, b = self.weights(shape), self.bias(channels)
        y = self.tensor((batch, *size, channels), 2.0, -4)
        extra = {"depth_multiplier": depthwise} if depthwise else {}
        return self.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (x, w, b), y,
                       "litert_double_rounding", stride=stride, dilation=dilation,
                       padding=tuple((p, p) for p in pads), activation=activation, **extra)

    def transpose_conv(self, x: int, channels: int, kernel: tuple[int, int] = (3, 3),
                       stride: tuple[int, int] = (2, 2), *, same: bool = True) -> int:
        """TRANSPOSE_CONV to ``stride`` times the size with padding SAME, else VALID."""
        batch, rows, columns, depth = self.tensors[x].shape
        size = [n * s if same else (n - 1) * s + k
                for n, k, s in zip((rows, columns), kernel, stride, strict=True)]
        lost = [max(k - s, 0) if same else 0 for k, s in zip(kernel, stride, strict=True)]
        w, b = self.weights((channels, *kernel, depth)), self.bias(channels)
        y = self.tensor((batch, *size, channels), 2.0, -4)
        return self.op("TRANSPOSE_CONV", (w, x, b), y, "litert_double_rounding", stride=stride,
                       padding=tuple((n // 2, n - n // 2) for n in lost), activation="NONE")

    def pool(self, x: int, kind: str, window: tuple[int, int],
             stride: tuple[int, int] = (1, 1), pad: int = 0) -> int:
        """AVERAGE_POOL_2D or MAX_POOL_2D, with ``pad`` on each side."""
        batch, rows, columns, depth = self.tensors[x].shape
        size = [(n + 2 * pad - k) // s + 1
                for n, k, s in zip((rows, columns), window, stride, strict=True)]
        q = self.tensors[x].quantization
        assert q is not None
        y = self.tensor((batch, *size, depth), q.scale, q.zero_point)
        return self.op(kind, (x,), y, "litert_average_pool" if kind.startswith("AV") else "exact",
                       filter=window, stride=stride, padding=((pad, pad),) * 2, activation="NONE")

    def add(self, a: int, b: int, activation: str = "NONE") -> int:
        """ADD, with an output of ``a``'s shape."""
        return self.elementwise("ADD", a, b, activation)

    def elementwise(self, kind: str, a: int, b: int, activation: str = "NONE", scale: float = 0.7,
                    zero_point: int = 5) -> int:
        """ADD, SUB, MUL or SQUARED_DIFFERENCE, broadcast."""
        shape = np.broadcast_shapes(self.tensors[a].shape, self.tensors[b].shape)
        return self.op(kind, (a, b), self.tensor(shape, scale, zero_point),
                       f"litert_{kind.lower()}", activation=activation)

    def constant(self, value: int, scale: float = 0.5, zero_point: int = 3) -> int:
        """A scalar int8 constant."""
        return self.tensor((), scale, zero_point, np.array(value, np.int8))

    def fully_connected(self, x: int, channels: int) -> int:
        """FULLY_CONNECTED of all that is in ``x`` (one row)."""
        depth = self.size(x)
        y = self.tensor((1, channels), 3.0, 1)
        return self.op("FULLY_CONNECTED", (x, self.weights((channels, depth)), self.bias(channels)),
                       y, "litert_float_half_away", activation="NONE", keep_num_dims=False)

    def split_heads(self, x: int, heads: int, depth: int) -> int:
        """A dense layer of pixels [1, rows, columns, ...] to [1, heads, pixels, depth]."""
        made = self.conv(x, heads * depth, (1, 1))
        _, rows, columns, _ = self.tensors[made].shape
        apart = self.reshape(made, (1, rows * columns, heads, depth))
        return self.op("TRANSPOSE", (apart,), self.tensor(
            (1, heads, rows * columns, depth), *self.steps(made)), permutation=(0, 2, 1, 3))

    def relu(self, x: int, kind: str = "RELU") -> int:
        """RELU or RELU6 on its own."""
        y = self.tensor(self.tensors[x].shape, 0.3, -128)
        return self.op(kind, (x,), y, "litert_double_rounding")

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        """RESHAPE."""
        q = self.tensors[x].quantization
        assert q is not None
        return self.op("RESHAPE", (x,), self.tensor(shape, q.scale, q.zero_point), shape=shape)

    def softmax(self, x: int) -> int:
        """SOFTMAX."""
        y = self.tensor(self.tensors[x].shape, 1 / 256, -128)
        return self.op("SOFTMAX", (x,), y, "litert_softmax", beta=1.0)

    def split(self, x: int, count: int) -> list[int]:
        """SPLIT of the last axis."""
        shape, q = self.tensors[x].shape, self.tensors[x].quantization
        assert q is not None
        parts = [self.tensor((*shape[:-1], shape[-1] // count), q.scale, q.zero_point)
                 for _ in range(count)]
        self.op("SPLIT", (x,), parts[0], axis=len(shape) - 1)
        self.ops[-1] = replace(self.ops[-1], outputs=tuple(parts))
        return parts

    def graph(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
        """The checked graph."""
        return check(Graph("hand", tuple(self.tensors), tuple(self.ops), inputs, outputs))
