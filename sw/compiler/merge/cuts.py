"""Channels that a slice would copy are read where they lie: by dense layers, and by what joins them
to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from kaniwa.compiler.array.moves import CUTS, JOINS
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.mapping import mapped_cycles
from kaniwa.isa import Mode

__all__ = ["Cut", "cut_of", "cuts_read_in_place", "reads_pixels", "with_channels"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A ``layer`` that copies ``count`` channels from the ``first`` on of each of so many
    ``pixels`` of ``depth`` channels."""

    layer: ArrayLayer
    first: int
    count: int
    depth: int
    pixels: int


def cuts_read_in_place(plan: Plan) -> Plan:
    """Leave slices of channels out whose readers can all read the whole pixels, where that takes
    fewer cycles."""
    if not plan.may_spend:      # the whole map is there for longer
        return plan
    layers, spends = list(plan.layers), plan.spends
    for layer in plan.layers:
        cut = cut_of(layer)
        if cut is None or cut.layer.ofm in plan.kept:
            continue
        behind = [reader for reader in layers if cut.layer.ofm in reader.reads]
        found = [_best(reader, cut, plan) for reader in behind]
        made = [reader for reader in found if reader is not None]
        if len(made) == len(behind) and mapped_cycles(made, plan.config) < mapped_cycles(
                [layer, *behind], plan.config):
            for reader, other in zip(behind, made, strict=True):
                layers[layers.index(reader)] = other
            layers.remove(layer)
            spends = True
    return replace(plan, layers=tuple(layers), spends=spends)


def cut_of(layer: Layer) -> Cut | None:
    """What ``layer`` copies, if that is a slice of channels."""
    own = layer.on_array
    if own is None or own.op not in CUTS or own.add is not None or own.table is not None:
        return None
    g, source, to = own.geometry, own.source_at, own.places
    if source is None or to is None or own.mode != Mode.DEPTHWISE or g.stride != (1, 1):
        return None
    (first, image, depth), count = source, g.ifm[1] * g.ifm[2]
    in_order = (to.first, to.row) == (0, count) and (g.ifm[1] == 1 or to.pixel == g.ifm[2])
    images = g.batch == 1 or (image, to.image) == (g.ifm[0] * depth, g.ifm[0] * count)
    if g.ifm != g.ofm or to.run < g.ofm[2] or not in_order or not images or first + count > depth:
        return None
    return Cut(own, first, count, depth, g.batch * g.ifm[0])


def reads_pixels(reader: Layer, tensor: int, pixels: int, channels: int, part: int) -> bool:
    """True for a dense layer that reads ``tensor`` as so many pixels of so many channels, and
    nothing else."""
    own = reader.on_array
    return (own is not None and own.mode == Mode.DENSE and own.reads == (tensor,)
            and own.weights is not None and own.source_at is None and not own.has_gaps
            and own.part == part and own.geometry.ifm[2] == channels
            and own.geometry.batch * own.geometry.ifm[0] * own.geometry.ifm[1] == pixels)


def with_channels(own: ArrayLayer, depth: int, places: np.ndarray) -> ArrayLayer:
    """``own`` with weights for pixels of ``depth`` channels, of which its own lie at ``places``:
    those of others are 0."""
    assert own.weights is not None
    shape = (*own.weights.shape[:3], depth)
    weights = np.full(shape, own.weight_zero_point, own.weights.dtype)
    weights[..., places] = own.weights
    return replace(own, weights=weights, geometry=replace(
        own.geometry, ifm=(*own.geometry.ifm[:2], depth)))


def _best(reader: Layer, cut: Cut, plan: Plan) -> Layer | None:
    """``reader`` as it reads the whole pixels in the fewest cycles; None where it cannot."""
    if (joined := _joining(reader, cut)) is not None:
        return joined
    own = reader.on_array
    if own is None or not reads_pixels(reader, cut.layer.ofm, cut.pixels, cut.count,
                                       cut.layer.part):
        return None
    return min(_dense(own, cut), key=lambda other: mapped_cycles([other], plan.config))


def _dense(own: ArrayLayer, cut: Cut) -> Iterator[ArrayLayer]:
    """``own`` with weights of 0 for other channels, or, where a pixel is a multiple of what it
    reads, with windows over a map of as many more columns."""
    g, row = own.geometry, own.geometry.ifm[1] * cut.depth
    own = replace(own, ifm=cut.layer.ifm, source=own.source + cut.layer.source)
    yield with_channels(own, cut.depth, np.arange(cut.first, cut.first + cut.count))
    if cut.depth % cut.count == 0:
        yield replace(own, geometry=g.of_part(cut.depth // cut.count),
                      source_at=(cut.first, g.ifm[0] * row, row))


def _joining(reader: Layer, cut: Cut) -> Layer | None:
    """What joins the channels to others, with copies from where they lie."""
    copies = reader.passes_of_result if reader.op in JOINS else ()
    if not copies or any(own.ifm == cut.layer.ofm and not _copies_all(own, cut) for own in copies):
        return None

    def from_source(own: ArrayLayer) -> ArrayLayer:
        if own.ifm != cut.layer.ofm:
            return own
        return replace(own, ifm=cut.layer.ifm, source_at=(
            cut.first, own.geometry.ifm[0] * cut.depth, cut.depth))

    return reader.with_passes(from_source)


def _copies_all(own: ArrayLayer, cut: Cut) -> bool:
    """True for a copy of all that was cut out, a pixel a row."""
    g = own.geometry
    return (g.ifm == g.ofm and g.stride == (1, 1) and own.part == cut.layer.part
            and own.source_at in (None, (0, g.ifm[0] * cut.count, cut.count))
            and g.batch * g.ifm[0] == cut.pixels and g.ifm[1] * g.ifm[2] == cut.count)
