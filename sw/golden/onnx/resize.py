"""Resize as ONNX defines it: rules ``exact`` for the nearest neighbour, ``qdq`` and ``onnx``.

Source: Resize (opset 11 to 19) in the ONNX operator specification, ``docs/Operators.md``.
Coordinates are float32, as ONNX Runtime has them, for they decide which neighbour is nearest;
values between neighbours are float64. Axes are independent of each other.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.float import results_in_float32
from kaniwa.golden.onnx.qdq import output_step, real_operand, register_real
from kaniwa.golden.registry import Call, kernel

__all__ = ["linear_weights"]

Float = np.float32


def _coordinates(call: Call, axis: int) -> np.ndarray:
    """Where each index of the result lies among those of the input."""
    how, scale = call.attribute("coordinates"), Float(call.attribute("scales")[axis])
    size, wanted = call.tensor(0).shape[axis], call.output.shape[axis]
    index = np.arange(wanted).astype(Float)
    half = Float(0.5)
    if how == "asymmetric":
        return index / scale
    if how == "tf_half_pixel_for_nn":
        return (index + half) / scale
    if how == "align_corners":
        return index * Float(size - 1) / Float(wanted - 1) if wanted > 1 else index * 0
    if how == "tf_crop_and_resize":
        region = call.attribute("region")
        start, end = Float(region[axis]), Float(region[len(region) // 2 + axis])
        if wanted == 1:
            return half * (start + end) * Float(size - 1) + index
        return start * Float(size - 1) + index * (end - start) * Float(size - 1) / Float(wanted - 1)
    if how == "pytorch_half_pixel" and wanted == 1:
        return index * 0
    centered = (index + half) / scale - half
    if how == "half_pixel_symmetric":
        adjustment = Float(wanted) / (scale * Float(size))
        return Float(size) / Float(2) * (Float(1) - adjustment) + centered
    return centered


def _nearest(call: Call, axis: int) -> np.ndarray:
    """The neighbour of each index of the result."""
    position, how = _coordinates(call, axis), call.attribute("rounding")
    if how == "floor":
        whole = np.floor(position)
    elif how == "ceil":
        whole = np.ceil(position)
    else:
        # Half away from 0, but for floor's ties.
        whole = np.sign(position) * np.floor(np.abs(position) + Float(0.5))
        if how == "round_prefer_floor":
            whole = np.where(position == np.trunc(position) + Float(0.5), np.floor(position),
                             whole)
    return np.clip(whole.astype(np.int64), 0, call.tensor(0).shape[axis] - 1)


def _resized_axes(call: Call) -> list[int]:
    """Those of another size: like ONNX Runtime, what is not resized is not cut out either."""
    return [axis for axis, scale in enumerate(call.attribute("scales")) if scale != 1]


@kernel("RESIZE")
def _moved(call: Call) -> np.ndarray:
    x = call.value(0)
    for axis in _resized_axes(call):
        x = np.take(x, _nearest(call, axis), axis=axis)
    return x


def linear_weights(call: Call, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours [outputs, 2] and their weights."""
    last = call.tensor(0).shape[axis] - 1
    position = np.clip(_coordinates(call, axis), 0, last)
    below = np.minimum(position.astype(np.int64), last)
    above = np.minimum(below + 1, last)
    part = position.astype(np.float64) - below
    return np.stack([below, above], axis=1), np.stack([1 - part, part], axis=1)


def _cubic(call: Call, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours [outputs, 4] and their weights."""
    position, a = _coordinates(call, axis).astype(np.float64), call.attribute("cubic")
    below = np.floor(position).astype(np.int64)
    neighbours = below[:, None] + np.arange(-1, 3)
    apart = np.abs(position[:, None] - neighbours)
    weights = np.where(apart <= 1, ((a + 2) * apart - (a + 3)) * apart**2 + 1,
                       ((a * apart - 5 * a) * apart + 8 * a) * apart - 4 * a)
    last = call.tensor(0).shape[axis] - 1
    if call.attribute("exclude_outside"):
        weights = np.where((neighbours >= 0) & (neighbours <= last), weights, 0.0)
        weights = weights / weights.sum(axis=1, keepdims=True)
    return np.clip(neighbours, 0, last), weights


@register_real("RESIZE")
def _resized(call: Call) -> np.ndarray:
    x, outside = real_operand(call, 0), np.zeros(call.output.shape, bool)
    mode = call.attribute("mode")
    for axis in _resized_axes(call):
        if call.attribute("coordinates") == "tf_crop_and_resize":
            position = _coordinates(call, axis)
            beyond = (position < 0) | (position > call.tensor(0).shape[axis] - 1)
            shape = [1] * x.ndim
            shape[axis] = -1
            outside |= beyond.reshape(shape)
        if mode == "nearest":
            x = np.take(x, _nearest(call, axis), axis=axis)
            continue
        neighbours, weights = (linear_weights if mode == "linear" else _cubic)(call, axis)
        taken = np.moveaxis(np.take(x, neighbours, axis=axis), axis + 1, -1)
        shape = [1] * taken.ndim
        shape[axis], shape[-1] = weights.shape
        x = (taken * weights.reshape(shape)).sum(axis=-1)
    return np.where(outside, call.attribute("outside"), x) / output_step(call)


results_in_float32("RESIZE")
