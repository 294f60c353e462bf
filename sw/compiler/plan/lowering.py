"""The context in which an operator becomes a layer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kaniwa.compiler.plan.layers import Layer
from kaniwa.compiler.plan.operands import describe
from kaniwa.config import AcceleratorConfig
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["Lowered", "Lowering"]

# A layer, and the tensors that it adds to the graph.
Lowered = tuple[Layer, list[Tensor]]


@dataclass(frozen=True, eq=False)
class Lowering:
    """An operator that becomes a layer, and all that the layer is made of.

    | field | contents |
    |---|---|
    | ``model`` | the graph as imported |
    | ``graph`` | the graph that ``legalize`` left |
    | ``config`` | the target |
    | ``op`` | the operator, of ``graph`` |
    | ``stored`` | the operator with the stored tensors in place of its inputs |
    | ``next_id`` | the id of the first tensor that the layer adds |
    | ``time_multiplexed`` | a recurrent cell with the products of its inputs in each step |
    """

    model: Graph
    graph: Graph
    config: AcceleratorConfig
    op: Op
    stored: Op
    next_id: int
    time_multiplexed: bool = False

    @property
    def source_kind(self) -> str:
        """The kind of the operator in the model."""
        return str(self.op.attributes["source_kind"])

    @property
    def where(self) -> str:
        """The name of the operator in messages."""
        return describe(self.model, replace(self.op, kind=self.source_kind))

    @property
    def origin(self) -> Op:
        """The operator of the model that ``legalize`` made this one of."""
        return self.model.ops[int(str(self.op.attributes["position"]))]

    @property
    def x(self) -> Tensor:
        """The first operand."""
        return self.graph.tensors[self.op.inputs[0]]

    @property
    def y(self) -> Tensor:
        """The first result."""
        return self.graph.tensors[self.op.outputs[0]]
