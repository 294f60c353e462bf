"""Reference kernels in NumPy: what a graph means, to the bit, as its source framework has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kaniwa.errors import InputError, ModelError, UnsupportedError
from kaniwa.golden.conv import conv_2d_accumulators, depthwise_conv_2d_accumulators, requantize
from kaniwa.golden.elementwise import add, mul, relu, subtract
from kaniwa.golden.fully_connected import fully_connected_accumulators, requantize_float
from kaniwa.golden.pooling import average_pool_2d, max_pool_2d
from kaniwa.golden.rounding import INT32_MAX, INT32_MIN, activation_range
from kaniwa.golden.softmax import softmax
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["run", "run_op", "real_multipliers"]


@dataclass(frozen=True)
class Call:
    """One execution of an operator: its operands' values, None for an absent one."""

    graph: Graph
    op: Op
    values: Sequence[np.ndarray | None]

    @property
    def output(self) -> Tensor:
        """The only output's tensor."""
        return self.graph.tensors[self.op.outputs[0]]

    def value(self, position: int) -> np.ndarray:
        """The operand's value; an importer guarantees that these are there."""
        value = self.optional(position)
        assert value is not None
        return value

    def optional(self, position: int) -> np.ndarray | None:
        """The operand's value, or None where the operator has fewer operands."""
        return self.values[position] if position < len(self.values) else None

    def tensor(self, position: int) -> Tensor:
        """The operand's tensor."""
        return self.graph.tensors[self.op.inputs[position]]

    def attribute(self, name: str) -> Any:
        """An attribute of the operator, of the type that its kind fixes."""
        return self.op.attributes[name]

    def bounds(self, activation: str) -> tuple[int, int]:
        """The output's clamp with this activation."""
        q = _quantization(self.output)
        return activation_range(activation, q.scale, q.zero_point)


Kernel = Callable[[Call], np.ndarray]


def run(
    graph: Graph,
    inputs: Sequence[np.ndarray] | Mapping[str, np.ndarray],
    keep: Collection[int] | None = None,
) -> dict[int, np.ndarray]:
    """Run ``graph`` once and return the values by tensor id.

    ``inputs`` are arrays in the order of ``graph.inputs`` or by input name, of exactly the
    declared shape and dtype. The result holds inputs and all computed tensors, or only those
    in ``keep``. Raises ``InputError`` for a wrong input, ``ModelError`` for an accumulator that
    leaves int32, ``UnsupportedError`` for an operator without a kernel.
    """
    values = dict(zip(graph.inputs, _in_order(graph, inputs), strict=True))
    for op in graph.ops:
        operands = [None if i == -1 else _value(graph, values, i) for i in op.inputs]
        values[op.outputs[0]] = run_op(graph, op, operands)
    if keep is None:
        return values
    return {i: _value(graph, values, i) for i in keep}


def run_op(graph: Graph, op: Op, operands: Sequence[np.ndarray | None]) -> np.ndarray:
    """The value of ``op``'s only output for these ``operands`` (None for an absent one)."""
    where = f"{graph.name}: op {op.source_index} {op.kind} '{op.name}'"
    kernel = KERNELS.get(op.kind)
    if kernel is None:
        raise UnsupportedError(f"{where}: golden has no kernel for it")
    call = Call(graph, op, operands)
    try:
        return kernel(call).reshape(call.output.shape)
    except OverflowError as error:
        raise ModelError(f"{where}: {error}") from None


def real_multipliers(x: Tensor, weights: Tensor, output: Tensor) -> np.ndarray:
    """Input scale · weight scale / output scale in float64, one a weight scale, in this order."""
    scales = np.array(_quantization(weights).scales, np.float64)
    return _quantization(x).scale * scales / _quantization(output).scale


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


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.quantization is None:
        raise ModelError(f"tensor '{tensor.name}' is not quantised")
    return tensor.quantization


def _within_int32(acc: np.ndarray) -> np.ndarray:
    """``acc``, or ``OverflowError``: the reference's accumulator is undefined beyond int32."""
    if acc.size and (acc.min() < INT32_MIN or acc.max() > INT32_MAX):
        worst = max(int(acc.max()), int(acc.min()), key=abs)
        raise OverflowError(f"an accumulator of {worst} does not fit int32")
    return acc


def _convolution(accumulate: Callable[..., np.ndarray]) -> Kernel:
    def kernel(call: Call) -> np.ndarray:
        acc = accumulate(
            call.value(0),
            call.value(1),
            call.optional(2),
            zero_point=_quantization(call.tensor(0)).zero_point,
            stride=call.attribute("stride"),
            dilation=call.attribute("dilation"),
            padding=call.attribute("padding"),
        )
        return _requantized(call, acc, requantize)

    return kernel


def _fully_connected(call: Call) -> np.ndarray:
    acc = fully_connected_accumulators(
        call.value(0),
        call.value(1),
        call.optional(2),
        zero_point=_quantization(call.tensor(0)).zero_point,
    )
    return _requantized(call, acc, requantize_float)


def _requantized(call: Call, acc: np.ndarray, rule: Callable[..., np.ndarray]) -> np.ndarray:
    multipliers = real_multipliers(call.tensor(0), call.tensor(1), call.output)
    return rule(
        _within_int32(acc),
        multipliers,
        _quantization(call.output).zero_point,
        call.bounds(call.attribute("activation")),
    )


def _elementwise(rule: Callable[..., np.ndarray]) -> Kernel:
    def kernel(call: Call) -> np.ndarray:
        a, b, out = (_quantization(t) for t in (call.tensor(0), call.tensor(1), call.output))
        return rule(
            call.value(0),
            call.value(1),
            scales=(a.scale, b.scale, out.scale),
            zero_points=(a.zero_point, b.zero_point, out.zero_point),
            bounds=call.bounds(call.attribute("activation")),
        )

    return kernel


def _relu(activation: str) -> Kernel:
    def kernel(call: Call) -> np.ndarray:
        x, out = _quantization(call.tensor(0)), _quantization(call.output)
        return relu(
            call.value(0),
            scales=(x.scale, out.scale),
            zero_points=(x.zero_point, out.zero_point),
            bounds=call.bounds(activation),
        )

    return kernel


def _pool(pool: Callable[..., np.ndarray]) -> Kernel:
    def kernel(call: Call) -> np.ndarray:
        return pool(
            call.value(0),
            window=call.attribute("filter"),
            stride=call.attribute("stride"),
            padding=call.attribute("padding"),
            bounds=call.bounds(call.attribute("activation")),
        )

    return kernel


def _reshape(call: Call) -> np.ndarray:
    return call.value(0).reshape(call.attribute("shape"))


def _softmax(call: Call) -> np.ndarray:
    scale = _quantization(call.tensor(0)).scale
    return softmax(call.value(0), beta=call.attribute("beta"), scale=scale)


KERNELS: dict[str, Kernel] = {
    "CONV_2D": _convolution(conv_2d_accumulators),
    "DEPTHWISE_CONV_2D": _convolution(depthwise_conv_2d_accumulators),
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _elementwise(add),
    "SUB": _elementwise(subtract),
    "MUL": _elementwise(mul),
    "RELU": _relu("RELU"),
    "RELU6": _relu("RELU6"),
    "AVERAGE_POOL_2D": _pool(average_pool_2d),
    "MAX_POOL_2D": _pool(max_pool_2d),
    "RESHAPE": _reshape,
    "SOFTMAX": _softmax,
}
