"""Knowledge of an operator: dtypes and rounding rules, options, and constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kaniwa.importers.operands import Constraint, Operands

__all__ = ["OperatorInfo", "Reader", "listed"]

# The options table (None where the file has none and the operator needs none) and the operands to
# attributes; raises ``OptionError`` for what is out of the schema's range.
Reader = Callable[[Any, Operands], dict[str, object]]


def listed(words: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _no_attributes(options: Any, op: Operands) -> dict[str, object]:
    return {}


def _unchanged(op: Operands) -> dict[str, object]:
    return dict(op.attributes)


@dataclass(frozen=True)
class OperatorInfo:
    """One row of the table of supported operators.

    ``rules`` gives the rounding rule for each dtype of operand ``decides`` that golden has a
    kernel for. ``options`` names the options table in the file, ``read`` makes attributes of it
    and ``finish`` what the graph holds of these. ``constants`` are the operands (position → what it
    is) that must be constant; they become attributes and are not operands of the graph's operator.
    ``variables`` are the operands that keep their value between inferences; the graph's operator
    has an output for the next value of each.
    ``custom`` operators have no number in the schema: ``read`` gets the bytes of their options.
    ``results`` gives the shapes of the outputs where files may leave them out.
    ``consistency`` holds for every sound file (else ``ModelError``), ``limits`` for what kaniwa
    supports (else ``UnsupportedError``). ``cases`` is the number of random cases that the tests
    compare with the reference.
    """

    kind: str
    rules: Mapping[str, str]
    options: str = ""
    options_required: bool = False
    read: Reader = _no_attributes
    consistency: tuple[Constraint, ...] = ()
    limits: tuple[Constraint, ...] = ()
    finish: Callable[[Operands], dict[str, object]] = _unchanged
    constants: Mapping[int, str] = field(default_factory=dict)
    variables: tuple[int, ...] = ()
    decides: int = 0
    custom: bool = False
    results: Callable[[Operands], tuple[tuple[int, ...], ...]] | None = None
    cases: int = 60

    @property
    def constraints(self) -> list[str]:
        """One sentence a limit, for users."""
        sentences = [f"Activations are {listed(list(self.rules))}."]
        sentences += [f"The {what} is constant." for what in self.constants.values()]
        return sentences + [(limit.__doc__ or "").strip() for limit in self.limits]

    def rule(self, op: Operands) -> str:
        """The rounding rule of ``op``; ``dtype`` has been checked."""
        return self.rules[op.present(self.decides).dtype]

    def dtype(self, op: Operands) -> str | None:
        """Complaint about the dtype that decides, or None."""
        tensor = op.present(self.decides)
        if tensor.dtype in self.rules:
            return None
        if tensor.dtype == "float32":
            return "the model is float and must be int8-quantised (weights and activations) first"
        return (f"activation '{tensor.name}' is {tensor.dtype}, must be "
                f"{listed(list(self.rules))}")

    def constant(self, op: Operands) -> str | None:
        """Complaint about operands that must be constant, or None."""
        for position, what in self.constants.items():
            tensor = op.inputs[position] if position < len(op.inputs) else None
            if tensor is not None and tensor.data is None:
                return f"the {what} is computed, must be constant"
        return None
