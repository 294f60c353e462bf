"""An operator before it enters the graph: what constraints and option readers look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kaniwa.graph import Quantization, Tensor

__all__ = ["Operands", "Constraint", "quantization_of", "shape_of"]


@dataclass(frozen=True)
class Operands:
    """An operator's tensors (None for an absent input) and attributes.

    ``padding`` is still "SAME" or "VALID" here.
    """

    kind: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    attributes: Mapping[str, object]

    @property
    def x(self) -> Tensor:
        """The first input; constraints on the number of operands are checked first."""
        return _present(self.inputs[0])

    @property
    def weights(self) -> Tensor:
        """The second input."""
        return _present(self.inputs[1])

    @property
    def bias(self) -> Tensor | None:
        """The third input, if there is one."""
        return self.inputs[2] if len(self.inputs) > 2 else None

    @property
    def output(self) -> Tensor:
        """The only output."""
        return self.outputs[0]

    def pair(self, name: str) -> tuple[int, int]:
        """An attribute that is a pair of integers."""
        value = self.attributes[name]
        assert isinstance(value, tuple)
        return value


Constraint = Callable[[Operands], str | None]


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor


def quantization_of(tensor: Tensor) -> Quantization:
    """The tensor's quantization; constraints on activations are checked before its users."""
    assert tensor.quantization is not None
    return tensor.quantization


def shape_of(tensor: Tensor) -> str:
    """The tensor's name and shape, for messages."""
    return f"'{tensor.name}' {list(tensor.shape)}"
