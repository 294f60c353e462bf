"""What the host computes of a program: operators on the golden kernels, and what these need.

A program has all of it, constants included, so that it runs without the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kaniwa import golden
from kaniwa.errors import Error, ProgramError
from kaniwa.graph import Graph, Op, Quantization, State, Tensor

if TYPE_CHECKING:
    from kaniwa.program.program import Program

__all__ = ["HostOp", "HostState", "HostTensor", "host_graph", "run_host_op"]


@dataclass(frozen=True)
class HostOp:
    """An operator that the host runs; tensors by id, -1 for an absent operand.

    ``source`` is its index in the model file, ``why`` the reason that the device does not run it.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, object]
    rule: str
    source: int | None
    why: str


@dataclass(frozen=True)
class HostTensor:
    """An operand or result of the host's operators, as the model has it.

    ``scales`` is empty where it is not quantized. ``data`` has a constant's bytes, in C order.
    """

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None
    data: bytes | None

    @classmethod
    def of(cls, tensor: Tensor) -> HostTensor:
        """``tensor`` of the model."""
        q = tensor.quantization
        return cls(tensor.id, tensor.name, tensor.shape, tensor.dtype, q.scales if q else (),
                   q.zero_points if q else (), q.axis if q else None,
                   None if tensor.data is None else tensor.data.tobytes())

    def tensor(self) -> Tensor:
        """The tensor of a graph; raises ValueError where the bytes do not fit the shape."""
        q = Quantization(self.scales, self.zero_points, self.axis) if self.scales else None
        data = None
        if self.data is not None:
            data = np.frombuffer(self.data, self.dtype).reshape(self.shape)
        return Tensor(self.id, self.name, self.shape, self.dtype, q, data)


@dataclass(frozen=True)
class HostState:
    """A tensor that keeps its value from one inference to the next: then it has ``following``'s.

    ``initial`` has the bytes of its first value.
    """

    tensor: int
    following: int
    initial: bytes


def host_graph(program: Program) -> Graph:
    """The host's operators as a graph with the model's ids; ids of others stand for nothing."""
    tensors = {tensor.id: tensor.tensor() for tensor in program.host_tensors}
    none = (Tensor(i, "", (), "int8") for i in range(max(tensors, default=-1) + 1))
    ops = tuple(Op(op.kind, op.name, op.inputs, op.outputs, op.attributes, op.rule, op.source)
                for op in program.host_ops)
    state = tuple(State(s.tensor, s.following, np.frombuffer(
        s.initial, tensors[s.tensor].dtype).reshape(tensors[s.tensor].shape))
        for s in program.state)
    return Graph(program.name, tuple(tensors.get(t.id, t) for t in none), ops, (), (), state=state)


def run_host_op(graph: Graph, op: Op, values: Mapping[int, np.ndarray]) -> Sequence[np.ndarray]:
    """The results of ``op``; ``values`` by tensor id, constants are those of ``graph``.

    Raises ProgramError where the kernel cannot work with what the program says.
    """
    operands = [None if i == -1 else values[i] if i in values else graph.tensors[i].data
                for i in op.inputs]
    try:
        results = golden.run_op(graph, op, operands)
        for i, value in zip(op.outputs, results, strict=True):
            if value.dtype != np.dtype(graph.tensors[i].dtype):
                raise TypeError(f"'{graph.tensors[i].name}' would be {value.dtype}")
        return results
    except Error:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, AssertionError,
            AttributeError) as error:
        raise ProgramError(f"{graph.name}: op {op.source_index} {op.kind} '{op.name}': failed on "
                           f"the host ({type(error).__name__}: {error}); compile the model "
                           f"again") from error
