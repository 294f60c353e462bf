"""Gives ADDs, MULs, tables and transpositions to the layers before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import prod

import numpy as np

from kaniwa.compiler.merge.order import order
from kaniwa.compiler.plan.geometry import ScatteredOutput
from kaniwa.compiler.plan.layers import ArrayLayer, Layer, of_both
from kaniwa.compiler.plan.lookup import after
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.scale import scaled
from kaniwa.compiler.rewrite.rewriter import BROADCAST
from kaniwa.compiler.schedule.tile import cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode

__all__ = ["fuse"]


def fuse(plan: Plan) -> Plan:
    """Let the producer of an input do an ADD, MUL or table, where nothing else reads that input.

    Of two possible producers the one with more work is taken, so that the other, the skip branch,
    is complete early. A product of activations writes its images side by side, and a dense layer
    its heads apart, where that is all that a transposition behind it does. A MUL by constants that
    no producer does becomes a convolution. A table goes behind each pass of a producer of several.
    What is looked up before it is repeated is looked up behind: into the tables of an ADD or MUL.
    """
    if plan.options.materialize:
        return plan
    layers = _side_by_side(order(plan))      # without what nobody reads
    readers = replace(plan, layers=tuple(layers)).readers()
    _look_up_repeated(layers, readers)
    _write_in_runs(plan.config, layers, readers)
    for guest in _on_array(layers):
        host, merged = _hosted(layers, guest, readers)
        layers[layers.index(guest)] = scaled(plan, guest) if merged is None else merged
        if host is not None:
            layers.remove(host)
    return replace(plan, layers=tuple(layers))


def _on_array(layers: Iterable[Layer]) -> list[ArrayLayer]:
    """The layers that the array computes in one pass."""
    return [own for layer in layers if (own := layer.on_array) is not None]


def _side_by_side(plan: Plan) -> list[Layer]:
    """The layers, with products that write their images side by side; only their last stage writes
    the result."""
    layers = list(plan.layers)
    readers = plan.readers()
    producers = {layer.ofm: layer for layer in layers}
    for guest in _on_array(plan.layers):
        host = producers.get(guest.ifm)
        if guest.op != "TRANSPOSE" or host is None or readers[host.ofm] > 1 or (
                host.part != guest.part):
            continue
        if (product := host.side_by_side(guest, plan.config.out_lanes)) is not None:
            layers[layers.index(guest)] = product
            layers.remove(host)
    return layers


def _write_in_runs(config: AcceleratorConfig, layers: list[Layer],
                   readers: Counter[int]) -> None:
    """Let dense layers write their channels in runs where a transposition behind puts them, if
    that takes less time."""
    array = _on_array(layers)
    producers = {layer.ofm: layer for layer in array}
    for guest in array:
        host = producers.get(guest.ifm)
        if not (guest.op == "TRANSPOSE" and host is not None
                and host.mode == Mode.DENSE and host.places is None and host.add is None
                and readers[host.ofm] == 1 and host.part == guest.part):
            continue
        g, (pixels, _, run) = host.geometry, guest.geometry.ifm
        if (g.batch, guest.geometry.batch, prod(g.ofm[:2])) != (1, 1, pixels) or (
                run % config.out_lanes):
            continue
        merged = replace(host, **of_both(host, guest), lanes=config.out_lanes,
                         places=ScatteredOutput(0, 0, g.ofm[1] * run, run, run, pixels * run))
        first, second, both = (cycles([layer], config) for layer in (host, guest, merged))
        if first is not None and second is not None and both is not None and both < first + second:
            layers[layers.index(guest)] = merged
            layers.remove(host)


def _look_up_repeated(layers: list[Layer], readers: Counter[int]) -> None:
    """Put the tables in front of a broadcast behind it, in ``layers``."""
    array = _on_array(layers)
    producers = {layer.ofm: layer for layer in array}
    for layer in array:
        if layer.op != BROADCAST:
            continue
        behind = layer
        while (guest := producers.get(behind.ifm)) is not None and (
                guest.identity and guest.table is not None
                and readers[guest.ofm] == 1 and guest.part == layer.part):
            behind = _behind(behind, guest)
            layers.remove(guest)
        layers[layers.index(layer)] = behind


def _behind(copy: ArrayLayer, guest: ArrayLayer) -> ArrayLayer:
    """``copy`` of what ``guest`` looks up, with its table behind."""
    assert guest.table is not None
    table = guest.table if copy.table is None else after(guest.table, copy.table)
    name, *others = copy.op.split("+")
    return replace(copy, ifm=guest.ifm, table=table, op="+".join([name, guest.op, *others]),
                   source=copy.source[:1] + guest.source + copy.source[1:],
                   positions=copy.positions[:1] + guest.positions + copy.positions[1:])


def _hosted(layers: list[Layer], guest: ArrayLayer,
            readers: Counter[int]) -> tuple[Layer | None, Layer | None]:
    """The layer that takes ``guest`` in, and what becomes of both; None where none does."""
    host = _host(layers, guest, readers)
    if host is not None:
        return host, _merge(host, guest)
    for layer in layers:
        if layer.ofm == guest.ifm and guest.identity and readers[layer.ofm] == 1 and (
                layer.part == guest.part and (merged := layer.with_lookup(guest)) is not None):
            return layer, merged
    return None, None


def _host(layers: list[Layer], guest: ArrayLayer,
          readers: Counter[int]) -> ArrayLayer | None:
    if not guest.identity:
        return None
    inputs = guest.reads
    hosts = [layer for layer in _on_array(layers)
             if layer.ofm in inputs and layer.add is None
             and readers[layer.ofm] == 1 and layer.part == guest.part
             and _same_pixels(layer, guest)]
    return max(hosts, key=lambda layer: layer.macs, default=None)


def _same_pixels(host: ArrayLayer, guest: ArrayLayer) -> bool:
    """True where an operand that is the same for all pixels of ``guest`` is so for ``host``'s."""
    return guest.add is None or not guest.add.repeated or (
        host.places is None and host.geometry.ofm[2] == guest.geometry.ofm[2])


def _merge(host: ArrayLayer, guest: ArrayLayer) -> ArrayLayer:
    """``host`` with the ADD, MUL or table behind it, in the guest's place."""
    merged = replace(host, **of_both(host, guest))
    add = guest.add
    if guest.table is not None:
        return replace(merged, table=after(host.table, guest.table))
    assert add is not None
    if host.ofm != guest.ifm:      # it makes the second input
        add = replace(add, operand=guest.ifm, tables=add.tables[::-1])
    tables = np.stack([after(host.table, add.tables[0]), add.tables[1]])
    return replace(merged, add=replace(add, tables=tables), table=None)
