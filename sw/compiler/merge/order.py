"""The order of the layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from math import prod

from kaniwa.compiler.plan.layers import Layer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.isa.formats import TABLE_ENTRIES

__all__ = ["order"]

MOVES = 2      # layers without tables that may be missing between two of the same ones


def order(plan: Plan) -> Plan:
    """Schedule each layer right after what it needs, the second operand of an ADD or MUL first.

    Small layers of the same tables, such as the gates of a cell, follow one another where they can:
    loading these takes longer than the layers. Layers whose results nobody reads are dropped,
    unless every tensor is wanted.
    """
    producers = {i: layer for layer in plan.layers for i in layer.makes}
    wanted = [layer.ofm for layer in plan.layers] if plan.options.materialize else plan.kept
    alike = _alike(plan, producers, wanted)
    scheduled: dict[int, Layer] = {}
    stack = list(reversed(wanted))
    while stack:
        layer = producers.get(stack[-1])
        if layer is None or layer.ofm in scheduled:
            stack.pop()
            continue
        missing = _missing(layer, producers, scheduled)
        if missing:
            stack.append(missing[0])
        else:
            scheduled[layer.ofm] = layer
            stack.pop()
            stack += islice((other.ofm for other in alike.get(layer.ofm, ())
                             if other.ofm not in scheduled
                             and _is_near(other, producers, scheduled)), 1)
    # Whatever a part needs of another is of one before it.
    return replace(plan, layers=tuple(sorted(scheduled.values(), key=lambda layer: layer.part)))


def _alike(plan: Plan, producers: Mapping[int, Layer],
           wanted: Iterable[int]) -> dict[int, list[Layer]]:
    """For the result of each small layer with tables those that have the same ones, too."""
    needed, stack = dict[int, Layer](), list(wanted)
    while stack:
        layer = producers.get(stack.pop())
        if layer is not None and layer.ofm not in needed:
            needed[layer.ofm] = layer
            stack += layer.reads
    groups: dict[tuple[bytes, ...], list[Layer]] = defaultdict(list)
    for layer in plan.layers:
        own = layer.on_array
        if layer.ofm in needed and own is not None and own.tables and _is_small(plan, layer):
            groups[tuple(table.tobytes() for table in own.tables)].append(layer)
    return {layer.ofm: group for group in groups.values() for layer in group if len(group) > 1}


def _is_small(plan: Plan, layer: Layer) -> bool:
    """It takes less time than its table, of which an entry is loaded a cycle."""
    most = TABLE_ENTRIES * plan.config.requant_lanes
    return prod(plan.graph.tensors[layer.ofm].shape) <= most


def _is_near(layer: Layer, producers: Mapping[int, Layer],
             scheduled: Mapping[int, Layer]) -> bool:
    """What it lacks are a few layers without tables that can be scheduled."""
    lacking = [producers[i] for i in _missing(layer, producers, scheduled)]
    return len(lacking) <= MOVES and all(
        before.part == layer.part and before.on_array is not None and not before.on_array.tables
        and not _missing(before, producers, scheduled) for before in lacking)


def _missing(layer: Layer, producers: Mapping[int, Layer],
             scheduled: Mapping[int, Layer]) -> list[int]:
    """What the layer reads of others that are not scheduled, the last operand first."""
    return [i for i in reversed(layer.reads)
            if i in producers and producers[i].ofm not in scheduled]
