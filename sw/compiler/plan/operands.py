"""Attributes of operators, and quantization and sizes of tensors, as the passes ask for them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["Pair", "as_map", "describe", "is_bytes", "pair", "paddings", "quantization", "room_of",
           "source_of", "stored_bytes"]

Pair = tuple[int, int]


def source_of(op: Op) -> tuple[int, ...]:
    """The operator's index in the model file, where it has one, as layers have it; those of the
    operators that are folded into it come behind."""
    folded: Any = op.attributes.get("folded", ())
    return () if op.source_index is None else (op.source_index, *folded)


def describe(graph: Graph, op: Op) -> str:
    """Name of an operator in messages."""
    return f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"


def quantization(tensor: Tensor) -> Quantization:
    """The tensor's quantization, which the importers guarantee for int8 activations."""
    if tensor.quantization is None:
        raise AssertionError(f"tensor '{tensor.name}' is not quantized")
    return tensor.quantization


def is_bytes(tensor: Tensor) -> bool:
    """True for what is given or computed in 8 bits, with one scale."""
    return (tensor.dtype in ("int8", "uint8") and tensor.data is None
            and tensor.quantization is not None and len(tensor.quantization.scales) == 1)


def pair(op: Op, name: str, default: Pair | None = None) -> Pair:
    """An attribute that is (rows, columns)."""
    value: Any = op.attributes.get(name, default)
    return int(value[0]), int(value[1])


def paddings(op: Op) -> tuple[Pair, Pair]:
    """The padding attribute: ((top, bottom), (left, right))."""
    value: Any = op.attributes["padding"]
    return (int(value[0][0]), int(value[0][1])), (int(value[1][0]), int(value[1][1]))


def stored_bytes(tensor: Tensor) -> int:
    """The bytes of a tensor's elements in device memory."""
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def room_of(tensor: Tensor, config: AcceleratorConfig) -> int:
    """The memory that a tensor takes, with the bytes that the vector unit reads behind it: whole
    groups of lanes. A tensor of bytes is within a word."""
    size = np.dtype(tensor.dtype).itemsize
    group = size * config.requant_lanes if size > 1 else 1
    return -(-stored_bytes(tensor) // group) * group


def as_map(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A shape of any rank as (batch, rows, columns, channels) with the same order of bytes."""
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    return 1, 1, prod(shape[:-1]), shape[-1] if shape else 1
