"""Operators of ONNX that only move numbers: they work on the integers, or on float32, as they are.

Each gives back the kind of value that it was given: what was quantised stays so.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from math import prod
from typing import TypeGuard

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import (
    floats,
    lowers,
    lowers_floats,
    movable,
    operand,
    quantized_floats,
    transposed,
)
from kaniwa.importers.onnx.quantization import clamp_bounds, in_other_steps, in_steps
from kaniwa.importers.onnx.values import (
    REAL,
    Dequantized,
    Floats,
    Integers,
    Known,
    Moved,
    Pending,
    Permutation,
    Steps,
    Stored,
    Value,
    common_form,
    moved as moved_shape,
)

__all__ = ["reshape", "in_shape", "layouts", "transpose", "concat", "lower_concat", "same"]

def same(builder: Builder, node: Node) -> Value:
    """Identity, and Dropout when it does not train."""
    value = builder.operands(node, 1, 3)[0]
    assert value is not None
    if len(node.outputs) > 1:
        raise builder.fail("its mask is not supported; export the model for inference")
    return value


def reshape(builder: Builder, node: Node) -> Value:
    """Reshape, Flatten, Squeeze, Unsqueeze: the model's order of numbers is kept."""
    value = builder.operands(node, 1, 2)[0]
    if isinstance(value, Known) and value.steps is not None and value.steps.axis is None:
        return replace(value, data=value.data.reshape(_new_shape(builder, node, value.data.shape)))
    moved = movable(builder, value)
    return in_shape(builder, moved, _new_shape(builder, node, moved.stored.shape), node.outputs[0])


def in_shape(builder: Builder, moved: Moved, shape: tuple[int, ...], name: str) -> Moved:
    """The numbers of ``moved`` in the model's order, as ``name`` of this shape."""
    stored = moved.stored
    if prod(shape) != prod(stored.shape):
        raise builder.fail(f"makes {list(shape)} of {list(stored.shape)}", ModelError)
    if shape == stored.shape:
        return moved
    identity = tuple(range(len(shape)))
    if identity_form(stored) not in stored.forms and stored.forms and len(shape) == 2:
        # Flattened from another layout: left open, a matrix can take it as it is.
        return replace(moved, stored=Stored(name, shape, {}, stored))
    before, behind = identity_form(stored), identity
    if before not in stored.forms:
        near = layouts(stored.shape, stored.first, shape)
        if _kept(stored, near[0]) >= _kept(stored, before):
            before, behind = near
    source = builder.form(stored, before)
    index = builder.reshaped(source, moved_shape(shape, behind), name)
    steps = None if isinstance(moved, Floats) else moved.steps
    return replace(moved, stored=builder.store(name, index, shape, behind, steps))


def layouts(old: tuple[int, ...], form: Permutation,
            new: tuple[int, ...]) -> tuple[Permutation, Permutation]:
    """The layout nearest to ``form`` in which a tensor can be seen in another shape, and that of
    the new shape then.

    Axes whose sizes multiply to those of some new axes stay together, in their order; each such
    group stays where ``form`` has it. Channels that are split, and pixels that become rows, so move
    nothing in a map that is stored channel by channel.
    """
    own, others = ([axis for axis, size in enumerate(shape) if size > 1] for shape in (old, new))
    groups = list[tuple[list[int], list[int]]]()
    while own or others:
        first, second = [own.pop(0)], [others.pop(0)]
        while (sizes := (prod(old[a] for a in first), prod(new[a] for a in second)))[0] != sizes[1]:
            shorter, rest = (first, own) if sizes[0] < sizes[1] else (second, others)
            shorter.append(rest.pop(0))
        groups.append((first, second))
    groups.sort(key=lambda group: min(form.index(axis) for axis in group[0]))
    ones = [[axis for axis, size in enumerate(shape) if size == 1] for shape in (old, new)]
    before, behind = ((*alone, *(axis for group in groups for axis in group[number]))
                      for number, alone in enumerate(ones))
    return before, behind


def _kept(stored: Stored, form: Permutation) -> tuple[int, int]:
    """Of the numbers as they are, how many neighbors stay neighbors in another ``form``, and how
    many groups stay in their places."""
    now, then = ([axis for axis in one if stored.shape[axis] > 1] for one in (stored.first, form))
    kept = []
    for pairs in (zip(now[::-1], then[::-1], strict=True), zip(now, then, strict=True)):
        same = takewhile(lambda pair: pair[0] == pair[1], pairs)
        kept.append(prod(stored.shape[axis] for axis, _ in same))
    return kept[0], kept[1]


