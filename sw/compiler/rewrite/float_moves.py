"""What moves or picks values of float32 between a DEQUANTIZE and a QUANTIZE, on bytes.

    x ─▶ DEQUANTIZE ─▶ move ─▶ y           x ─▶ move ─▶ DEQUANTIZE ─▶ y
    a, b ─▶ pick ─▶ QUANTIZE ─▶ y          a, b ─▶ QUANTIZE each ─▶ pick ─▶ y

Quantisers leave operators in float32 that they do not know, even such as compute nothing. Both
directions are exact: DEQUANTIZE and QUANTIZE take each value alone and keep their order, and
DEQUANTIZE gives the zero point for 0. What is left between the two is a function of 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kaniwa.compiler.plan.operands import is_bytes
from kaniwa.compiler.rewrite.unread import without_unread
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["moves_on_bytes"]

# Of one operand; padding is with 0.
MOVES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "TRANSPOSE", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH",
         "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V",
         "UNPACK", "GATHER", "TILE", "BROADCAST_TO", "REVERSE_V2", "PAD", "MIRROR_PAD",
         "RESIZE_NEAREST_NEIGHBOR", "MAX_POOL_2D", "REDUCE_MAX", "REDUCE_MIN")
PADS = ("PAD", "SPACE_TO_BATCH_ND")
ORDERS = ("ARG_MAX", "ARG_MIN")                 # whose result is no value of the operand
PICKS = ("MINIMUM", "MAXIMUM", "CONCATENATION", "PACK")     # of several operands


def moves_on_bytes(graph: Graph) -> Graph:
    """``graph`` with such operators on bytes, where what they give is quantised again; operators
    that nothing reads then are left out."""
    while any(op.kind == "DEQUANTIZE" for op in graph.ops):
        found = _Rewriting(graph).graph()
        if found is graph:
            break
        graph = found
    return graph


class _Rewriting:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors = list(graph.tensors)
        self._kept = {*graph.outputs, *(state.following for state in graph.state)}
        self._dequantized = {i for op in graph.ops if op.kind == "DEQUANTIZE" for i in op.outputs}
        self._readers: dict[int, list[Op]] = {}
        for op in graph.ops:
            for i in op.inputs:
                self._readers.setdefault(i, []).append(op)
        # The operator that writes a tensor, as it is rewritten.
        self._made: dict[int, Op] = {}

    def graph(self) -> Graph:
        ops = list[Op]()
        picked = {reader: op for op in self._graph.ops if (reader := self._quantized(op))}
        for op in self._graph.ops:
            for made in self._on_bytes(op, picked):
                ops.append(made)
                self._made.update(dict.fromkeys(made.outputs, made))
        if ops == list(self._graph.ops):
            return self._graph
        return replace(self._graph, tensors=tuple(self._tensors),
                       ops=without_unread(self._graph, ops))

    def _on_bytes(self, op: Op, picked: dict[Op, Op]) -> Sequence[Op]:
        if op in picked:
            return self._picked(picked[op], op)
        operands = self._operands(op)
        x = self._bytes_of(operands[0]) if len(operands) == 1 else None
        if x is None or self._activated(op):
            return (op,)
        inputs = tuple(x.id if i == operands[0] else i for i in op.inputs)
        if op.kind in ORDERS:
            return (replace(op, inputs=inputs),)
        if op.kind not in MOVES or not all(self._leads_to_bytes(i) for i in op.outputs):
            return (op,)
        outputs = tuple(self._new(self._tensors[i], x) for i in op.outputs)
        back = self._made[operands[0]]
        return (replace(op, inputs=inputs, outputs=outputs),
                *(replace(back, inputs=(own,), outputs=(i,))
                  for own, i in zip(outputs, op.outputs, strict=True)))

    def _picked(self, op: Op, behind: Op) -> Sequence[Op]:
        """A QUANTIZE ``behind`` the float operator ``op`` as one of each of its operands."""
        y = self._tensors[behind.outputs[0]]
        own = {i: self._new(self._tensors[i], y) for i in self._operands(op)}
        return (*(replace(behind, inputs=(i,), outputs=(new,)) for i, new in own.items()),
                replace(op, inputs=tuple(own.get(i, i) for i in op.inputs),
                        outputs=behind.outputs))

    def _operands(self, op: Op) -> list[int]:
        """What is computed of what it reads."""
        return [i for i in op.inputs if i != -1 and self._tensors[i].data is None]

    def _quantized(self, op: Op) -> Op | None:
        """The QUANTIZE to 8 bits that alone reads ``op``, whose operands are computed in float32;
        of one operand they are no bytes already."""
        if op.kind not in (*PICKS, *MOVES) or self._activated(op) or len(op.outputs) > 1:
            return None
        operands = self._operands(op)
        if op.outputs[0] in self._kept or any(
                self._tensors[i].dtype != "float32" for i in operands):
            return None
        if (len(operands) < len(op.inputs) if op.kind in PICKS
                else len(operands) != 1 or operands[0] in self._dequantized):
            return None
        readers = self._readers.get(op.outputs[0], [])
        if len(readers) != 1 or readers[0].kind != "QUANTIZE":
            return None
        (behind,) = readers
        y = self._tensors[behind.outputs[0]]
        return behind if is_bytes(y) and (op.kind not in PADS or _has_zero(behind, y)) else None

    def _bytes_of(self, i: int) -> Tensor | None:
        """The bytes that the tensor ``i`` has the values of."""
        made = self._made.get(i)
        if made is None or made.kind != "DEQUANTIZE":
            return None
        x = self._tensors[made.inputs[0]]
        return x if is_bytes(x) else None

    def _leads_to_bytes(self, i: int) -> bool:
        """True where the value is quantised again, behind operators of float32."""
        seen, waiting = set[int](), [i]
        while waiting:
            now = waiting.pop()
            if now in seen or now in self._kept:
                continue
            seen.add(now)
            for reader in self._readers.get(now, ()):
                if reader.kind == "QUANTIZE":
                    return True
                waiting += [out for out in reader.outputs
                            if self._tensors[out].dtype == "float32"]
        return i not in self._kept and not self._readers.get(i)

    @staticmethod
    def _activated(op: Op) -> bool:
        return op.attributes.get("activation", "NONE") != "NONE"

    def _new(self, of: Tensor, like: Tensor) -> int:
        """The number of a tensor of the shape of one and the bytes of another."""
        made = replace(of, id=len(self._tensors), name=f"{of.name}:bytes", dtype=like.dtype,
                       quantization=like.quantization, source_index=None)
        self._tensors.append(made)
        return made.id


def _has_zero(op: Op, y: Tensor) -> bool:
    """True where the number 0 is the zero point behind a QUANTIZE, within its bounds."""
    bounds = op.attributes.get("bounds")
    assert y.quantization is not None
    return not isinstance(bounds, tuple) or bounds[0] <= y.quantization.zero_point <= bounds[1]
