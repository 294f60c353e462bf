"""A MUL by one pixel of constants as a depthwise layer: no tables, and an ADD can go behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kaniwa.layer import Layer
from kaniwa.passes.visits import addends

__all__ = ["scaled"]


def scaled(layer: Layer, pixel: npt.NDArray[np.int8]) -> Layer:
    """``layer``, an identity with a MUL by ``pixel`` [channels], as one with these as weights.

    Weights beyond int8 are several, for as many rows of the input, which all are its only one: a
    layer of more rows stays as it is then. Sums are the MUL's products, and the rescaling is the
    one that was proved for all of them.
    """
    product, g = layer.add, layer.geometry
    assert product is not None and product.multiply
    zero_point = -int(product.tables[0][128])
    factors = product.tables[1][pixel.astype(np.int64) + 128].astype(np.int64)
    weights = np.array(addends(factors) or [np.zeros_like(pixel)])
    if len(weights) > 1:
        if g.ofm[0] > 1:
            return layer
        _, columns, channels = g.ifm
        g = replace(g, ifm=(len(weights), columns, channels), kernel=(len(weights), 1))
        layer = replace(layer, source_at=(0, columns * channels, 0))
    rescale = replace(product.rescale,
                      multiplier=np.repeat(product.rescale.multiplier, len(factors)),
                      shift=np.repeat(product.rescale.shift, len(factors)))
    return replace(layer, geometry=g, weights=weights[:, None], bias=-zero_point * factors,
                   rescale=rescale, add=None, identity=False)
