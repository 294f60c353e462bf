"""Chooses how the array computes each layer: by columns, by patches, tap by tap, or by lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from kaniwa.compiler.plan.fields import may_list
from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.rewrite.widen import widened
from kaniwa.compiler.schedule.tile import cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, Mode

__all__ = ["best_mapping", "choose_mapping", "mapped_cycles"]


def choose_mapping(plan: Plan) -> Plan:
    """Give each layer the mapping with the fewest estimated cycles; the plain one if equal."""
    best = partial(best_mapping, config=plan.config)
    return replace(plan, layers=tuple(layer.revised(best) for layer in plan.layers))


def best_mapping(layer: ArrayLayer, config: AcceleratorConfig) -> ArrayLayer:
    """The layer with the mapping that takes the fewest estimated cycles."""
    best, least = layer, None
    for other in _alternatives(layer, config):
        if least is None:
            least = cycles([layer], config)
        count = cycles([other], config)
        if count is not None and (least is None or count < least):
            best, least = other, count
    return best


def mapped_cycles(layers: Iterable[Layer], config: AcceleratorConfig) -> float:
    """Estimated cycles of layers one behind the other, widened and with their best mappings;
    infinite where one cannot be cut."""
    passes = [best_mapping(widened(own, config), config)
              for layer in layers for own in layer.array_layers]
    count = cycles(passes, config)
    return float("inf") if count is None else count


def _alternatives(layer: ArrayLayer, config: AcceleratorConfig) -> Iterator[ArrayLayer]:
    g = layer.geometry
    channels = g.ifm[2]
    if not g.stride[1]:      # a pixel that is repeated
        return
    if layer.places is not None and (layer.places.run < g.ofm[2] or g.kernel == (1, 1)):
        return      # what is moved
    if (layer.mode == Mode.DEPTHWISE and config.depthwise and g.dilation == (1, 1)
            and config.column_lanes == config.lane_bytes     # blocks are whole lanes
            and channels % config.lane_bytes == 0 and g.padding[1] < g.kernel[1]):
        yield replace(layer, mode=Mode.COLUMN, lanes=config.column_lanes if layer.lanes else 0)
    segment = g.kernel[1] * channels
    if (layer.mode == Mode.DENSE and config.patch_bytes and g.kernel[0] > 1 and g.dilation[1] == 1
            and segment <= FIELDS["segment_bytes"].high
            and g.kernel[0] * segment <= config.patch_bytes // 2):
        yield replace(layer, patch=True)
    if may_list(layer, config):
        yield replace(layer, listed=True)
