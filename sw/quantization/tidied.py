"""A float TFLite file in the form that ai-edge-quantizer takes it in.

Two things of files from older converters, or for other processors, lead it astray:

- An operator's code in the older of the two fields alone: it reads the newer one, where 0 is ADD.
- Weights stored as float16 or sparse, which DEQUANTIZE and DENSIFY widen: it takes their results
  for activations, of one scale with a zero point.

And where converters have quantised the weights alone, for kernels that quantise activations by what
a run brings, weights become the real numbers that they stand for. Where operators calculate with
shapes, tensors get those of a run, in place of what the converter took for sizes that it left open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["packed", "store", "tidied", "unpacked"]

IDENTIFIER = b"TFL3"
Values = Callable[[int], np.ndarray]      # of the tensor of a number
# What gives another result each time, or runs another part of the file.
KEPT = {"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "CUSTOM", "CALL", "CALL_ONCE",
        "IF", "WHILE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}


def tidied(content: bytes, value: Values, real: Values) -> bytes:
    """The file with codes in both fields, real weights, and constants in the place of the operators
    of its first graph that only have constants, or shapes; itself where nothing is to do.

    ``value``: what the tensor of a number holds behind a run; ``real``: what that stands for, in
    float32.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpacked(content)
    changed = [_say_codes(model), _fix_shapes(model, value, schema),
               _fold_constants(model, value, schema), _real_weights(model, real, schema)]
    if not any(changed):
        return content
    _drop_unread(model)
    return packed(model)


def unpacked(content: bytes) -> Any:
    """The model of a file, with what is behind the flatbuffer in its buffers."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.data is None and buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def _say_codes(model: Any) -> bool:
    """Put the code of each operator, the larger of two fields, into the newer one; True if one was
    not there."""
    changed = False
    for code in model.operatorCodes:
        changed |= code.builtinCode < code.deprecatedBuiltinCode
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    return changed


def _kinds(model: Any, schema: Any) -> list[str | None]:
    """The name of each operator's code."""
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()
             if isinstance(number, int)}
    return [names.get(code.builtinCode) for code in model.operatorCodes]


def _fix_shapes(model: Any, value: Values, schema: Any) -> bool:
    """Give what is computed the shape that it has behind a run, where operators calculate with
    shapes, which become constants; True where some do."""
    graph, kinds = model.subgraphs[0], _kinds(model, schema)
    if all(kinds[operator.opcodeIndex] != "SHAPE" for operator in graph.operators):
        return False
    computed = {int(number) for operator in graph.operators for number in operator.outputs}
    for number in computed | {*graph.inputs}:
        tensor = graph.tensors[number]
        if tensor.type not in (schema.TensorType.RESOURCE, schema.TensorType.VARIANT):
            tensor.shape = np.array(value(number).shape, np.int32)
            tensor.shapeSignature = None
    return True


def _fold_constants(model: Any, value: Values, schema: Any) -> bool:
    graph, kinds = model.subgraphs[0], _kinds(model, schema)
    constant = {number for number, tensor in enumerate(graph.tensors)
                if model.buffers[tensor.buffer].data is not None}
    left: list[Any] = []
    for operator in graph.operators:
        kind = kinds[operator.opcodeIndex]
        if kind in KEPT or kind != "SHAPE" and not _given(operator.inputs) <= constant:
            left.append(operator)
            continue
        for number in operator.outputs:
            store(model, graph.tensors[number], value(number), schema)
            constant.add(number)
    changed = len(left) < len(graph.operators)
    graph.operators = left
    return changed


def _real_weights(model: Any, real: Values, schema: Any) -> bool:
    """Widen int8 and int4 weights to float32, the type of the operators' other operands."""
    graph = model.subgraphs[0]
    narrow = (schema.TensorType.INT8, schema.TensorType.INT4)
    changed = False
    for operator in graph.operators:
        for number in _given(operator.inputs):
            tensor = graph.tensors[number]
            steps = tensor.quantization
            if (tensor.type not in narrow or steps is None or steps.scale is None
                    or model.buffers[tensor.buffer].data is None):
                continue
            store(model, tensor, real(number), schema)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
            changed = True
    return changed


def _drop_unread(model: Any) -> None:
    """Drop the data that no tensor in use, and no other part of the file, names."""
    graph = model.subgraphs[0]
    used = {int(number) for operator in graph.operators
            for number in (*operator.inputs, *operator.outputs)} | {*graph.inputs, *graph.outputs}
    held = {tensor.buffer for number, tensor in enumerate(graph.tensors) if number in used}
    held |= {tensor.buffer for other in model.subgraphs[1:] for tensor in other.tensors}
    held |= {entry.buffer for entry in model.metadata or ()}
    for number, tensor in enumerate(graph.tensors):
        if number not in used:
            tensor.sparsity = None
    for number, buffer in enumerate(model.buffers):
        if number not in held:
            buffer.data = None


def _given(inputs: Sequence[int]) -> set[int]:
    """Numbers of the tensors that are there; an optional one that is left out is -1."""
    return {int(number) for number in inputs if number >= 0}


def store(model: Any, tensor: Any, value: np.ndarray, schema: Any) -> None:
    """The value as the tensor's own data."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    tensor.buffer, tensor.sparsity = len(model.buffers), None
    tensor.shape, tensor.shapeSignature = np.array(value.shape, np.int32), None
    model.buffers.append(buffer)


def packed(model: Any) -> bytes:
    """The file of a model."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())
