"""An operator before it enters the graph: what constraints and option readers look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kaniwa.graph import Quantization, Tensor

__all__ = ["Operands", "OptionError", "Constraint", "quantization_of", "shape_of"]

MAXIMUM_NUMBERS = 64  # in an operand that becomes an attribute


class OptionError(Exception):
    """An option of the file, or an operand that serves as one, makes no sense."""


@dataclass(frozen=True)
class Operands:
    """An operator's tensors (None for an absent input) and attributes.

    ``padding`` is still "SAME" or "VALID" here. ``intermediates`` are tensors without a value, for
    their quantization alone.
    """

    kind: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    attributes: Mapping[str, object]
    intermediates: tuple[Tensor, ...] = ()

    @property
    def x(self) -> Tensor:
        """The first input; constraints on the number of operands are checked first."""
        return self.present(0)

    @property
    def weights(self) -> Tensor:
        """The second input."""
        return self.present(1)

    @property
    def bias(self) -> Tensor | None:
        """The third input, if there is one."""
        return self.inputs[2] if len(self.inputs) > 2 else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def present(self, position: int) -> Tensor:
        """An input that constraints on the number of operands guarantee."""
        tensor = self.inputs[position]
        assert tensor is not None
        return tensor

    def optional(self, position: int) -> Tensor | None:
        """An input, or None where there is none."""
        return self.inputs[position] if position < len(self.inputs) else None

    def pair(self, name: str) -> tuple[int, int]:
        """An attribute that is a pair of integers."""
        value = self.attributes[name]
        assert isinstance(value, tuple)
        return value

    def integer(self, name: str) -> int:
        """An attribute that is an integer."""
        value = self.attributes[name]
        assert isinstance(value, int)
        return value

    def several(self, name: str) -> tuple[int, ...]:
        """An attribute that is any number of integers."""
        value = self.attributes[name]
        assert isinstance(value, tuple)
        return value

    def numbers(self, position: int) -> tuple[int, ...]:
        """The values of an operand that is a constant of a few integers."""
        tensor = self.present(position)
        assert tensor.data is not None
        if tensor.dtype not in ("int32", "int64"):
            raise OptionError(f"'{tensor.name}' is {tensor.dtype}, must be int32 or int64")
        if tensor.data.size > MAXIMUM_NUMBERS:
            raise OptionError(f"'{tensor.name}' has {tensor.data.size} values, at most "
                              f"{MAXIMUM_NUMBERS} make sense")
        return tuple(int(n) for n in tensor.data.flat)


Constraint = Callable[[Operands], str | None]


def quantization_of(tensor: Tensor) -> Quantization:
    """The tensor's quantization; constraints on activations are checked before its users."""
    assert tensor.quantization is not None
    return tensor.quantization


def shape_of(tensor: Tensor) -> str:
    """The tensor's name and shape, for messages."""
    return f"'{tensor.name}' {list(tensor.shape)}"
