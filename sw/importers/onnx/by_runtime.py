"""ONNX operators that golden lacks: ONNX Runtime does them on the host, as they are in the model.

Operands of such a node have the model's own layout and types; quantised numbers come dequantised
where the model dequantises them. What the node gives stays as ONNX Runtime gives it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.errors import Error, UnsupportedError
from kaniwa.extras import installed
from kaniwa.graph import Tensor
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import floats
from kaniwa.importers.onnx.values import Floats, Integers, Known, Steps, Value
from kaniwa.runtimes.onnx_node import DOMAINS, TYPES, UNLIKE, definition
from kaniwa.runtimes.prepared import Form, Prepared, Refusal
from kaniwa.runtimes.run import prepare

__all__ = ["DOMAINS", "beyond", "by_runtime"]

RULE = "onnxruntime"
QUANTISERS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "Cast")
OF_DEVICE = ("int8", "uint8", "int16", "uint16")      # numbers that may be quantised


def beyond(builder: Builder, node: Node, limit: UnsupportedError) -> list[Value]:
    """The results of a node that golden has, but not within its ``limit``.

    Raises ``limit`` where ONNX Runtime does not take it either, or the node only says how numbers
    are quantised.
    """
    if node.kind in QUANTISERS or node.domain:
        raise limit
    try:
        return by_runtime(builder, node, str(limit).rpartition(f"'{node.name}': ")[2])
    except UnsupportedError as missing:
        raise limit if installed("onnxruntime") else missing from None


def by_runtime(builder: Builder, node: Node, limit: str = "") -> list[Value]:
    """The results of a node of which nothing is known but what ONNX Runtime says.

    ``limit`` is the one of golden for this node, where it has a kernel for others.
    """
    if node.kind in UNLIKE and not node.domain:
        raise _unsupported(builder, f": {UNLIKE[node.kind]}")
    values = [builder.value(name) if name else None for name in node.inputs]
    computed = [v for v in values if v is not None and not isinstance(v, Known)]
    if computed and not builder.quantised:
        raise builder.fail("its input is not quantised; quantise the model to int8 in QDQ form, "
                           "weights and activations")
    operands = tuple(_operand(builder, node, position, value)
                     for position, value in enumerate(values))
    tensors = [None if i == -1 else builder.tensors[i] for i in operands]
    absent = ([i for i, name in enumerate(node.inputs) if not name],
              [i for i, name in enumerate(node.outputs) if not name])
    try:
        attributes = definition(node.kind, node.domain, builder.opset, node.attributes, absent,
                                (len(node.inputs), len(node.outputs)))
        where = f"{builder.name}: node {node.index} {node.kind} '{node.name}'"
        prepared = prepare(where, RULE, node.kind, attributes, tensors)
        forms = _forms(prepared)
        if not computed and all(form.dtype in ("int32", "int64", "bool") for form in forms):
            return _placed(node, [Known(value) for value in _constants(prepared, tensors)])
    except Refusal as reason:
        raise _unsupported(builder, f": {reason}") from None
    names = [name for name in node.outputs if name]
    outputs = tuple(builder.tensor(name, shape, form.dtype) for name, form, shape in zip(
        names, forms, (tuple(n or 0 for n in form.shape) for form in forms), strict=True))
    builder.emit_all(node.kind, operands, outputs, attributes | ({"limit": limit} if limit else {}),
                     RULE)
    return _placed(node, [_result(builder, name, i)
                          for name, i in zip(names, outputs, strict=True)])


def _unsupported(builder: Builder, why: str) -> Error:
    return builder.fail(f"operator is not supported{why}; replace it in the model by one that "
                        "`kaniwa operators` lists, or cut the model before it")


def _forms(prepared: Prepared) -> tuple[Form, ...]:
    """The results' forms; raises Refusal where a shape is not known before the run."""
    forms = prepared.results
    if any(n is None for form in forms for n in form.shape):
        raise Refusal("the shape of its result depends on values")
    return forms


def _constants(prepared: Prepared, tensors: list[Tensor | None]) -> list[np.ndarray]:
    """The results of a node without computed operands: shape arithmetic of exporters."""
    return prepared.run([None if tensor is None else tensor.data for tensor in tensors])


def _placed(node: Node, results: list[Value]) -> list[Value]:
    """``results`` at the places of the node's outputs; absent ones are never read."""
    waiting = iter(results)
    return [next(waiting) if name else Known(np.zeros((), np.float32)) for name in node.outputs]


def _operand(builder: Builder, node: Node, position: int, value: Value | None) -> int:
    """The tensor of an operand in the model's own layout and type, -1 for an absent one."""
    what = f"operand {position}"
    if value is None:
        return -1
    if isinstance(value, Known):
        data = value.data if value.steps is None else value.real.astype(np.float32)
        if data.dtype.name not in TYPES:
            raise builder.fail(f"{what} is {data.dtype}, which is not supported")
        name = node.inputs[position] or f"constant:{len(builder.tensors)}"
        return builder.tensor(name, data.shape, data.dtype.name, data=data)
    if not isinstance(value, Integers):
        stored = floats(builder, value, what)
        return builder.form(stored, tuple(range(len(stored.shape))))
    stored, steps = value.stored, value.steps
    index = builder.form(stored, tuple(range(len(stored.shape))))
    if not steps.shift:
        return index
    own = replace(steps.quantization, zero_points=steps.zero_points)
    limits = np.iinfo(steps.dtype)
    plain = builder.tensor(f"{stored.name}:{steps.dtype}", stored.shape, steps.dtype, own)
    return builder.emit("QUANTIZE", (index,), plain, {
        "bounds": (int(limits.min), int(limits.max))}, "qdq")


def _result(builder: Builder, name: str, index: int) -> Value:
    """A result as a value; bytes and words are integers of step 1, signed in the graph."""
    tensor = builder.tensors[index]
    identity = tuple(range(len(tensor.shape)))
    if tensor.dtype not in OF_DEVICE:
        return Floats(builder.store(name, index, tensor.shape, identity), tensor.dtype)
    steps = Steps((1.0,), (0,), tensor.dtype)
    if not steps.shift:
        builder.tensors[index] = replace(tensor, quantization=steps.quantization)
        return Integers(builder.store(name, index, tensor.shape, identity, steps), steps)
    own = replace(steps.quantization, zero_points=steps.zero_points)
    builder.tensors[index] = replace(tensor, quantization=own)
    dtype, quantization = steps.stored_as
    shifted = builder.tensor(f"{name}:{dtype}", tensor.shape, dtype, quantization)
    builder.emit("QUANTIZE", (index,), shifted, {"bounds": steps.bounds}, "qdq")
    return Integers(builder.store(name, shifted, tensor.shape, identity, steps), steps)
