"""Masks of pruning: which weights of a layer stay.

A mask is a bool array of the weights' shape, True where a weight stays. Weights are in PyTorch's
and ONNX's order: dense [outputs, inputs], convolution [outputs, inputs, rows, columns]. A mask
leaves out exactly the share that was asked for, rounded to whole weights (half to even); of equal
scores the first ones in memory go. By magnitude: Han et al., "Learning both weights and connections
for efficient neural networks", NeurIPS 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.compression.arguments import (
    Floats,
    choice,
    float_weights,
    share,
    target_config,
    whole_number,
    with_squares,
)
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import InputError

__all__ = ["NORMS", "SCOPES", "block_mask", "block_scores", "channel_scores", "kept_channels",
           "magnitude_mask", "magnitude_masks", "n_of_m_mask", "sparsity_of"]

Mask = npt.NDArray[np.bool_]
NORMS = ("l1", "l2")
SCOPES = ("layer", "global")


def sparsity_of(mask: npt.ArrayLike) -> float:
    """The share of a mask that is False."""
    array = np.asarray(mask)
    if array.dtype != np.bool_ or not array.size:
        raise InputError(f"mask: expected bools, one at least, found {array.dtype} of shape "
                         f"{list(array.shape)}")
    return 1.0 - np.count_nonzero(array) / array.size


def magnitude_mask(weights: npt.ArrayLike, sparsity: float) -> Mask:
    """The mask without the ``sparsity`` (0..1) of the weights that are the smallest in magnitude.

    ``weights``: real numbers of any shape. Raises InputError for others, and for a sparsity outside
    its range.
    """
    values = float_weights("weights", weights)
    return _without_least(np.abs(values), share("sparsity", sparsity))


def magnitude_masks(layers: Mapping[str, npt.ArrayLike], sparsity: float,
                    scope: str = "layer") -> dict[str, Mask]:
    """Masks of several layers, by name.

    ``scope``: "layer" takes the share from each layer, "global" compares the weights of all with
    each other, so that layers of small weights lose more. Raises InputError.
    """
    part = share("sparsity", sparsity)
    if not isinstance(layers, Mapping):
        raise InputError(f"layers: expected weights by name, found {type(layers).__name__}")
    arrays = {name: float_weights(f"weights of '{name}'", w) for name, w in layers.items()}
    if choice("scope", scope, SCOPES) == "layer":
        return {name: _without_least(np.abs(values), part) for name, values in arrays.items()}
    if not arrays:
        return {}
    flat = _without_least(np.concatenate([np.abs(v).ravel().astype(np.float64)
                                          for v in arrays.values()]), part)
    ends = np.cumsum([values.size for values in arrays.values()])[:-1]
    return {name: piece.reshape(values.shape) for (name, values), piece in
            zip(arrays.items(), np.split(flat, ends), strict=True)}


def _without_least(scores: Floats, part: float) -> Mask:
    """True but for the ``part`` of ``scores`` that is the least."""
    mask = np.ones(scores.size, bool)
    order = np.argsort(scores, axis=None, kind="stable")
    mask[order[:round(part * scores.size)]] = False
    return mask.reshape(scores.shape)


def channel_scores(weights: npt.ArrayLike, norm: str = "l1", axis: int = 0
                   ) -> npt.NDArray[np.float64]:
    """What each channel along ``axis`` of ``weights`` is worth: the norm of its weights.

    L1: Li et al., "Pruning filters for efficient ConvNets", ICLR 2017. ``axis`` 0 has the output
    channels, 1 the input channels. Raises InputError.
    """
    values = float_weights("weights", weights).astype(np.float64)
    choice("norm", norm, NORMS)
    whole_number("axis", axis, 0, values.ndim - 1)
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    if norm == "l1":
        return np.asarray(np.abs(rows).sum(1))
    with_squares("weights", values)
    return np.asarray(np.sqrt((rows * rows).sum(1)))


def kept_channels(scores: npt.ArrayLike, sparsity: float, multiple: int = 1
                  ) -> npt.NDArray[np.int64]:
    """The numbers of the channels that stay, in ascending order, the worthiest by ``scores``.

    ``sparsity``: the share of channels to remove, 0..1. What stays is rounded up to a ``multiple``,
    for a target the lanes of a block (see ``patterns``), never above the number of channels and
    never none. Raises InputError.
    """
    worth = float_weights("scores", scores, 1)
    part = share("sparsity", sparsity)
    whole_number("multiple", multiple, 1)
    keep = max(1, worth.size - round(part * worth.size))
    keep = min(worth.size, -(-keep // multiple) * multiple)
    order = np.argsort(worth, kind="stable")
    return np.sort(order[worth.size - keep:]).astype(np.int64)


def n_of_m_mask(weights: npt.ArrayLike, n: int, m: int, axis: int = 1) -> Mask:
    """The mask with the ``n`` largest weights of each ``m`` neighbors along ``axis``.

    Neighbours are those of one output channel. The last ones, fewer than ``m`` where ``m`` does not
    divide the axis, keep their ``n`` largest, too. Source of the pattern: Mishra et al.,
    "Accelerating sparse deep neural networks", 2021. Raises InputError.
    """
    values = float_weights("weights", weights)
    whole_number("axis", axis, 0, values.ndim - 1)
    whole_number("n", n, 1, whole_number("m", m, 1))
    rows = np.moveaxis(np.abs(values), axis, -1)
    length = rows.shape[-1]
    m = min(m, length)     # all are neighbors
    groups = -(-length // m)
    # Below all magnitudes, so that what fills the last group up is never kept in place of a weight.
    filled = np.full((*rows.shape[:-1], groups * m), -1.0)
    filled[..., :length] = rows
    split = filled.reshape(*rows.shape[:-1], groups, m)
    order = np.argsort(-split, axis=-1, kind="stable")
    mask = np.zeros(split.shape, bool)
    np.put_along_axis(mask, order[..., :n], True, axis=-1)
    flat = mask.reshape(filled.shape)[..., :length]
    return np.ascontiguousarray(np.moveaxis(flat, -1, axis))


def block_mask(weights: npt.ArrayLike, sparsity: float, config: AcceleratorConfig,
               dilated: bool = False) -> Mask:
    """The mask without the ``sparsity`` of a layer's blocks that have the smallest weights.

    A block is what the array of ``config`` multiplies in a cycle and the weight ring has in a word:
    ``dot_width`` neighbors of the reduction for ``out_lanes`` output channels. Neighbours are
    input channels, and behind them those of the next column of the kernel; with ``dilated`` a
    block ends at its column. Blocks at the ends of both axes are smaller, so the share of weights
    may differ from that of blocks. ``weights``: dense [outputs, inputs] or convolution [outputs,
    inputs, rows, columns], not depthwise. Raises InputError.
    """
    part = share("sparsity", sparsity)
    scores = block_scores(weights, config, dilated)
    kept = _without_least(scores, part)
    return _of_blocks(kept, np.asarray(weights).shape, config, dilated)


def block_scores(weights: npt.ArrayLike, config: AcceleratorConfig, dilated: bool = False
                 ) -> npt.NDArray[np.float64]:
    """The mean magnitude of each block of ``block_mask``: [channel blocks, segments, chunks].

    The mean, so that the small blocks at the ends do not count as small weights.
    """
    values = _checked(weights)
    target_config(config)
    total = _padded(np.abs(values).astype(np.float64), config, dilated).sum((1, 4))
    sizes = _padded(np.ones(values.shape), config, dilated).sum((1, 4))
    return np.asarray(total / sizes)


def _checked(weights: npt.ArrayLike) -> Floats:
    values = float_weights("weights", weights)
    if values.ndim not in (2, 4):
        raise InputError("weights: expected [outputs, inputs] or [outputs, inputs, rows, columns], "
                         f"found shape {list(values.shape)}")
    return values


def _rows(values: npt.NDArray[Any], dilated: bool) -> npt.NDArray[Any]:
    """The weights as [outputs, segments, bytes of a segment], as the weight stream has them."""
    if values.ndim == 2:
        return values[:, None]
    outputs, inputs, rows, columns = values.shape
    last = values.transpose(0, 2, 3, 1)
    return (last.reshape(outputs, rows * columns, inputs) if dilated
            else last.reshape(outputs, rows, columns * inputs))


def _padded(values: npt.NDArray[Any], config: AcceleratorConfig, dilated: bool
            ) -> npt.NDArray[Any]:
    """[channel blocks, lanes, segments, chunks, dot width], filled up with zeros."""
    rows = _rows(values, dilated)
    outputs, segments, size = rows.shape
    lanes, width = config.out_lanes, config.dot_width
    blocks, chunks = -(-outputs // lanes), -(-size // width)
    filled = np.zeros((blocks * lanes, segments, chunks * width), values.dtype)
    filled[:outputs, :, :size] = rows
    return filled.reshape(blocks, lanes, segments, chunks, width)


def _of_blocks(kept: Mask, shape: tuple[int, ...], config: AcceleratorConfig,
               dilated: bool) -> Mask:
    """The mask of weights from that of blocks."""
    wide = np.repeat(np.repeat(kept, config.out_lanes, 0), config.dot_width, 2)
    if len(shape) == 2:
        return np.ascontiguousarray(wide[:shape[0], 0, :shape[1]])
    outputs, inputs, rows, columns = shape
    size = inputs if dilated else columns * inputs
    last = wide[:outputs, :, :size].reshape(outputs, rows, columns, inputs)
    return np.ascontiguousarray(last.transpose(0, 3, 1, 2))
