"""Random convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from builders.operator_cases.arithmetic import dtype_of
from builders.operator_cases.cases import FUSED, Cases, Rng, draws, scale, values, zero_point
from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING

__all__ = ["weighted"]


def weighted(cases: Cases, rng: Rng, x: np.ndarray, w_shape: tuple[int, ...], channel_axis: int,
             terms: int, narrow: bool = True) -> tuple[int, int, int, dict[str, Any]]:
    """Input, weights and bias, per tensor or per channel, and what the output is made with.

    ``narrow``: int8 weights may be int4.
    """
    dtype, channels = str(x.dtype), w_shape[channel_axis]
    if dtype == "float32":
        made = [cases.given(x), cases.given(values(rng, w_shape, dtype), True),
                cases.given(values(rng, (channels,), dtype), True)]
        return made[0], made[1], made[2], {}
    bound = terms * 128 * (1 << 15 if dtype == "int16" else 255)
    x_scale, y_scale = scale(rng), scale(rng)
    own = cases.given(x, scale=x_scale, zero_point=zero_point(rng, dtype))
    count = channels if rng.random() < 0.6 and dtype != "uint8" else 1
    real = 2.0 ** rng.uniform(-math.log2(bound) - 2, 1 if dtype != "int16" else -8, count)
    w_scales = (real * y_scale / x_scale).astype(np.float32)
    zero = zero_point(rng, "uint8") if dtype == "uint8" else 0
    q: dict[str, Any] = {"scale": w_scales, "zero_point": [zero] * count, "axis": channel_axis}
    if narrow and dtype == "int8" and rng.random() < 0.2:
        w = cases.packed(rng.integers(-8, 8, w_shape, np.int8), **q)
    else:
        w = cases.given(values(rng, w_shape, "uint8" if dtype == "uint8" else "int8"), True, **q)
    bias = rng.integers(-bound, bound, channels, endpoint=True)
    b = cases.given(bias.astype(np.int64 if dtype == "int16" else np.int32), True,
                    scale=w_scales * np.float32(x_scale), zero_point=[0] * count)
    return own, w, b, {"scale": y_scale, "zero_point": zero_point(rng, dtype)}


def windows(rng: Rng) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, np.ndarray, np.ndarray]:
    """Kernel, stride, dilation, padding, and the sizes before and after."""
    kernel, stride = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
    dilation = rng.choice([1, 1, 2, 3], 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    span = (kernel - 1) * dilation + 1
    shape = rng.integers(1, 12, 2) + (span if padding == "VALID" else 0)
    size = -(-shape // stride) if padding == "SAME" else (shape + stride - span) // stride
    return kernel, stride, dilation, padding, shape, size


@draws("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(cases: Cases, rng: Rng, kind: str) -> None:
    """A convolution of any kernel 1-4, stride, dilation, padding, channels and groups."""
    depthwise, dtype = kind == "DEPTHWISE_CONV_2D", dtype_of(rng, kind)
    kernel, stride, dilation, padding, shape, size = windows(rng)
    ic, multiplier = int(rng.integers(1, 18)), int(rng.integers(1, 4))
    oc, depth = ic * multiplier if depthwise else int(rng.integers(1, 20)), ic
    if not depthwise and dtype in ("int8", "float32") and rng.random() < 0.25:
        groups = int(rng.integers(2, 4))
        ic, oc = depth * groups, oc * groups
    n = int(rng.integers(1, 3))
    w_shape = (1, *kernel, oc) if depthwise else (oc, *kernel, depth)
    terms = int(np.prod(kernel)) * (1 if depthwise else depth)
    array = values(rng, (n, *shape, ic), dtype)
    *operands, q = weighted(cases, rng, array, w_shape, 3 if depthwise else 0, terms)
    if depthwise and dtype != "uint8" and rng.random() < 0.2:
        operands = operands[:2]
    y = cases.result((n, *size, oc), dtype, **q)
    more = {"DepthMultiplier": multiplier} if depthwise else {}
    cases.op(kind, operands, [y], Padding=PADDING[padding], StrideH=int(stride[0]),
             StrideW=int(stride[1]), DilationHFactor=int(dilation[0]),
             DilationWFactor=int(dilation[1]),
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))], **more)


@draws("TRANSPOSE_CONV")
def transpose_conv(cases: Cases, rng: Rng, kind: str) -> None:
    """Kernels of 1-4, with and without a bias."""
    dtype = dtype_of(rng, kind)
    kernel, stride, _, padding, _, _ = windows(rng)
    size = rng.integers(1, 12, 2) + (kernel if padding == "VALID" else 0)
    shape = -(-size // stride) if padding == "SAME" else (size + stride - kernel) // stride
    ic, oc, n = (int(rng.integers(1, k)) for k in (9, 9, 3))
    array = values(rng, (n, *shape, ic), dtype)
    x, w, b, q = weighted(cases, rng, array, (oc, *kernel, ic), 0, int(np.prod(kernel)) * ic,
                          narrow=False)
    y = cases.result((n, *size, oc), dtype, **q)
    to = cases.numbers([n, *size, oc])
    cases.op(kind, [to, w, x, b] if rng.random() < 0.7 else [to, w, x], [y],
             Padding=PADDING[padding], StrideH=int(stride[0]), StrideW=int(stride[1]),
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))])
