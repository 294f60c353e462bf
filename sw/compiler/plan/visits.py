"""Weights beyond int8: which blocks of channels have them, and their addends.

Legacy uint8 weights less their zero point need up to 9 bits and a sign. DENSE layers have them as
int8 with a zero point, if one will do for all. Else a block of output channels that has such a
weight meets its window again: products of one activation with the addends of a weight add up in
the accumulator. Other blocks of the layer are as ever.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.fields import block_width, column_window, layer_blocks, visited
from kaniwa.compiler.plan.geometry import Pair
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.isa.weight_stream import column_words, dense_words

__all__ = ["addends", "visited_words", "visits"]

INT8 = (-128, 127)


def visits(layer: ArrayLayer, config: AcceleratorConfig) -> dict[int, list[Pair]]:
    """The layer's blocks [first, past the last) by how often they read their windows."""
    blocks = layer_blocks(layer, config)
    weights = layer.weights
    if weights is None or weights.dtype == np.int8:
        return {1: [(0, blocks)]}
    width = block_width(layer, config)
    by_channel = weights.reshape(len(weights), -1) if layer.mode == Mode.DENSE else (
        weights.reshape(-1, weights.shape[-1]).T)
    found: dict[int, list[Pair]] = {}
    for block in range(blocks):
        times = max(1, len(addends(by_channel[block * width:(block + 1) * width])))
        runs = found.setdefault(times, [])
        first = runs.pop()[0] if runs and runs[-1][1] == block else block
        runs.append((first, block + 1))
    return found


def addends(weights: npt.NDArray[np.integer]) -> list[npt.NDArray[np.int8]]:
    """The fewest int8 arrays whose sum is ``weights``, each of the sign of the whole."""
    rest, parts = weights.astype(np.int64), []
    while rest.any():
        part = np.clip(rest, *INT8)
        parts.append(part.astype(np.int8))
        rest = rest - part
    return parts


def visited_words(layer: ArrayLayer, channels: Pair, times: int,
                  config: AcceleratorConfig) -> npt.NDArray[np.int8]:
    """Ring words of the output ``channels`` [first, past the last) of a tile of ``times`` visits.

    Kernels that skip columns, or all channels but one, get zeros there.
    """
    assert layer.weights is not None
    g, (first, last) = layer.geometry, channels
    seen = visited(layer, times, config)
    if seen.mode == Mode.COLUMN:
        window = column_window(layer, config)
        parts = _parts(layer.weights[..., first:last].astype(np.int64), seen.visits)
        return np.concatenate([column_words(part, window, config) for part in parts], axis=1)
    rows, extent = g.kernel[0], g.extent[1]
    whole = np.zeros((last - first, rows, extent, g.ifm[2]), np.int64)
    spread = whole[:, :, ::g.dilation[1]]
    if layer.mode == Mode.DENSE:
        spread[...] = layer.weights[first:last]
    else:
        each = np.arange(last - first)
        spread[each, :, :, first + each] = layer.weights[..., first:last].transpose(2, 0, 1)
    zero_point = seen.weight_zero_point
    parts = _parts(whole + zero_point, seen.visits)
    width = block_width(layer, config)
    rows_of = parts.reshape(seen.visits, last - first, rows, -1).transpose(1, 2, 0, 3)
    blocks = [np.pad(block, ((0, config.out_lanes - len(block)), (0, 0), (0, 0), (0, 0)))
              for block in np.split(rows_of, range(width, last - first, width))]
    return dense_words(np.concatenate(blocks), config, zero_point)


def _parts(weights: npt.NDArray[np.int64], times: int) -> npt.NDArray[np.int8]:
    """The addends of ``weights`` [times, ...], zeros where fewer will do."""
    parts = np.zeros((times, *weights.shape), np.int8)
    for number, part in enumerate(addends(weights)):
        parts[number] = part
    return parts
