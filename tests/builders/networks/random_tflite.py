"""Random TFLite networks over all operators that the importer has.

A step is a layer as converters write it, or the random case of any operator, whose operands are
made of what the steps before gave: converted, cut or repeated, and given the case's shape and
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod, sqrt
from typing import Any

import numpy as np

from builders.operator_cases.cases import DRAWS, Cases, Rng, values
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING

__all__ = ["random_tflite"]

QUANTIZED = ("int8", "uint8", "int16")
# LiteRT has no reference kernel for the first; the others need a subgraph of their own.
LEFT_OUT = ("ELU", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
# Their operands have values for which the reference is defined, or scales by channel.
OWN_OPERANDS = ("DIV", "FLOOR_DIV", "SQRT", "RSQRT", "BATCH_MATMUL", "L2_NORMALIZATION",
                "DEQUANTIZE", "TFLite_Detection_PostProcess")
LARGEST = 4000      # elements of a tensor that layers grow
COPIES = 6      # of a small tensor that an operand is made of


@dataclass
class _Network(Cases):
    """``given`` prefers what was made before to a new input of the model."""

    rng: Rng = field(default_factory=np.random.default_rng)
    read: set[int] = field(default_factory=set)

    def given(self, array: np.ndarray, constant: bool = False, **quantized: Any) -> int:
        dtype, scale = str(array.dtype), quantized.get("scale", 1.0)
        made = self.made(dtype)
        if constant or not made or not isinstance(scale, (float, int)) or self.rng.random() < 0.1:
            return super().given(array, constant, **quantized)
        source = int(self.rng.choice(made[-4:]))
        size, wanted = prod(self.builder.tensors[source].shape), array.size
        if wanted > COPIES * size:
            return super().given(array, constant, **quantized)
        source = self.converted(source, dtype)
        flat = self.moved("RESHAPE", [source, self.numbers([size])], [size])
        if size < wanted:
            count = -(-wanted // size)
            flat = self.moved("CONCATENATION", [flat] * count, [count * size], Axis=0)
        if prod(self.builder.tensors[flat].shape) > wanted:
            flat = self.moved("SLICE", [flat, self.numbers([0]), self.numbers([wanted])], [wanted])
        return self.shaped(flat, array.shape, quantized)

    def made(self, dtype: str = "int8") -> list[int]:
        """Quantised results, of which a tensor of ``dtype`` can be made."""
        known = (*QUANTIZED, "float32")
        return [i for i in self.outputs if dtype in known and self.of(i).dtype in QUANTIZED
                and len(self.of(i).scales) == 1
                and (self.of(i).dtype != "int16" or self.of(i).zero_points[0] == 0)]

    def of(self, tensor: int) -> Any:
        return self.builder.tensors[tensor]

    def steps(self, tensor: int) -> dict[str, Any]:
        """Scale and zero point, where the tensor has them."""
        t = self.of(tensor)
        return {"scale": t.scales[0], "zero_point": t.zero_points[0]} if t.scales else {}

    def between(self, shape: Sequence[int], dtype: str, **quantized: Any) -> int:
        """A tensor that is no output of the model."""
        name = f"t{len(self.builder.tensors)}"
        return self.builder.tensor(name, [int(n) for n in shape], dtype, **quantized)

    def op(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        self.read.update(inputs)
        super().op(kind, inputs, outputs, **options)

    def moved(self, kind: str, inputs: list[int], shape: Sequence[int], **options: Any) -> int:
        y = self.between(shape, self.of(inputs[0]).dtype, **self.steps(inputs[0]))
        self.op(kind, inputs, [y], **options)
        return y

    def converted(self, source: int, dtype: str) -> int:
        """``source`` as another dtype, of about the same numbers."""
        t, steps = self.of(source), self.steps(source)
        if t.dtype == dtype:
            return source
        if dtype == "float32":
            y = self.between(t.shape, dtype)
            self.op("DEQUANTIZE", [source], [y])
            return y
        if t.dtype != "int8":
            steps["zero_point"] = 0 if t.dtype == "int16" else steps["zero_point"] - 128
            steps["scale"] *= 256.0 if t.dtype == "int16" else 1.0
            source = self.quantized(source, "int8", steps)
        if dtype == "int8":
            return source
        if dtype == "int16":
            return self.quantized(source, dtype, {
                "scale": float(np.float32(steps["scale"] / 200)), "zero_point": 0})
        return self.quantized(source, dtype, {**steps, "zero_point": steps["zero_point"] + 128})

    def quantized(self, source: int, dtype: str, steps: dict[str, Any]) -> int:
        y = self.between(self.of(source).shape, dtype, **steps)
        self.op("QUANTIZE", [source], [y])
        return y

    def shaped(self, source: int, shape: Sequence[int], steps: dict[str, Any]) -> int:
        """``source`` with another shape and other steps: converted, or the same bytes."""
        own, dtype = self.steps(source), self.of(source).dtype
        if own and steps and 1 / 8 < steps["scale"] / own["scale"] < 8:
            source = self.quantized(source, dtype, steps)
        y = self.between(shape, dtype, **steps)
        self.op("RESHAPE", [source, self.numbers(shape)], [y])
        return y

    def pixels(self, source: int) -> int:
        """``source`` with four axes, of which the first one is 1."""
        shape = list(self.of(source).shape)
        if len(shape) == 4 and shape[0] == 1:
            return source
        shape = [1, 1, *shape][-4:] if len(shape) < 3 else [1, *shape] if len(shape) == 3 else [
            1, shape[0] * shape[1], shape[2], prod(shape[3:])]
        shape = [1] * (4 - len(shape)) + shape
        return self.moved("RESHAPE", [source, self.numbers(shape)], shape)

    def activation(self, shape: Sequence[int], dtype: str, scale: float) -> int:
        """A result of about this scale."""
        zero = {"int8": int(self.rng.integers(-128, 128)), "uint8": int(self.rng.integers(0, 256)),
                "int16": 0}[dtype]
        real = float(np.float32(scale * self.rng.uniform(0.7, 1.5)))
        return self.result(shape, dtype, scale=real, zero_point=zero)


def random_tflite(seed: int) -> tuple[bytes, list[np.ndarray]]:
    """The file of a network of 3 to 9 steps, and its inputs."""
    from kaniwa.importers import OPERATORS

    rng = np.random.default_rng([seed, 400])
    network = _Network(rng=rng)
    dtype = str(rng.choice(["int8"] * 6 + ["uint8", "uint8", "int16"]))
    shape = [1, *(int(n) for n in rng.integers(4, 13, 2)), int(rng.choice([1, 3, 4, 8, 12, 16]))]
    x = Cases.given(network, values(rng, shape, dtype), scale=1 / int(rng.integers(5, 100)),
                    zero_point={"int8": -3, "uint8": 125, "int16": 0}[dtype])
    network.outputs.append(x)
    kinds = [kind for kind in OPERATORS if kind not in LEFT_OUT]
    for _ in range(int(rng.integers(3, 10))):
        if rng.random() < 0.5:
            step = _LAYERS[int(rng.integers(len(_LAYERS)))]
            step(network, network.pixels(int(rng.choice(network.made()[-3:]))))
        else:
            kind = str(rng.choice(kinds))
            if kind in OWN_OPERANDS:
                _beside(network, kind)
            else:
                DRAWS[kind](network, rng, kind)
    network.outputs.remove(x)
    outputs = [i for i in network.outputs if i not in network.read or rng.random() < 0.2]
    return network.builder.build(network.inputs, outputs), list(map(np.asarray, network.arrays))


def _beside(network: _Network, kind: str) -> None:
    """The case of ``kind`` with inputs of its own."""
    others, network.outputs = network.outputs, []
    DRAWS[kind](network, network.rng, kind)
    network.outputs = others + network.outputs


def _weights(b: _Network, shape: tuple[int, ...], dtype: str, axis: int, x: int) -> list[int]:
    """Weights and a bias, by channel or not, for sums of operand ``x``."""
    channels, unsigned = shape[axis], dtype == "uint8"
    count = 1 if unsigned or b.rng.random() < 0.4 else channels
    scales = b.rng.uniform(0.005, 0.02, count).astype(np.float32)
    zero = [int(b.rng.integers(100, 156)) if unsigned else 0] * count
    w = b.given(values(b.rng, shape, "uint8" if unsigned else "int8"), True, axis=axis,
                scale=scales.tolist(), zero_point=zero)
    bias = b.rng.integers(-2000, 2000, channels).astype("int64" if dtype == "int16" else "int32")
    of_bias = scales * np.float32(b.steps(x)["scale"])
    return [w, b.given(bias, True, scale=of_bias.tolist(), zero_point=[0] * count)]


def _fused(b: _Network) -> int:
    return ACTIVATION[str(b.rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))]


def _conv(b: _Network, x: int) -> None:
    """Dense, depthwise, dilated, strided; sometimes with a PAD before it."""
    (_, *size, channels), dtype = b.of(x).shape, b.of(x).dtype
    kernel = [int(k) for k in b.rng.integers(1, 4, 2)]
    if b.rng.random() < 0.3:
        pads = [[0, 0], *([int(p) for p in b.rng.integers(0, 3, 2)] for _ in size), [0, 0]]
        size = [n + sum(p) for n, p in zip(size, pads[1:3], strict=True)]
        x = b.moved("PAD", [x, b.numbers(np.array(pads))], [1, *size, channels])
    stride, dilation = (int(b.rng.choice([1, 1, 2])) for _ in range(2))
    if stride > 1:
        dilation = 1
    extents = [(k - 1) * dilation + 1 for k in kernel]
    same = b.rng.random() < 0.5 or any(e > n for e, n in zip(extents, size, strict=True))
    out = [-(-n // stride) if same else (n - e) // stride + 1
           for n, e in zip(size, extents, strict=True)]
    depthwise = bool(b.rng.random() < 0.4)
    outputs = channels if depthwise else int(b.rng.choice([2, 4, 7, 8, 16, 20]))
    shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels)
    w = _weights(b, shape, dtype, 3 if depthwise else 0, x)
    terms = prod(kernel) * (1 if depthwise else channels)
    y = b.activation([1, *out, outputs], dtype,
                     b.steps(x)["scale"] * 0.012 * sqrt(terms) * 60)
    options = {"Padding": PADDING["SAME" if same else "VALID"], "StrideH": stride,
               "StrideW": stride, "DilationHFactor": dilation, "DilationWFactor": dilation,
               "FusedActivationFunction": _fused(b)}
    if depthwise:
        options["DepthMultiplier"] = 1
    b.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, *w], [y], **options)


def _blocks(b: _Network, x: int) -> None:
    """A dilated convolution as older converters write it."""
    (_, *size, channels), dtype = b.of(x).shape, b.of(x).dtype
    block = [int(n) for n in b.rng.integers(1, 4, 2)]
    pads = [[n, n + -(size + 2 * n) % n] for n, size in zip(block, size, strict=True)]
    small = [(n + sum(p)) // m for n, p, m in zip(size, pads, block, strict=True)]
    crops = [[0, -(n + 2 * m) % m] for n, m in zip(size, block, strict=True)]
    steps, batch = b.steps(x), prod(block)
    a = b.between([batch, *small, channels], dtype, **steps)
    cut = b.numbers(block)
    b.op("SPACE_TO_BATCH_ND", [x, cut, b.numbers(np.array(pads))], [a])
    w = _weights(b, (8, 3, 3, channels), dtype, 0, a)
    same = min(small) < 3
    made = small if same else [n - 2 for n in small]
    whole = [n * m - sum(c) for n, m, c in zip(made, block, crops, strict=True)]
    y = b.activation([1, *whole, 8], dtype, steps["scale"] * 0.012 * sqrt(9 * channels) * 60)
    between = b.between([batch, *made, 8], dtype, **b.steps(y))
    b.op("CONV_2D", [a, *w], [between], Padding=PADDING["SAME" if same else "VALID"], StrideH=1,
         StrideW=1)
    b.op("BATCH_TO_SPACE_ND", [between, cut, b.numbers(np.array(crops))], [y])


def _pool(b: _Network, x: int) -> None:
    (_, *size, channels), dtype = b.of(x).shape, b.of(x).dtype
    window = [min(int(k), n) for k, n in zip(b.rng.integers(1, 4, 2), size, strict=True)]
    same, stride = bool(b.rng.random() < 0.4), int(b.rng.integers(1, 3))
    out = [-(-n // stride) if same else (n - k) // stride + 1
           for n, k in zip(size, window, strict=True)]
    y = b.result([1, *out, channels], dtype, **b.steps(x))
    b.op(str(b.rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), [x], [y], StrideH=stride,
         StrideW=stride, FilterHeight=window[0], FilterWidth=window[1],
         Padding=PADDING["SAME" if same else "VALID"], FusedActivationFunction=_fused(b))


def _pair(b: _Network, x: int) -> None:
    """Of two tensors of one shape, or of one and a constant, or its mean."""
    shape, dtype = b.of(x).shape, b.of(x).dtype
    kind = str(b.rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"]))
    if kind == "SQUARED_DIFFERENCE" and dtype != "int8":
        kind = "ADD"
    others = [i for i in b.outputs if i != x and (b.of(i).shape, b.of(i).dtype) == (shape, dtype)]
    steps = b.steps(x)
    if others and b.rng.random() < 0.7:
        other = int(b.rng.choice(others))
        if kind in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE") and b.rng.random() < 0.7:
            other = b.quantized(other, dtype, steps)
    elif b.rng.random() < 0.5:
        of = shape[int(b.rng.integers(len(shape) + 1)):]
        other = b.given(values(b.rng, of, dtype), True, **steps)
    else:
        other = b.between([1, 1, 1, shape[3]], dtype, **steps)
        b.op("MEAN", [x, b.numbers([1, 2])], [other], KeepDims=True)
    scales = steps["scale"], b.steps(other)["scale"]
    scale = {"MUL": 60 * scales[0] * scales[1], "SQUARED_DIFFERENCE": 90 * max(scales)**2,
             "MAXIMUM": scales[0], "MINIMUM": scales[0]}.get(kind, 1.2 * max(scales))
    y = b.activation(shape, dtype, scale)
    options = {"FusedActivationFunction": _fused(b)} if kind in ("ADD", "SUB", "MUL") else {}
    if dtype == "int16" and kind in ("ADD", "SUB"):
        options["PotScaleInt16"] = False
    b.op(kind, [x, other] if b.rng.random() < 0.6 else [other, x], [y], **options)


def _squeeze_excite(b: _Network, x: int) -> None:
    """MEAN, two dense layers, LOGISTIC, MUL."""
    (*_, channels), dtype = b.of(x).shape, b.of(x).dtype
    mean = b.between([1, channels], dtype, **b.steps(x))
    b.op("MEAN", [x, b.numbers([1, 2])], [mean], KeepDims=False)
    w = _weights(b, (channels, channels), dtype, 0, mean)
    if len(b.of(w[0]).scales) > 1 and dtype == "int16":
        w = w[:1]
    scale = float(np.float32(min(b.steps(mean)["scale"] * 0.012 * sqrt(channels) * 60, 4.0)))
    made = b.between([1, channels], dtype, **{**b.steps(mean), "scale": scale})
    b.op("FULLY_CONNECTED", [mean, *w], [made])
    gate = b.between([1, channels], dtype, scale=1 / 32768 if dtype == "int16" else 1 / 256,
                     zero_point={"int8": -128, "uint8": 0, "int16": 0}[dtype])
    b.op("LOGISTIC", [made], [gate])
    wide = b.moved("RESHAPE", [gate, b.numbers([1, 1, 1, channels])], [1, 1, 1, channels])
    b.op("MUL", [x, wide], [b.activation(b.of(x).shape, dtype, b.steps(x)["scale"] * (
        1.0 if dtype == "int16" else 0.8))])


def _join(b: _Network, x: int) -> None:
    """What is split and put together again, in another order, with another tensor."""
    (*outer, channels), dtype = b.of(x).shape, b.of(x).dtype
    if channels % 2:
        b.op("CONCATENATION", [x, x], [b.result([*outer, 2 * channels], dtype, **b.steps(x))],
             Axis=3)
        return
    halves = [b.between([*outer, channels // 2], dtype, **b.steps(x)) for _ in range(2)]
    b.op("SPLIT", [b.numbers(np.array(3)), x], halves, NumSplits=2)
    y = b.result([outer[0], outer[1], 2 * outer[2], channels // 2], dtype, **b.steps(x))
    b.op("CONCATENATION", halves[::-1], [y], Axis=2)


def _attention(b: _Network, x: int) -> None:
    """Of pixels to one another; int8 alone."""
    _, rows, columns, channels = b.of(x).shape
    if b.of(x).dtype != "int8" or rows * columns > 64:
        _pool(b, x)
        return
    tokens, steps = rows * columns, b.steps(x)
    q = b.moved("RESHAPE", [x, b.numbers([1, tokens, channels])], [1, tokens, channels])
    real = steps["scale"]**2 * sqrt(channels) * 60 * float(b.rng.choice([1.0, 0.02]))
    scores = b.between([1, tokens, tokens], "int8", scale=float(np.float32(real)), zero_point=3)
    b.op("BATCH_MATMUL", [q, q], [scores], AdjX=False, AdjY=True)
    weights = b.between([1, tokens, tokens], "int8", scale=1 / 256, zero_point=-128)
    b.op("SOFTMAX", [scores], [weights], Beta=1.0)
    y = b.activation([1, tokens, channels], "int8", steps["scale"])
    b.op("BATCH_MATMUL", [weights, q], [y], AdjX=False, AdjY=False)


_LAYERS: tuple[Callable[[_Network, int], None], ...] = (
    _conv, _conv, _conv, _blocks, _pool, _pair, _pair, _squeeze_excite, _join, _attention)
