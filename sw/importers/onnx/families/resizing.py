"""Resize of ONNX models: the nearest neighbour moves integers, the others interpolate."""

from __future__ import annotations

from dataclasses import replace
from math import floor, prod

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.slices import axis_of, integers, same_kind
from kaniwa.importers.onnx.file import MAXIMUM_ELEMENTS, Node
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
    Stored,
    Value,
    channel_last,
    moved,
)

__all__ = ["resize", "lower_resize"]

COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
               "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize")
MODES = ("nearest", "linear", "cubic")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
CHOICES = {"mode": MODES, "coordinate_transformation_mode": COORDINATES,
           "nearest_mode": ROUNDINGS}


def resize(builder: Builder, node: Node) -> Value:
    """Resize by any mode and coordinates; by whole factors to the nearest it stays on maps."""
    x, region, scales, sizes = builder.operands(node, 1, 4)
    value = movable(builder, x)
    shape = value.stored.shape
    mode, coordinates, rounding = (_choice(builder, node, name) for name in CHOICES)
    if node.attributes.get("antialias", 0):
        raise builder.fail("antialias is not supported; export without it")
    wanted, factors = _sizes(builder, node, shape, scales, sizes)
    cropped = coordinates == "tf_crop_and_resize"
    attributes = {
        "mode": mode, "coordinates": coordinates, "rounding": rounding, "scales": factors,
        "region": _region(builder, node, region, len(shape)) if cropped else (),
        "outside": float(node.attributes.get("extrapolation_value", 0.0)),
        "cubic": float(node.attributes.get("cubic_coeff_a", -0.75)),
        "exclude_outside": bool(node.attributes.get("exclude_outside", 0))}
    if mode == "nearest" and not cropped:
        if _by_whole_factors(shape, wanted, (coordinates, rounding)):
            return _nearest(builder, node, value, wanted)
        return _moved(builder, node, value, wanted, attributes)
    if isinstance(value, Integers):
        raise builder.fail("interpolates integers; put DequantizeLinear before it and "
                           "QuantizeLinear behind it")
    return Pending(replace(node, attributes=attributes), (value,), wanted)


def _choice(builder: Builder, node: Node, name: str) -> str:
    default = CHOICES[name][0]
    value = node.attributes.get(name, default.encode()).decode(errors="replace")
    if value not in CHOICES[name]:
        raise builder.fail(f"{name} is {value}, expected one of {', '.join(CHOICES[name])}",
                           ModelError)
    return str(value)


def _sizes(builder: Builder, node: Node, shape: tuple[int, ...], scales: Value | None,
           sizes: Value | None) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The result's shape, and its factors in float32."""
    axes = node.attributes.get("axes")
    axes = tuple(range(len(shape))) if axes is None else tuple(
        axis_of(builder, a, shape) for a in axes)
    wanted, factors = list(shape), [1.0] * len(shape)
    numbers = integers(builder, sizes, "its sizes") or []
    if isinstance(scales, Known) and scales.data.size:
        given = scales.real.reshape(-1)
        if len(given) != len(axes) or not all(0 < f <= 1 << 12 for f in given):
            raise builder.fail(f"scales {given[:8].tolist()} do not fit {list(shape)}", ModelError)
        for axis, factor in zip(axes, given, strict=True):
            factors[axis] = float(factor)
            wanted[axis] = floor(np.float32(shape[axis]) * np.float32(factor))
    elif len(numbers) == len(axes) and all(0 < n <= 1 << 16 for n in numbers):
        policy = node.attributes.get("keep_aspect_ratio_policy", b"stretch")
        ratios = [float(np.float32(n) / np.float32(shape[a]))
                  for n, a in zip(numbers, axes, strict=True)]
        if policy != b"stretch":        # one ratio, also where it makes no whole number
            ratios = len(axes) * [min(ratios) if policy == b"not_larger" else max(ratios)]
            numbers = [floor(shape[a] * ratios[0] + 0.5) for a in axes]
        for axis, number, ratio in zip(axes, numbers, ratios, strict=True):
            wanted[axis], factors[axis] = number, ratio
    else:
        raise builder.fail("its scales or sizes must be constants that fit its input; export with "
                           "fixed shapes")
    if min(wanted, default=0) < 1 or prod(wanted) > MAXIMUM_ELEMENTS:
        raise builder.fail(f"makes {wanted} of {list(shape)}")
    return tuple(wanted), tuple(factors)


