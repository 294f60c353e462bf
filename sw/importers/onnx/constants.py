"""Operators whose operands are all constants: shape arithmetic of exporters, done at import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from math import ceil, prod
from typing import Any

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import MAXIMUM_ELEMENTS, MAXIMUM_RANK, Node
from kaniwa.importers.onnx.values import Known, Value

__all__ = ["constant_node", "folded", "FOLDABLE"]

MAXIMUM_FOLDED = 1 << 20
WITH_GAPS = ("Clip", "Slice")      # whose operands may be absent before others
Attributes = Mapping[str, Any]
Fold = Callable[[Attributes, list[np.ndarray]], np.ndarray]


def constant_node(builder: Builder, node: Node) -> Value:
    """Constant: a tensor, a number or numbers."""
    types = {"value": None, "value_float": np.float32, "value_int": np.int64,
             "value_floats": np.float32, "value_ints": np.int64}
    for key, dtype in types.items():
        if key in node.attributes:
            value = node.attributes[key]
            array = value if dtype is None else np.array(value, dtype)
            if isinstance(array, np.ndarray):
                return Known(array)
    raise builder.fail("has no value that is a tensor or a number")


def folded(builder: Builder, node: Node, values: list[Value | None]) -> Value | None:
    """The constant that ``node`` is, or None where it is none of the kinds done at import."""
    if node.kind == "Shape" and values and values[0] is not None:
        shape = np.array(builder.shape_of(values[0]), np.int64)
        return Known(shape[node.attributes.get("start", 0):node.attributes.get("end", None)])
    if node.kind == "Size" and values and values[0] is not None:
        return Known(np.array(prod(builder.shape_of(values[0])), np.int64))
    fold = FOLDABLE.get(node.kind)
    if fold is None or not values:
        return None
    arrays: list[Any] = []
    steps = values[0].steps if isinstance(values[0], Known) else None
    moved = node.kind in MOVES and steps is not None and steps.axis is None
    for value in values:
        if value is None and node.kind in WITH_GAPS:
            arrays.append(None)
            continue
        if not isinstance(value, Known) or value.steps is not None and not (
                node.kind in NUMBERS or moved and value is values[0]):
            return None
        arrays.append(value.data if value.steps is None or moved
                      else value.real.astype(np.float32))
    try:
        with np.errstate(all="ignore"):
            result = fold(node.attributes, arrays)
    except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError, OverflowError,
            AttributeError, MemoryError) as error:
        raise builder.fail(f"its constants do not fit: {type(error).__name__}",
                           ModelError) from None
    if result.ndim > MAXIMUM_RANK or result.size > MAXIMUM_ELEMENTS:
        raise builder.fail("makes a constant that is too large")
    return Known(np.array(result), steps if moved else None)


def _limited(size: int) -> None:
    if size > MAXIMUM_FOLDED:
        raise ValueError(size)


def _cast(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    dtypes = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
              11: "float64"}
    return x[0].astype(dtypes[attributes["to"]])


def _axes(attributes: Attributes, x: list[np.ndarray]) -> tuple[int, ...] | None:
    """The axes of Squeeze and Unsqueeze: an attribute before opset 13, then an operand."""
    if len(x) > 1:
        return tuple(int(a) for a in x[1].reshape(-1))
    axes = attributes.get("axes")
    return None if axes is None else tuple(axes)


def _unsqueeze(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    axes = _axes(attributes, x)
    if axes is None or len(axes) > MAXIMUM_RANK:
        raise ValueError
    return np.expand_dims(x[0], axes)


def _given(x: list[np.ndarray], position: int) -> bool:
    """True for an operand that is there."""
    return len(x) > position and x[position] is not None


def _slice(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    starts, ends = (x[1], x[2]) if len(x) > 2 else (attributes["starts"], attributes["ends"])
    axes = x[3] if _given(x, 3) else attributes.get("axes", range(len(starts)))
    strides = x[4] if _given(x, 4) else np.ones(len(starts), np.int64)
    index = [slice(None)] * x[0].ndim
    for start, end, axis, stride in zip(starts, ends, axes, strides, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(stride))
    return x[0][tuple(index)]


def _divide(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    if x[0].dtype.kind == "f":
        return np.asarray(x[0] / x[1])
    return np.asarray(np.sign(x[0]) * np.sign(x[1]) * (np.abs(x[0]) // np.abs(x[1])))


def _arithmetic(function: Callable[..., Any]) -> Fold:
    def fold(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
        size = prod(np.broadcast_shapes(*(a.shape for a in x)))
        if size > max(a.size for a in x):
            _limited(size)
        return np.asarray(function(*x))

    return fold


def _of_floats(function: Callable[..., Any]) -> Fold:
    def fold(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
        if x[0].dtype.kind != "f":
            raise TypeError
        return np.asarray(function(*x))

    return fold


def _clip(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    """Clip: its ends are attributes before opset 11, then operands."""
    result = x[0]
    for position, key, function in ((1, "min", np.maximum), (2, "max", np.minimum)):
        if _given(x, position):
            result = function(result, x[position].astype(result.dtype).reshape(()))
        elif key in attributes:
            result = function(result, np.asarray(attributes[key], result.dtype))
    return np.asarray(result)


def _reshape(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    shape = [int(n) for n in x[1]]
    return x[0].reshape([x[0].shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _filled(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    shape = tuple(int(n) for n in x[0])
    _limited(prod(shape))
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.full(shape, value.reshape(-1)[0], value.dtype)


def _expand(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    shape = np.broadcast_shapes(x[0].shape, tuple(int(n) for n in x[1]))
    _limited(prod(shape))
    return np.broadcast_to(x[0], shape)


def _tile(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    repeats = [int(n) for n in x[1].reshape(-1)]
    if len(repeats) != x[0].ndim or min(repeats, default=0) < 0:
        raise ValueError
    _limited(x[0].size * prod(repeats))
    return np.tile(x[0], repeats)


def _range(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    """Range: each number is the one before it and the step, in the operands' own type."""
    start, limit, delta = (a.reshape(()) for a in x)
    count = max(0, ceil((float(limit) - float(start)) / float(delta)))
    _limited(count)
    steps = np.full(count, delta, start.dtype)
    steps[:1] = start
    return np.add.accumulate(steps, dtype=start.dtype)


