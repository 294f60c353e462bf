"""Fewer passes of the array for functions of one operand: what hangs on one tensor alone is one
table of it, and a table whose result several layers read is looked up by each of these."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.plan.layers import ArrayLayer, Layer, Sum
from kaniwa.compiler.plan.lookup import after, common_argument
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import affine
from kaniwa.compiler.plan.states import device_states

__all__ = ["functions_of_one", "looked_up_by_readers"]


def functions_of_one(plan: Plan) -> Plan:
    """Let an ADD, SUB or MUL be a table where both operands are functions of the same tensor.

    So are x * sigmoid(x) (SiLU, or swish), GELU with its ERF, and hard-swish as exporters write
    them. Tables that nothing else reads are part of it.
    """
    if plan.options.materialize:
        return plan
    layers = list(plan.layers)
    readers = plan.readers()
    # A sum takes its operand's memory, so a state may stay where it is; a table does not.
    states = {following for _, _, following in device_states(plan)}
    lookups: dict[int, ArrayLayer] = {}      # by result
    for layer in plan.layers:
        own = layer.on_array
        if own is None or not own.identity or own.ofm in states:
            continue
        if own.add is not None and (one := _of_one(own, own.add, lookups, plan)) is not None:
            readers.subtract(own.reads)
            readers[one.ifm] += 1
            unread = [part for i in own.reads for part in _unread(i, lookups, readers)]
            for part in unread:
                layers.remove(part)
            layers[layers.index(own)] = own = _containing(one, unread)
        if own.table is not None:
            lookups[own.ofm] = own
    return replace(plan, layers=tuple(layers))


def looked_up_by_readers(plan: Plan) -> Plan:
    """Leave a pass that only looks up to the layers that read its result, where each of them can:
    in the tables of an ADD, SUB or MUL, or in a table of its own."""
    if plan.options.materialize:
        return plan
    layers = list(plan.layers)
    states = {now for _, now, _ in device_states(plan)}      # whose memory the next ones take
    for tensor in [layer.ofm for layer in layers]:
        own = next((layer.on_array for layer in layers if layer.ofm == tensor), None)
        if own is None or not own.identity or own.table is None or own.ifm in states or (
                tensor in plan.kept):
            continue
        places = [n for n, layer in enumerate(layers) if own.ofm in layer.reads]
        revised = [_looking_up(layers[n], own) for n in places]
        if any(layer is None for layer in revised):
            continue
        for n, layer in zip(places, revised, strict=True):
            assert layer is not None
            layers[n] = layer if n != places[0] else _containing(layer, [own])
        layers.remove(own)
    return replace(plan, layers=tuple(layers))


def _of_one(layer: ArrayLayer, add: Sum, lookups: dict[int, ArrayLayer],
            plan: Plan) -> ArrayLayer | None:
    """The layer as a table of the nearest tensor that both its operands are functions of."""
    rescale = add.rescale
    def source(tensor: int) -> tuple[int, npt.NDArray[np.int8]] | None:
        looked_up = lookups.get(tensor)
        if looked_up is None or looked_up.part != layer.part or looked_up.table is None:
            return None
        return looked_up.ifm, looked_up.table

    found = common_argument(layer.ifm, add.operand, source)
    if found is None or add.repeated or rescale.act_min > rescale.act_max:
        return None
    common, *functions = found
    a, b = (after(function, table).astype(np.int64)
            for function, table in zip(functions, add.tables, strict=True))
    result = rescale.zero_point + affine(
        a * b if add.multiply else a + b, rescale.multiplier[0], rescale.shift[0],
        rescale.rounding, plan.config.multiplier_bits)
    table = result.clip(rescale.act_min, rescale.act_max).astype(np.int8)
    return replace(layer, ifm=common, add=None, table=table)


def _unread(tensor: int, lookups: dict[int, ArrayLayer],
            readers: Counter[int]) -> list[ArrayLayer]:
    """The tables that end in ``tensor`` and that nobody reads now, first one first; taken out of
    ``lookups`` and ``readers``."""
    unread: list[ArrayLayer] = []
    while tensor in lookups and not readers[tensor]:
        layer = lookups.pop(tensor)
        tensor = layer.ifm
        readers[tensor] -= 1
        unread.insert(0, layer)
    return unread


def _looking_up(layer: Layer, guest: ArrayLayer) -> ArrayLayer | None:
    """``layer`` with the table of ``guest``, whose result it reads; None where it has no place."""
    own = layer.on_array
    if own is None or own.part != guest.part or own.ifm == guest.ofm and not own.identity:
        return None
    add, ifm, table = own.add, own.ifm, own.table
    if ifm == guest.ofm:
        ifm = guest.ifm
        if add is not None:
            add = _before(guest, add, 0)
        elif table is not None:
            table = after(guest.table, table)
        else:
            return None
    if add is not None and add.operand == guest.ofm:
        add = replace(_before(guest, add, 1), operand=guest.ifm)
    return replace(own, ifm=ifm, add=add, table=table)


def _before(guest: ArrayLayer, add: Sum, number: int) -> Sum:
    """``add`` with the table of ``guest`` before table ``number``."""
    tables = list(add.tables)
    tables[number] = after(guest.table, tables[number])
    return replace(add, tables=np.stack(tables))


def _containing(layer: ArrayLayer, parts: list[ArrayLayer]) -> ArrayLayer:
    """``layer`` with the names and origins of ``parts`` too, before its last operator's."""
    *hosts, last = layer.op.split("+")
    parts = [part for part in parts      # not of the same operator
             if (part.op, part.positions) != (last, layer.positions[-1:])]
    return replace(
        layer, op="+".join([*hosts, *(part.op for part in parts), last]),
        source=(*layer.source[:-1], *(i for part in parts for i in part.source),
                *layer.source[-1:]),
        positions=(*layer.positions[:-1], *(i for part in parts for i in part.positions),
                   *layer.positions[-1:]))
