"""A MUL by one pixel of constants as a depthwise layer: no tables, and an ADD can go behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.plan.visits import addends

__all__ = ["scaled"]


def scaled(plan: Plan, layer: ArrayLayer) -> ArrayLayer:
    """The layer; an identity with a MUL by a pixel of constants as a convolution with these.

    Weights beyond int8 are several, for as many taps, which all are the same pixel. Sums are the
    MUL's products, and the rescaling is the one that was proved for all of them.
    """
    product, g = layer.add, layer.geometry
    if not layer.identity or product is None or not product.multiply or not product.repeated:
        return layer
    constant = plan.graph.tensors[product.operand].data
    values = product.tables[0].astype(np.int64)     # of the layer's bytes, less their zero point
    if constant is None or not (np.diff(values) == 1).all():
        return layer
    pixel = constant.reshape(-1).astype(np.int64)
    factors = product.tables[1][pixel + 128].astype(np.int64)
    weights = np.array(addends(factors) or [np.zeros_like(factors)]).astype(np.int8)
    g = replace(g, kernel=(1, len(weights)), dilation=(1, 0 if len(weights) > 1 else 1))
    rescale = replace(product.rescale,
                      multiplier=np.repeat(product.rescale.multiplier, len(factors)),
                      shift=np.repeat(product.rescale.shift, len(factors)))
    return replace(layer, geometry=g, weights=weights[None], bias=values[128] * factors,
                   rescale=rescale, add=None, identity=False)