def identity_form(stored: Stored) -> tuple[int, ...]:
    """The model's own layout."""
    return tuple(range(len(stored.shape)))


def _new_shape(builder: Builder, node: Node, old: tuple[int, ...]) -> tuple[int, ...]:
    rank = len(old)
    if node.kind == "Flatten":
        axis = node.attributes.get("axis", 1)
        axis = axis + rank if axis < 0 else axis
        if not 0 <= axis <= rank:
            raise builder.fail(f"axis {axis} does not fit {list(old)}", ModelError)
        return prod(old[:axis]), prod(old[axis:])
    second = builder.operands(node, 1, 2)[1]
    if second is None:
        numbers = node.attributes.get("axes" if node.kind != "Reshape" else "shape")
    elif isinstance(second, Known) and second.data.dtype.kind in "iu" and second.data.size <= 8:
        numbers = tuple(int(n) for n in second.data.reshape(-1))
    else:
        raise builder.fail("its shape must be a constant; export with fixed shapes")
    if node.kind == "Reshape":
        return _reshaped(builder, node, old, numbers or ())
    if numbers is None:
        if node.kind == "Squeeze":
            return tuple(n for n in old if n != 1)
        raise builder.fail("has no axes", ModelError)
    grown = rank + len(numbers) if node.kind == "Unsqueeze" else rank
    axes = {a + grown if a < 0 else a for a in numbers}
    if len(axes) != len(numbers) or any(not 0 <= a < grown for a in axes):
        raise builder.fail(f"axes {list(numbers)} do not fit {list(old)}", ModelError)
    if node.kind == "Squeeze":
        if any(old[a] != 1 for a in axes):
            raise builder.fail(f"axes {list(numbers)} of {list(old)} are not 1", ModelError)
        return tuple(n for a, n in enumerate(old) if a not in axes)
    rest = iter(old)
    return tuple(1 if a in axes else next(rest) for a in range(grown))


def _reshaped(builder: Builder, node: Node, old: tuple[int, ...],
              numbers: tuple[int, ...]) -> tuple[int, ...]:
    keeps = not node.attributes.get("allowzero", 0)
    if any(n < -1 or n == 0 and (not keeps or i >= len(old)) for i, n in enumerate(numbers)) or (
            numbers.count(-1) > 1):
        raise builder.fail(f"shape {list(numbers)} does not fit {list(old)}", ModelError)
    shape = [old[i] if n == 0 else n for i, n in enumerate(numbers)]
    if -1 in shape:
        rest = prod(n for n in shape if n != -1)
        if not rest or prod(old) % rest:
            raise builder.fail(f"shape {list(numbers)} does not fit {list(old)}", ModelError)
        shape[shape.index(-1)] = prod(old) // rest
    return tuple(shape)


def transpose(builder: Builder, node: Node) -> Value:
    """Transpose: the same numbers seen through another permutation; nothing is moved yet."""
    value = builder.operands(node, 1, 1)[0]
    if isinstance(value, Known) and value.steps is not None:
        return _transposed_constant(builder, node, value)
    moved = movable(builder, value)
    permutation = _permutation(builder, node, len(moved.stored.shape))
    return transposed(builder, moved, permutation, node.outputs[0])


def _permutation(builder: Builder, node: Node, rank: int) -> tuple[int, ...]:
    permutation = tuple(node.attributes.get("perm", range(rank)[::-1]))
    if sorted(permutation) != list(range(rank)):
        raise builder.fail(f"perm {list(permutation)} does not fit {rank} dimensions", ModelError)
    return permutation


def _transposed_constant(builder: Builder, node: Node, value: Known) -> Known:
    permutation = _permutation(builder, node, value.data.ndim)
    steps = value.steps
    assert steps is not None
    axis = None if steps.axis is None else permutation.index(steps.axis)
    return Known(value.data.transpose(permutation), replace(steps, axis=axis))