def _modulo(attributes: Attributes, x: list[np.ndarray]) -> np.ndarray:
    """Mod: the sign is the divisor's or, with fmod, the dividend's."""
    return np.asarray((np.fmod if attributes.get("fmod") else np.mod)(*x))


# What moves the integers of a constant with one scale; a scale of each channel would move, too.
MOVES = ("Identity", "Gather", "Unsqueeze", "Squeeze", "Slice", "Reshape", "Transpose", "Expand",
         "Tile")
# Arithmetic that a constant with a quantization goes into as the float32 that it stands for.
NUMBERS = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Neg", "Abs", "Sqrt")
FOLDABLE: dict[str, Fold] = {
    "Identity": lambda a, x: x[0],
    "Cast": _cast,
    "Gather": lambda a, x: np.take(x[0], x[1].astype(np.int64), axis=a.get("axis", 0)),
    "Unsqueeze": _unsqueeze,
    "Squeeze": lambda a, x: np.squeeze(x[0], axis=_axes(a, x)),
    "Concat": lambda a, x: np.concatenate(x, axis=a["axis"]),
    "Slice": _slice,
    "Reshape": _reshape,
    "Transpose": lambda a, x: x[0].transpose(a.get("perm")),
    "Add": _arithmetic(np.add),
    "Sub": _arithmetic(np.subtract),
    "Mul": _arithmetic(np.multiply),
    "Div": _divide,
    "Max": _arithmetic(lambda *x: reduce(np.maximum, x)),
    "Min": _arithmetic(lambda *x: reduce(np.minimum, x)),
    "Floor": _of_floats(np.floor),
    "Ceil": _of_floats(np.ceil),
    "Round": _of_floats(np.rint),
    "Sqrt": _of_floats(np.sqrt),
    "Neg": _arithmetic(np.negative),
    "Abs": _arithmetic(np.abs),
    "Clip": _clip,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Tile": _tile,
    "Range": _range,
    "Mod": _modulo,
    "Equal": _arithmetic(np.equal),
    "Less": _arithmetic(np.less),
    "LessOrEqual": _arithmetic(np.less_equal),
    "Greater": _arithmetic(np.greater),
    "GreaterOrEqual": _arithmetic(np.greater_equal),
    "And": _arithmetic(np.logical_and),
    "Or": _arithmetic(np.logical_or),
    "Not": _arithmetic(np.logical_not),
    "Where": _arithmetic(np.where),
}
