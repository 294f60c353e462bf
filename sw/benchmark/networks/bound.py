"""The least cycles of a network on a target, by its multipliers, lanes and ports."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from kaniwa.config import AcceleratorConfig
from kaniwa.graph import DTYPE_BYTES, Graph, Op, Tensor
from kaniwa.isa.counters import RunStatistics, TagCounters
from kaniwa.program.layer_facts import layer_facts
from kaniwa.program.program import LayerInfo, Program
from kaniwa.units import register

__all__ = ["LayerBound", "bounds"]


@dataclass(frozen=True)
class LayerBound:
    """A layer of the network: operators that the compiler has computed together.

    ``bound``: the cycles that no order of work avoids, the largest of products over multipliers,
    results over requantizer lanes, and bytes over those of the read or the write port; ``by``
    names which: products, results, reads or writes. ``cycles`` are what it took: ``issued`` with
    a step of the array, and ``lost`` by cause. ``issued`` is 0 where a unit beside the array does
    a part, and ``kernel`` is "" without a window.
    """

    op: str
    kernel: str
    shape: tuple[int, ...]
    macs: int
    bound: Fraction
    by: str
    cycles: int
    issued: int
    lost: dict[str, int]


def bounds(program: Program, statistics: RunStatistics) -> list[LayerBound]:
    """The layers of a program that was compiled in this process.

    An operator that became several layers, and operators that became one, count once: reads are
    the tensors and weights that come from outside of them, results and writes what others read.
    """
    graph = program.graph
    assert graph is not None
    counters = {tag.tag: tag for tag in statistics.per_tag(
        list(dict.fromkeys(layer.tag for layer in program.layers)))}
    ops = {op.source_index: op for op in graph.ops if op.source_index is not None}
    units = {unit.command.opcode for unit in register.UNITS}
    by_unit = [values["opcode"] in units for values in program.instructions]
    rows = []
    for layers in _groups(program.layers):
        sources = {index for layer in layers for index in layer.source}
        own = [counters.pop(layer.tag, TagCounters(layer.tag, 0, 0, {})) for layer in layers]
        lost: Counter[str] = Counter()
        for each in own:
            lost.update(each.lost)
        members = [ops[index] for index in sorted(sources) if index in ops]
        given = _results(graph, members)
        macs = sum(layer.macs for layer in layers)
        beside = any(by_unit[i] for layer in layers for i in layer.instructions)
        by, bound = _largest(program.config, macs, given, _read(graph, members))
        rows.append(LayerBound(
            "+".join(dict.fromkeys(op.kind for op in members)),
            layer_facts(program, layers[0])["kernel"], given[-1].shape if given else (), macs,
            bound, by, sum(each.cycles for each in own),
            0 if beside else sum(each.issued for each in own), dict(lost)))
    return rows


def _largest(config: AcceleratorConfig, macs: int, given: list[Tensor],
             read: int) -> tuple[str, Fraction]:
    written = sum(map(_bytes, given))
    ports = [(read, config.read_bytes), (written, config.write_bytes)]
    if config.shared_channel:
        ports = [(read + written, config.read_bytes)] * 2
    candidates = {
        "products": Fraction(macs, config.multipliers),
        "results": sum(math.prod(tensor.shape) for tensor in given) / config.requant_rate,
        "reads": Fraction(*ports[0]), "writes": Fraction(*ports[1])}
    return max(candidates.items(), key=lambda item: item[1])


def _groups(layers: Iterable[LayerInfo]) -> list[list[LayerInfo]]:
    """Layers that share an operator of the model, together, in the order of the first."""
    groups: list[tuple[set[int], list[LayerInfo]]] = []
    for layer in layers:
        joined = [group for group in groups if group[0].intersection(layer.source)]
        first = joined[0] if joined else (set[int](), [])
        if not joined:
            groups.append(first)
        for other in joined[1:]:
            groups = [group for group in groups if group is not other]
            first[0].update(other[0])
            first[1].extend(other[1])
        first[0].update(layer.source)
        first[1].append(layer)
    return [members for _, members in groups]


def _results(graph: Graph, members: list[Op]) -> list[Tensor]:
    """The tensors that operators outside of ``members`` read, or that the model gives."""
    inside = {id(op) for op in members}
    read = {i for op in graph.ops if id(op) not in inside for i in op.inputs} | {*graph.outputs}
    return [graph.tensors[i] for op in members for i in op.outputs if i in read]


def _read(graph: Graph, members: list[Op]) -> int:
    """Bytes of the tensors and constants that come from outside of ``members``."""
    made = {i for op in members for i in op.outputs}
    given = {i for op in members for i in op.inputs if i >= 0 and i not in made}
    return sum(_bytes(graph.tensors[i]) for i in given)


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * DTYPE_BYTES[tensor.dtype]
