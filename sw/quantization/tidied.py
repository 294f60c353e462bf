"""A float TFLite file in the form that ai-edge-quantizer takes it in.

Two things of files from older converters, or for other processors, lead it astray:

- An operator's code in the older of the two fields alone: it reads the newer one, where 0 is ADD.
- Weights stored as float16 or sparse, which DEQUANTIZE and DENSIFY widen: it takes their results
  for activations, of one scale with a zero point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["tidied"]

IDENTIFIER = b"TFL3"
# What gives another result each time, or runs another part of the file.
KEPT = {"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "CUSTOM", "CALL", "CALL_ONCE",
        "IF", "WHILE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}


def tidied(content: bytes, value: Callable[[int], np.ndarray]) -> bytes:
    """The file with codes in both fields, and constants in the place of the operators of its first
    graph that only have constants; itself where nothing is to do.

    ``value``: what the tensor of a number holds behind a run.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    changed = _say_codes(model)
    if _fold_constants(model, value, schema) or changed:
        return _packed(model)
    return content


def _say_codes(model: Any) -> bool:
    """Put the code of each operator, the larger of two fields, into the newer one; True if one was
    not there."""
    changed = False
    for code in model.operatorCodes:
        changed |= code.builtinCode < code.deprecatedBuiltinCode
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    return changed


def _fold_constants(model: Any, value: Callable[[int], np.ndarray], schema: Any) -> bool:
    graph = model.subgraphs[0]
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()
             if isinstance(number, int)}
    kinds = [names.get(code.builtinCode) for code in model.operatorCodes]
    constant = {number for number, tensor in enumerate(graph.tensors)
                if model.buffers[tensor.buffer].data is not None}
    left: list[Any] = []
    for operator in graph.operators:
        if kinds[operator.opcodeIndex] in KEPT or not _given(operator.inputs) <= constant:
            left.append(operator)
            continue
        for number in operator.outputs:
            _store(model, graph.tensors[number], value(number), schema)
            constant.add(number)
    changed = len(left) < len(graph.operators)
    graph.operators = left
    if changed:
        _empty_unused(model)
    return changed


def _empty_unused(model: Any) -> None:
    """Drop the data that the first graph no longer names."""
    graph = model.subgraphs[0]
    used = {int(number) for operator in graph.operators
            for number in (*operator.inputs, *operator.outputs)} | {*graph.inputs, *graph.outputs}
    held = {tensor.buffer for number, tensor in enumerate(graph.tensors) if number in used}
    held |= {tensor.buffer for other in model.subgraphs[1:] for tensor in other.tensors}
    for number, tensor in enumerate(graph.tensors):
        if number not in used and tensor.buffer not in held:
            model.buffers[tensor.buffer].data, tensor.sparsity = None, None


def _given(inputs: Sequence[int]) -> set[int]:
    """Numbers of the tensors that are there; an optional one that is left out is -1."""
    return {int(number) for number in inputs if number >= 0}


def _store(model: Any, tensor: Any, value: np.ndarray, schema: Any) -> None:
    """The value as the tensor's own data."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    tensor.buffer, tensor.sparsity = len(model.buffers), None
    model.buffers.append(buffer)


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
