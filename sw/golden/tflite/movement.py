"""Operators that only move data: no arithmetic, any dtype.

The one exception is CONCATENATION of uint8 tensors with different scales, which LiteRT rescales.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import round_half_away
from kaniwa.golden.registry import Call, kernel, quantization

__all__: list[str] = []


@kernel("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "READ_VARIABLE")
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


@kernel("SPLIT", "SPLIT_V")
def _split(call: Call) -> tuple[np.ndarray, ...]:
    axis = call.attribute("axis")
    sizes = [call.graph.tensors[i].shape[axis] for i in call.op.outputs]
    return tuple(np.split(call.value(0), np.cumsum(sizes)[:-1], axis=axis))


@kernel("PACK")
def _pack(call: Call) -> np.ndarray:
    parts = [call.value(i) for i in range(len(call.op.inputs))]
    return np.stack(parts, axis=call.attribute("axis"))


@kernel("UNPACK")
def _unpack(call: Call) -> tuple[np.ndarray, ...]:
    return tuple(np.moveaxis(call.value(0), call.attribute("axis"), 0))


@kernel("SLICE", "STRIDED_SLICE")
def _slice(call: Call) -> np.ndarray:
    bounds = zip(call.attribute("begin"), call.attribute("end"), call.attribute("stride"),
                 strict=True)
    # An end of -1 of a reversed axis is before its first element, which a slice says with None.
    cut = tuple(slice(begin, None if end < 0 else end, stride) for begin, end, stride in bounds)
    return call.value(0)[cut]


@kernel("GATHER")
def _gather(call: Call) -> np.ndarray:
    x, indices = call.value(0), call.value(1)
    axis, batch = call.attribute("axis"), call.attribute("batch_dims")
    _inside(indices, np.array(x.shape[axis]))
    if batch == 0:
        return np.take(x, indices, axis=axis)
    rows = x.reshape(-1, *x.shape[batch:])
    several = indices.reshape(len(rows), *indices.shape[batch:])
    return np.stack([np.take(row, some, axis=axis - batch)
                     for row, some in zip(rows, several, strict=True)])


@kernel("GATHER_ND")
def _gather_nd(call: Call) -> np.ndarray:
    x, indices = call.value(0), call.value(1)
    _inside(indices, np.array(x.shape[: indices.shape[-1]]))
    return x[tuple(np.moveaxis(indices, -1, 0))]


def _inside(indices: np.ndarray, size: np.ndarray) -> None:
    """LiteRT stops with an error at an index outside the tensor; negative ones are too."""
    wrong = (indices < 0) | (indices >= size)
    if wrong.any():
        raise OverflowError(f"index {int(indices[wrong][0])} is outside {size.tolist()}")


@kernel("PAD", "PADV2")
def _pad(call: Call) -> np.ndarray:
    fill = 0
    if len(call.op.inputs) > 1:
        fill = call.value(1).reshape(-1)[0]
    elif call.output.quantization is not None and call.output.dtype in ("int8", "uint8", "int16"):
        fill = quantization(call.output).zero_point
    return np.pad(call.value(0), call.attribute("paddings"), constant_values=fill)


@kernel("MIRROR_PAD")
def _mirror_pad(call: Call) -> np.ndarray:
    mode = "reflect" if call.attribute("mode") == "REFLECT" else "symmetric"
    return np.pad(call.value(0), call.attribute("paddings"), mode=mode)  # type: ignore[call-overload]
