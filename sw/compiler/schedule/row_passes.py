"""Layers as passes over rows of maps, where they can be cut into bands of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.plan.geometry import Geometry, Pair, ScatteredOutput
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import bytes_kept
from kaniwa.compiler.schedule.bands import Pass, Source
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode

__all__ = ["in_rows", "passes_of", "pixels_moved", "row_bytes", "rows_moved"]

MOVED = "MOVED"     # the source kind of a layer that moves rows within their memory


def row_bytes(plan: Plan, tensor: int) -> int:
    """Bytes from one row of a stored map [1, rows, columns, channels] to the next."""
    spaced = plan.spaced.get(tensor)
    return prod(plan.graph.tensors[tensor].shape[2:]) if spaced is None else spaced.row


def in_rows(plan: Plan, layer: Layer) -> Layer:
    """The layer with the rows of its maps, where pixels that are alike were put into longer ones.
    """
    own = layer.on_array
    if own is None or own.source_at or not (_is_map(plan, own.ifm) and _is_map(plan, own.ofm)):
        return layer
    g = own.geometry
    (_, *ifm), (_, *ofm) = (plan.graph.tensors[i].shape for i in (own.ifm, own.ofm))
    places, add = own.places, own.add
    spaced = None if add is None else add.spaced
    if ((g.kernel, g.stride, g.batch) != ((1, 1), (1, 1), 1) or any(g.padding)
            or ifm[:2] != ofm[:2] or g.ifm[:2] != g.ofm[:2] or prod(g.ofm[:2]) != prod(ofm[:2])
            or any(each and each.row != g.ofm[1] * each.pixel for each in (places, spaced))):
        return layer
    if add is not None and spaced is not None:
        add = replace(add, spaced=replace(spaced, shape=(ofm[0], ofm[1], spaced.shape[2]),
                                          row=ofm[1] * spaced.pixel))
    places = places and replace(places, row=ofm[1] * places.pixel)
    return replace(own, places=places, add=add, geometry=replace(
        g, ifm=(ifm[0], ifm[1], g.ifm[2]), ofm=(ofm[0], ofm[1], g.ofm[2])))


def _is_map(plan: Plan, tensor: int) -> bool:
    """True for a tensor [1, rows, columns, channels]."""
    shape = plan.graph.tensors[tensor].shape
    return len(shape) == 4 and shape[0] == 1


def passes_of(plan: Plan, layer: Layer, places: Mapping[int, int]) -> tuple[Pass, ...] | None:
    """The passes of a layer in a stack, which has those that make some tensors at ``places``.

    None for a layer that cannot be cut into bands of its result's rows.
    """
    layers = layer.passes_of_result if layer.on_array is None else (layer.on_array,)
    passes = [_pass(plan, own, places) for own in layers]
    known = tuple(own for own in passes if own is not None)
    return known if known and len(known) == len(passes) else None


def pixels_moved(size: int, config: AcceleratorConfig) -> int:
    """In how many steps of the array ``size`` bytes of a row are moved."""
    return size // max(n for n in range(1, config.depthwise_lanes + 1) if size % n == 0)


def rows_moved(layer: Layer, shape: Pair, config: AcceleratorConfig) -> ArrayLayer:
    """The layer that moves rows of the result of ``layer``: so many rows, and bytes of a row."""
    rows, size = shape
    pixels = pixels_moved(size, config)
    lanes = size // pixels
    map_of_bytes = rows, pixels, lanes
    return ArrayLayer(
        f"{layer.name}:moved", MOVED, Mode.DEPTHWISE, layer.ofm, layer.ofm,
        Geometry(1, map_of_bytes, map_of_bytes, (1, 1), (1, 1), (1, 1), (0, 0)),
        np.ones((1, 1, lanes), np.int8), np.zeros(lanes, np.int64), 0,
        bytes_kept(lanes, config.multiplier_bits, layer.name), 0, layer.source[:1], identity=True,
        part=layer.part, positions=layer.positions[:1])


def _pass(plan: Plan, own: ArrayLayer, places: Mapping[int, int]) -> Pass | None:
    g, pitch = own.geometry, row_bytes(plan, own.ofm)
    if g.batch != 1 or not _is_map(plan, own.ofm):
        return None
    to, columns = own.places or g.output, g.ifm[1] * g.ifm[2]
    begins = to.first + to.row * np.arange(g.ofm[0])
    if (begins // pitch != (begins + _span(to, own) - 1) // pitch).any():
        return None
    first, _, row = own.source_at or (0, 0, columns)
    sources = [_source(plan, places, Source(own.ifm, None, first, row, columns, 1, g))]
    if own.add is not None:
        if own.add.repeated and own.add.operand in places:
            return None
        at = own.operand_places
        sources.append(_source(plan, places, Source(
            own.add.operand, None, at.first, at.row, _span(at, own), 1)))
    known = tuple(source for source in sources if source is not None)
    return Pass(g.ofm[0], to.first, to.row, pitch, known) if len(known) == len(sources) else None


def _source(plan: Plan, places: Mapping[int, int], whole: Source) -> Source | None:
    """``whole`` as a layer of the stack makes it; None where that is no map."""
    if whole.tensor not in places:
        return whole
    if not _is_map(plan, whole.tensor):
        return None
    return replace(whole, place=places[whole.tensor], pitch=row_bytes(plan, whole.tensor))


def _span(to: ScatteredOutput, own: ArrayLayer) -> int:
    """Bytes from the first to the last of a row of results."""
    _, columns, channels = own.geometry.ofm
    runs = (channels - 1) // to.run
    return (columns - 1) * to.pixel + runs * to.of_run + min(to.run, channels)
