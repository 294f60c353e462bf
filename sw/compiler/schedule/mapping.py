"""Chooses how the array computes each layer: by columns, by patches, or tap by tap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.schedule.tile import cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode

__all__ = ["choose_mapping"]


def choose_mapping(plan: Plan) -> Plan:
    """Give each layer the mapping with the fewest estimated cycles; the plain one if equal."""
    best = partial(_best, config=plan.config)
    return replace(plan, layers=tuple(layer.revised(best) for layer in plan.layers))


def _best(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    best, least = layer, None
    for other in _alternatives(layer, config):
        if least is None:
            least = cycles(layer, config)
        count = cycles(other, config)
        if count is not None and (least is None or count < least):
            best, least = other, count
    return best


def _alternatives(layer: ArrayLayer, config: AcceleratorConfig) -> Iterator[ArrayLayer]:
    g = layer.geometry
    channels = g.ifm[2]
    if layer.places is not None or not g.stride[1]:      # moved, or a pixel that is repeated
        return
    if (layer.mode == Mode.DEPTHWISE and config.depthwise and g.dilation == (1, 1)
            and config.column_lanes == config.lane_bytes     # blocks are whole lanes
            and channels % config.lane_bytes == 0 and g.padding[1] < g.kernel[1]):
        yield replace(layer, mode=Mode.COLUMN)
    segment = g.kernel[1] * channels
    if (layer.mode == Mode.DENSE and config.patch_bytes and g.kernel[0] > 1 and g.dilation[1] == 1
            and segment <= FIELDS["segment_bytes"].high
            and g.kernel[0] * segment <= config.patch_bytes // 2):
        yield replace(layer, patch=True)
