"""Reference kernels in NumPy: what a graph means, to the bit, as its source framework has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from kaniwa.errors import InputError, ModelError, UnsupportedError

# Each of these files registers the kernels of a family of operators.
from kaniwa.golden.onnx import (  # noqa: F401
    detection as onnx_detection,
    float as onnx_float,
    functions as onnx_functions,
    layer_norm as onnx_layer_norm,
    normalization as onnx_normalization,
    qdq,
    recurrent as onnx_recurrent,
    recurrent_fixed as onnx_recurrent_fixed,
    resize as onnx_resize,
    rms_norm as onnx_rms_norm,
    softmax as onnx_softmax,
)
from kaniwa.golden.registry import Call, kernel_of
from kaniwa.golden.tflite import (  # noqa: F401
    activation,
    arithmetic,
    comparison,
    conversion,
    convolution,
    detection,
    functions,
    matrix,
    movement,
    pooling,
    recurrent,
    reduction,
    resize,
    slices,
    softmax,
    variables,
)
from kaniwa.golden.tflite.convolution import real_multipliers
from kaniwa.graph import Graph, Op

__all__ = ["run", "run_op", "real_multipliers"]


def run(
    graph: Graph,
    inputs: Sequence[np.ndarray] | Mapping[str, np.ndarray],
    keep: Collection[int] | None = None,
    state: dict[int, np.ndarray] | None = None,
) -> dict[int, np.ndarray]:
    """Run ``graph`` once and return the values by tensor id.

    ``inputs`` are arrays in the order of ``graph.inputs`` or by input name, of exactly the
    declared shape and dtype. The result holds inputs and all computed tensors, or only those
    in ``keep``. ``state`` holds the values of the graph's variables by tensor id, initial ones
    where it has none, and is left as the next inference needs it. Raises ``InputError`` for a
    wrong input, ``ModelError`` for an accumulator that leaves int32, ``UnsupportedError`` for an
    operator without a kernel.
    """
    values = dict(zip(graph.inputs, _in_order(graph, inputs), strict=True))
    state = {} if state is None else state
    values.update({s.tensor: state.get(s.tensor, s.initial) for s in graph.state})
    for op in graph.ops:
        operands = [None if i == -1 else _value(graph, values, i) for i in op.inputs]
        values.update(zip(op.outputs, run_op(graph, op, operands), strict=True))
    state.update({s.tensor: _value(graph, values, s.following) for s in graph.state})
    if keep is None:
        return values
    return {i: _value(graph, values, i) for i in keep}


def run_op(
    graph: Graph, op: Op, operands: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, ...]:
    """The values of ``op``'s outputs, in order, for these ``operands`` (None for an absent one).

    Raises ``ModelError`` where the reference is undefined for these values,
    ``UnsupportedError`` for an operator without a kernel.
    """
    where = f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"
    kernel = kernel_of(op)
    if kernel is None:
        raise UnsupportedError(f"{where}: golden has no kernel for it")
    try:
        results = kernel(Call(graph, op, operands))
    except OverflowError as error:
        raise ModelError(f"{where}: {error}") from None
    if not isinstance(results, tuple):
        results = (results,)
    return tuple(
        value.reshape(graph.tensors[i].shape)
        for value, i in zip(results, op.outputs, strict=True)
    )


def _value(graph: Graph, values: Mapping[int, np.ndarray], tensor_id: int) -> np.ndarray:
    if tensor_id in values:
        return values[tensor_id]
    data = graph.tensors[tensor_id].data
    if data is None:
        raise ModelError(f"{graph.name}: tensor '{graph.tensors[tensor_id].name}' has no value")
    return data


def _in_order(
    graph: Graph, inputs: Sequence[np.ndarray] | Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    names = [graph.tensors[i].name for i in graph.inputs]
    if isinstance(inputs, Mapping):
        if set(inputs) != set(names):
            raise InputError(
                f"{graph.name}: expected inputs {sorted(names)}, found {sorted(inputs)}"
            )
        inputs = [inputs[name] for name in names]
    if len(inputs) != len(names):
        raise InputError(f"{graph.name}: expected {len(names)} inputs, found {len(inputs)}")
    for tensor_id, value in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensors[tensor_id]
        if value.shape != tensor.shape or value.dtype != np.dtype(tensor.dtype):
            raise InputError(
                f"{graph.name}: input '{tensor.name}': expected {tensor.dtype}"
                f"{list(tensor.shape)}, found {value.dtype}{list(value.shape)}"
            )
    return list(inputs)
