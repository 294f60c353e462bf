"""The quantised graph: what an importer produces, golden executes and the passes transform."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kaniwa.errors import ModelError

__all__ = ["Quantization", "Tensor", "Op", "State", "Graph", "check"]

# Bytes of an element, by dtype.
DTYPE_BYTES = {"int8": 1, "uint8": 1, "bool": 1, "int16": 2, "uint16": 2, "int32": 4,
               "float32": 4, "int64": 8, "complex64": 8}
RESOURCE = "resource"   # a name for a variable: it has no value, and no operator reads it


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (q - zero_point)``, per tensor (one entry) or along ``axis``.

    ``scales`` are float32 values widened exactly to Python floats.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def scale(self) -> float:
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph; ``id`` is its position in ``Graph.tensors``.

    ``data`` holds a constant's values (read-only, of ``shape`` and ``dtype``), else None.
    ``source_index`` is the tensor's index in the model file, or None where a pass made it.
    """

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    source_index: int | None = None


@dataclass(frozen=True, eq=False)
class Op:
    """An operator. ``kind`` is the framework's name (``CONV_2D``); ``rule`` names its rounding.

    ``inputs`` and ``outputs`` are tensor ids, -1 for an absent optional input.
    ``attributes`` hold plain values only (see ``docs/graph.md`` for each kind's).
    ``source_index`` is the operator's index in the model file.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, object] = field(default_factory=dict)
    rule: str = ""
    source_index: int | None = None


@dataclass(frozen=True, eq=False)
class State:
    """A tensor that keeps its value from one inference to the next.

    ``tensor`` is read by operators, and has the value ``initial`` in the first inference;
    ``following`` is the tensor whose value it has in the next one.
    """

    tensor: int
    following: int
    initial: np.ndarray


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in execution order. ``inputs``/``outputs`` are tensor ids in the model's order."""

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    source_sha256: str = ""
    state: tuple[State, ...] = ()

    def producer(self, tensor_id: int) -> Op | None:
        """The operator that writes the tensor, or None for inputs and constants."""
        return next((op for op in self.ops if tensor_id in op.outputs), None)

    def consumers(self, tensor_id: int) -> list[Op]:
        """The operators that read the tensor, in execution order."""
        return [op for op in self.ops if tensor_id in op.inputs]


def check(graph: Graph) -> Graph:
    """Return ``graph`` if it is well formed, else raise ``ModelError`` naming node and tensor.

    Well formed: ids equal positions; every operand exists; each tensor is written once, before it
    is read; constants and initial values match shape and dtype; quantised tensors have positive
    finite scales.
    """
    for position, tensor in enumerate(graph.tensors):
        _check_tensor(graph, position, tensor)
    defined = {t.id for t in graph.tensors if t.data is not None} | set(graph.inputs)
    for state in graph.state:
        _check_state(graph, state, defined)
        defined.add(state.tensor)
    for op in graph.ops:
        where = f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"
        for tensor_id in op.inputs:
            if tensor_id == -1:
                continue
            if not 0 <= tensor_id < len(graph.tensors):
                raise ModelError(f"{where}: input tensor {tensor_id} does not exist")
            if tensor_id not in defined:
                name = graph.tensors[tensor_id].name
                raise ModelError(f"{where}: reads tensor '{name}' before it is written")
        for tensor_id in op.outputs:
            if not 0 <= tensor_id < len(graph.tensors):
                raise ModelError(f"{where}: output tensor {tensor_id} does not exist")
            if tensor_id in defined:
                name = graph.tensors[tensor_id].name
                raise ModelError(f"{where}: writes tensor '{name}' that already has a value")
            defined.add(tensor_id)
    for tensor_id in (*graph.outputs, *(state.following for state in graph.state)):
        if tensor_id not in defined:
            raise ModelError(f"{graph.name}: output tensor {tensor_id} is never written")
    return graph


def _check_state(graph: Graph, state: State, defined: set[int]) -> None:
    tensor, following = graph.tensors[state.tensor], graph.tensors[state.following]
    where = f"{graph.name}: tensor '{tensor.name}'"
    if tensor.id in defined:
        raise ModelError(f"{where}: a variable that is an input, a constant, or listed twice")
    forms = {(str(t.dtype), t.shape) for t in (tensor, following, state.initial)}
    if len(forms) != 1:
        raise ModelError(f"{where}: a variable's values must have one dtype and shape")


def _check_tensor(graph: Graph, position: int, tensor: Tensor) -> None:
    where = f"{graph.name}: tensor '{tensor.name}'"
    if tensor.id != position:
        raise ModelError(f"{where}: id {tensor.id} at position {position}")
    if tensor.dtype not in (*DTYPE_BYTES, RESOURCE):
        raise ModelError(f"{where}: unknown dtype {tensor.dtype}")
    if any(d < 0 for d in tensor.shape):
        raise ModelError(f"{where}: negative dimension in shape {tensor.shape}")
    if tensor.data is not None:
        if tensor.data.shape != tensor.shape or tensor.data.dtype != np.dtype(tensor.dtype):
            raise ModelError(f"{where}: data is {tensor.data.dtype}{tensor.data.shape}, "
                             f"declared {tensor.dtype}{tensor.shape}")
    q = tensor.quantization
    if q is not None:
        if len(q.scales) != len(q.zero_points):
            raise ModelError(f"{where}: {len(q.scales)} scales but {len(q.zero_points)} "
                             "zero points")
        # A sum of float32 values is finite where each of them is.
        if q.scales and not (min(q.scales) > 0 and math.isfinite(sum(q.scales))):
            raise ModelError(f"{where}: scales must be positive and finite")
        if len(q.scales) > 1 and not _fits_axis(q, tensor.shape):
            raise ModelError(f"{where}: {len(q.scales)} scales do not fit axis {q.axis} "
                             f"of {tensor.shape}")


def _fits_axis(q: Quantization, shape: tuple[int, ...]) -> bool:
    return q.axis is not None and 0 <= q.axis < len(shape) and shape[q.axis] == len(q.scales)
