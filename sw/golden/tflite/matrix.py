"""FULLY_CONNECTED and BATCH_MATMUL as LiteRT 2.3's reference kernels define them.

Sources: ``fully_connected.cc``, ``batch_matmul.cc`` and their files under ``internal/reference``.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import (
    multiply_wide_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
)
from kaniwa.golden.registry import (
    Call,
    kernel,
    quantization,
    rescale_within_int32,
    within_int32,
)
from kaniwa.golden.tflite.plain import clamped

__all__ = ["fully_connected_accumulators", "matmul_multiplier", "requantize_float"]


def fully_connected_accumulators(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray | None,
    *,
    zero_point: int,
    weight_zero_point: int = 0,
) -> np.ndarray:
    """The exact accumulators Σ (w - w_zero)·(x - zero) + bias, int64 [N, OC].

    ``x`` is of 8 or 16 bits with N·IC elements, ``weights`` of 8 bits [OC, IC], ``bias`` [OC] or
    None. Float64 is exact: each term is below 2^24 and there are fewer than 2^29 of them.
    """
    rows = x.reshape(-1, weights.shape[1]).astype(np.float64) - zero_point
    matrix = weights.T.astype(np.float64) - weight_zero_point
    acc = (rows @ matrix).astype(np.int64)
    return acc if bias is None else acc + bias


def requantize_float(
    acc: np.ndarray, real_multipliers: np.ndarray, zero_point: int, bounds: tuple[int, int],
    dtype: str = "int8",
) -> np.ndarray:
    """Rule ``litert_float_half_away``: round(double(acc) · multiplier), ties away from zero.

    ``real_multipliers`` are float64 [OC] or [1]. A product outside int32 saturates; LiteRT's C++
    is undefined there.
    """
    scaled = round_half_away(acc.astype(np.float64) * real_multipliers) + zero_point
    return np.clip(scaled, *bounds).astype(dtype)


def _in_sequence(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """float32 [..., M, K] times [..., K, N], summed in order, every step rounded."""
    shape = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    total = np.zeros((*shape, rows.shape[-2], columns.shape[-1]), np.float32)
    with np.errstate(all="ignore"):
        for k in range(rows.shape[-1]):
            total = total + rows[..., :, k, None] * columns[..., None, k, :]
    return total


@kernel("FULLY_CONNECTED")
def _fully_connected(call: Call) -> np.ndarray:
    x, weights, bias = call.value(0), call.value(1), call.optional(2)
    activation = call.attribute("activation")
    if x.dtype == np.float32:
        total = _in_sequence(x.reshape(-1, weights.shape[1]), weights.T)
        with np.errstate(all="ignore"):
            return clamped(total + (np.float32(0) if bias is None else bias), activation)
    q, w, out = call.quantization(0), call.quantization(1), quantization(call.output)
    acc = fully_connected_accumulators(
        x, weights, bias, zero_point=q.zero_point, weight_zero_point=w.zero_point)
    if x.dtype != np.int16:
        within_int32(acc)
    # All scales are widened to float64, also for uint8.
    real = q.scale * np.array(w.scales, np.float64) / out.scale
    return requantize_float(acc, real, out.zero_point, call.bounds(activation), call.output.dtype)


def matmul_multiplier(scale_a: float, scale_b: float, scale_out: float) -> float:
    """The real multiplier of BATCH_MATMUL; the first product is in float32."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(scale_a) * np.float32(scale_b)) / scale_out


@kernel("BATCH_MATMUL")
def _batch_matmul(call: Call) -> np.ndarray:
    a, b = call.value(0), call.value(1)
    if call.attribute("adj_x"):
        a = np.swapaxes(a, -1, -2)
    if call.attribute("adj_y"):
        b = np.swapaxes(b, -1, -2)
    if a.dtype == np.float32:
        return _in_sequence(a, b)
    qa, qb, out = call.quantization(0), call.quantization(1), quantization(call.output)
    # Exact: a term is below 2^30 and there are fewer than 2^23.
    acc = np.matmul(a.astype(np.float64) - qa.zero_point, b.astype(np.float64) - qb.zero_point)
    acc = acc.astype(np.int64)
    real = matmul_multiplier(qa.scale, qb.scale, out.scale)
    if a.dtype == np.int16:
        scaled = multiply_wide_by_quantized_multiplier(acc, *quantize_multiplier(real))
    else:
        scaled = rescale_within_int32(within_int32(acc), real)
    total = within_int32(scaled + out.zero_point)
    return np.clip(total, *call.bounds("NONE")).astype(a.dtype)
