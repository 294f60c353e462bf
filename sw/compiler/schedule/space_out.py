"""Leaves gaps between pixels and rows of maps, where depthwise layers then read them by columns.

By columns a layer reads lanes of bytes at whole lanes, of rows at whole reads. Maps of any number
of channels and columns get there by gaps, which nobody fills and in which no weight sees anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kaniwa.compiler.plan.geometry import Geometry, Hwc, SpacedMap
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import bytes_kept
from kaniwa.compiler.rewrite.widen import widened
from kaniwa.compiler.schedule.gaps import with_gaps
from kaniwa.compiler.schedule.mapping import best_mapping
from kaniwa.compiler.schedule.row_passes import pixels_moved
from kaniwa.compiler.schedule.tile import cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Tensor
from kaniwa.isa import Mode

__all__ = ["SPACED", "space_out"]

SPACED = "SPACED"     # the source kind of a copy into a map with gaps
INT8 = (-128, 127)
Layers = dict[int, Layer]


def space_out(plan: Plan) -> Plan:
    """Give the maps that depthwise layers read and write gaps, where that takes fewer cycles.

    What makes a map writes it so, or, where that cannot be, a copy is made for the layer.
    """
    config, outside = plan.config, plan.options.outside
    slow = not config.memory_bytes and outside is not None and outside.bytes > 0
    if (slow or plan.options.materialize or plan.without_gaps or not config.depthwise
            or config.column_lanes != config.lane_bytes):
        return plan
    spacing = _Spacing(plan)
    for number, layer in enumerate(plan.layers):
        own = layer.on_array
        if own is not None and own.mode == Mode.DEPTHWISE and own.geometry.kernel != (1, 1):
            spacing.consider(number, own.ifm, copies=True)
            spacing.consider(number, own.ofm, copies=False)
    return spacing.plan()


class _Spacing:
    """The layers as they become, and what their maps are."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._layers: Layers = dict(enumerate(plan.layers))
        self._spaced: dict[int, SpacedMap] = {}
        self._copies: dict[int, ArrayLayer] = {}      # by the layer that they are for
        self._tensors: list[Tensor] = list(plan.graph.tensors)
        self._saved = 0.0
        self._costs: dict[Layer, float] = {}
        self._users: dict[int, list[int]] = {}
        for number, layer in enumerate(plan.layers):
            for i in dict.fromkeys((*layer.reads, *layer.makes)):
                self._users.setdefault(i, []).append(number)

    def plan(self) -> Plan:
        """The plan with maps as they are now."""
        if not self._spaced:
            return self._plan
        layers = [layer for number, own in self._layers.items()
                  for layer in (self._copies.get(number), own) if layer is not None]
        plan, first = self._plan, len(self._plan.graph.tensors)
        return replace(
            plan, layers=tuple(layers), spaced=self._spaced, saved_cycles=self._saved,
            storage={**plan.storage, **{t.id: t.id for t in self._tensors[first:]}},
            graph=replace(plan.graph, tensors=tuple(self._tensors)))

    def consider(self, number: int, tensor: int, copies: bool) -> None:
        """Space out a tensor that layer ``number`` reads or writes, if that is worth it; with
        ``copies`` also a copy that is for this layer alone."""
        own = self._layers[number].on_array
        assert own is not None
        shape = own.geometry.ifm if own.ifm == tensor else own.geometry.ofm
        spaced = _spacing(own.geometry.batch, shape, self._plan.config)
        if tensor in self._spaced or spaced is None:
            return
        saved, best = 0.0, None
        for copy, changed in self._ways(number, tensor, spaced, copies):
            gain = sum(self._cost(self._layers[i]) - self._cost(layer)
                       for i, layer in changed.items())
            gain -= 0 if copy is None else self._cost(copy)
            if gain > saved:
                saved, best = gain, (copy, changed)
        if best is None:
            return
        copy, changed = best
        self._layers.update(changed)
        if copy is not None:
            like = self._tensors[tensor]
            self._tensors.append(Tensor(copy.ofm, f"{like.name}:spaced", (
                spaced.images, *spaced.shape), "int8", like.quantization))
            self._copies[number], tensor = copy, copy.ofm
        self._spaced[tensor] = spaced
        self._saved += saved

    def _ways(self, number: int, tensor: int, spaced: SpacedMap,
              copies: bool) -> Iterator[tuple[ArrayLayer | None, Layers]]:
        """Layers that have to change, and the copy that is made for them, if there is one."""
        changed: Layers = {}
        for i in self._users[tensor]:
            layer = with_gaps(self._layers[i], tensor, spaced)
            if layer is None:
                break
            changed[i] = layer
        else:
            if self._plan.is_internal(tensor):
                yield None, changed
        own = self._layers[number].on_array
        if copies and own is not None and own.source_at is None:
            copy = _copy(own, spaced, len(self._tensors), self._plan.config)
            reader = with_gaps(replace(own, ifm=copy.ofm), copy.ofm, spaced)
            if reader is not None:
                yield copy, {number: reader}

    def _cost(self, layer: Layer) -> float:
        """Estimated cycles, as the passes behind this one leave the layer."""
        if layer not in self._costs:
            config = self._plan.config
            passes = layer.revised(lambda own: best_mapping(widened(own, config), config))
            counts = [cycles([own], config) for own in passes.array_layers]
            self._costs[layer] = sum(float("inf") if n is None else n for n in counts)
        return self._costs[layer]


def _spacing(images: int, shape: Hwc, config: AcceleratorConfig) -> SpacedMap | None:
    """A map with pixels of whole lanes and rows of whole reads; None where it has no gaps."""
    _, columns, channels = shape
    pixel = _whole(channels, config.lane_bytes)
    row = _whole(columns * pixel, config.read_bytes)
    return SpacedMap(images, shape, row, pixel) if row > columns * channels else None


def _whole(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _copy(reader: ArrayLayer, spaced: SpacedMap, tensor: int,
          config: AcceleratorConfig) -> ArrayLayer:
    """A layer that copies what ``reader`` reads into a new ``tensor``."""
    rows, columns, channels = spaced.shape
    shape, places = spaced.shape, spaced.output
    if spaced.pixel == channels:      # rows of bytes
        pixels = pixels_moved(columns * channels, config)
        lanes = columns * channels // pixels
        shape = rows, pixels, lanes
        places = replace(places, pixel=lanes, run=lanes)
    every = np.zeros(shape[2], np.int64)
    rescale = bytes_kept(shape[2], config.multiplier_bits, reader.name)
    g = Geometry(spaced.images, shape, shape, (1, 1), (1, 1), (1, 1), (0, 0))
    return ArrayLayer(
        f"{reader.name}:spaced", SPACED, Mode.DEPTHWISE, reader.ifm, tensor, g,
        np.ones((1, 1, shape[2]), np.int8), every, 0, rescale, 0, reader.source[:1], identity=True,
        part=reader.part, positions=reader.positions[:1], places=places, has_gaps=True)
