"""Operators that only move data: no arithmetic, any dtype.

The one exception is CONCATENATION of uint8 tensors with different scales, which LiteRT rescales.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import round_half_away
from kaniwa.golden.registry import Call, kernel, quantization
from kaniwa.graph import Quantization

__all__ = ["rescaled_uint8"]


@kernel("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
def _reshape(call: Call) -> np.ndarray:
    return call.value(0).reshape(call.output.shape)


@kernel("SHAPE")
def _shape(call: Call) -> np.ndarray:
    return np.array(call.value(0).shape, call.output.dtype)


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


@kernel("SPACE_TO_BATCH_ND")
def _space_to_batch(call: Call) -> np.ndarray:
    x, block = call.value(0), call.attribute("block")
    fill = quantization(call.output).zero_point if call.output.dtype in ("int8", "uint8") else 0
    pads = ((0, 0), *call.attribute("paddings"), (0, 0))
    padded = np.pad(x, pads, constant_values=fill)
    n, *space, c = padded.shape
    split = padded.reshape(n, *(m for size, b in zip(space, block, strict=True)
                                for m in (size // b, b)), c)
    rank = len(block)
    inner, outer = (range(first, 1 + 2 * rank, 2) for first in (2, 1))
    return split.transpose(*inner, 0, *outer, 1 + 2 * rank)


@kernel("BATCH_TO_SPACE_ND")
def _batch_to_space(call: Call) -> np.ndarray:
    x, block, rank = call.value(0), call.attribute("block"), len(call.attribute("block"))
    split = x.reshape(*block, -1, *x.shape[1:])
    order = (rank, *(i for axis in range(rank) for i in (rank + 1 + axis, axis)), 2 * rank + 1)
    _, *space, c = x.shape
    whole = split.transpose(order).reshape(
        -1, *(size * b for size, b in zip(space, block, strict=True)), c)
    kept = (slice(before, size - after) for (before, after), size in zip(
        call.attribute("crops"), whole.shape[1:-1], strict=True))
    return whole[:, *kept]


@kernel("CONCATENATION")
def _concatenation(call: Call) -> np.ndarray:
    parts = [call.value(i) for i in range(len(call.op.inputs))]
    if call.output.dtype == "uint8":
        parts = [rescaled_uint8(part, call.quantization(i), quantization(call.output))
                 for i, part in enumerate(parts)]
    return np.concatenate(parts, axis=call.attribute("axis"))


def rescaled_uint8(x: np.ndarray, q: Quantization, out: Quantization) -> np.ndarray:
    """``ConcatenationWithScaling`` of ``reference/concatenation.h``: float32, a step at a time."""
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
