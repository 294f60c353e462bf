"""Operators that only move data: no arithmetic, any dtype.

The one exception is CONCATENATION of uint8 tensors with different scales, which LiteRT rescales.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import round_half_away
from kaniwa.golden.registry import Call, kernel, quantization

__all__: list[str] = []


@kernel("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
def _reshape(call: Call) -> np.ndarray:
    return call.value(0).reshape(call.output.shape)


@kernel("TRANSPOSE")
def _transpose(call: Call) -> np.ndarray:
    return call.value(0).transpose(call.attribute("permutation"))


@kernel("REVERSE_V2")
def _reverse(call: Call) -> np.ndarray:
    return np.flip(call.value(0), call.attribute("axes"))


@kernel("TILE")
def _tile(call: Call) -> np.ndarray:
    return np.tile(call.value(0), call.attribute("multiples"))


@kernel("BROADCAST_TO")
def _broadcast(call: Call) -> np.ndarray:
    return np.ascontiguousarray(np.broadcast_to(call.value(0), call.output.shape))


@kernel("SPACE_TO_DEPTH")
def _space_to_depth(call: Call) -> np.ndarray:
    block = call.attribute("block")
    n, h, w, c = call.value(0).shape
    split = call.value(0).reshape(n, h // block, block, w // block, block, c)
    return split.transpose(0, 1, 3, 2, 4, 5)


@kernel("DEPTH_TO_SPACE")
def _depth_to_space(call: Call) -> np.ndarray:
    block = call.attribute("block")
    n, h, w, c = call.value(0).shape
    split = call.value(0).reshape(n, h, w, block, block, c // block**2)
    return split.transpose(0, 1, 3, 2, 4, 5)


@kernel("CONCATENATION")
def _concatenation(call: Call) -> np.ndarray:
    parts = [call.value(i) for i in range(len(call.op.inputs))]
    if call.output.dtype == "uint8":
        parts = [_rescaled(call, i, part) for i, part in enumerate(parts)]
    return np.concatenate(parts, axis=call.attribute("axis"))


def _rescaled(call: Call, position: int, x: np.ndarray) -> np.ndarray:
    """``ConcatenationWithScaling`` of ``reference/concatenation.h``: float32, a step at a time."""
    q, out = call.quantization(position), quantization(call.output)
    if q == out:
        return x
    scale = np.float32(q.scale) * (np.float32(1) / np.float32(out.scale))
    bias = np.float32(-q.zero_point) * scale
    real = x.astype(np.float32) * scale + bias
    steps = round_half_away(real.astype(np.float64)) + out.zero_point
    return np.clip(steps, 0, 255).astype(np.uint8)


@kernel("PACK")
def _pack(call: Call) -> np.ndarray:
    parts = [call.value(i) for i in range(len(call.op.inputs))]
    return np.stack(parts, axis=call.attribute("axis"))


@kernel("UNPACK")
def _unpack(call: Call) -> tuple[np.ndarray, ...]:
    return tuple(np.moveaxis(call.value(0), call.attribute("axis"), 0))
