"""ReduceMax, ReduceMin, ReduceSum, ArgMax, ArgMin and TopK of quantised ONNX models."""

from __future__ import annotations

from dataclasses import replace

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.slices import axis_of, integers, same_kind
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers, movable, operand
from kaniwa.importers.onnx.quantization import clamp_bounds
from kaniwa.importers.onnx.values import Dequantized, Floats, Integers, Pending, Steps, Value, moved

__all__ = ["reduced_axes", "extreme_of_axes", "total", "lower_total", "position", "largest"]


def reduced_axes(builder: Builder, node: Node, axes: Value | None,
                 shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a reduction in order, an operand or an attribute, and the result's shape."""
    given = integers(builder, axes, "its axes") or node.attributes.get("axes")
    if not given and node.attributes.get("noop_with_empty_axes", 0):
        return (), shape
    found = tuple(sorted({axis_of(builder, a, shape) for a in given or range(len(shape))}))
    if given and len(found) != len(given):
        raise builder.fail(f"axes {list(given)} do not fit {list(shape)}", ModelError)
    keep = node.attributes.get("keepdims", 1)
    return found, tuple(1 if a in found else n for a, n in enumerate(shape)
                        if keep or a not in found)


def extreme_of_axes(builder: Builder, node: Node) -> Value:
    """ReduceMax and ReduceMin: of integers as they are, or of float32."""
    x, axes = builder.operands(node, 1, 2)
    value = movable(builder, x)
    shape = value.stored.shape
    found, result = reduced_axes(builder, node, axes, shape)
    if not found:
        return value
    kept = len(result) == len(shape)
    form = value.stored.first if kept else tuple(range(len(shape)))
    tensor = builder.tensors[builder.form(value.stored, form)]
    name, own = node.outputs[0], form if kept else tuple(range(len(result)))
    index = builder.tensor(name, moved(result, own), tensor.dtype, tensor.quantization)
    builder.emit("REDUCE_MAX" if node.kind == "ReduceMax" else "REDUCE_MIN", (tensor.id,), index,
                 {"axes": tuple(sorted(form.index(a) for a in found))}, "exact")
    return same_kind(builder, value, index, name, result, own)


def total(builder: Builder, node: Node) -> Value:
    """ReduceSum, which waits for its steps."""
    value, axes = builder.operands(node, 1, 2)
    x = operand(builder, value, "its input")
    found, shape = reduced_axes(builder, node, axes, x.stored.shape)
    return Pending(replace(node, attributes={"axes": found}), (x,), shape)


@lowers("ReduceSum", to_float=True)
def lower_total(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To SUM."""
    x = pending.operands[0]
    assert isinstance(x, (Dequantized, Floats))
    source = builder.form(x.stored, tuple(range(len(x.stored.shape))))
    index, result = builder.made(name, pending.shape, tuple(range(len(pending.shape))), steps)
    builder.emit("SUM", (source,), index, {
        "axes": pending.node.attributes["axes"], "bounds": clamp_bounds(pending.clamps, steps)},
        steps.rule)
    return result


def position(builder: Builder, node: Node) -> Value:
    """ArgMax and ArgMin: the first position, or the last one, int64."""
    value = movable(builder, builder.operands(node, 1, 1)[0])
    shape = value.stored.shape
    axis = axis_of(builder, int(node.attributes.get("axis", 0)), shape)
    kept = bool(node.attributes.get("keepdims", 1))
    result = tuple(1 if a == axis else n for a, n in enumerate(shape) if kept or a != axis)
    form = value.stored.first if kept else tuple(range(len(shape)))
    source, name = builder.form(value.stored, form), node.outputs[0]
    own = form if kept else tuple(range(len(result)))
    index = builder.tensor(name, moved(result, own), "int64")
    kind = "ARG_MAX" if node.kind == "ArgMax" else "ARG_MIN"
    if node.attributes.get("select_last_index", 0):
        builder.emit(kind, (source,), index, {"axis": form.index(axis), "last": True}, "onnx")
    else:
        builder.emit(kind, (source,), index, {"axis": form.index(axis)}, "exact")
    return Floats(builder.store(name, index, result, own), "int64")


def largest(builder: Builder, node: Node) -> list[Value]:
    """TopK: the values as they are, and their positions, int64."""
    x, count = builder.operands(node, 2, 2)
    value, wanted = movable(builder, x), integers(builder, count, "its k") or []
    shape = value.stored.shape
    axis = axis_of(builder, int(node.attributes.get("axis", -1)), shape)
    if len(wanted) != 1 or not 1 <= wanted[0] <= shape[axis]:
        raise builder.fail(f"k {wanted[:8]} does not fit {shape[axis]} values", ModelError)
    form = value.stored.first
    tensor = builder.tensors[builder.form(value.stored, form)]
    result = tuple(wanted[0] if a == axis else n for a, n in enumerate(shape))
    names = [name or f"{node.name}:{i}" for i, name in enumerate(node.outputs[:2])]
    names += [f"{node.name}:1"][:2 - len(names)]
    best = builder.tensor(names[0], moved(result, form), tensor.dtype, tensor.quantization)
    where = builder.tensor(names[1], moved(result, form), "int64")
    builder.emit_all("TOPK", (tensor.id,), (best, where), {
        "axis": form.index(axis), "largest": bool(node.attributes.get("largest", 1))}, "onnx")
    return [same_kind(builder, value, best, names[0], result, form),
            Floats(builder.store(names[1], where, result, form), "int64")]