def _region(builder: Builder, node: Node, value: Value | None,
            rank: int) -> tuple[float, ...]:
    axes = node.attributes.get("axes") or tuple(range(rank))
    if not isinstance(value, Known) or value.data.size != 2 * len(axes):
        raise builder.fail("its region (roi) must be constants that fit its input")
    given, region = value.real.reshape(-1), [0.0] * rank + [1.0] * rank
    for i, axis in enumerate(axes):
        region[axis % rank], region[rank + axis % rank] = map(float, given[[i, len(axes) + i]])
    return tuple(region)


def _by_whole_factors(shape: tuple[int, ...], wanted: tuple[int, ...],
                      how: tuple[str, str]) -> bool:
    """True where TFLite's operator does the same to rows and columns."""
    if len(shape) != 4 or wanted[:2] != shape[:2] or how not in (
            ("asymmetric", "floor"), ("half_pixel", "round_prefer_floor")):
        return False
    for n, m in zip(wanted[2:], shape[2:], strict=True):
        ours = np.floor(np.arange(n).astype(np.float32) * (np.float32(m) / np.float32(n)))
        if n % m or (ours != np.arange(n) // (n // m)).any():
            return False
    return True


def _nearest(builder: Builder, node: Node, value: Moved, wanted: tuple[int, ...]) -> Moved:
    form, name = channel_last(4), node.outputs[0]
    source = builder.tensors[builder.form(value.stored, form)]
    index = builder.tensor(name, moved(wanted, form), source.dtype, source.quantization)
    builder.emit("RESIZE_NEAREST_NEIGHBOR", (source.id,), index,
                 {"align_corners": False, "half_pixel_centers": False}, "exact")
    return same_kind(builder, value, index, name, wanted, form)


def _form(stored: Stored, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Channels last of maps whose rows and columns are resized, else as it is stored."""
    maps = len(wanted) == 4 and wanted[:2] == stored.shape[:2]
    return channel_last(4) if maps else stored.first


def _in_form(attributes: dict[str, object], form: tuple[int, ...]) -> dict[str, object]:
    """The attributes of axes in the order of ``form``."""
    scales, region = attributes["scales"], attributes["region"]
    assert isinstance(scales, tuple) and isinstance(region, tuple)
    starts, ends = region[:len(form)], region[len(form):]
    return {**attributes, "scales": moved(scales, form),
            "region": (*moved(starts, form), *moved(ends, form)) if region else ()}


def _moved(builder: Builder, node: Node, value: Moved, wanted: tuple[int, ...],
           attributes: dict[str, object]) -> Moved:
    form, name = _form(value.stored, wanted), node.outputs[0]
    source = builder.tensors[builder.form(value.stored, form)]
    index = builder.tensor(name, moved(wanted, form), source.dtype, source.quantization)
    builder.emit("RESIZE", (source.id,), index, _in_form(attributes, form), "exact")
    return same_kind(builder, value, index, name, wanted, form)


@lowers("Resize", to_float=True)
def lower_resize(builder: Builder, pending: Pending, steps: Steps, name: str) -> Integers:
    """To RESIZE, which interpolates."""
    x = pending.operands[0]
    assert isinstance(x, (Dequantized, Floats))
    form = _form(x.stored, pending.shape)
    source = builder.form(x.stored, form)
    index, result = builder.made(name, pending.shape, form, steps)
    builder.emit("RESIZE", (source,), index, {
        **_in_form(dict(pending.node.attributes), form),
        "bounds": clamp_bounds(pending.clamps, steps)}, steps.rule)
    return result
