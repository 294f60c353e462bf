"""The host's part of a program, run: its operators on the golden kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kaniwa import golden
from kaniwa.errors import Error, ProgramError
from kaniwa.graph import Graph, Op, State, Tensor
from kaniwa.program.program import Program

__all__ = ["host_graph", "run_host_op"]


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
