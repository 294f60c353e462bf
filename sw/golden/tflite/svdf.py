"""SVDF with int8 activations and feature weights, int16 time weights and state.

Sources: ``svdf.cc`` and ``reference/svdf.h`` of LiteRT. Each of F = U · R filters makes one number
of an input vector, remembers the last M of them, and weights these; R filters add up to a unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaniwa.golden.registry import (
    Call,
    kernel,
    quantization,
    rescale_within_int32,
    within_int32,
)

__all__ = ["Filters", "svdf"]


@dataclass(frozen=True, eq=False)
class Filters:
    """int8 ``features`` [F, I], int16 ``times`` [F, M], int32 ``bias`` [U] or None.

    ``scales`` are those of the input, features, state, times and output, as float32 values;
    ``zero_points`` of the input and the output.
    """

    features: np.ndarray
    times: np.ndarray
    bias: np.ndarray | None
    rank: int
    scales: tuple[float, float, float, float, float]
    zero_points: tuple[int, int]


def svdf(filters: Filters, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 x [B, I] and int16 state [B, F · M] to int8 [B, U] and the next state.

    Raises ``OverflowError`` where a sum leaves int32.
    """
    s_in, s_feature, s_state, s_time, s_out = (np.float32(s) for s in filters.scales)
    batches, (count, memory) = len(x), filters.times.shape
    acc = (x.astype(np.int64) - filters.zero_points[0]) @ filters.features.astype(np.int64).T
    newest = rescale_within_int32(within_int32(acc), s_in * s_feature / s_state)
    newest = np.clip(newest, -32768, 32767)
    kept = state.astype(np.int64).reshape(batches, count, memory)[:, :, 1:]
    following = np.concatenate([kept, newest[:, :, None]], axis=2)
    weighted = (following * filters.times.astype(np.int64)).sum(axis=2)
    total = within_int32(weighted).reshape(batches, -1, filters.rank).sum(axis=2)
    if filters.bias is not None:
        total = total + filters.bias
    result = rescale_within_int32(within_int32(total), s_state * s_time / s_out)
    return (
        np.clip(result + filters.zero_points[1], -128, 127).astype(np.int8),
        following.reshape(state.shape).astype(np.int16),
    )




@kernel("SVDF")
def _svdf(call: Call) -> tuple[np.ndarray, ...]:
    x, features, times, state = (call.quantization(i) for i in (0, 1, 2, 4))
    out = quantization(call.output)
    filters = Filters(
        call.value(1),
        call.value(2),
        call.optional(3),
        call.attribute("rank"),
        (x.scale, features.scale, state.scale, times.scale, out.scale),
        (x.zero_point, out.zero_point),
    )
    return svdf(filters, call.value(0), call.value(4))
