"""Weights beyond int8: which blocks of channels have them, and their addends.

Legacy uint8 weights less their zero point need up to 9 bits and a sign. A block of output channels
that has such a weight reads every row of its window again: products of one activation with the
addends of a weight add up in the accumulator. Other blocks of the layer are as ever.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.fields import block_width, layer_blocks
from kaniwa.compiler.plan.geometry import Pair
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.isa.weight_stream import dense_words

__all__ = ["addends", "visited_words", "visits"]

INT8 = (-128, 127)


def visits(layer: ArrayLayer, config: AcceleratorConfig) -> dict[int, list[Pair]]:
    """The layer's blocks [first, past the last) by how often they read their windows."""
    blocks = layer_blocks(layer, config)
    weights = layer.weights
    if weights is None or weights.dtype == np.int8:
        return {1: [(0, blocks)]}
    width = block_width(layer, config)
    # Instructions of COLUMN begin at multiples of read_bytes.
    group = max(1, config.read_bytes // width) if layer.mode == Mode.COLUMN else 1
    by_channel = weights.reshape(len(weights), -1) if layer.mode == Mode.DENSE else (
        weights.reshape(-1, weights.shape[-1]).T)
    found: dict[int, list[Pair]] = {}
    for first in range(0, blocks, group):
        last = min(first + group, blocks)
        times = max(1, len(addends(by_channel[first * width:last * width])))
        runs = found.setdefault(times, [])
        if runs and runs[-1][1] == first:
            first = runs.pop()[0]
        runs.append((first, last))
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
    """Ring words of the output ``channels`` [first, past the last), their windows read ``times``.

    Kernels that skip columns, or all channels but one, get zeros there.
    """
    assert layer.weights is not None
    g, (first, last) = layer.geometry, channels
    rows, extent = g.kernel[0], g.extent[1]
    whole = np.zeros((last - first, rows, extent, g.ifm[2]), np.int64)
    spread = whole[:, :, ::g.dilation[1]]
    if layer.mode == Mode.DENSE:
        spread[...] = layer.weights[first:last]
    else:
        each = np.arange(last - first)
        spread[each, :, :, first + each] = layer.weights[..., first:last].transpose(2, 0, 1)
    parts = np.zeros((times, *whole.shape), np.int8)
    for number, part in enumerate(addends(whole)):
        parts[number] = part
    width = block_width(layer, config)
    rows_of = parts.reshape(times, last - first, rows, -1).transpose(1, 2, 0, 3)
    blocks = [np.pad(block, ((0, config.out_lanes - len(block)), (0, 0), (0, 0), (0, 0)))
              for block in np.split(rows_of, range(width, last - first, width))]
    return dense_words(np.concatenate(blocks), config)
