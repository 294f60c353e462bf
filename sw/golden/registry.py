"""The table of kernels, and what a kernel sees of the operator that it executes.

A family of operators is a file of this package: it registers its kernels here, and
``kaniwa.golden`` imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
)
from kaniwa.graph import Graph, Op, Quantization, Tensor
from kaniwa.runtimes import NAMES as RUNTIMES

__all__ = ["Call", "Kernel", "KERNELS", "RULE_KERNELS", "kernel", "kernel_of", "quantization",
           "within_int32", "rescale_within_int32", "rescale_by_pair"]


@dataclass(frozen=True)
class Call:
    """One execution of an operator: its operands' values, None for an absent one."""

    graph: Graph
    op: Op
    values: Sequence[np.ndarray | None]

    @property
    def output(self) -> Tensor:
        """The first output's tensor."""
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

    def option(self, name: str, default: object) -> Any:
        """An attribute that only some operators of the kind have, else ``default``."""
        return self.op.attributes.get(name, default)

    def quantization(self, position: int) -> Quantization:
        """The operand's quantization."""
        return quantization(self.tensor(position))

    @property
    def scales(self) -> tuple[float, float]:
        """The scales of the first operand and of the output."""
        return self.quantization(0).scale, quantization(self.output).scale

    @property
    def zero_points(self) -> tuple[int, int]:
        """The zero points of the first operand and of the output."""
        return self.quantization(0).zero_point, quantization(self.output).zero_point

    def bounds(self, activation: str) -> tuple[int, int]:
        """The output's clamp with this activation."""
        q = quantization(self.output)
        return activation_range(activation, q.scale, q.zero_point, self.output.dtype)


Kernel = Callable[[Call], np.ndarray | tuple[np.ndarray, ...]]
KERNELS: dict[str, Kernel] = {}
# Rules that have kernels of their own, for they come from another framework than the others.
RULE_KERNELS: dict[str, dict[str, Kernel]] = {}


def kernel(*kinds: str, rule: str | None = None) -> Callable[[Kernel], Kernel]:
    """Register the decorated function as the kernel of these operators (with this ``rule``).

    It returns the only output's value, or a tuple of all; ``OverflowError`` where the reference
    is undefined for these values.
    """

    def register(function: Kernel) -> Kernel:
        table = KERNELS if rule is None else RULE_KERNELS.setdefault(rule, {})
        for kind in kinds:
            assert kind not in table, kind
            table[kind] = function
        return function

    return register


class Ruled(Protocol):
    """An operator, as far as its kernel depends on it."""

    @property
    def kind(self) -> str: ...

    @property
    def rule(self) -> str: ...


def kernel_of(op: Ruled) -> Kernel | None:
    """The kernel that defines ``op``, if there is one: its framework's own, where golden has none.
    """
    if op.rule in RUNTIMES:
        return _by_runtime
    return RULE_KERNELS.get(op.rule, KERNELS).get(op.kind)


def _by_runtime(call: Call) -> tuple[np.ndarray, ...]:
    from kaniwa.runtimes.run import run

    return run(call.graph, call.op, call.values)


def quantization(tensor: Tensor) -> Quantization:
    """The tensor's quantization, or ``ModelError``."""
    if tensor.quantization is None:
        raise ModelError(f"tensor '{tensor.name}' is not quantised")
    return tensor.quantization


def within_int32(acc: np.ndarray) -> np.ndarray:
    """``acc``, or ``OverflowError``: the reference's accumulator is undefined beyond int32."""
    if acc.size and (acc.min() < INT32_MIN or acc.max() > INT32_MAX):
        worst = max(int(acc.max()), int(acc.min()), key=abs)
        raise OverflowError(f"an accumulator of {worst} does not fit int32")
    return acc


def rescale_within_int32(x: np.ndarray, real: float | np.floating) -> np.ndarray:
    """``x`` · ``real`` by LiteRT's double rounding, or ``OverflowError`` where C++ is undefined.

    That is where a left shift leaves int32.
    """
    return rescale_by_pair(x, *quantize_multiplier(float(real)))


def rescale_by_pair(x: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """The same with the multiplier as integers."""
    within_int32(x << max(shift, 0))
    return multiply_by_quantized_multiplier(x, multiplier, shift)
