"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR as LiteRT's reference kernels define them.

Sources: ``reference/resize_nearest_neighbor.h`` and ``reference/resize_bilinear.h``. Activations
are [N, H, W, C].
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kaniwa.golden.numbers.rounding import round_half_away
from kaniwa.golden.registry import Call, kernel

__all__ = ["between", "between_integer", "nearest_index"]

Float = np.float32


@kernel("RESIZE_NEAREST_NEIGHBOR")
def _nearest(call: Call) -> np.ndarray:
    x, shape = call.value(0), call.output.shape
    rows, columns = (nearest_index(call.op.attributes, x.shape[i], shape[i]) for i in (1, 2))
    return x[:, rows][:, :, columns]


def nearest_index(attributes: Mapping[str, object], size: int, wanted: int) -> np.ndarray:
    """Of so many wanted elements the one of ``size`` that each is."""
    aligned, centers = attributes["align_corners"], attributes["half_pixel_centers"]
    scale = (Float(size - 1) / Float(wanted - 1) if aligned and wanted > 1
             else Float(size) / Float(wanted))
    position = (np.arange(wanted).astype(Float) + Float(0.5 if centers else 0)) * scale
    index = round_half_away(position.astype(np.float64)) if aligned else np.floor(position)
    return np.clip(index.astype(np.int64), 0, size - 1)


@kernel("RESIZE_BILINEAR")
def _bilinear(call: Call) -> np.ndarray:
    if call.value(0).dtype in (np.int8, np.int16):
        return _bilinear_integer(call)
    x, shape = call.value(0), call.output.shape
    (top, bottom, down), (left, right, along) = (
        between(call.op.attributes, x.shape[i], shape[i]) for i in (1, 2))
    down, along = down[:, None, None], along[None, :, None]
    values = x.astype(Float)
    one = Float(1)
    with np.errstate(all="ignore"):
        result = values[:, top][:, :, left] * (one - down) * (one - along)
        result = result + values[:, bottom][:, :, left] * down * (one - along)
        result = result + values[:, top][:, :, right] * (one - down) * along
        result = result + values[:, bottom][:, :, right] * down * along
        # uint8 drops the fraction behind a half that is added; 0 turns a negative zero positive.
        result = result + Float(0.5 if x.dtype == np.uint8 else 0)
    return result.astype(x.dtype)


def between(attributes: Mapping[str, object], size: int,
            wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The indices on both sides and the distance from the lower one, for every output index."""
    scale = (Float(size - 1) / Float(wanted - 1) if attributes["align_corners"] and wanted > 1
             else Float(size) / Float(wanted))
    index = np.arange(wanted).astype(Float)
    if attributes["half_pixel_centers"]:
        position = (index + Float(0.5)) * scale - Float(0.5)
    else:
        position = index * scale
    lower = np.maximum(np.floor(position).astype(np.int64), 0)
    upper = np.minimum(np.ceil(position).astype(np.int64), size - 1)
    return lower, upper, position - lower.astype(Float)


def _bilinear_integer(call: Call) -> np.ndarray:
    """int8 and int16: positions with 10 fractional bits, products with 20."""
    x, shape = call.value(0), call.output.shape
    (top, bottom, down), (left, right, along) = (
        between_integer(call.op.attributes, x.shape[i], shape[i]) for i in (1, 2))
    down, along = down[:, None, None], along[None, :, None]
    values = x.astype(np.int64)
    total = (
        values[:, top][:, :, left] * (1024 - down) * (1024 - along)
        + values[:, bottom][:, :, left] * down * (1024 - along)
        + values[:, top][:, :, right] * (1024 - down) * along
        + values[:, bottom][:, :, right] * down * along
    )
    # C++ truncates: a half is added with the sum's sign.
    magnitude = (np.abs(total) + (1 << 19)) >> 20
    return (np.sign(total) * magnitude).astype(x.dtype)


def between_integer(attributes: Mapping[str, object], size: int,
                    wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same with 10 fractional bits."""
    scale = (1024 * size + wanted // 2) // wanted
    if attributes["align_corners"] and wanted > 1:
        scale = (1024 * (size - 1) + (wanted - 1) // 2) // (wanted - 1)
    position = np.arange(wanted, dtype=np.int64) * scale
    if attributes["half_pixel_centers"]:
        position = position + scale // 2 - 512
    lower = np.maximum(position >> 10, 0)
    upper = np.minimum((position + 1023) >> 10, size - 1)
    return lower, upper, position - lower * 1024
