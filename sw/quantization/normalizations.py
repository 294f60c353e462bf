"""Normalizations that exporters write in pieces, as one operator of a float ONNX model.

In pieces, sums of squares, roots and quotients would have 8 bits each, or stay in float32 on the
host. ``x / max(‖x‖, tiny)`` becomes LpNormalization, ``x / sqrt(mean(x²) + epsilon) · gain``
SimplifiedLayerNormalization, which is ONNX Runtime's name of RMSNormalization for all operator
sets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kaniwa.quantization.pieces import Pieces, nodes_read

__all__ = ["NORMALIZATIONS", "join_normalizations"]

NORMALIZATIONS = ("LpNormalization", "SimplifiedLayerNormalization")
TINY = 1e-4     # the largest bound below a length that only keeps a row of zeros from dividing by 0


def join_normalizations(model: Any) -> None:
    """Replace them in an ONNX ``model`` whose constants are folded; what none reads is left out."""
    graph = model.graph
    pieces = Pieces.of(graph)
    replaced: dict[str, list[Any]] = {}     # nodes in place of the last piece, by its result
    for node in graph.node:
        joined = _unit_length(pieces, node) or _by_root(pieces, node)
        if joined is not None:
            last, nodes, constants = joined
            graph.initializer.extend(constants)
            replaced[last.output[0]] = nodes
    if replaced:
        nodes = [made for node in graph.node for made in replaced.get(
            node.output[0] if node.output else "", [node])]
        del graph.node[:]
        graph.node.extend(nodes_read(nodes, pieces.outputs))


Joined = tuple[Any, list[Any], list[Any]]       # the last piece, nodes in its place, constants


def _axis(pieces: Pieces, node: Any) -> int | None:
    """The one axis that a reduction goes along and keeps, -1 for the last one."""
    from onnx import helper

    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axes = given.get("axes")
    if axes is None and len(node.input) > 1:
        axes = pieces.constants.get(node.input[1])
    if axes is None or len(axes) != 1 or not given.get("keepdims", 1):
        return None
    rank = len(pieces.shapes.get(node.input[0], []))
    axis = int(axes[0])
    return -1 if axis == rank - 1 else axis if axis < 0 or not rank else axis - rank


def _squares_of(pieces: Pieces, name: str) -> str | None:
    """What ``name`` is the square of."""
    node = pieces.maker(name, "Mul", "Pow")
    if node is None:
        return None
    is_square = (node.input[0] == node.input[1] if node.op_type == "Mul"
                 else pieces.number(node.input[1]) == 2)
    return node.input[0] if is_square else None


def _unit_length(pieces: Pieces, node: Any) -> Joined | None:
    """x / max(‖x‖, tiny), as torch.nn.functional.normalize has it."""
    from onnx import helper

    if node.op_type != "Div":
        return None
    x, length = node.input
    while (wider := pieces.maker(length, "Expand")) is not None:
        length = wider.input[0]
    bound = pieces.maker(length, "Clip", "Max")
    if bound is not None:
        least = pieces.number(bound.input[1]) if len(bound.input) > 1 else None
        if least is None or not 0 <= least <= TINY or len(bound.input) > 2 and bound.input[2]:
            return None
        length = bound.input[0]
    norm = pieces.maker(length, "ReduceL2")
    if norm is None or norm.input[0] != x or (axis := _axis(pieces, norm)) is None:
        return None
    if pieces.shapes.get(x) != pieces.shapes.get(node.output[0], pieces.shapes.get(x)):
        return None     # an Expand has made more of it
    return node, [helper.make_node("LpNormalization", [x], node.output, name=node.name, axis=axis,
                                   p=2)], []


def _by_root(pieces: Pieces, node: Any) -> Joined | None:
    """x / sqrt(mean(x²) + epsilon), and a gain behind it."""
    from onnx import helper, numpy_helper

    found = _root_and_operand(pieces, node)
    if found is None:
        return None
    x, root = found
    total = pieces.maker(root.input[0], "Add")
    if total is None:
        return None
    epsilon = next((n for name in total.input if (n := pieces.number(name)) is not None), None)
    mean = next((m for name in total.input
                 if (m := pieces.maker(name, "ReduceMean")) is not None), None)
    if epsilon is None or epsilon <= 0 or mean is None or (
            _squares_of(pieces, mean.input[0]) != x or (axis := _axis(pieces, mean)) is None):
        return None
    shape = pieces.shapes.get(x, [])
    if not shape or not shape[axis]:
        return None
    last, gain = _gain(pieces, node, len(shape), axis, shape[axis])
    name = f"{last.output[0]}:gain"
    rank, source, result = len(shape), x, last.output[0]
    turned: list[Any] = []
    if axis != -1:      # which the operator has last
        order = [i for i in range(rank) if i != rank + axis] + [rank + axis]
        source, result = f"{x}:for:{result}", f"{result}:turned"
        turned = [helper.make_node("Transpose", [x], [source], perm=order, name=source),
                  helper.make_node("Transpose", [result], [last.output[0]],
                                   perm=np.argsort(order).tolist(), name=result)]
    norm = helper.make_node("SimplifiedLayerNormalization", [source, name], [result], axis=-1,
                            epsilon=epsilon, stash_type=1, name=node.name)
    return last, [*turned[:1], norm, *turned[1:]], [
        numpy_helper.from_array(gain.astype(np.float32), name)]


def _root_and_operand(pieces: Pieces, node: Any) -> tuple[str, Any] | None:
    """Of x / root, or x · (1 / root): x, and the node of the root."""
    if node.op_type == "Div" and (root := pieces.maker(node.input[1], "Sqrt")) is not None:
        return node.input[0], root
    for x, other in (node.input, node.input[::-1]) if node.op_type == "Mul" else ():
        inverse = pieces.maker(other, "Div", "Reciprocal")
        if inverse is None or (inverse.op_type == "Div" and pieces.number(inverse.input[0]) != 1):
            continue
        if (root := pieces.maker(inverse.input[-1], "Sqrt")) is not None:
            return x, root
    return None


def _gain(pieces: Pieces, node: Any, rank: int, axis: int, size: int) -> tuple[Any, np.ndarray]:
    """The last piece, which multiplies by a constant along the axis if it is another one, and that
    constant, [size]."""
    result = node.output[0]
    reader = pieces.only_reader(result)
    if reader is not None and reader.op_type == "Mul":
        constant = pieces.constants.get(next(n for n in reader.input if n != result))
        if constant is not None and constant.ndim <= rank:
            wide = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
            if wide.size == wide.shape[axis] and wide.size in (1, size):
                return reader, np.broadcast_to(wide.reshape(-1), (size,))
    return node, np.ones(size)
