"""Tensors of a request as arrays: from numbers in JSON, or from the bytes behind it."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import Any

import numpy as np

from kaniwa.program.program import TensorInfo
from kaniwa.serve.limits import Refused
from kaniwa.serve.model import DATATYPES, Model

__all__ = ["batch_of", "check_datatype", "from_bytes", "from_json", "shape_of"]

MOST_AXES = 16
MOST_ELEMENTS = (1 << 31) - 1       # along an axis: none of a model is longer


def check_datatype(entry: dict[str, Any], model: Model, tensor: TensorInfo, where: str) -> str:
    """The dtype of an input's data: the tensor's own, or float32, which is quantised."""
    own, found = DATATYPES[tensor.dtype], entry.get("datatype")
    if found == own:
        return tensor.dtype
    if found == "FP32" and tensor.scale is not None:
        return "float32"
    wanted = own if tensor.scale is None else f"{own} or FP32"
    raise Refused(400, f"{where}: expected datatype {wanted}, found {found!r:.80}")


def shape_of(entry: dict[str, Any], where: str) -> tuple[int, ...]:
    """The shape of an input's data."""
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused(400, f"{where}: expected a shape, a list of numbers, found {shape!r:.80}")
    if len(shape) > MOST_AXES or any(n > MOST_ELEMENTS for n in shape):
        raise Refused(400, f"{where}: expected a shape of at most {MOST_AXES} axes, and "
                           f"{MOST_ELEMENTS:,} along each")
    return tuple(shape)


def batch_of(shape: tuple[int, ...], model: Model, tensor: TensorInfo,
             where: str) -> tuple[str, int]:
    """How many inferences ``shape`` holds, and where: "alone", or along an axis that is the
    model's own, "first", or one "before" it."""
    own = tensor.shape
    if shape == own:
        return "alone", 1
    if model.batched and shape[1:] == own[1:] and shape and shape[0]:
        return "first", shape[0]
    if shape[1:] == own and shape and shape[0]:
        return "before", shape[0]
    raise Refused(400, f"{where}: expected shape {model.shape(tensor)}, found {list(shape)}")


def from_bytes(data: memoryview, dtype: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The array in ``data``: row-major, little-endian, a byte for a BOOL."""
    kind = np.dtype(dtype).newbyteorder("<")
    if len(data) != prod(shape) * kind.itemsize:
        raise Refused(400, f"{where}: expected {prod(shape) * kind.itemsize} bytes for "
                           f"{DATATYPES[dtype]}{list(shape)}, found {len(data)}")
    if dtype == "bool" and any(byte > 1 for byte in data):
        raise Refused(400, f"{where}: expected bytes of 0 and 1 for BOOL")
    return np.frombuffer(data, kind).astype(dtype).reshape(shape)     # a copy: the body goes


def from_json(data: Any, dtype: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The array in ``data``: numbers in row-major order, flat or nested as ``shape`` is."""
    if not isinstance(data, list):
        raise Refused(400, f"{where}: expected data, a list of numbers, found "
                           f"{type(data).__name__}")
    values, found = _flat(data, where)
    if len(values) != prod(shape):
        raise Refused(400, f"{where}: expected {prod(shape)} elements for shape {list(shape)}, "
                           f"found {len(values)}")
    if len(found) > 1 and found != shape:
        raise Refused(400, f"{where}: expected data flat or nested as {list(shape)}, found "
                           f"{list(found)}")
    return _converted(values, dtype, where).reshape(shape)


def _flat(data: list[Any], where: str) -> tuple[list[Any], tuple[int, ...]]:
    """The elements of nested lists, and the lengths of the lists."""
    found = [len(data)]
    while data and isinstance(data[0], list):
        lengths = {len(part) if isinstance(part, list) else -1 for part in data}
        if len(lengths) > 1:
            raise Refused(400, f"{where}: expected data flat or nested as its shape, found lists "
                               "of several lengths")
        found.append(lengths.pop())
        data = list(chain.from_iterable(data))
    return data, tuple(found)


def _converted(values: list[Any], dtype: str, where: str) -> np.ndarray:
    kinds: set[type] = {bool} if dtype == "bool" else {int}
    wanted = "true and false" if dtype == "bool" else "whole numbers"
    if dtype == "float32":
        kinds, wanted = {int, float}, "numbers"
    # Before NumPy, which would make room for the longest text among them, for each.
    if others := set(map(type, values)) - kinds:
        raise Refused(400, f"{where}: expected {wanted} for {DATATYPES[dtype]}, found "
                           f"{', '.join(sorted(kind.__name__ for kind in others))}")
    if dtype == "float32":
        limit = float(np.finfo(np.float32).max)
        if values and not -limit <= min(values) <= max(values) <= limit:
            raise Refused(400, f"{where}: expected numbers that FP32 can hold, found larger ones")
    elif dtype != "bool" and values:
        limits, low, high = np.iinfo(dtype), min(values), max(values)
        if low < limits.min or high > limits.max:
            raise Refused(400, f"{where}: expected values from {limits.min} to {limits.max}, "
                               f"found {str(low if low < limits.min else high):.40}")
    return np.array(values, dtype)
