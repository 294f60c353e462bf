"""Transpositions that follow each other, with other shapes between them, as one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod

from kaniwa.compiler.array.exchanges import cost, exchanges
from kaniwa.compiler.array.moves import SHAPES
from kaniwa.compiler.plan.plan import Plan
from kaniwa.graph import Op, Tensor

__all__ = ["composed", "join_transpositions"]

Shape = tuple[int, ...]


def join_transpositions(plan: Plan) -> Plan:
    """Move elements once where a TRANSPOSE reads what another one made, and that copies less.

    Exporters write so how a map is cut into patches: axes are brought to the front by one
    transposition for each group of them, and by another one to the layout of the exporter. The
    first transposition stays where something else reads what it makes.
    """
    if plan.options.materialize:
        return plan
    joining = _Joining(plan)
    for op in plan.graph.ops:
        joining.take(op)
    return replace(plan, graph=replace(
        plan.graph, ops=joining.read_ops(), tensors=tuple(joining.tensors)))


class _Joining:
    """Operators of a graph, one after the other, with what has taken the place of some."""

    def __init__(self, plan: Plan) -> None:
        self.tensors: list[Tensor] = list(plan.graph.tensors)
        self._kept = plan.graph.outputs
        self._readers = Counter([*self._kept, *(i for op in plan.graph.ops for i in op.inputs)])
        self._ops: list[Op] = []
        self._makers: dict[int, Op] = {}

    def take(self, op: Op) -> None:
        """Append ``op``, or what does the same with fewer copies."""
        for made in self._joined(op) if op.kind == "TRANSPOSE" else [op]:
            self._ops.append(made)
            self._makers.update(dict.fromkeys(made.outputs, made))

    def read_ops(self) -> tuple[Op, ...]:
        """The operators whose results are read."""
        read, left = set(self._kept), list[Op]()
        for op in reversed(self._ops):
            if op.kind not in (*SHAPES, "TRANSPOSE") or op.outputs[0] in read:
                left.append(op)
                read.update(op.inputs)
        return tuple(reversed(left))

    def _joined(self, late: Op) -> list[Op]:
        source, alone = late.inputs[0], True
        while (maker := self._makers.get(source)) is not None:
            alone = alone and self._readers[source] == 1
            if maker.kind not in SHAPES:
                break
            source = maker.inputs[0]
        if maker is None or maker.kind != "TRANSPOSE":
            return [late]
        shapes = [self.tensors[op.inputs[0]].shape for op in (maker, late)]
        orders = [op.attributes["permutation"] for op in (maker, late)]
        assert isinstance(orders[0], tuple) and isinstance(orders[1], tuple)
        found = composed(shapes[0], orders[0], shapes[1], orders[1])
        if found is None:
            return [late]
        costs = [cost(exchanges(*own)) for own in zip((*shapes, found[0]), (*orders, found[1]),
                                                      strict=True)]
        if costs[2] >= costs[1] + alone * costs[0]:
            return [late]
        return self._once(maker.inputs[0], late, *found)

    def _once(self, source: int, late: Op, shape: Shape, order: Shape) -> list[Op]:
        """``late`` from ``source``, seen with a shape."""
        result = self.tensors[late.outputs[0]]
        moved = tuple(shape[axis] for axis in order)
        seen, made = (self._named(f"{result.name}:{name}", own, result)
                      for name, own in (("seen", shape), ("moved", moved)))
        return [_reshape(late, source, self.tensors[seen]),
                replace(late, inputs=(seen,), outputs=(made,), attributes={
                    **late.attributes, "permutation": order}),
                _reshape(late, made, result)]

    def _named(self, name: str, shape: Shape, like: Tensor) -> int:
        self.tensors.append(replace(like, id=len(self.tensors), name=name, shape=shape))
        self._readers[len(self.tensors) - 1] = 1
        return len(self.tensors) - 1


def _reshape(op: Op, source: int, result: Tensor) -> Op:
    return replace(op, kind="RESHAPE", inputs=(source,), outputs=(result.id,), rule="exact",
                   attributes={"shape": result.shape})


def composed(first: Shape, order: Shape, second: Shape, then: Shape) -> tuple[Shape, Shape] | None:
    """A shape and a permutation that do what two transpositions do, one of ``first`` by ``order``
    and one of its result seen as ``second`` by ``then``; None where an axis of either is no product
    of neighboring axes that both have."""
    moved = tuple(first[axis] for axis in order)
    sizes = _common_axes(moved, second)
    if sizes is None:
        return None
    of_moved, of_second = _groups(sizes, moved), _groups(sizes, second)
    seen = [axis for place in range(len(first)) for axis in of_moved[order.index(place)]]
    return (tuple(sizes[axis] for axis in seen),
            tuple(seen.index(axis) for place in then for axis in of_second[place]))


def _common_axes(one: Shape, other: Shape) -> list[int] | None:
    """Axes of more than one element whose products, of neighbors, make the axes of both shapes."""
    ends = sorted({prod(shape[:place]) for shape in (one, other)
                   for place in range(len(shape) + 1)})
    if not ends[0] or any(end % begin for begin, end in zip(ends, ends[1:], strict=False)):
        return None
    return [end // begin for begin, end in zip(ends, ends[1:], strict=False)]


def _groups(sizes: list[int], shape: Shape) -> list[list[int]]:
    """For each axis of ``shape`` the places in ``sizes`` that it is the product of."""
    groups, place = list[list[int]](), 0
    for length in shape:
        group = list[int]()
        while prod(sizes[axis] for axis in group) < length:
            group.append(place)
            place += 1
        groups.append(group)
    return groups
