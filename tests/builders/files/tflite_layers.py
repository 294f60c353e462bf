"""Random one-layer TFLite models for each operator, for comparing kernels with LiteRT.

Each ``random_*`` draws a layer and returns its file and matching inputs. Scales are drawn so that
LiteRT's C++ is defined: no accumulator, left shift or conversion leaves int32.
"""

from __future__ import annotations

import math

import numpy as np

from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder

__all__ = [
    "Layer",
    "random_conv",
    "random_fully_connected",
    "random_elementwise",
    "random_pool",
    "random_softmax",
    "random_relu",
]

Layer = tuple[bytes, list[np.ndarray]]
FUSED = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 11, 13, 16, 17, 31, 32, 37, 61, 64, 97, 128, 157, 160)
MAXIMUM_MACS = 1_000_000


def int8(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """int8 values over the whole range; one in four is an extreme."""
    values = rng.integers(-128, 128, shape, np.int8)
    extremes = rng.choice(np.array([-128, 127], np.int8), shape)
    return np.where(rng.random(shape) < 0.25, extremes, values)


def zero_point(rng: np.random.Generator) -> int:
    return int(rng.choice([-128, 127, 0, rng.integers(-128, 128)]))


def scale(rng: np.random.Generator, low: float = -8, high: float = 4) -> float:
    """A float32 scale, log-uniform between powers of two; one in four is a power of two itself."""
    exponent = rng.uniform(low, high)
    return float(np.float32(2.0 ** (round(exponent) if rng.random() < 0.25 else exponent)))


def weighted(
    rng: np.random.Generator,
    b: ModelBuilder,
    x_scale: float,
    weights: np.ndarray,
    channel_axis: int,
    terms: int,
    needs_bias: bool,
    widest: float,
) -> tuple[list[int], float]:
    """Add weights and bias with per-tensor, per-channel or degenerate scales; and draw s_out.

    Returns the tensors and the output's scale. ``terms`` products make one
    accumulator; one layer in five has no bias unless it ``needs_bias``. Dead
    channels have multipliers up to 2^``widest``.
    """
    channels = weights.shape[channel_axis]
    bound = terms * 128 * 255
    output_scale = scale(rng)
    real = 2.0 ** rng.uniform(-math.log2(bound) - 2, 1, channels)
    big_bias = rng.random() < 0.3
    if big_bias:
        real = 2.0 ** rng.uniform(-32, -1, channels)
    bias = rng.integers(-bound, bound, channels, endpoint=True)
    if big_bias:
        bias = rng.choice([-1, 1], channels) * (
            (1 << 31) - 1 - bound - rng.integers(0, 1000, channels)
        )
    if rng.random() < 0.3:
        # Channels whose multiplier flushes to zero, and dead channels with an absurd scale.
        tiny = rng.random(channels) < 0.3
        real = np.where(tiny, 2.0 ** rng.uniform(-60, -31, channels), real)
        dead = ~tiny & (rng.random(channels) < 0.3)
        real = np.where(dead, 2.0 ** rng.uniform(4, widest, channels), real)
        bias = np.where(dead, 0, bias)
        weights = np.where(
            np.expand_dims(dead, [a for a in range(weights.ndim) if a != channel_axis]),
            np.int8(0),
            weights,
        )
        per_channel = True
    else:
        per_channel = rng.random() < 0.6
        if not per_channel:
            real = np.full(channels, real.min())
    if rng.random() < 0.25:
        real = 2.0 ** np.round(np.log2(real))  # Products that end exactly on ties.
    w_scales = np.maximum((real * output_scale / x_scale).astype(np.float32), np.float32(1e-44))
    count = channels if per_channel else 1
    w = b.tensor(
        "weights",
        weights.shape,
        scale=w_scales[:count],
        zero_point=[0] * count,
        axis=channel_axis,
        data=weights,
    )
    if not needs_bias and rng.random() < 0.2:
        return [w], output_scale
    return [
        w,
        b.tensor(
            "bias",
            [channels],
            "int32",
            scale=w_scales[:count] * np.float32(x_scale),
            zero_point=[0] * count,
            data=bias.astype(np.int32),
        ),
    ], output_scale


def random_conv(rng: np.random.Generator, depthwise: bool) -> Layer:
    """A CONV_2D or DEPTHWISE_CONV_2D of any kernel 1-7, stride, dilation, padding and channels."""
    while True:
        kh, kw = (int(k) for k in rng.integers(1, 8, 2))
        if rng.random() < 0.5:
            kw = kh
        h, w = (int(n) for n in rng.integers(1, 65 if rng.random() < 0.2 else 17, 2))
        stride = [int(s) for s in rng.choice([1, 1, 2, 2, 3], 2)]
        dilation = [int(d) for d in rng.choice([1, 1, 1, 2, 3], 2)]
        ic, oc = (int(c) for c in rng.choice(CHANNELS, 2))
        multiplier = int(rng.integers(1, 5))
        if depthwise:
            oc = ic * multiplier
        padding = str(rng.choice(["SAME", "VALID"]))
        size = [
            -(-n // s) if padding == "SAME" else (n + s - (k - 1) * d - 1) // s
            for n, k, s, d in zip((h, w), (kh, kw), stride, dilation, strict=True)
        ]
        macs = size[0] * size[1] * oc * kh * kw * (1 if depthwise else ic)
        if min(size) >= 1 and macs <= MAXIMUM_MACS:
            break
    b, x_scale = ModelBuilder(), scale(rng)
    n = int(rng.choice([1, 1, 1, 2]))
    x = b.tensor("x", [n, h, w, ic], scale=x_scale, zero_point=zero_point(rng))
    shape = (1, kh, kw, oc) if depthwise else (oc, kh, kw, ic)
    tensors, y_scale = weighted(
        rng,
        b,
        x_scale,
        int8(rng, shape),
        3 if depthwise else 0,
        kh * kw * (1 if depthwise else ic),
        needs_bias=not depthwise,
        widest=60,
    )
    y = b.tensor("y", [n, *size, oc], scale=y_scale, zero_point=zero_point(rng))
    options = {
        "Padding": PADDING[padding],
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": ACTIVATION[str(rng.choice(FUSED))],
    }
    if depthwise:
        options["DepthMultiplier"] = multiplier
    b.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [x, *tensors], [y], **options)
    return b.build([x], [y]), [int8(rng, (n, h, w, ic))]


def random_fully_connected(rng: np.random.Generator) -> Layer:
    """A FULLY_CONNECTED of 1-6 rows, with or without the input's leading dimensions kept."""
    rows, ic, oc = int(rng.integers(1, 7)), int(rng.integers(1, 300)), int(rng.integers(1, 50))
    keep = bool(rng.random() < 0.3)
    shape = [1, rows, ic] if keep else [rows, ic]
    b, x_scale = ModelBuilder(), scale(rng)
    x = b.tensor("x", shape, scale=x_scale, zero_point=zero_point(rng))
    # LiteRT compares the bias's float32 scale with the product of the others: 2^-24 · 2^17 passes.
    tensors, y_scale = weighted(
        rng, b, x_scale, int8(rng, (oc, ic)), 0, ic, needs_bias=False, widest=17
    )
    if len(tensors) == 1 and rng.random() < 0.5:
        tensors.append(-1)  # The other way to leave out a bias; convolutions do not take it.
    y = b.tensor("y", [*shape[:-1], oc], scale=y_scale, zero_point=zero_point(rng))
    b.op(
        "FULLY_CONNECTED",
        [x, *tensors],
        [y],
        KeepNumDims=keep,
        FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))],
    )
    return b.build([x], [y]), [int8(rng, tuple(shape))]


