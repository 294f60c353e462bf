"""Lets layers write their results where a CONCATENATION would copy them.

A layer whose result is read by nothing else writes it at its place in the joined tensor: pixels of
a few channels, as far apart as pixels of all. The joined tensor has all of its memory from the
first such layer on.

    joined by channels    | pixel 0 of a | pixel 0 of b | pixel 1 of a | pixel 1 of b | ...
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from kaniwa.compiler.array.moves import JOINS
from kaniwa.compiler.plan.geometry import SpacedMap
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.lookup import after
from kaniwa.compiler.plan.operands import as_map
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.states import device_states
from kaniwa.compiler.schedule.gaps import with_gaps
from kaniwa.compiler.schedule.mapping import mapped_cycles

__all__ = ["join"]


def join(plan: Plan) -> Plan:
    """Leave out the copies of a CONCATENATION or PACK that cost more than writing the operand in
    its place, and the operator, where none is left."""
    if not plan.may_spend:
        return plan
    joining = _Joining(plan)
    for layer in plan.layers:
        if _copies(layer):
            joining.consider(layer)
    return joining.plan()


class _Joining:
    """The layers as they become."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._layers: list[Layer] = list(plan.layers)
        self._readers = Counter(i for layer in plan.layers for i in _sources(layer))
        self._spends = plan.spends
        self._states = {following for _, _, following in device_states(plan)}

    def plan(self) -> Plan:
        """The plan with the layers as they are now."""
        return replace(self._plan, layers=tuple(self._layers), spends=self._spends)

    def consider(self, joined: Layer) -> None:
        """Take the copies out of ``joined`` that the layers before them can do without."""
        plan = self._plan
        if joined.ofm in plan.spaced or joined.ofm in self._states:
            return
        done, writers = list[ArrayLayer](), list[Layer]()
        for copy in _copies(joined):
            if (writer := self._write(copy, joined)) is not None:
                done.append(copy)
                writers.append(writer)
        if not writers:
            return
        self._spends = True
        number, left = self._layers.index(joined), joined.without(done)
        if left is not None:
            self._layers[number] = left
            return
        del self._layers[number]
        for writer in writers:      # of all of them the operator is a part
            self._layers[self._layers.index(writer)] = replace(
                writer, op=f"{writer.op}+{joined.op}", source=writer.source + joined.source,
                positions=writer.positions + joined.positions[1:])

    def _write(self, copy: ArrayLayer, joined: Layer) -> Layer | None:
        """What makes the operand of ``copy``, writing it in its place, if that takes fewer cycles;
        it replaces the layer."""
        source, plan = copy.ifm, self._plan
        makers = [layer for layer in self._layers if source in layer.makes]
        if len(makers) != 1 or self._readers[source] > 1:
            return None
        (writer,) = makers
        if (writer.part != joined.part or writer.ofm != source or source in plan.spaced
                or source in plan.in_parts or not plan.is_internal(source)):
            return None
        place = _place(copy, writer, plan.graph.tensors[source].shape)
        changed = None if place is None else _in_place(writer, copy, joined.ofm, *place)
        if changed is None or mapped_cycles([changed], plan.config) >= mapped_cycles(
                [writer, copy], plan.config):
            return None
        self._layers[self._layers.index(writer)] = changed
        return changed


def _copies(layer: Layer) -> tuple[ArrayLayer, ...]:
    """Of a CONCATENATION or PACK, which a table may be behind, the copies of its operands."""
    return layer.passes_of_result if layer.op.split("+")[0] in JOINS else ()


def _sources(layer: Layer) -> list[int]:
    """The tensors that a layer reads; those that a CONCATENATION copies as often as it does."""
    return [own.ifm for own in _copies(layer)] or list(layer.reads)


def _place(copy: ArrayLayer, writer: Layer, shape: tuple[int, ...]) -> tuple[SpacedMap, int] | None:
    """The map that the result of ``writer`` becomes, without its first byte, and that byte; None
    where pixels, rows and images do not stay equally far apart."""
    own = writer.on_array
    batch, rows, columns, channels = as_map(shape) if own is None else (
        own.geometry.batch, *own.geometry.ofm)
    to = _bytes_of(copy)
    if to is None or to.size != batch * rows * columns * channels:
        return None
    at = to.reshape(batch, rows, columns, channels)
    first = int(at[0, 0, 0, 0])
    pixel = int(at[0, 0, 1, 0]) - first if columns > 1 else channels
    row = int(at[0, 1, 0, 0]) - first if rows > 1 else columns * pixel
    image, y, x, channel = np.ogrid[:batch, :rows, :columns, :channels]
    if pixel < channels or row < columns * pixel or not np.array_equal(
            at, first + (image * rows + y) * row + x * pixel + channel):
        return None
    return SpacedMap(batch, (rows, columns, channels), row, pixel), first


def _bytes_of(copy: ArrayLayer) -> np.ndarray | None:
    """Where each byte of a whole tensor, in order, is copied; None for a copy of less."""
    g, to = copy.geometry, copy.places
    whole = copy.source_at is None or copy.source_at == (0, g.ifm[0] * g.ifm[1] * g.ifm[2],
                                                         g.ifm[1] * g.ifm[2])
    if to is None or not whole or g.ifm != g.ofm or to.run < g.ofm[2]:
        return None
    image, row, column, channel = np.ogrid[:g.batch, :g.ofm[0], :g.ofm[1], :g.ofm[2]]
    return np.asarray(to.first + image * to.image + row * to.row + column * to.pixel + channel)


def _in_place(writer: Layer, copy: ArrayLayer, joined: int, spaced: SpacedMap,
              first: int) -> Layer | None:
    """``writer`` with what ``copy`` reads as a part of ``joined``, from byte ``first`` on; None
    where it cannot write that, or not look it up as ``copy`` does."""
    def moved(own: ArrayLayer) -> ArrayLayer | None:
        if own.ofm != copy.ifm or own.places is None:
            return own
        if copy.table is not None and own.add is not None:
            return None
        return replace(own, ofm=joined, places=replace(own.places, first=own.places.first + first),
                       table=own.table if copy.table is None else after(own.table, copy.table))

    changed = with_gaps(writer, copy.ifm, spaced)
    if changed is None:
        return None
    if (own := changed.on_array) is not None:
        return moved(own)
    changed = changed.with_passes(moved)
    return None if changed is None else replace(changed, ofm=joined)
