"""Attributes of an operator for the array's layers: loops, bounds and multiplications."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from kaniwa.compiler.plan.bounds import activation_bounds
from kaniwa.compiler.plan.geometry import Geometry
from kaniwa.compiler.plan.operands import Pair, as_map, paddings, pair, quantization
from kaniwa.graph import Op, Tensor

__all__ = ["bounds_of", "geometry_of", "macs_of", "removed_of"]


def geometry_of(op: Op, x: Tensor, y: Tensor, kernel: Pair) -> Geometry:
    """The loops from ``x`` to ``y``."""
    ifm, ofm = as_map(x.shape), as_map(y.shape)
    (top, _), (left, _) = paddings(op)
    return Geometry(ifm[0], ifm[1:], ofm[1:], kernel, pair(op, "stride"), pair(op, "dilation"),
                    (top, left))


def macs_of(op: Op, y: Tensor) -> int:
    """The model's multiplications, with those of removed channels."""
    removed = removed_of(op)
    return prod(y.shape) * int(str(op.attributes["taps"])) + (removed["macs"] if removed else 0)


def removed_of(op: Op) -> Mapping[str, Any] | None:
    """The multiplications that are not computed, where there are some."""
    value = op.attributes.get("removed")
    return value if isinstance(value, Mapping) else None


def bounds_of(op: Op, y: Tensor) -> tuple[int, int]:
    """The range of the result; rule qdq has its clamp as integers."""
    q, bounds = quantization(y), op.attributes.get("bounds")
    if isinstance(bounds, tuple):
        return bounds
    return activation_bounds(str(op.attributes.get("activation", "NONE")), q.scale, q.zero_point)
