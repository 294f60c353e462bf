"""Slice, Split, Gather, Pad and Resize (nearest) of ONNX models: integers are moved as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.movement import Moved, in_shape, movable
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.values import Dequantized, Floats, Known, Value, channel_last, moved

__all__ = ["cut", "split", "gather", "pad", "resize"]


def _integers(builder: Builder, value: Value | None, what: str) -> list[int] | None:
    if value is None:
        return None
    if not isinstance(value, Known) or value.data.dtype.kind not in "iu" or value.data.size > 256:
        raise builder.fail(f"{what} must be constant integers; export with fixed shapes")
    return [int(n) for n in value.data.reshape(-1)]


def _axis(builder: Builder, axis: int, shape: tuple[int, ...]) -> int:
    if not -len(shape) <= axis < len(shape):
        raise builder.fail(f"axis {axis} does not fit {list(shape)}", ModelError)
    return axis % len(shape)


def _same_kind(builder: Builder, value: Moved, index: int, name: str,
               shape: tuple[int, ...], form: tuple[int, ...]) -> Moved:
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
    form = stored.first if stored.forms else tuple(range(len(shape)))
    tensor = builder.tensors[builder.form(stored, form)]
    index = builder.tensor(name, moved(shape, form), tensor.dtype, tensor.quantization)
    ordered = [ranges[axis] for axis in form]
    builder.emit("STRIDED_SLICE", (tensor.id,), index, {
        "begin": tuple(r.start for r in ordered), "end": tuple(r.stop for r in ordered),
        "stride": tuple(r.step for r in ordered)}, "exact")
    return _same_kind(builder, value, index, name, shape, form)


def cut(builder: Builder, node: Node) -> Value:
    """Slice, with constant starts and ends."""
    x, *others = builder.operands(node, 1, 5)
    value = movable(builder, x)
    shape = value.stored.shape
    starts, ends, axes, steps = (_integers(builder, v, "starts, ends, axes and steps")
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
        axis = _axis(builder, axis, shape)
        ranges[axis] = range(*slice(start, end, step).indices(shape[axis]))
    return _part(builder, value, node.outputs[0], ranges)


def split(builder: Builder, node: Node) -> list[Value]:
    """Split into parts of equal or given lengths."""
    x, lengths = builder.operands(node, 1, 2)
    value = movable(builder, x)
    shape = value.stored.shape
    axis = _axis(builder, int(node.attributes.get("axis", 0)), shape)
    parts = _integers(builder, lengths, "its lengths") or list(node.attributes.get("split", ()))
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
    """Gather of one index, which takes the axis away, or of several the same way apart."""
    x, chosen = builder.operands(node, 2, 2)
    value = movable(builder, x)
    shape = value.stored.shape
    axis = _axis(builder, int(node.attributes.get("axis", 0)), shape)
    indices = _integers(builder, chosen, "its indices") or []
    size = shape[axis]
    if not indices or any(not -size <= i < size for i in indices):
        raise builder.fail(f"indices {indices[:8]} do not fit {size}", ModelError)
    indices = [i % size for i in indices]
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    assert isinstance(chosen, Known)
    if chosen.data.ndim > 1 or not step or any(
            b - a != step for a, b in zip(indices, indices[1:], strict=False)):
        raise builder.fail(f"indices {indices[:8]} are not one, or several the same way apart; "
                           "gather such, and concatenate")
    ranges = [range(n) for n in shape]
    ranges[axis] = range(indices[0], indices[-1] + (1 if step > 0 else -1), step)
    name = node.outputs[0]
    if chosen.data.ndim:
        return _part(builder, value, name, ranges)
    part = _part(builder, value, f"{name}:kept", ranges)
    return in_shape(builder, part, shape[:axis] + shape[axis + 1:], name)


def pad(builder: Builder, node: Node) -> Value:
    """Pad with zeros, which are the zero point."""
    x, amounts, fill, axes_value = builder.operands(node, 1, 4)
    value = movable(builder, x)
    shape = value.stored.shape
    if not isinstance(value, Dequantized):
        raise builder.fail("pads numbers that are not dequantised")
    if node.attributes.get("mode", b"constant") != b"constant":
        raise builder.fail("only mode constant is supported")
    if float(node.attributes.get("value", 0.0)) != 0 or fill is not None and (
            not isinstance(fill, Known) or fill.real.any()):
        raise builder.fail("only padding with zeros is supported")
    pads = _integers(builder, amounts, "pads") or list(node.attributes.get("pads", ()))
    axes = _integers(builder, axes_value, "axes")
    axes = list(range(len(shape))) if axes is None else [_axis(builder, a, shape) for a in axes]
    if len(pads) != 2 * len(axes) or any(not 0 <= p <= 1 << 16 for p in pads):
        raise builder.fail(f"pads {pads[:12]} do not fit {list(shape)}", ModelError)
    paddings = [(0, 0)] * len(shape)
    for i, axis in enumerate(axes):
        paddings[axis] = pads[i], pads[len(axes) + i]
    result = tuple(n + sum(p) for n, p in zip(shape, paddings, strict=True))
    form = value.stored.first if value.stored.forms else tuple(range(len(shape)))
    tensor = builder.tensors[builder.form(value.stored, form)]
    name = node.outputs[0]
    index = builder.tensor(name, moved(result, form), tensor.dtype, tensor.quantization)
    builder.emit("PAD", (tensor.id,), index, {
        "paddings": tuple(paddings[axis] for axis in form)}, "exact")
    return _same_kind(builder, value, index, name, result, form)


def resize(builder: Builder, node: Node) -> Value:
    """Resize to the nearest neighbour by whole factors of rows and columns."""
    operands = builder.operands(node, 1, 4)
    value = movable(builder, operands[0])
    shape = value.stored.shape
    modes = tuple(node.attributes.get(k, d) for k, d in (
        ("mode", b"nearest"), ("coordinate_transformation_mode", b"half_pixel"),
        ("nearest_mode", b"round_prefer_floor")))
    if len(shape) != 4 or modes not in ((b"nearest", b"asymmetric", b"floor"),
                                        (b"nearest", b"half_pixel", b"round_prefer_floor")):
        raise builder.fail("only the nearest neighbour of maps is supported, asymmetric and floor "
                           "or half_pixel and round_prefer_floor")
    scales, sizes = operands[2:]
    if isinstance(scales, Known) and scales.data.size == 4:
        wanted = [int(n * f) if 0 < f <= 1 << 12 else 0 for n, f in zip(
            shape, scales.real.reshape(-1), strict=True)]
    else:
        wanted = _integers(builder, sizes, "its sizes") or []
    if len(wanted) != 4 or tuple(wanted[:2]) != shape[:2] or any(
            not n or n % m for n, m in zip(wanted, shape, strict=True)):
        raise builder.fail(f"makes {wanted} of {list(shape)}; rows and columns may grow by whole "
                           "factors")
    for n, m in zip(wanted[2:], shape[2:], strict=True):
        ours = np.floor(np.arange(n).astype(np.float32) * (np.float32(m) / np.float32(n)))
        if n > 1 << 16 or (ours != np.arange(n) // (n // m)).any():
            raise builder.fail(f"a factor of {n // m} is not supported; use a power of two")
    form, name = channel_last(4), node.outputs[0]
    source = builder.tensors[builder.form(value.stored, form)]
    result = (wanted[0], wanted[1], wanted[2], wanted[3])
    index = builder.tensor(name, moved(result, form), source.dtype, source.quantization)
    builder.emit("RESIZE_NEAREST_NEIGHBOR", (source.id,), index,
                 {"align_corners": False, "half_pixel_centers": False}, "exact")
    return _same_kind(builder, value, index, name, result, form)