def random_elementwise(rng: np.random.Generator, kind: str) -> Layer:
    """An ADD, SUB or MUL, sometimes broadcast or with a constant; sums of scales 2^12 apart."""
    shape = tuple(int(n) for n in rng.integers(1, 9, 4))
    draw = rng.random()
    other = tuple(1 if rng.random() < 0.5 else n for n in shape) if draw < 0.3 else shape
    if draw > 0.7:
        other = ()
    b = ModelBuilder()
    scales = [scale(rng, -6, 6) for _ in range(2)]
    widest = scales[0] * scales[1] * 2**7 if kind == "MUL" else max(scales)
    y_scale = float(np.float32(widest * 2.0 ** rng.uniform(-4, 6)))
    order = rng.permutation(2)
    shapes = [(shape, other)[i] for i in order]
    values = [int8(rng, s) for s in shapes]
    constant = int(np.argmax(order)) if other == () or rng.random() < 0.3 else -1
    tensors = [
        b.tensor(n, s, scale=q, zero_point=zero_point(rng), data=v if i == constant else None)
        for i, (n, s, q, v) in enumerate(zip("ab", shapes, scales, values, strict=True))
    ]
    y = b.tensor("y", shape, scale=y_scale, zero_point=zero_point(rng))
    b.op(kind, tensors, [y], FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])
    given = [i for i in range(2) if i != constant]
    return b.build([tensors[i] for i in given], [y]), [values[i] for i in given]


