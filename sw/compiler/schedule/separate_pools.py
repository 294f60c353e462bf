"""Takes maxima along rows first, and along columns of these: 5 + 5 steps in place of 5 x 5."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.compiler.plan.layers import ArrayLayer, Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import bytes_kept
from kaniwa.compiler.schedule.mapping import mapped_cycles
from kaniwa.graph import Tensor
from kaniwa.isa import Mode

__all__ = ["separate_pools"]


def separate_pools(plan: Plan) -> Plan:
    """Make two layers of each MAX_POOL_2D where these take fewer cycles.

    The largest value of a window is the largest one of its rows' largest values.
    """
    if not plan.may_spend:
        return plan
    tensors, layers = list(plan.graph.tensors), list[Layer]()
    for layer in plan.layers:
        own = layer.on_array
        pair = None if own is None or own.mode != Mode.MAX_POOL else _pair(own, len(tensors), plan)
        if own is None or pair is None or (
                mapped_cycles(pair, plan.config) >= mapped_cycles([own], plan.config)):
            layers.append(layer)
            continue
        along_rows = pair[0]
        g, like = along_rows.geometry, tensors[own.ifm]
        tensors.append(Tensor(along_rows.ofm, along_rows.name, (g.batch, *g.ofm), "int8",
                              like.quantization))
        layers += pair
    if len(layers) == len(plan.layers):
        return plan
    added = {t.id: t.id for t in tensors[len(plan.graph.tensors):]}
    return replace(plan, layers=tuple(layers), storage={**plan.storage, **added}, spends=True,
                   graph=replace(plan.graph, tensors=tuple(tensors)))


def _pair(layer: ArrayLayer, tensor: int, plan: Plan) -> list[ArrayLayer] | None:
    """The layer as maxima along rows, in a new ``tensor``, and along columns of these; None where
    its windows are of one row or column."""
    g = layer.geometry
    if 1 in g.kernel:
        return None
    channels = g.ifm[2]
    between = g.ifm[0], g.ofm[1], channels
    rescale = bytes_kept(channels, plan.config.multiplier_bits, layer.name)
    along_rows = replace(
        layer, name=f"{layer.name}:rows", ofm=tensor, add=None, table=None, rescale=rescale,
        geometry=replace(g, ofm=between, kernel=(1, g.kernel[1]), stride=(1, g.stride[1]),
                         dilation=(1, g.dilation[1]), padding=(0, g.padding[1])))
    along_columns = replace(
        layer, ifm=tensor, source_at=None,
        geometry=replace(g, ifm=between, kernel=(g.kernel[0], 1), stride=(g.stride[0], 1),
                         dilation=(g.dilation[0], 1), padding=(g.padding[0], 0)))
    return [along_rows, along_columns]
