"""A part of a graph as a graph of its own: a run of its operators."""

from __future__ import annotations

import dataclasses
from math import prod

from kaniwa.graph import DTYPE_BYTES, Graph, Op, State, Tensor, check

__all__ = ["crossing_bytes", "cut_points", "part", "states_at"]


def cut_points(graph: Graph) -> list[int]:
    """Numbers of operators that the graph can be cut before, ascending.

    What reads a state, or makes its next value, stays together.
    """
    spans = [(min(users), max(users)) for users in _users_of_states(graph).values() if users]
    return [cut for cut in range(1, len(graph.ops))
            if not any(first < cut <= last for first, last in spans)]


def states_at(graph: Graph, number: int) -> bool:
    """Whether an operator has to do with a state, or lies between operators that have."""
    return any(users and min(users) <= number <= max(users)
               for users in _users_of_states(graph).values())


def crossing_bytes(graph: Graph, cut: int) -> int:
    """Bytes of the values that are there before operator ``cut`` and are used from it on.

    Before the first operator these are the model's inputs, behind the last one its outputs.
    """
    made = set(graph.inputs) | {i for op in graph.ops[:cut] for i in op.outputs}
    used = {i for op in graph.ops[cut:] for i in op.inputs}
    if cut == len(graph.ops):
        used = set(graph.outputs)
    return sum(prod(graph.tensors[i].shape) * DTYPE_BYTES[graph.tensors[i].dtype]
               for i in made & used)


def part(graph: Graph, first: int, last: int) -> Graph:
    """The operators ``first`` to ``last`` of ``graph``, both included, with tensors of their own.

    Inputs are the values that earlier operators make and the graph's own, outputs what later ones
    read and the graph's own, in the order of the graph's tensors. Tensors keep their names; where
    two that cross have the same name, the number in ``graph`` is added.
    """
    ops = graph.ops[first:last + 1]
    made = {i for op in ops for i in op.outputs}
    # A state that no operator has to do with is the first part's.
    users = _users_of_states(graph)
    states = [s for s in graph.state if first <= min(users[s.tensor], default=0) <= last]
    held = {s.tensor for s in states}
    read = {i for op in ops for i in op.inputs if i != -1} | {s.following for s in states}
    inputs = sorted(i for i in read - made - held if graph.tensors[i].data is None)
    later = {i for op in graph.ops[last + 1:] for i in op.inputs} | set(graph.outputs)
    outputs = sorted(made & later)
    kept = sorted(read | made | held)
    ids = {old: new for new, old in enumerate(kept)} | {-1: -1}
    names = [graph.tensors[i].name for i in (*inputs, *outputs)]
    crossing = {*inputs, *outputs}

    def tensor(old: int) -> Tensor:
        found = graph.tensors[old]
        twice = old in crossing and names.count(found.name) > 1
        return dataclasses.replace(found, id=ids[old],
                                   name=f"{found.name}#{old}" if twice else found.name)

    return check(Graph(
        f"{graph.name}[{first}:{last + 1}]", tuple(tensor(i) for i in kept),
        tuple(_renumbered(op, ids) for op in ops), tuple(ids[i] for i in inputs),
        tuple(ids[i] for i in outputs), graph.source_sha256,
        tuple(State(ids[s.tensor], ids[s.following], s.initial) for s in states)))


def _renumbered(op: Op, ids: dict[int, int]) -> Op:
    return dataclasses.replace(op, inputs=tuple(ids[i] for i in op.inputs),
                               outputs=tuple(ids[i] for i in op.outputs))


def _users_of_states(graph: Graph) -> dict[int, set[int]]:
    """By tensor of a state, the operators that read it or make its next value, and those of the
    states that it is exchanged with."""
    users = {s.tensor: {i for i, op in enumerate(graph.ops)
                        if s.tensor in op.inputs or s.following in op.outputs}
             for s in graph.state}
    for _ in graph.state:      # exchanged in a ring of as many, at most
        for s in graph.state:
            if s.following in users:
                both = users[s.tensor] | users[s.following]
                users[s.tensor] = users[s.following] = both
    return users
