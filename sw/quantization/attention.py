"""What exporters put around the softmax of an attention, in a form that 8 bits hold.

PyTorch makes zeros of rows that are no numbers, ``Where(IsNaN(y), 0, y)``; behind a quantisation
there are none. Scores of tokens that are not to be seen get minus infinity, the least float32 or
-100 added, which would leave a step of the sums for nearly all others. So they get what the
samples show to be enough: the sum's quantisation limits it to a number below all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from kaniwa.quantization.pieces import Pieces, names_read, nodes_read

__all__ = ["drop_guards", "hide"]

HIDDEN = -60.0      # from here down a constant hides what it is added to: exp(-60) is nothing
SURELY_HIDDEN = -1000.0     # no score is so far down, whatever computes the addend
LEAST = -1e4        # an addend that hides every score
Sample = Mapping[str, np.ndarray]
MASKS = ("Where", "Mul", "Add", "Sub", "Expand", "Cast", "Concat", "Slice", "Max", "Min")
VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Identity")


def drop_guards(graph: Any) -> None:
    """Leave out ``Where(IsNaN(y), constant, y)`` in an ONNX ``graph``: y takes its place."""
    pieces = Pieces.of(graph)
    same: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Where" and node.output[0] not in pieces.outputs:
            test, _, value = node.input
            guard = pieces.maker(test, "IsNaN")
            if guard is not None and guard.input[0] == value:
                same[node.output[0]] = same.get(value, value)
    if same:
        for node in graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = same.get(name, name)
        nodes = nodes_read(graph.node, pieces.outputs)
        del graph.node[:]
        graph.node.extend(nodes)


def hide(model: Any, samples: Iterable[Sample]) -> dict[str, list[dict[str, Any]]]:
    """Give hidden scores of a float ONNX ``model`` an addend that is enough.

    Returns ranges of sums and of addends that are computed, as ``TensorQuantOverrides`` of ONNX
    Runtime's quantiser has them. The least value of a sum hides a score, so that all hidden ones of
    a row together are less than half of 1/256.
    """
    from onnx import numpy_helper

    pieces = Pieces.of(model.graph)
    sums = _sums(model.graph, pieces)
    if not sums:
        return {}
    seen = _Seen(model, sums, pieces, samples)
    overrides: dict[str, list[dict[str, Any]]] = {}
    replaced = set()
    for node in sums:
        place = seen.hiding(node)
        if place is None:
            continue
        (low, high), addend = seen.range(node, place), node.input[place]
        below = math.log(512 * seen.columns[node.output[0]])
        hidden = -2 * (high - low + below)
        overrides[node.output[0]] = _range(low - below, high)
        if addend in pieces.constants:
            constant = pieces.constants[addend]
            own = numpy_helper.from_array(
                np.where(constant <= HIDDEN, hidden, constant).astype(np.float32),
                f"{node.output[0]}:hidden")
            model.graph.initializer.append(own)
            replaced.add(addend)
            node.input[place] = own.name
        else:
            overrides.update((name, _range(hidden, seen.most(addend)))
                             for name in _views_of(pieces, addend))
            replaced |= _limit(model.graph, pieces, addend)
    _drop_unread(model.graph, replaced)
    return overrides


def _range(low: float, high: float) -> list[dict[str, Any]]:
    return [{"rmin": np.float32(low), "rmax": np.float32(high)}]


def _limit(graph: Any, pieces: Pieces, addend: str) -> set[str]:
    """Put LEAST in the place of all that is less in the constants that make an addend; their names.

    A histogram from the least float32 on has no room for anything else.
    """
    from onnx import numpy_helper

    replaced, waiting = set[str](), [addend]
    while waiting:
        node = pieces.maker(waiting.pop(), *VIEWS, *MASKS)
        if node is None:
            continue
        for place, name in enumerate(node.input):
            constant = pieces.constants.get(name)
            if constant is None:
                waiting.append(name)
            elif constant.dtype == np.float32 and constant.size and constant.min() < LEAST:
                own = numpy_helper.from_array(np.maximum(constant, np.float32(LEAST)),
                                              f"{node.output[0]}:least{place}")
                graph.initializer.append(own)
                replaced.add(name)
                node.input[place] = own.name
    return replaced


def _drop_unread(graph: Any, names: set[str]) -> None:
    """Drop those of the constants that nothing reads."""
    unread = names.difference(*(names_read(node) for node in graph.node))
    kept = [tensor for tensor in graph.initializer if tensor.name not in unread]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _of_softmax(pieces: Pieces, node: Any) -> bool:
    """True where a softmax alone reads what a node gives, in whatever shape."""
    reader = pieces.only_reader(node.output[0])
    while reader is not None and reader.op_type in VIEWS:
        reader = pieces.only_reader(reader.output[0])
    return reader is not None and reader.op_type == "Softmax"


def _views_of(pieces: Pieces, name: str) -> Iterator[str]:
    """The value, and those of which it is another view."""
    yield name
    while (node := pieces.maker(name, *VIEWS, "Expand")) is not None:
        name = node.input[0]
        yield name


def _sums(graph: Any, pieces: Pieces) -> list[Any]:
    """The nodes of sums that a softmax is made of. ``Where`` of scores and a number that hides
    them becomes one."""
    nodes: list[Any] = []
    found = set()
    for node in graph.node:
        if node.op_type in ("Add", "Where") and _of_softmax(pieces, node):
            if node.op_type == "Where":
                nodes += _as_sum(graph, pieces, node)
            if node.op_type == "Add":
                found.add(node.output[0])
        nodes.append(node)
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
    return [node for node in graph.node if node.output and node.output[0] in found]


def _as_sum(graph: Any, pieces: Pieces, node: Any) -> list[Any]:
    """Make a sum of a Where that puts a hiding number in the place of scores; the nodes that its
    addend needs before it."""
    from onnx import helper, numpy_helper

    condition, *values = node.input
    place = next((i for i, name in enumerate(values)
                  if (number := pieces.number(name)) is not None and number <= HIDDEN), None)
    if place is None or values[1 - place] in pieces.constants:
        return []
    addend, choice = _addend(node), [np.float32(0), np.float32(0)]
    choice[place] = np.float32(LEAST)
    before, constants = [], {}
    if condition in pieces.constants:
        constants[addend] = np.where(pieces.constants[condition], *choice)
    else:
        constants.update((f"{addend}:{i}", np.array(value)) for i, value in enumerate(choice))
        before.append(helper.make_node("Where", [condition, *constants], [addend], name=addend))
    pieces.constants.update(constants)
    graph.initializer.extend(numpy_helper.from_array(value, name)
                             for name, value in constants.items())
    node.CopyFrom(helper.make_node("Add", [values[1 - place], addend], node.output,
                                   name=node.name))
    return before


def _addend(node: Any) -> str:
    """The name of the addend that takes the place of a Where."""
    return f"{node.output[0]}:addend"


class _Seen:
    """What samples show of sums, by the name of a sum and the place of an operand."""

    def __init__(self, model: Any, sums: list[Any], pieces: Pieces,
                 samples: Iterable[Sample]) -> None:
        import onnx
        import onnxruntime

        self._ranges: dict[tuple[str, int], tuple[float, float]] = {}
        self._most: dict[str, float] = {}
        self._hiding: set[tuple[str, int]] = set()
        self.columns: dict[str, int] = {}
        whole = onnx.ModelProto()
        whole.CopyFrom(model)
        known = {value.name for value in (*model.graph.output, *model.graph.input)}
        names = sorted({name for node in sums for name in (*node.input, *node.output)}
                       - {*pieces.constants, *(value.name for value in model.graph.input)})
        whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names
                                  if name not in known)
        options = onnxruntime.SessionOptions()      # of a model that is optimised already
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(whole.SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
        for sample in samples:
            values = dict(sample) | dict(zip(names, session.run(names, dict(sample)), strict=True))
            for node in sums:
                for place, name in enumerate(node.input):
                    is_constant = name in pieces.constants
                    self._take(node, place, pieces.constants[name] if is_constant else values[name],
                               values[node.output[0]], HIDDEN if is_constant else SURELY_HIDDEN)

    def _take(self, node: Any, place: int, addend: np.ndarray, total: np.ndarray,
              limit: float) -> None:
        key, hidden = (node.output[0], place), addend <= limit
        self.columns[node.output[0]] = total.shape[-1] if total.ndim else 1
        if hidden.any():
            self._hiding.add(key)
        seen = total[~np.broadcast_to(hidden, total.shape)]
        if seen.size:
            low, high = self._ranges.get(key, (math.inf, -math.inf))
            self._ranges[key] = min(low, float(seen.min())), max(high, float(seen.max()))
        name = node.input[place]
        self._most[name] = max(self._most.get(name, 0.0), float(addend.max(initial=0)))

    def hiding(self, node: Any) -> int | None:
        """The place of the operand that hides another one; of a sum that was a Where it does,
        whether or not samples show it."""
        return next((i for i, name in enumerate(node.input) if (node.output[0], i) in self._hiding
                     or name == _addend(node)), None)

    def range(self, node: Any, place: int) -> tuple[float, float]:
        """The least and the largest result that the operand at ``place`` does not hide."""
        return self._ranges.get((node.output[0], place), (0.0, 0.0))

    def most(self, name: str) -> float:
        """The largest value of an addend."""
        return self._most[name]
