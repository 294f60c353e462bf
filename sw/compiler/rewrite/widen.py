"""Gives the array better rows: longer ones, or ones that the line buffer can hold.

Only the view of the tensors changes; every byte stays where it is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from kaniwa.compiler.plan.fields import layer_blocks, parameter_words
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode

__all__ = ["widen", "widened"]


def widen(plan: Plan) -> Plan:
    """Apply to each layer the views that fit it."""
    view = partial(widened, config=plan.config)
    return replace(plan, layers=tuple(layer.revised(view) for layer in plan.layers))


def widened(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """The layer as the views that fit it leave it; where maps have gaps, few do."""
    if layer.places is not None and not layer.has_gaps:
        return layer
    views = [_join_columns, _flatten]
    if not layer.has_gaps:
        views = [_regroup, _join_columns, _transpose, _split_columns, _flatten]
    for view in views:
        layer = view(layer, config)
    return layer


def _regroup(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """Bytes that are treated alike are as many to a pixel as keep the most lanes busy, and as an
    instruction has room for."""
    g = layer.geometry
    if not layer.identity or (layer.add is not None and layer.add.repeated):
        return layer
    total, lanes = g.batch * prod(g.ifm), config.depthwise_lanes
    sizes = [d for d in range(1, min(total, 4 * lanes) + 1) if total % d == 0]
    if g.ifm[2] <= FIELDS["ofm_pixel_pitch"].high:
        sizes.insert(0, g.ifm[2])
    channels = max(sizes, key=lambda size: size / (-(-size // lanes) * lanes))
    if channels == g.ifm[2]:
        return layer
    shape = (1, total // channels, channels)
    rescale = replace(layer.rescale, multiplier=np.repeat(layer.rescale.multiplier[:1], channels),
                      shift=np.repeat(layer.rescale.shift[:1], channels))
    return replace(layer, weights=np.ones((1, 1, channels), np.int8), rescale=rescale,
                   bias=np.zeros(channels, np.int64),
                   geometry=replace(g, batch=1, ifm=shape, ofm=shape))


def _join_columns(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """A dense kernel as wide as the input: the columns become channels of a single column.

    The reduction is then packed over all of them.
    """
    g = layer.geometry
    rows, columns, channels = g.ifm
    window = g.extent[0] * columns * channels + 2 * config.read_bytes
    if (layer.mode != Mode.DENSE or g.kernel[1] != columns or columns == 1 or g.padding[1]
            or g.ofm[1] != 1 or g.dilation[1] != 1
            or window > min(config.line_bytes, FIELDS["window_span"].high)):
        return layer
    assert layer.weights is not None
    weights = layer.weights.reshape(layer.weights.shape[0], g.kernel[0], 1, columns * channels)
    return replace(layer, weights=weights, geometry=replace(
        g, ifm=(rows, 1, columns * channels), kernel=(g.kernel[0], 1), stride=(g.stride[0], 1)))


def _transpose(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """A single column becomes a single row: fewer borders, and a reduction packed over taps.

    A depthwise kernel that is longer than a window of one row stays as it is: by columns, a step
    has several of its taps.
    """
    g = layer.geometry
    if g.ifm[1] != 1 or g.kernel[1] != 1 or g.ofm[1] != 1 or g.ifm[0] == 1 or g.padding[1]:
        return layer
    if (layer.mode == Mode.DEPTHWISE and config.depthwise and config.column_window[0] > 1
            and g.kernel[0] > config.dot_width):
        return layer
    weights = layer.weights
    if weights is not None:
        rows_axis = 1 if layer.mode == Mode.DENSE else 0
        weights = np.swapaxes(weights, rows_axis, rows_axis + 1)

    def swapped(pair: tuple[int, int]) -> tuple[int, int]:
        return pair[1], pair[0]

    return replace(layer, weights=weights, geometry=Geometry(
        g.batch, (1, g.ifm[0], g.ifm[2]), (1, g.ofm[0], g.ofm[2]), swapped(g.kernel),
        (1, g.stride[0]), (1, g.dilation[0]), swapped(g.padding)))


def _split_columns(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """A depthwise kernel as wide as the input, of more channels than an instruction takes: by what
    the line buffer holds of a window, or by the parameter buffer.

    Pixels become rows, which can be cut into groups of channels: none loads what others use.
    """
    g = layer.geometry
    rows, columns, channels = g.ifm
    taps = g.extent[0] * columns
    if (layer.mode == Mode.DENSE or g.kernel[1] != columns or columns == 1 or g.padding[1]
            or g.ofm[1] != 1 or g.dilation != (1, 1) or taps > FIELDS["kernel_rows"].high
            or (g.extent[0] * (columns * channels + config.read_bytes) <= config.line_bytes
                and layer_blocks(layer, config) * parameter_words(layer, config)
                <= config.parameter_words)):
        return layer
    weights = None if layer.weights is None else layer.weights.reshape(taps, 1, channels)
    return replace(layer, weights=weights, geometry=replace(
        g, ifm=(rows * columns, 1, channels), kernel=(taps, 1),
        stride=(g.stride[0] * columns, 1), padding=(g.padding[0] * columns, 0)))


def _flatten(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """Pixels that are independent of their neighbors: rows of any length, over images too.

    A quarter of the line buffer lets three rows run ahead of the one in work. Rows of which it does
    not hold two would be cut into tiles of columns, each of which reads all of a matrix again.
    """
    g = layer.geometry
    if g.kernel != (1, 1) or g.stride != (1, 1) or any(g.padding) or g.ifm[:2] != g.ofm[:2]:
        return layer
    if layer.has_gaps and not _has_whole_rows(layer):
        return layer
    pixels = g.batch * g.ifm[0] * g.ifm[1]
    longest = max(1, config.line_bytes // 4 // g.ifm[2])
    columns = max(d for d in range(1, min(pixels, longest) + 1) if pixels % d == 0)
    if layer.mode != Mode.DENSE or 2 * g.ifm[1] * g.ifm[2] <= config.line_bytes:
        columns = max(columns, g.ifm[1])
    if columns == g.ifm[1] and g.batch == 1:
        return layer
    places, add, rows = layer.places, layer.add, pixels // columns
    if places is not None:
        places = replace(places, row=columns * places.pixel)
    if add is not None and add.spaced is not None:
        add = replace(add, spaced=replace(add.spaced, images=1, shape=(rows, columns, g.ofm[2]),
                                          row=columns * add.spaced.pixel))
    return replace(layer, places=places, add=add, geometry=replace(
        g, batch=1, ifm=(rows, columns, g.ifm[2]), ofm=(rows, columns, g.ofm[2])))


def _has_whole_rows(layer: ArrayLayer) -> bool:
    """True where all gaps are between pixels: rows follow one another."""
    columns, places, add = layer.geometry.ofm[1], layer.places, layer.add
    return (layer.source_at is None
            and (places is None or places.row == columns * places.pixel)
            and (add is None or add.spaced is None or add.spaced.whole_rows))
