"""Slice, Split, Gather and Pad of ONNX models: integers are moved as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.movement import in_shape
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, movable
from kaniwa.importers.onnx.quantization import clamp_bounds
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Moved,
    Pending,
    Steps,
    Value,
    moved,
)

__all__ = ["axis_of", "cut", "gather", "integers", "lower_padded", "pad", "same_kind", "split"]


def integers(builder: Builder, value: Value | None, what: str) -> list[int] | None:
    """The numbers of a constant operand, called ``what`` in messages; None for an absent one."""
    if value is None:
        return None
    if not isinstance(value, Known) or value.data.dtype.kind not in "iu" or value.data.size > 256:
        raise builder.fail(f"{what} must be constant integers; export with fixed shapes")
    return [int(n) for n in value.data.reshape(-1)]


PADDING = ("constant", "reflect", "edge", "wrap")


def axis_of(builder: Builder, axis: int, shape: tuple[int, ...]) -> int:
    """``axis`` of ``shape``, counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise builder.fail(f"axis {axis} does not fit {list(shape)}", ModelError)
    return axis % len(shape)


def same_kind(builder: Builder, value: Moved, index: int, name: str,
               shape: tuple[int, ...], form: tuple[int, ...]) -> Moved:
    """The tensor as the model's ``name``: integers, or numbers, as ``value`` is."""
    steps = None if isinstance(value, Floats) else value.steps
    return replace(value, stored=builder.store(name, index, shape, form, steps))


def _part(builder: Builder, value: Moved, name: str, ranges: list[range]) -> Moved:
    """These indices of every axis."""
    stored = value.stored
    if any(not len(r) for r in ranges):
        raise builder.fail(f"'{name}' would be empty")
    shape = tuple(len(r) for r in ranges)
    if all(r == range(n) for r, n in zip(ranges, stored.shape, strict=True)):
        return value
    form = stored.first
    tensor = builder.tensors[builder.form(stored, form)]
    index = builder.tensor(name, moved(shape, form), tensor.dtype, tensor.quantization)
    ordered = [ranges[axis] for axis in form]
    builder.emit("STRIDED_SLICE", (tensor.id,), index, {
        "begin": tuple(r.start for r in ordered), "end": tuple(r.stop for r in ordered),
        "stride": tuple(r.step for r in ordered)}, "exact")
    return same_kind(builder, value, index, name, shape, form)


