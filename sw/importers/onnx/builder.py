"""Builds the graph of an ONNX model: tensors, operators, and one tensor in several layouts.

The graph's maps are channel-last, the model's channel-first. A value is transposed where a reader
wants it otherwise than its writer made it, once for all its readers; the model's own inputs and
outputs keep its layout, types and names.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.graph import Op, Quantization, Tensor
from kaniwa.importers.onnx.file import MAXIMUM_ELEMENTS, MAXIMUM_RANK, Node
from kaniwa.importers.onnx.values import (
    Dequantized,
    Integers,
    Known,
    Permutation,
    Steps,
    Stored,
    Value,
    moved,
)

__all__ = ["Builder", "Origin"]


class Origin:
    """Origin of a tensor of the graph: the model's value ``name``, and how it was moved."""

    def __init__(self, name: str, permutation: Permutation, shift: int) -> None:
        self.name = name
        self.permutation = permutation
        self.shift = shift


class Builder:
    """The graph so far, and the values of the model's names."""

    def __init__(self, name: str, opset: int) -> None:
        self.name = name
        self.opset = opset
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []
        self.values: dict[str, Value] = {}
        self.origins: dict[int, Origin] = {}
        self.readers: dict[str, list[Node]] = {}      # of the model's names
        self.outputs: set[str] = set()      # the model's
        self.real: dict[str, Stored] = {}      # results that were wanted in float32, by name
        self.node: Node | None = None      # the one that is being imported
        self.quantised = True      # False where the file has float32 alone

    def fail(self, what: str, error: type[Error] = UnsupportedError,
             node: Node | None = None) -> Error:
        """An error about ``node``, or the one that is being imported."""
        node = node or self.node
        where = "" if node is None else f"node {node.index} {node.kind} '{node.name}': "
        return error(f"{self.name}: {where}{what}")

    def value(self, name: str) -> Value:
        """Value that the operand ``name`` stands for."""
        if name not in self.values:
            raise self.fail(f"reads '{name}' before it is written", ModelError)
        return self.values[name]

    def operands(self, node: Node, least: int, most: int) -> list[Value | None]:
        """The node's operands, None for absent ones, as many as ``most``."""
        count = len(node.inputs)
        if not least <= count <= most or any(not name for name in node.inputs[:least]):
            raise self.fail(f"has {count} operands", ModelError)
        values = [self.value(name) if name else None for name in node.inputs]
        return values + [None] * (most - count)

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str,
               quantization: Quantization | None = None, data: np.ndarray | None = None) -> int:
        """A new tensor's id."""
        if len(shape) > MAXIMUM_RANK or prod(shape) > MAXIMUM_ELEMENTS:
            raise self.fail(f"'{name}' {list(shape)} has more than {MAXIMUM_RANK} dimensions or "
                            f"{MAXIMUM_ELEMENTS} elements")
        if min(shape, default=1) < 1:
            raise self.fail(f"'{name}' {list(shape)} is empty")
        if data is not None:
            data = np.array(data.reshape(shape), dtype, order="C")
            data.flags.writeable = False
        index = len(self.tensors)
        self.tensors.append(Tensor(index, name, shape, dtype, quantization, data, index))
        return index

    def emit(self, kind: str, inputs: tuple[int, ...], output: int,
             attributes: Mapping[str, object], rule: str) -> int:
        """Append an operator; returns ``output``."""
        self.emit_all(kind, inputs, (output,), attributes, rule)
        return output

    def emit_all(self, kind: str, inputs: tuple[int, ...], outputs: tuple[int, ...],
                 attributes: Mapping[str, object], rule: str) -> None:
        """Append an operator of several results."""
        node = self.node
        assert node is not None
        self.ops.append(Op(kind, self.tensors[outputs[0]].name, inputs, outputs, attributes, rule,
                           node.index))

    def store(self, name: str, tensor_id: int, shape: tuple[int, ...], permutation: Permutation,
              steps: Steps | None = None) -> Stored:
        """The tensor as the model's value ``name`` of ``shape``, transposed by ``permutation``."""
        self.origins[tensor_id] = Origin(name, permutation, steps.shift if steps else 0)
        return Stored(name, shape, {permutation: tensor_id})

    def form(self, stored: Stored, permutation: Permutation) -> int:
        """The id of ``stored`` transposed by ``permutation``."""
        if not stored.forms:
            assert stored.source is not None
            identity = tuple(range(len(stored.source.shape)))
            source = self.form(stored.source, identity)
            stored.forms[tuple(range(len(stored.shape)))] = self.reshaped(
                source, stored.shape, stored.name)
        if permutation not in stored.forms:
            first = stored.first
            # From transposed by `first` to transposed by `permutation`.
            between = tuple(first.index(axis) for axis in permutation)
            stored.forms[permutation] = self._transposed(stored, between, permutation)
        return stored.forms[permutation]

    def _transposed(self, stored: Stored, between: Permutation, permutation: Permutation) -> int:
        source = self.tensors[stored.forms[stored.first]]
        shape = moved(source.shape, between)
        large = [axis for axis in between if source.shape[axis] > 1]
        layout = "".join(map(str, permutation))
        new = self.tensor(f"{stored.name}:{layout}", shape, source.dtype, source.quantization)
        if large == sorted(large):
            return self.emit("RESHAPE", (source.id,), new, {"shape": shape}, "exact")
        return self.emit("TRANSPOSE", (source.id,), new, {"permutation": between}, "exact")

    def reshaped(self, source: int, shape: tuple[int, ...], name: str) -> int:
        """The tensor with another shape."""
        tensor = self.tensors[source]
        if tensor.shape == shape:
            return source
        new = self.tensor(name, shape, tensor.dtype, tensor.quantization)
        return self.emit("RESHAPE", (source,), new, {"shape": shape}, "exact")

    def constant(self, known: Known, name: str, permutation: Permutation, rank: int) -> int:
        """A constant as a tensor of this rank, transposed by ``permutation``: integers where it has
        8 or 16 bits and one scale, else the real numbers, float32."""
        steps = known.steps
        if steps is None or steps.bits > 16 or "4" in steps.dtype or len(steps.scales) > 1:
            dtype, quantization, data = "float32", None, known.real
        else:
            dtype, quantization = steps.stored_as
            data = known.data.astype(np.int64) - steps.shift
        data = data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(permutation)
        return self.tensor(name, data.shape, dtype, quantization, data)

    def shape_of(self, value: Value) -> tuple[int, ...]:
        """The model's shape of a value."""
        if isinstance(value, Known):
            return value.data.shape
        return value.stored.shape if hasattr(value, "stored") else value.shape

    def made(self, name: str, shape: tuple[int, ...], permutation: Permutation,
             steps: Steps) -> tuple[int, Integers]:
        """A new tensor of these ``steps`` for the model's value ``name``, and that value."""
        index = self.tensor(name, moved(shape, permutation), *steps.stored_as)
        return index, Integers(self.store(name, index, shape, permutation, steps), steps)

    def requantized(self, value: Dequantized, steps: Steps, name: str,
                    bounds: tuple[int, int] | tuple[float, float],
                    form: Permutation | None = None) -> Integers:
        """The same numbers in other steps, clamped to ``bounds``: in the form that was there first
        if none is asked for."""
        form = form or value.stored.first
        source = self.form(value.stored, form)
        index, result = self.made(name, value.stored.shape, form, steps)
        self.emit("QUANTIZE", (source,), index, {"bounds": bounds}, "qdq")
        return result
