"""Channels that change places within their pixels, as exporters of pixel shuffles have them: in the
weights of the layer before, or as a matrix of ones and zeros."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

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
                layers[layers.index(reader)] = makers[reader.ofm] = _reading(reader, own, order)
            layers.remove(own)
        elif plan.may_spend and len(order) <= plan.config.dot_width * plan.config.out_lanes:
            # of more channels the matrix takes more steps than there are bytes
            dense = _by_matrix(own, order, plan)
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
    own = reader.on_array
    return (own is not None and own.mode == Mode.DENSE and own.reads == (guest.ofm,)
            and own.weights is not None and own.source_at is None and not own.has_gaps
            and own.part == guest.part and own.geometry.ifm[2] == prod(guest.geometry.ifm)
            and own.geometry.batch * prod(own.geometry.ifm[:2]) == guest.geometry.batch)


def _reading(reader: Layer, guest: ArrayLayer, order: npt.NDArray[np.int64]) -> ArrayLayer:
    """``reader`` with what ``guest`` reads for input: its weights are in another order."""
    own = reader.on_array
    assert own is not None and own.weights is not None
    return replace(own, ifm=guest.ifm, source=own.source + guest.source,
                   weights=own.weights[..., np.argsort(order)])


def _by_matrix(guest: ArrayLayer, order: npt.NDArray[np.int64], plan: Plan) -> ArrayLayer:
    """The transposition as a convolution of 1 x 1: each channel is another one's byte."""
    channels, pixels = len(order), guest.geometry.batch
    rescale = bytes_kept(channels, plan.config.multiplier_bits, guest.name)
    shape = 1, pixels, channels
    return replace(
        guest, mode=Mode.DENSE, weights=np.eye(channels, dtype=np.int8)[order][:, None, None],
        geometry=Geometry(1, shape, shape, ONE, ONE, ONE, (0, 0)),
        bias=np.zeros(channels, np.int64), rescale=rescale,
        places=None, lanes=0)
