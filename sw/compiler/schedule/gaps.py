"""Layers as they read and write maps with gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.geometry import Hwc, Pair, SpacedMap
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.isa import Mode

__all__ = ["with_gaps"]


def with_gaps(layer: Layer, tensor: int, spaced: SpacedMap) -> Layer | None:
    """The layer with gaps in a ``tensor`` that it reads or writes; None where that cannot be."""
    own = layer.on_array
    if own is None:
        return layer.with_passes(lambda part: _part(part, tensor, spaced))
    moves = not own.has_gaps and (own.places, own.source_at) != (None, None)
    return _part(own, tensor, spaced) if moves else _whole(own, tensor, spaced)


def _whole(layer: ArrayLayer, tensor: int, spaced: SpacedMap) -> ArrayLayer | None:
    """A layer of whole maps."""
    changed: ArrayLayer | None = layer
    if tensor in layer.reads:
        changed = _reader(layer, tensor, spaced)
    if changed is not None and layer.ofm == tensor:
        changed = _writer(changed, spaced)
    return changed


def _part(layer: ArrayLayer, tensor: int, spaced: SpacedMap) -> ArrayLayer | None:
    """A layer that makes a part of a result, or moves bytes."""
    if layer.add is not None:
        return None
    changed: ArrayLayer | None = layer
    if layer.ifm == tensor and layer.source_at is None:
        changed = _reader(layer, tensor, spaced)
        changed = None if changed is None else replace(changed, has_gaps=layer.has_gaps)
    elif layer.ifm == tensor:
        changed = _moved_from(layer, spaced)
    if changed is not None and layer.ofm == tensor:
        changed = _moved_to(changed, spaced)
    return changed


def _moved_from(layer: ArrayLayer, spaced: SpacedMap) -> ArrayLayer | None:
    """What reads ``source_at``: runs within pixels, or of whole pixels without gaps."""
    assert layer.source_at is not None
    (first, image, row), g, channels = layer.source_at, layer.geometry, spaced.shape[2]
    span = g.ifm[1] * g.ifm[2]
    apart = _scaled((g.batch, image), (g.ifm[0], row), spaced)
    if apart is None or first % channels + span > channels:
        return None
    return replace(layer, source_at=(_place(first, spaced), *apart))


def _moved_to(layer: ArrayLayer, spaced: SpacedMap) -> ArrayLayer | None:
    """What writes ``places``: runs within pixels."""
    to, g, channels = layer.places, layer.geometry, spaced.shape[2]
    if to is None or to.run < g.ofm[2]:
        return None
    span, pixel = g.ofm[2], to.pixel
    if g.ofm[1] > 1 and to.pixel % channels:
        span += (g.ofm[1] - 1) * to.pixel
    else:
        pixel = to.pixel // channels * spaced.pixel if g.ofm[1] > 1 else to.pixel
    apart = _scaled((g.batch, to.image), (g.ofm[0], to.row), spaced)
    if apart is None or to.first % channels + span > channels:
        return None
    return replace(layer, places=replace(to, first=_place(to.first, spaced), image=apart[0],
                                         row=apart[1], pixel=pixel))


def _place(byte: int, spaced: SpacedMap) -> int:
    """Where a byte of a map without gaps is in one with gaps between pixels."""
    pixel, channel = divmod(byte, spaced.shape[2])
    return pixel * spaced.pixel + channel


def _scaled(images: Pair, rows: Pair, spaced: SpacedMap) -> Pair | None:
    """Distances of images and rows, behind how many there are, with gaps between the pixels that
    they count; None for others than whole pixels, and for gaps behind rows."""
    channels = spaced.shape[2]
    if not spaced.whole_rows or any(count > 1 and apart % channels for count, apart in (
            images, rows)):
        return None
    return images[1] // channels * spaced.pixel, rows[1] // channels * spaced.pixel


def _writer(layer: ArrayLayer, spaced: SpacedMap) -> ArrayLayer | None:
    """The layer with a result that has gaps; None for one that does not write a whole map."""
    g = layer.geometry
    if layer.places is not None or layer.spread > 1 or (g.batch, g.ofm) != (
            spaced.images, spaced.shape):
        return None
    return replace(layer, places=spaced.output, has_gaps=True)


def _reader(layer: ArrayLayer, tensor: int, spaced: SpacedMap) -> ArrayLayer | None:
    """The layer with gaps in the ``tensor`` that it reads; None for one that sees no whole map.

    Weights that meet gaps are 0. A dense layer may see the map as one row, or as one pixel.
    """
    if layer.add is not None and layer.add.operand == tensor:
        g = layer.geometry
        if (g.batch, g.ofm) != (spaced.images, spaced.shape):      # or it is one pixel
            return None
        layer = replace(layer, add=replace(layer.add, spaced=spaced))
    if layer.ifm == tensor:
        shape = _shape_with_gaps(layer, spaced)
        if shape is None:
            return None
        apart = None if spaced.whole_rows or shape[0] == 1 else (0, spaced.image, spaced.row)
        layer = replace(layer, geometry=replace(layer.geometry, ifm=shape), source_at=apart,
                        weights=_weights_with_gaps(layer, spaced))
    return replace(layer, has_gaps=True)


def _shape_with_gaps(layer: ArrayLayer, spaced: SpacedMap) -> Hwc | None:
    """What the layer sees of the map, gaps included: as a map, or all as one pixel."""
    g, (rows, columns, channels) = layer.geometry, spaced.shape
    if layer.source_at is not None or g.batch != spaced.images:
        return None
    if g.ifm == spaced.shape:
        return rows, columns, spaced.pixel
    if layer.mode == Mode.DENSE and g.ifm == (1, 1, rows * columns * channels):
        return 1, 1, spaced.image
    return None


def _weights_with_gaps(layer: ArrayLayer, spaced: SpacedMap) -> npt.NDArray[Any] | None:
    """The weights, with zeros for gaps where a sum goes over channels."""
    weights, (rows, columns, channels) = layer.weights, spaced.shape
    if layer.mode != Mode.DENSE or weights is None:
        return weights
    zero, behind = layer.weight_zero_point, spaced.pixel - channels
    if layer.geometry.ifm == spaced.shape:
        return np.pad(weights, ((0, 0),) * 3 + ((0, behind),), constant_values=zero)
    pixels = np.pad(weights.reshape(-1, rows, columns, channels), ((0, 0),) * 3 + ((0, behind),),
                    constant_values=zero)
    whole = np.pad(pixels.reshape(len(weights), rows, -1),
                   ((0, 0), (0, 0), (0, spaced.row - columns * spaced.pixel)), constant_values=zero)
    return whole.reshape(len(weights), 1, 1, -1)
