"""Gives ADDs, MULs, tables and transpositions to the layers before them, and orders the layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.layer import Layer, Plan, ScatteredOutput, VectorLayer
from kaniwa.compiler.plan.scale import scaled
from kaniwa.compiler.plan.staged import StagedLayer
from kaniwa.compiler.rewrite.rewriter import BROADCAST
from kaniwa.compiler.schedule.tile import cycles
from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode

__all__ = ["fuse", "order"]

Table = TypeVar("Table", npt.NDArray[np.int8], npt.NDArray[np.int32])


def fuse(plan: Plan) -> Plan:
    """Let the producer of an input do an ADD, MUL or table, where nothing else reads that input.

    Of two possible producers the one with more work is taken, so that the other, the skip branch,
    is complete early. A product of activations writes its images side by side, and a dense layer
    its heads apart, where that is all that a transposition behind it does. A MUL by constants that
    no producer does becomes a convolution. What is looked up before it is repeated is looked up
    behind: into the tables of an ADD or MUL.
    """
    if plan.options.materialize:
        return plan
    layers = _side_by_side(order(plan))      # without what nobody reads
    readers = Counter(i for layer in layers for i in layer.reads)
    readers.update(plan.kept)
    _look_up_repeated(layers, readers)
    _write_in_runs(plan.config, layers, readers)
    position = 0
    while position < len(layers):
        guest = layers[position]
        host = _host(layers, guest, readers) if isinstance(guest, Layer) else None
        if isinstance(guest, Layer) and host is not None:
            layers[position] = _merge(host, guest)
            layers.remove(host)
        else:
            if isinstance(guest, Layer):
                layers[position] = scaled(plan, guest)
            position += 1
    return replace(plan, layers=tuple(layers))


def _side_by_side(plan: Plan) -> list[Layer | VectorLayer]:
    """The layers, with products that write their images side by side; only their last stage writes
    the result."""
    layers = list(plan.layers)
    readers = Counter(i for layer in layers for i in layer.reads)
    readers.update(plan.kept)
    products = {layer.ofm: layer for layer in layers
                if isinstance(layer, StagedLayer) and layer.op == "BATCH_MATMUL"}
    for guest in plan.layers:
        if not isinstance(guest, Layer) or guest.op != "TRANSPOSE":
            continue
        host, to = products.get(guest.ifm), guest.places
        if host is None or to is None or readers[host.ofm] > 1 or host.part != guest.part:
            continue
        last = host.stages[-1]
        if last.layer is None:      # a program has its place
            continue
        images, (_, rows, columns) = last.layer.geometry.batch, last.layer.geometry.ofm
        if (guest.geometry.batch, guest.geometry.ifm) != (1, (images, rows, columns)):
            continue
        moved = replace(last.layer, ofm=guest.ofm, lanes=plan.config.out_lanes,
                        places=ScatteredOutput(0, columns, 0, images * columns, columns, 0))
        layers[layers.index(guest)] = replace(
            host, **_of_both(host, guest), stages=(*host.stages[:-1], replace(last, layer=moved)))
        layers.remove(host)
    return layers


def _write_in_runs(config: AcceleratorConfig, layers: list[Layer | VectorLayer],
                   readers: Counter[int]) -> None:
    """Let dense layers write their channels in runs where a transposition behind puts them, if
    that takes less time."""
    producers = {layer.ofm: layer for layer in layers}
    for guest in tuple(layers):
        host = producers.get(guest.ifm) if isinstance(guest, Layer) else None
        if not (isinstance(guest, Layer) and guest.op == "TRANSPOSE" and isinstance(host, Layer)
                and host.mode == Mode.DENSE and host.places is None and host.add is None
                and readers[host.ofm] == 1 and host.part == guest.part):
            continue
        g, (pixels, _, run) = host.geometry, guest.geometry.ifm
        if (g.batch, guest.geometry.batch, prod(g.ofm[:2])) != (1, 1, pixels) or (
                run % config.out_lanes):
            continue
        merged = replace(host, **_of_both(host, guest), lanes=config.out_lanes,
                         places=ScatteredOutput(0, 0, g.ofm[1] * run, run, run, pixels * run))
        first, second, both = (cycles(layer, config) for layer in (host, guest, merged))
        if first is not None and second is not None and both is not None and both < first + second:
            layers[layers.index(guest)] = merged
            layers.remove(host)


def _look_up_repeated(layers: list[Layer | VectorLayer], readers: Counter[int]) -> None:
    """Put the tables in front of a broadcast behind it, in ``layers``."""
    producers = {layer.ofm: layer for layer in layers}
    for layer in tuple(layers):
        if not isinstance(layer, Layer) or layer.op != BROADCAST:
            continue
        behind = layer
        while isinstance(guest := producers.get(behind.ifm), Layer) and (
                guest.identity and guest.table is not None
                and readers[guest.ofm] == 1 and guest.part == layer.part):
            behind = _behind(behind, guest)
            layers.remove(guest)
        layers[layers.index(layer)] = behind


def _behind(copy: Layer, guest: Layer) -> Layer:
    """``copy`` of what ``guest`` looks up, with its table behind."""
    assert guest.table is not None
    table = guest.table if copy.table is None else _after(guest.table, copy.table)
    name, *others = copy.op.split("+")
    return replace(copy, ifm=guest.ifm, table=table, op="+".join([name, guest.op, *others]),
                   source=copy.source[:1] + guest.source + copy.source[1:],
                   positions=copy.positions[:1] + guest.positions + copy.positions[1:])


def _of_both(host: Layer | VectorLayer, guest: Layer) -> dict[str, Any]:
    """What changes in ``host`` whatever ``guest`` behind it does: the result, and whose it is."""
    return {"ofm": guest.ofm, "op": f"{host.op}+{guest.op}", "source": host.source + guest.source,
            "positions": host.positions + guest.positions}


def _host(layers: list[Layer | VectorLayer], guest: Layer,
          readers: Counter[int]) -> Layer | None:
    if not guest.identity:
        return None
    inputs = guest.reads
    hosts = [layer for layer in layers if isinstance(layer, Layer)
             and layer.ofm in inputs and layer.add is None
             and readers[layer.ofm] == 1 and layer.part == guest.part
             and _same_pixels(layer, guest)]
    return max(hosts, key=lambda layer: layer.macs, default=None)


def _same_pixels(host: Layer, guest: Layer) -> bool:
    """Whether an operand that is the same for all pixels of ``guest`` is so for ``host``'s."""
    return guest.add is None or not guest.add.repeated or (
        host.places is None and host.geometry.ofm[2] == guest.geometry.ofm[2])


