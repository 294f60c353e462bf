"""Removes channels that need not be computed: the same for every input, or used by nobody.

What a constant channel adds to a sum goes into the bias; every output stays the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kaniwa.compiler.plan.operands import paddings, quantization
from kaniwa.compiler.plan.plan import Plan
from kaniwa.compiler.rewrite.channel_ranges import Range, channel_ranges, channels, repeats
from kaniwa.compiler.rewrite.drop_channels import drop_channels, folded
from kaniwa.config import AcceleratorConfig
from kaniwa.golden.numbers.rounding import INT32_MAX, INT32_MIN
from kaniwa.graph import Graph, Op

__all__ = ["dead_channels", "needed_channels"]

Mask = np.ndarray      # of bool, one a channel
Masks = dict[int, Mask]


def dead_channels(plan: Plan) -> Plan:
    """Remove what no output depends on; shapes of the graph's inputs and outputs stay."""
    if plan.options.materialize or plan.options.keep_dead_channels:
        return plan
    ranges = channel_ranges(plan.graph)
    needed = needed_channels(plan.graph, ranges, plan.config)
    graph = drop_channels(plan.graph, needed, ranges)
    kept = {i: tuple(int(c) for c in np.flatnonzero(mask))
            for i, mask in needed.items() if not mask.all()}
    return replace(plan, graph=graph, channels=kept)


def needed_channels(graph: Graph, ranges: dict[int, Range],
                    config: AcceleratorConfig | None = None) -> Masks:
    """The channels of each computed tensor that stay: the fewest, at least one.

    Starts with what the outputs have, and adds what these need until nothing changes. With a
    ``config`` that has COLUMN mode, as many channels of depthwise layers stay as fill lanes.
    """
    need = {i: np.zeros(channels(graph.tensors[i]), bool)
            for i in (*graph.inputs, *(i for op in graph.ops for i in op.outputs))}
    for i in (*graph.inputs, *graph.outputs):
        if i in need:
            need[i][:] = True
    demand = _Demand(graph, ranges, need)
    demand.settle()
    for mask in need.values():
        mask[0] |= not mask.any()      # a tensor has a channel at least
    demand.settle()
    while config is not None and config.depthwise and _fill_lanes(graph, need, config):
        demand.settle()
    return need


def _fill_lanes(graph: Graph, need: Masks, config: AcceleratorConfig) -> bool:
    """Keep more channels where rows would not be whole lanes and reads; whether any was added.

    By columns a dead channel costs an eighth of a lane, tap by tap the others cost several times
    as much.
    """
    added = False
    for op in graph.ops:
        if op.kind not in ("DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D") or op.inputs[0] not in need:
            continue
        mask, width = need[op.inputs[0]], graph.tensors[op.inputs[0]].shape[-2]
        step = config.lane_bytes
        while width * step % config.read_bytes:
            step *= 2
        missing = -int(mask.sum()) % step
        if 0 < missing <= int((~mask).sum()):
            mask[np.flatnonzero(~mask)[:missing]] = True
            added = True
    return added


class _Demand:
    """Carries needs from operators' results to their inputs, and between tied tensors."""

    def __init__(self, graph: Graph, ranges: dict[int, Range], need: Masks) -> None:
        self.graph = graph
        self.ranges = ranges
        self.need = need

    def settle(self) -> None:
        """Apply every operator's rule until nothing is added."""
        rules: dict[str, Callable[[Op], None]] = {
            "CONV_2D": self._dense, "FULLY_CONNECTED": self._dense,
            "DEPTHWISE_CONV_2D": self._depthwise, "AVERAGE_POOL_2D": self._tied,
            "MAX_POOL_2D": self._tied, "RELU": self._tied, "RELU6": self._tied,
            "ADD": self._elementwise, "SUB": self._elementwise, "MUL": self._elementwise,
            "RESHAPE": self._reshape,
        }
        before = -1
        while before != (now := sum(int(mask.sum()) for mask in self.need.values())):
            before = now
            for op in reversed(self.graph.ops):
                rules.get(op.kind, self._all)(op)

    def _all(self, op: Op) -> None:
        """All channels of an operator whose channels have no simple relation."""
        for i in (*op.inputs, *op.outputs):
            if i in self.need:
                self.need[i][:] = True

    def _dense(self, op: Op) -> None:
        """Inputs with weights, unless they are constants that the bias can hold."""
        x, w, y = op.inputs[0], self.graph.tensors[op.inputs[1]], op.outputs[0]
        count = len(self.need[x]) if x in self.need else 0
        if w.data is None or not count or repeats(w.shape[-1], count) is None or (
                op.kind == "CONV_2D" and w.shape[-1] != count):
            self._all(op)
            return
        used = (w.data[self.need[y]] != 0).reshape(-1, count).any(axis=0)
        self.need[x] |= used & ~self._foldable(op)
        bias = folded(self.graph, op, self.need, self.ranges)
        if bias.size and (bias.min() < INT32_MIN or bias.max() > INT32_MAX):
            self.need[x] |= used

    def _foldable(self, op: Op) -> Mask:
        """Constants that add the same to every sum: a border sees fewer of them, except zeros."""
        x = self.ranges[op.inputs[0]]
        padded = op.kind == "CONV_2D" and paddings(op) != ((0, 0), (0, 0))
        zero_point = quantization(self.graph.tensors[op.inputs[0]]).zero_point
        return np.asarray(x.is_constant & ((x.low == zero_point) | (not padded)))

    def _depthwise(self, op: Op) -> None:
        x, y = op.inputs[0], op.outputs[0]
        if x not in self.need or self.graph.tensors[op.inputs[1]].data is None:
            self._all(op)
        elif len(self.need[x]) == 1:
            self.need[x][:] = True      # any number of outputs of one input
        else:
            groups = self.need[y].reshape(len(self.need[x]), -1)
            self.need[x] |= groups.any(axis=1)
            groups[:] = self.need[x][:, None]

    def _tied(self, op: Op) -> None:
        self._tie(op, op.inputs[0], op.outputs[0])

    def _tie(self, op: Op, *ids: int) -> None:
        """The same channels of all these tensors."""
        if any(i not in self.need or len(self.need[i]) != len(self.need[ids[0]]) for i in ids):
            self._all(op)
            return
        union = np.logical_or.reduce([self.need[i] for i in ids])
        for i in ids:
            self.need[i][:] = union

    def _elementwise(self, op: Op) -> None:
        count = len(self.need[op.outputs[0]])
        operands = [self.graph.tensors[i] for i in op.inputs]
        if any(channels(t) != count and (t.data is None or channels(t) != 1) for t in operands):
            self._all(op)
        else:
            self._tie(op, op.outputs[0], *(t.id for t in operands if t.data is None))

    def _reshape(self, op: Op) -> None:
        x, y = op.inputs[0], op.outputs[0]
        times = repeats(len(self.need[y]), len(self.need[x])) if x in self.need else None
        if times is None:
            self._all(op)
            return
        rows = self.need[y].reshape(times, -1)
        self.need[x] |= rows.any(axis=0)
        rows[:] = self.need[x]
