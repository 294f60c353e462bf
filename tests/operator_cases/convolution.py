"""Random convolutions."""

from __future__ import annotations

import math

import numpy as np
from tflite_builder import ACTIVATION, PADDING

from operator_cases.cases import FUSED, Cases, Rng, draws, scale, values, zero_point

__all__: list[str] = []


def weighted(cases: Cases, rng: Rng, x_scale: float, weights: np.ndarray, channel_axis: int,
             terms: int) -> tuple[list[int], float]:
    """Add weights and a bias, per tensor or per channel; these tensors and the output's scale."""
    channels = weights.shape[channel_axis]
    bound = terms * 128 * 255
    y_scale = scale(rng)
    count = channels if rng.random() < 0.6 else 1
    real = 2.0 ** rng.uniform(-math.log2(bound) - 2, 1, count)
    w_scales = (real * y_scale / x_scale).astype(np.float32)
    w = cases.given(weights, True, scale=w_scales, zero_point=[0] * count, axis=channel_axis)
    bias = rng.integers(-bound, bound, channels, np.int32, endpoint=True)
    b = cases.given(bias, True, scale=w_scales * np.float32(x_scale), zero_point=[0] * count)
    return [w, b], y_scale


@draws("CONV_2D", "DEPTHWISE_CONV_2D")
def convolution(cases: Cases, rng: Rng, kind: str) -> None:
    """A convolution of any kernel 1-4, stride, dilation, padding and channels."""
    depthwise = kind == "DEPTHWISE_CONV_2D"
    kernel = rng.integers(1, 5, 2)
    stride, dilation = rng.integers(1, 4, 2), rng.choice([1, 1, 2, 3], 2)
    padding = str(rng.choice(["SAME", "VALID"]))
    span = (kernel - 1) * dilation + 1
    shape = rng.integers(1, 12, 2) + (span if padding == "VALID" else 0)
    size = -(-shape // stride) if padding == "SAME" else (shape + stride - span) // stride
    ic, multiplier = int(rng.integers(1, 18)), int(rng.integers(1, 4))
    oc = ic * multiplier if depthwise else int(rng.integers(1, 20))
    n = int(rng.integers(1, 3))
    x_scale = scale(rng)
    x = cases.given(values(rng, (n, *shape, ic)), scale=x_scale, zero_point=zero_point(rng))
    w_shape = (1, *kernel, oc) if depthwise else (oc, *kernel, ic)
    terms = int(np.prod(kernel)) * (1 if depthwise else ic)
    rest, y_scale = weighted(cases, rng, x_scale, values(rng, w_shape), 3 if depthwise else 0,
                             terms)
    y = cases.result((n, *size, oc), scale=y_scale, zero_point=zero_point(rng))
    more = {"DepthMultiplier": multiplier} if depthwise else {}
    cases.op(kind, [x, *rest], [y], Padding=PADDING[padding], StrideH=int(stride[0]),
             StrideW=int(stride[1]), DilationHFactor=int(dilation[0]),
             DilationWFactor=int(dilation[1]),
             FusedActivationFunction=ACTIVATION[str(rng.choice(FUSED))], **more)
