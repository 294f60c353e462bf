"""Convolutions between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, as dilated ones.

    x ─▶ SPACE_TO_BATCH_ND ─▶ [view] ─▶ convolution ─▶ [view] ─▶ BATCH_TO_SPACE_ND ─▶ y

So older converters write a dilated convolution: each image of the batch has every b-th row or
column. A view makes one axis of these two, for convolutions of one axis. In the model's own pixels

    dilation = b · that of the convolution        padding = P + b · that of the convolution - crop

with P pixels of padding before the blocks are cut. Both fill with the zero point.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from kaniwa.graph import Graph, Op, Tensor

__all__ = ["dilations_folded"]

KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D")
QUANTIZED = ("int8", "uint8", "int16")
ONE_MORE_AXIS = ("EXPAND_DIMS", "RESHAPE")
ONE_AXIS_LESS = ("SQUEEZE", "RESHAPE")
LARGEST = 4096      # extent of a kernel
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Chain:
    """The operators, in order; ``views`` are both there, or neither."""

    to_batch: Op
    views: tuple[Op, ...]
    conv: Op
    to_space: Op

    @property
    def ops(self) -> tuple[Op, ...]:
        return self.to_batch, *self.views, self.conv, self.to_space


def dilations_folded(graph: Graph) -> Graph:
    """``graph`` with a dilated convolution in place of each such chain, where that is exact."""
    made = {i: op for op in graph.ops for i in op.outputs}
    readers = {i: op for op in graph.ops for i in op.inputs}
    counts = Counter(i for op in graph.ops for i in op.inputs)
    counts.update((*graph.outputs, *(state.following for state in graph.state)))
    tensors, folded = list(graph.tensors), dict[Op, list[Op]]()
    for op in graph.ops:
        chain = _chain(op, made, readers) if op.kind in KINDS else None
        if chain is None or any(counts[one.outputs[0]] != 1 for one in chain.ops[:-1]):
            continue
        attributes = _attributes(graph, chain)
        if attributes is not None:
            folded.update({one: [] for one in chain.ops})
            folded[chain.to_space] = _dilated(graph, chain, attributes, tensors)
    if not folded:
        return graph
    ops = (one for op in graph.ops for one in folded.get(op, [op]))
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _chain(conv: Op, made: dict[int, Op], readers: dict[int, Op]) -> _Chain | None:
    before, after = made.get(conv.inputs[0]), readers.get(conv.outputs[0])
    if before is None or after is None:
        return None
    views: tuple[Op, ...] = ()
    if before.kind in ONE_MORE_AXIS and after.kind in ONE_AXIS_LESS:
        views = before, after
        before, after = made.get(before.inputs[0]), readers.get(after.outputs[0])
    if before is None or after is None or (before.kind, after.kind) != (
            "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        return None
    return _Chain(before, views, conv, after)


def _attributes(graph: Graph, chain: _Chain) -> dict[str, object] | None:
    """Attributes of the dilated convolution; None where there is none that gives the same."""
    steps: Any = dict(chain.conv.attributes)
    source, x, y, result = (graph.tensors[i] for i in (
        chain.to_batch.inputs[0], chain.conv.inputs[0], chain.conv.outputs[0],
        chain.to_space.outputs[0]))
    blocks, crops = _along_both(chain, "block", 1), _along_both(chain, "crops", (0, 0))
    padded = _along_both(chain, "paddings", (0, 0))
    if (chain.to_batch.attributes["block"] != chain.to_space.attributes["block"]
            or x.dtype not in QUANTIZED or steps["stride"] != (1, 1)
            or source.quantization != x.quantization or y.quantization != result.quantization
            or chain.views and not _one_axis(graph, chain)):
        return None
    dilation = tuple(b * d for b, d in zip(blocks, steps["dilation"], strict=True))
    padding = tuple(
        (pads[0] + b * own[0] - crop[0], pads[1] + b * own[1] - crop[1])
        for pads, b, own, crop in zip(padded, blocks, steps["padding"], crops, strict=True))
    kernel = graph.tensors[chain.conv.inputs[1]].shape[1:3]
    extents = [(length - 1) * d + 1 for length, d in zip(kernel, dilation, strict=True)]
    if any(min(pads) < 0 or max(pads) >= extent or extent > LARGEST
           for pads, extent in zip(padding, extents, strict=True)):
        return None
    return {**steps, "dilation": dilation, "padding": padding}


def _along_both(chain: _Chain, name: str, other: Any) -> tuple[Any, Any]:
    """An attribute for rows and columns; with views the columns are what is cut into blocks."""
    op = chain.to_space if name == "crops" else chain.to_batch
    values: Any = op.attributes[name]
    return (values[0], values[1]) if len(values) == 2 else (other, values[0])


def _one_axis(graph: Graph, chain: _Chain) -> bool:
    """True where the views add and remove an axis of one element, of rows."""
    small = [graph.tensors[i].shape for i in (chain.views[0].inputs[0], chain.views[1].outputs[0])]
    large = [graph.tensors[i].shape for i in (chain.conv.inputs[0], chain.conv.outputs[0])]
    return all(len(three) == 3 and four == (three[0], 1, *three[1:])
               for three, four in zip(small, large, strict=True))


def _dilated(graph: Graph, chain: _Chain, attributes: dict[str, object],
             tensors: list[Tensor]) -> list[Op]:
    """The convolution, between views where the chain has them; new tensors come to ``tensors``."""
    source, result = chain.to_batch.inputs[0], chain.to_space.outputs[0]
    if not chain.views:
        return [replace(chain.conv, inputs=(source, *chain.conv.inputs[1:]), outputs=(result,),
                        attributes=attributes)]
    ends = []
    for end, like in ((source, chain.conv.inputs[0]), (result, chain.conv.outputs[0])):
        batch, *rest = graph.tensors[end].shape
        ends.append(replace(graph.tensors[like], id=len(tensors), shape=(batch, 1, *rest),
                            source_index=None))
        tensors.append(ends[-1])
    x, y = (tensor.id for tensor in ends)
    first, last = chain.views
    return [replace(first, kind="RESHAPE", inputs=(source,), outputs=(x,), rule="exact",
                    attributes={"shape": ends[0].shape}),
            replace(chain.conv, inputs=(x, *chain.conv.inputs[1:]), outputs=(y,),
                    attributes=attributes),
            replace(last, kind="RESHAPE", inputs=(y,), outputs=(result,), rule="exact",
                    attributes={"shape": graph.tensors[result].shape})]
