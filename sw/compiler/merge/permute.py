"""Channels that change places within their pixels, as exporters of pixel shuffles have them: in the
weights of the layer before, or as a matrix of ones and zeros."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.merge.cuts import cut_of, reads_pixels, with_channels
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.plan.layers import ArrayLayer, Layer, of_both
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.rescale import bytes_kept
from kaniwa.compiler.schedule.mapping import mapped_cycles
from kaniwa.isa import Mode

__all__ = ["permute"]

ONE = (1, 1)


def permute(plan: Plan) -> Plan:
    """Make channels in the order that a TRANSPOSE behind gives them, where nothing else reads them,
    or read them in the order that they had; else transpose by a dense layer of 1 x 1, where that
    takes fewer cycles."""
    if plan.options.materialize:
        return plan
    layers = list(plan.layers)
    readers = plan.readers()
    makers = {i: layer for layer in layers for i in layer.makes}
    spends = plan.spends
    for guest in plan.layers:
        own = guest.on_array
        if own is None or own.op != "TRANSPOSE" or own.source_at is not None:
            continue
        order, maker = _order(own), makers.get(own.ifm)
        host = None if maker is None else maker.on_array
        number, behind = layers.index(own), [layer for layer in layers if own.ofm in layer.reads]
        if host is not None and readers[host.ofm] == 1 and _makes_pixels(host, own):
            layers[number] = makers[own.ofm] = _ordered(host, own, order)
            layers.remove(host)
        elif own.ofm not in plan.kept and all(_reads_pixels(reader, own) for reader in behind):
            for reader in behind:
                layers[layers.index(reader)] = makers[reader.ofm] = _reading(
                    reader, own, order, len(order))
            layers.remove(own)
        elif (picked := _picked(own, order, behind, layers, plan)) is not None:
            layers = picked      # what is left out is as large as what is there for longer
            makers = {i: layer for layer in layers for i in layer.makes}
        elif plan.may_spend and len(order) <= plan.config.dot_width * plan.config.out_lanes:
            # of more channels the matrix takes more steps than there are bytes
            dense = _by_matrix(own, order, len(order), plan, own.geometry.batch)
            if mapped_cycles([dense], plan.config) < mapped_cycles([own], plan.config):
                layers[number] = makers[own.ofm] = dense
                spends = True
    return replace(plan, layers=tuple(layers), spends=spends)


def _order(guest: ArrayLayer) -> npt.NDArray[np.int64]:
    """Of each byte of a transposed image, which byte it was."""
    rows, columns, run = guest.geometry.ifm
    bytes_ = np.arange(rows * columns * run).reshape(rows, columns, run)
    return bytes_.transpose(1, 0, 2).reshape(-1)


def _makes_pixels(host: ArrayLayer, guest: ArrayLayer) -> bool:
    """True for a dense layer whose pixels are what ``guest`` transposes."""
    g = host.geometry
    return (host.mode == Mode.DENSE and host.add is None and host.weights is not None
            and host.places is None and host.spread == 1 and host.visits == 1
            and not host.has_gaps and host.part == guest.part
            and g.ofm[2] == prod(guest.geometry.ifm)
            and g.batch * prod(g.ofm[:2]) == guest.geometry.batch)


def _ordered(host: ArrayLayer, guest: ArrayLayer, order: npt.NDArray[np.int64]) -> ArrayLayer:
    """``host`` with its channels in another order, in the guest's place."""
    assert host.weights is not None
    rescale = host.rescale
    return replace(host, **of_both(host, guest), weights=host.weights[order],
                   bias=host.bias[order], rescale=replace(
                       rescale, multiplier=rescale.multiplier[order], shift=rescale.shift[order]))


def _reads_pixels(reader: Layer, guest: ArrayLayer) -> bool:
    """True for a dense layer that reads pixels as ``guest`` transposes them, and nothing else."""
    return reads_pixels(reader, guest.ofm, guest.geometry.batch, prod(guest.geometry.ifm),
                        guest.part)


def _picked(guest: ArrayLayer, order: npt.NDArray[np.int64], behind: list[Layer],
            layers: list[Layer], plan: Plan) -> list[Layer] | None:
    """``layers`` without ``guest``, each slice of whose channels is a dense layer that picks them,
    or is picked by the dense layers behind it; None where that takes more cycles."""
    if guest.ofm in plan.kept or not behind or not (plan.may_spend or plan.sparing):
        return None
    depth, pixels = len(order), guest.geometry.batch
    before, made = [guest, *behind], dict[Layer, Layer | None]()
    for reader in behind:
        cut = cut_of(reader)
        if cut is None or (cut.depth, cut.pixels) != (depth, pixels):
            return None
        places = order[cut.first:cut.first + cut.count]
        others = [layer for layer in layers if cut.layer.ofm in layer.reads]
        if cut.layer.ofm in plan.kept or not all(
                reads_pixels(other, cut.layer.ofm, pixels, cut.count, guest.part)
                for other in others):
            made[reader] = _by_matrix(replace(
                cut.layer, ifm=guest.ifm, source=cut.layer.source + guest.source), places, depth,
                plan, pixels)
            continue
        made[reader] = None
        before += others
        for other in others:
            made[other] = _reading(other, guest, places, depth, cut.layer.source)
    now = [layer for layer in made.values() if layer is not None]
    if mapped_cycles(now, plan.config) >= mapped_cycles(before, plan.config):
        return None
    return [other for layer in layers if layer is not guest
            for other in [made.get(layer, layer)] if other is not None]


def _reading(reader: Layer, guest: ArrayLayer, places: npt.NDArray[np.int64], depth: int,
             between: tuple[int, ...] = ()) -> ArrayLayer:
    """``reader`` with what ``guest`` reads for input: pixels of ``depth`` channels, of which its
    own lie at ``places``. ``between``: the operators between the two."""
    own = reader.on_array
    assert own is not None
    return replace(with_channels(own, depth, places), ifm=guest.ifm,
                   source=own.source + between + guest.source)


def _by_matrix(copy: ArrayLayer, order: npt.NDArray[np.int64], depth: int, plan: Plan, pixels: int
               ) -> ArrayLayer:
    """A copy as a convolution of 1 x 1: channels of so many ``pixels`` are the bytes of ``order``
    of pixels of ``depth`` channels."""
    count = len(order)
    return replace(
        copy, mode=Mode.DENSE, weights=np.eye(depth, dtype=np.int8)[order][:, None, None],
        geometry=Geometry(1, (1, pixels, depth), (1, pixels, count), ONE, ONE, ONE, (0, 0)),
        bias=np.zeros(count, np.int64),
        rescale=bytes_kept(count, plan.config.multiplier_bits, copy.name),
        source_at=None, places=None, lanes=0)