def random_pool(rng: np.random.Generator, kind: str) -> Layer:
    """An AVERAGE_POOL_2D or MAX_POOL_2D of filter 1-7 and stride 1-3."""
    padding = str(rng.choice(["SAME", "VALID"]))
    filters, stride = (
        [int(k) for k in rng.integers(1, 8, 2)],
        [int(s) for s in rng.integers(1, 4, 2)],
    )
    low = filters if padding == "VALID" else [1, 1]
    shape = (1, *(int(rng.integers(n, n + 14)) for n in low), int(rng.choice(CHANNELS[:12])))
    size = [
        -(-n // s) if padding == "SAME" else (n + s - k) // s
        for n, k, s in zip(shape[1:3], filters, stride, strict=True)
    ]
    b, q = ModelBuilder(), {"scale": scale(rng), "zero_point": zero_point(rng)}
    x = b.tensor("x", shape, **q)
    y = b.tensor("y", [1, *size, shape[3]], **q)
    b.op(
        kind,
        [x],
        [y],
        Padding=PADDING[padding],
        StrideH=stride[0],
        StrideW=stride[1],
        FilterHeight=filters[0],
        FilterWidth=filters[1],
        FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))],
    )
    return b.build([x], [y]), [int8(rng, shape)]


def random_softmax(rng: np.random.Generator) -> Layer:
    """A SOFTMAX over 1-511 values, with input scales from 2^-20 to 2^6."""
    shape = (int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 10, 12, 100, 511])))
    b = ModelBuilder()
    x = b.tensor("x", shape, scale=scale(rng, -20, 6), zero_point=zero_point(rng))
    y = b.tensor("y", shape, scale=1 / 256, zero_point=-128)
    b.op("SOFTMAX", [x], [y], Beta=float(rng.choice([1.0, 0.5, 2.0, rng.uniform(0.1, 8)])))
    values = int8(rng, shape)
    if rng.random() < 0.5:
        values = (rng.integers(-6, 7, shape) + int(rng.integers(-120, 120))).astype(np.int8)
    return b.build([x], [y]), [values]


def random_relu(rng: np.random.Generator, kind: str) -> Layer:
    """A stand-alone RELU or RELU6 that rescales by 2^-10 to 2^10."""
    shape = (1, *(int(n) for n in rng.integers(1, 12, 3)))
    x_scale = scale(rng)
    b = ModelBuilder()
    x = b.tensor("x", shape, scale=x_scale, zero_point=zero_point(rng))
    y = b.tensor(
        "y",
        shape,
        scale=float(np.float32(x_scale * 2.0 ** rng.uniform(-10, 10))),
        zero_point=zero_point(rng),
    )
    b.op(kind, [x], [y])
    return b.build([x], [y]), [int8(rng, shape)]
