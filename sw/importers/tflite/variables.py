"""Resource variables of TFLite files as plain values: what is read is what was assigned last.

A variable that is read before the model assigns it has the value of the inference before, in the
first one that of the subgraph which CALL_ONCE names. VAR_HANDLE, CALL_ONCE and ASSIGN_VARIABLE
leave no operator in the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from kaniwa.graph import Op, State, Tensor
from kaniwa.importers.operands import Operands, OptionError

__all__ = ["VARIABLE_OPERATORS", "Variables"]

VARIABLE_OPERATORS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
Checked = Callable[[Operands], None]  # raises where a constraint of the operator does not hold


@dataclass
class Variables:
    """The variables of a model while it is read, operator by operator.

    ``names`` are those of the resource tensors, ``initial`` the values that CALL_ONCE assigned,
    ``current`` the tensor that has a variable's value by now, ``read_first`` the tensor for the
    value from before.
    """

    names: dict[int, str] = field(default_factory=dict)
    initial: dict[str, Tensor] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)
    read_first: dict[str, int] = field(default_factory=dict)

    def handle(self, op: Operands) -> None:
        """VAR_HANDLE."""
        self.names[op.output.id] = str(op.attributes["name"])

    def assign(self, op: Operands, tensors: list[Tensor], hold: Checked) -> None:
        """ASSIGN_VARIABLE in the model."""
        name, value = self._name(op), op.present(1)
        before = self._before(name, tensors)
        hold(replace(op, attributes={"before": before, "after": value}))
        self.current[name] = value.id

    def read(self, op: Operands, tensors: list[Tensor], index: int, hold: Checked) -> Op:
        """READ_VARIABLE."""
        name = self._name(op)
        before = self._before(name, tensors)
        hold(replace(op, attributes={"before": before, "after": op.output}))
        if name not in self.current:
            kept = replace(op.output, id=len(tensors), name=f"{name}:before", source_index=None)
            tensors.append(kept)
            self.current[name] = self.read_first[name] = kept.id
        return Op(op.kind, op.output.name, (self.current[name],), (op.output.id,), {}, "exact",
                  index)

    def states(self) -> list[State]:
        """State that a graph with these variables keeps between inferences."""
        kept = []
        for name, tensor in self.read_first.items():
            data = self.initial[name].data
            assert data is not None
            kept.append(State(tensor, self.current[name], np.array(data)))
        return kept

    def _name(self, op: Operands) -> str:
        resource = op.x
        if resource.id not in self.names:
            raise OptionError(f"'{resource.name}' is no variable's handle")
        return self.names[resource.id]

    def _before(self, name: str, tensors: list[Tensor]) -> Tensor | None:
        """Tensor that the variable holds now, or None."""
        if name in self.current:
            return tensors[self.current[name]]
        return self.initial.get(name)