def _merge(host: Layer, guest: Layer) -> Layer:
    """``host`` with the ADD, MUL or table behind it, in the guest's place."""
    merged = replace(host, **_of_both(host, guest))
    add = guest.add
    if guest.table is not None:
        return replace(merged, table=_after(host.table, guest.table))
    assert add is not None
    if host.ofm != guest.ifm:      # it makes the second input
        add = replace(add, operand=guest.ifm, tables=add.tables[::-1])
    tables = np.stack([_after(host.table, add.tables[0]), add.tables[1]])
    return replace(merged, add=replace(add, tables=tables), table=None)


def _after(first: npt.NDArray[np.int8] | None, second: Table) -> Table:
    """Both tables, one after the other, as one."""
    return second if first is None else second[first.astype(np.int64) + 128]


def order(plan: Plan) -> Plan:
    """Schedule each layer right after what it needs, the second operand of an ADD or MUL first.

    Layers whose results nobody reads are dropped, unless every tensor is wanted.
    """
    producers = {i: layer for layer in plan.layers for i in layer.makes}
    wanted = [layer.ofm for layer in plan.layers] if plan.options.materialize else plan.kept
    scheduled: dict[int, Layer | VectorLayer] = {}
    stack = list(reversed(wanted))
    while stack:
        layer = producers.get(stack[-1])
        if layer is None or layer.ofm in scheduled:
            stack.pop()
            continue
        missing = [i for i in reversed(layer.reads)
                   if i in producers and producers[i].ofm not in scheduled]
        if missing:
            stack.append(missing[0])
        else:
            scheduled[layer.ofm] = layer
            stack.pop()
    # Whatever a part needs of another is of one before it.
    return replace(plan, layers=tuple(sorted(scheduled.values(), key=lambda layer: layer.part)))
