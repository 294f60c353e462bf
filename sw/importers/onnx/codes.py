"""Clamps of quantised integers: a narrower range than their type's, such as -127 to 127.

Exporters of fake quantisation write them between QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

from dataclasses import replace

from kaniwa.importers.onnx.builder import Builder, Origin
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.values import Dequantized, Integers

__all__ = ["clamped_integers"]


def clamped_integers(builder: Builder, node: Node, x: Integers, edges: tuple[float, float],
                     name: str) -> Integers:
    """``x`` between ``edges``, integers of the file, as the model's value ``name``.

    The operator that made ``x`` for ``node`` alone clamps to these; else one more operator does.
    """
    first, last = x.steps.bounds
    low, high = (int(min(max(edge - x.steps.shift, first), last)) for edge in edges)
    bounds = min(low, high), high      # where they cross, the upper one counts
    if bounds == x.steps.bounds:
        return x
    if _narrowed(builder, node, x, bounds, name):
        index = x.stored.forms[x.stored.first]
        return Integers(builder.store(name, index, x.stored.shape, x.stored.first, x.steps),
                        x.steps)
    return builder.requantized(Dequantized(x.stored, x.steps), x.steps, name, bounds)


def _narrowed(builder: Builder, node: Node, x: Integers, bounds: tuple[int, int],
              name: str) -> bool:
    """Put ``bounds`` on the operator that made ``x``; False where others read it too."""
    value = x.stored.name
    readers = builder.readers.get(value, [])
    if value in builder.outputs or len(readers) != 1 or readers[0] is not node or (
            len(x.stored.forms) != 1):
        return False
    index = x.stored.forms[x.stored.first]
    origin = builder.origins.get(index)
    position = next((i for i, op in enumerate(builder.ops) if op.outputs == (index,)), None)
    if position is None or origin is None or origin.name != value:
        return False
    op = builder.ops[position]
    own = op.attributes.get("bounds")
    if not isinstance(own, tuple):
        return False
    low, high = (min(max(edge, bounds[0]), bounds[1]) for edge in own)
    builder.ops[position] = replace(op, name=name, attributes={**op.attributes,
                                                               "bounds": (low, high)})
    builder.tensors[index] = replace(builder.tensors[index], name=name)
    builder.origins[index] = Origin(name, origin.permutation, origin.shift)
    return True
