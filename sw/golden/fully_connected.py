"""FULLY_CONNECTED as LiteRT 2.3's int8 reference kernel defines it."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.conv import real_multipliers
from kaniwa.golden.registry import Call, kernel, quantization, within_int32
from kaniwa.golden.rounding import round_half_away

__all__ = ["fully_connected_accumulators", "requantize_float"]


def fully_connected_accumulators(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None, *, zero_point: int
) -> np.ndarray:
    """The exact accumulators Σ w·(x - zero_point) + bias, int64 [N, OC].

    ``x`` is int8 of any shape with N·IC elements, ``weights`` int8 [OC, IC], ``bias`` int32 [OC]
    or None. Float64 is exact: each term is below 2^15 and there are fewer than 2^38 of them.
    """
    rows = x.reshape(-1, weights.shape[1]).astype(np.float64) - zero_point
    acc = (rows @ weights.T.astype(np.float64)).astype(np.int64)
    return acc if bias is None else acc + bias


def requantize_float(
    acc: np.ndarray, real_multipliers: np.ndarray, zero_point: int, bounds: tuple[int, int]
) -> np.ndarray:
    """Rule ``litert_float_half_away``: round(double(acc) · multiplier), ties away from zero.

    ``real_multipliers`` are float64 [OC] or [1]. A product outside int32 saturates; LiteRT's C++
    is undefined there.
    """
    scaled = round_half_away(acc.astype(np.float64) * real_multipliers) + zero_point
    return np.clip(scaled, *bounds).astype(np.int8)


@kernel("FULLY_CONNECTED")
def _fully_connected(call: Call) -> np.ndarray:
    acc = fully_connected_accumulators(
        call.value(0),
        call.value(1),
        call.optional(2),
        zero_point=call.quantization(0).zero_point,
    )
    return requantize_float(
        within_int32(acc),
        real_multipliers(call.tensor(0), call.tensor(1), call.output),
        quantization(call.output).zero_point,
        call.bounds(call.attribute("activation")),
    )