def concat(builder: Builder, node: Node) -> Value:
    """Concat: of integers with the same steps, else waiting for the steps of the result. Constants
    get those, too."""
    if not 1 <= len(node.inputs) <= 256:
        raise builder.fail(f"has {len(node.inputs)} operands, 1 to 256 are supported")
    given = builder.operands(node, len(node.inputs), len(node.inputs))
    common = _common_steps(given)
    if common is not None:
        given = [_seen_as(builder, v, common, f"{node.outputs[0]}:{i}")
                 for i, v in enumerate(given)]
    values = [v if _is_real(v) else operand(builder, v, f"operand {i}")
              for i, v in enumerate(given)]
    shapes = [builder.shape_of(v) for v in values]
    rank = len(shapes[0])
    axis = node.attributes.get("axis")
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise builder.fail(f"axis {axis} does not fit {list(shapes[0])}", ModelError)
    axis %= rank
    if any(len(s) != rank or s[:axis] != shapes[0][:axis] or s[axis + 1:] != shapes[0][axis + 1:]
           for s in shapes):
        raise builder.fail(f"joins {[list(s) for s in shapes[:4]]} along axis {axis}", ModelError)
    shape = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1:])
    pending = Pending(node, tuple(values), shape)
    if common is not None:
        return lower_concat(builder, pending, common, node.outputs[0])
    steps = values[0].steps if isinstance(values[0], Dequantized) else None
    if steps is not None and all(isinstance(v, Dequantized) and v.steps == steps for v in values):
        return Dequantized(lower_concat(builder, pending, steps, node.outputs[0]).stored, steps)
    return pending


def _common_steps(values: list[Value | None]) -> Steps | None:
    """The steps of a Concat of integers, 1 where its operands have several; else None."""
    own = [v.steps for v in values if isinstance(v, Integers)]
    dtypes = {steps.dtype for steps in own}
    for value in values:
        if isinstance(value, Known) and value.steps is None:
            dtypes.add(str(value.data.dtype))
        elif not isinstance(value, Integers):
            return None
    if not own or len(dtypes) > 1:
        return None
    return own[0] if all(steps == own[0] for steps in own) else Steps((1.0,), (0,), own[0].dtype)


def _seen_as(builder: Builder, value: Value | None, steps: Steps, name: str) -> Value:
    """Integers as numbers in these steps."""
    if isinstance(value, Known):
        return Known(value.data, steps)
    assert isinstance(value, Integers)
    return (Dequantized(value.stored, steps) if value.steps == steps
            else in_other_steps(builder, value, steps, f"{name}:plain"))


def _is_real(value: Value | None) -> TypeGuard[Known]:
    """True for a constant of real numbers."""
    return isinstance(value, Known) and (
        value.steps is not None or value.data.dtype == np.float32)


@lowers("Concat")
def lower_concat(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To CONCATENATION of operands that were brought to the result's steps first."""
    bounds = clamp_bounds(pending.clamps, steps)
    rank, parts = len(pending.shape), list[Stored]()
    form = common_form([value.stored for value in pending.operands
                        if isinstance(value, (Dequantized, Floats))], rank)
    for value in pending.operands:
        if isinstance(value, Known):
            ours, own = in_steps(builder, value.real, steps, bounds), tuple(range(rank))
            index = builder.constant(ours, f"{name}:{len(parts)}", own, rank)
            parts.append(Stored(name, value.data.shape, {own: index}))
            continue
        assert isinstance(value, (Dequantized, Floats))
        if isinstance(value, Floats):
            parts.append(quantized_floats(builder, value, steps, f"{name}:{len(parts)}",
                                          bounds).stored)
        elif value.steps != steps or bounds != steps.bounds:
            parts.append(builder.requantized(value, steps, f"{name}:{len(parts)}", bounds,
                                             form).stored)
        else:
            parts.append(value.stored)
    return _joined(builder, pending, parts, form, steps, name)


@lowers_floats("Concat")
def concat_floats(builder: Builder, pending: Pending) -> Stored:
    """To CONCATENATION of float32."""
    rank, name, parts = len(pending.shape), pending.node.outputs[0], list[Stored]()
    for value in pending.operands:
        if isinstance(value, Known):
            own = tuple(range(rank))
            index = builder.constant(Known(value.real.astype(np.float32)), f"{name}:{len(parts)}",
                                     own, rank)
            parts.append(Stored(name, value.data.shape, {own: index}))
        else:
            parts.append(floats(builder, value, "its operand"))
    form = common_form([part for part, value in zip(parts, pending.operands, strict=True)
                        if not isinstance(value, Known)], rank)
    return _joined(builder, pending, parts, form, REAL, name).stored


def _joined(builder: Builder, pending: Pending, parts: list[Stored], form: Permutation,
            steps: Steps, name: str) -> Integers:
    """CONCATENATION in the layout ``form``."""
    axis = int(np.asarray(pending.node.attributes["axis"])) % len(form)
    inputs = tuple(builder.form(s, form) for s in parts)
    index, result = builder.made(name, pending.shape, form, steps)
    builder.emit("CONCATENATION", inputs, index, {"axis": form.index(axis)}, "exact")
    return result
