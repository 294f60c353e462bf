"""QUANTIZE, DEQUANTIZE and CAST as LiteRT's reference kernels define them.

Sources: ``quantize.cc``, ``reference/quantize.h``, ``reference/requantize.h``,
``reference/dequantize.h`` and ``cast.cc`` of its kernels.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
)
from kaniwa.golden.registry import Call, kernel, quantization

__all__: list[str] = []


@kernel("QUANTIZE")
def _quantize(call: Call) -> np.ndarray:
    x, out = call.value(0), quantization(call.output)
    limits = np.iinfo(call.output.dtype)
    if x.dtype == np.float32:
        with np.errstate(all="ignore"):
            steps = x / np.float32(out.scale)
        if not (np.abs(steps) < INT32_MAX / 2).all():
            raise OverflowError("an input over the output's scale does not fit int32")
        values = round_half_away(steps.astype(np.float64))
    else:
        q = call.quantization(0)
        pair = quantize_multiplier(q.scale / out.scale)
        values = multiply_by_quantized_multiplier(x.astype(np.int64) - q.zero_point, *pair)
    return np.clip(values + out.zero_point, limits.min, limits.max).astype(call.output.dtype)


@kernel("DEQUANTIZE")
def _dequantize(call: Call) -> np.ndarray:
    q = call.quantization(0)
    shape = [1] * call.value(0).ndim
    if q.axis is not None:
        shape[q.axis] = len(q.scales)
    scales, zeros = (np.array(v, np.float64).reshape(shape) for v in (q.scales, q.zero_points))
    # The product of 24 and 17 bits is exact in float64, so it is rounded once.
    return ((call.value(0).astype(np.float64) - zeros) * scales).astype(np.float32)


@kernel("CAST")
def _cast(call: Call) -> np.ndarray:
    x, dtype = call.value(0), np.dtype(call.output.dtype)
    if x.dtype == np.complex64:
        x = x.real
    if x.dtype == np.float32 and dtype not in (np.float32, np.bool_):
        limits = np.iinfo(dtype)
        whole = np.trunc(x.astype(np.float64))
        if not ((whole >= limits.min) & (whole < float(limits.max) + 1)).all():
            raise OverflowError(f"a number does not fit {dtype}")
        return whole.astype(dtype)
    return x.astype(dtype)