def cut(builder: Builder, node: Node) -> Value:
    """Slice, with constant starts and ends."""
    x, *others = builder.operands(node, 1, 5)
    value = movable(builder, x)
    shape = value.stored.shape
    starts, ends, axes, steps = (integers(builder, v, "starts, ends, axes and steps")
                                 for v in others)
    if starts is None:
        starts, ends, axes = (list(node.attributes.get(k, ())) or None
                              for k in ("starts", "ends", "axes"))
    if starts is None or ends is None:
        raise builder.fail("has no starts or ends", ModelError)
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise builder.fail("its starts, ends, axes and steps do not fit each other", ModelError)
    ranges = [range(n) for n in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = axis_of(builder, axis, shape)
        ranges[axis] = range(*slice(start, end, step).indices(shape[axis]))
    return _part(builder, value, node.outputs[0], ranges)


def split(builder: Builder, node: Node) -> list[Value]:
    """Split into parts of equal or given lengths."""
    x, lengths = builder.operands(node, 1, 2)
    value = movable(builder, x)
    shape = value.stored.shape
    axis = axis_of(builder, int(node.attributes.get("axis", 0)), shape)
    parts = integers(builder, lengths, "its lengths") or list(node.attributes.get("split", ()))
    if not parts:
        count = len(node.outputs)
        length = -(-shape[axis] // count)
        parts = [min(length, shape[axis] - i * length) for i in range(count)]
    if len(parts) != len(node.outputs) or sum(parts) != shape[axis] or min(parts) < 1:
        raise builder.fail(f"parts of {parts[:8]} do not fit {shape[axis]} of "
                           f"{len(node.outputs)} results", ModelError)
    values, begin = list[Value](), 0
    for name, length in zip(node.outputs, parts, strict=True):
        ranges = [range(n) for n in shape]
        ranges[axis] = range(begin, begin + length)
        begin += length
        values.append(_part(builder, value, name, ranges))
    return values


def gather(builder: Builder, node: Node) -> Value:
    """Gather by constant indices: those the same way apart are a slice. A scalar takes the axis
    away, several dimensions come in its place."""
    x, chosen = builder.operands(node, 2, 2)
    value = movable(builder, x)
    shape, name = value.stored.shape, node.outputs[0]
    axis = axis_of(builder, int(node.attributes.get("axis", 0)), shape)
    if not isinstance(chosen, Known) or chosen.data.dtype.kind not in "iu":
        raise builder.fail("its indices must be constant integers; export with fixed shapes")
    indices, size = chosen.data.reshape(-1).astype(np.int64), shape[axis]
    if not indices.size or indices.min() < -size or indices.max() >= size:
        raise builder.fail(f"indices {indices[:8].tolist()} do not fit {size}", ModelError)
    result = (*shape[:axis], *chosen.data.shape, *shape[axis + 1:])
    made = name if chosen.data.ndim == 1 else f"{name}:kept"
    return in_shape(builder, _gathered(builder, value, made, axis, indices % size), result, name)


def _gathered(builder: Builder, value: Moved, name: str, axis: int, indices: np.ndarray) -> Moved:
    """These indices, one or more, of one axis."""
    shape, first = value.stored.shape, int(indices[0])
    step = int(indices[1]) - first if len(indices) > 1 else 1
    if step and (indices == first + step * np.arange(len(indices))).all():
        ranges = [range(n) for n in shape]
        ranges[axis] = range(first, int(indices[-1]) + (1 if step > 0 else -1), step)
        return _part(builder, value, name, ranges)
    form = value.stored.first
    tensor = builder.tensors[builder.form(value.stored, form)]
    result = (*shape[:axis], len(indices), *shape[axis + 1:])
    index = builder.tensor(name, moved(result, form), tensor.dtype, tensor.quantization)
    places = builder.tensor(f"{name}:indices", indices.shape, "int64", data=indices)
    builder.emit("GATHER", (tensor.id, places), index, {
        "axis": form.index(axis), "batch_dims": 0}, "exact")
    return same_kind(builder, value, index, name, result, form)


def pad(builder: Builder, node: Node) -> Value:
    """Pad by any mode; with a number that is not 0 the result waits for its steps."""
    x, amounts, fill, axes_value = builder.operands(node, 1, 4)
    value = movable(builder, x)
    shape = value.stored.shape
    mode = node.attributes.get("mode", b"constant").decode(errors="replace")
    if mode not in PADDING:
        raise builder.fail(f"mode is {mode}, expected {', '.join(PADDING)}", ModelError)
    pads = integers(builder, amounts, "pads") or list(node.attributes.get("pads", ()))
    axes = integers(builder, axes_value, "axes")
    axes = list(range(len(shape))) if axes is None else [axis_of(builder, a, shape) for a in axes]
    if len(pads) != 2 * len(axes) or any(abs(p) > 1 << 16 for p in pads):
        raise builder.fail(f"pads {pads[:12]} do not fit {list(shape)}", ModelError)
    paddings = [(0, 0)] * len(shape)
    for i, axis in enumerate(axes):
        paddings[axis] = pads[i], pads[len(axes) + i]
    name = node.outputs[0]
    if min(pads, default=0) < 0:      # these take away
        ranges = [range(max(-a, 0), n + min(b, 0))
                  for n, (a, b) in zip(shape, paddings, strict=True)]
        value = _part(builder, value, f"{name}:cut", ranges)
        paddings = [(max(a, 0), max(b, 0)) for a, b in paddings]
    if not any(map(any, paddings)):
        return value
    number = float(node.attributes.get("value", 0.0))
    if fill is not None:
        if not isinstance(fill, Known) or fill.data.size != 1:
            raise builder.fail("the number that it pads with must be a constant")
        number = float(fill.real.reshape(()))
    if mode == "constant" and (number != 0 or isinstance(value, Integers)):
        return _padded(builder, node, value, tuple(paddings), number)
    reach = {"reflect": 1, "wrap": 0}.get(mode)
    if reach is not None and any(max(p) > n - reach
                                 for p, n in zip(paddings, value.stored.shape, strict=True)):
        raise builder.fail(f"mode {mode} pads {list(value.stored.shape)} by more than it has; pad "
                           "in two steps")
    kind, attributes = ("PAD", {}) if mode == "constant" else (
        "MIRROR_PAD", {"mode": mode.upper()})
    return _around(builder, value, name, (kind, attributes), paddings)


def _around(builder: Builder, value: Moved, name: str, kind: tuple[str, dict[str, object]],
            paddings: list[tuple[int, int]]) -> Moved:
    result = _padded_shape(value.stored.shape, paddings)
    form = value.stored.first
    tensor = builder.tensors[builder.form(value.stored, form)]
    index = builder.tensor(name, moved(result, form), tensor.dtype, tensor.quantization)
    builder.emit(kind[0], (tensor.id,), index, {
        "paddings": tuple(paddings[axis] for axis in form), **kind[1]}, "exact")
    return same_kind(builder, value, index, name, result, form)


def _padded_shape(shape: tuple[int, ...], paddings: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(n + sum(p) for n, p in zip(shape, paddings, strict=True))


def _padded(builder: Builder, node: Node, value: Moved, paddings: tuple[tuple[int, int], ...],
            number: float) -> Pending:
    if isinstance(value, Integers):
        raise builder.fail("pads numbers that are not dequantised")
    if not np.isfinite(np.float32(number)):
        raise builder.fail(f"pads with {number}, which is not finite")
    attributes = {"paddings": paddings, "number": number}
    return Pending(replace(node, attributes=attributes), (value,),
                   _padded_shape(value.stored.shape, paddings))


@lowers("Pad", to_float=True)
def lower_padded(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To PADV2, with the number in float32."""
    x, attributes = pending.operands[0], pending.node.attributes
    assert isinstance(x, (Dequantized, Floats))
    form = x.stored.first
    source = builder.form(x.stored, form)
    number = builder.tensor(f"{name}:number", (), "float32", None,
                            np.array(attributes["number"], np.float32))
    index, result = builder.made(name, pending.shape, form, steps)
    builder.emit("PADV2", (source, number), index, {
        "paddings": tuple(attributes["paddings"][axis] for axis in form),
        "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result
