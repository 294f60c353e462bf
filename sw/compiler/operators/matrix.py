"""Products of matrices on the accelerator: with constant weights, and of two activations."""

from __future__ import annotations

from math import prod
from typing import Any

from kaniwa.compiler.array.exchanges import swapped
from kaniwa.compiler.operators.limits import (
    WEIGHTED,
    int8_activations,
    int16_of_one_scale,
    known_rule,
    rule_of_int16,
    some_elements,
    weighted_int16,
)
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import moved
from kaniwa.compiler.rewrite.rewriter import NO_PADDING, Rewriter
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def plain_weights(graph: Graph, op: Op) -> str | None:
    """Fully connected weights are a matrix in the default format."""
    plain = op.attributes.get("weights_format", 0) == 0
    plain = plain and len(graph.tensors[op.inputs[1]].shape) == 2
    return None if plain else "its weights are shuffled; store them as a matrix"


def scales_of_products(graph: Graph, op: Op) -> str | None:
    """The product of its operands' scales is less than a quarter of its result's."""
    return None      # ``lower`` rescales by it


def _fully_connected(rewriter: Rewriter, op: Op) -> None:
    weights = rewriter.tensors[op.inputs[1]]
    outputs, depth = weights.shape
    rows = prod(rewriter.tensors[op.inputs[0]].shape) // depth
    x = rewriter.reshaped(op, op.inputs[0], (1, 1, rows, depth))
    w = rewriter.reshaped(op, op.inputs[1], (outputs, 1, 1, depth))
    y = rewriter.tensors[op.outputs[0]]
    wide = y.id if y.shape == (1, 1, rows, outputs) else rewriter.tensor(
        f"{y.name}:pixels", (1, 1, rows, outputs), y)
    rewriter.emit(op, "CONV_2D", (x, w, *op.inputs[2:]),
                  {**op.attributes, "stride": (1, 1), "dilation": (1, 1), "padding": NO_PADDING,
               "taps": depth}, wide)
    rewriter.renamed(op, wide, y)


def _matmul(rewriter: Rewriter, op: Op) -> None:
    """The left operand has its sums' terms as neighbors; the right one is ``turned`` if not."""
    left, right = op.inputs
    if op.attributes.get("adj_x"):
        left = _exchanged(rewriter, op, left)
    source = None if op.attributes.get("adj_y") else _before_exchange(rewriter, op, right)
    left, right, result = _of_one_batch(rewriter, op, left, right if source is None else source)
    attributes = {**op.attributes, "taps": rewriter.tensors[left].shape[-1],
                  "turned": source is None and not op.attributes.get("adj_y")}
    if rewriter.tensors[left].dtype != "int16":
        rewriter.emit(op, op.kind, (left, right), attributes, result)
    else:
        parts = (*rewriter.bytes_of(op, left), *rewriter.bytes_of(op, right))
        rewriter.emit(op, op.kind, parts, {**attributes, "operands": (left, right)}, result)
    rewriter.renamed(op, result, rewriter.tensors[op.outputs[0]])


def _of_one_batch(rewriter: Rewriter, op: Op, left: int, right: int) -> tuple[int, int, int]:
    """Operands that have as many matrices, and the tensor of their product.

    Many left matrices with a single right one are one left matrix of all rows. Else what there is
    less of is repeated.
    """
    a, b, y = (rewriter.tensors[i] for i in (left, right, op.outputs[0]))
    batch = y.shape[:-2]
    if a.shape[:-2] == b.shape[:-2]:
        return left, right, y.id
    if prod(b.shape[:-2]) == 1 and prod(a.shape[:-2]) == prod(batch):
        rows = prod(y.shape[:-1])
        return (rewriter.reshaped(op, left, (1, rows, a.shape[-1])),
                rewriter.reshaped(op, right, (1, *b.shape[-2:])),
                rewriter.tensor(f"{y.name}:rows", (1, rows, y.shape[-1]), y))
    left, right = (
        rewriter.reshaped(op, rewriter.repeat(op, x, (*batch, *x.shape[-2:])),
                          (*batch, *x.shape[-2:])) if x.shape[:-2] != batch else x.id
        for x in (a, b))
    return left, right, y.id


def _before_exchange(rewriter: Rewriter, op: Op, tensor_id: int) -> int | None:
    """``tensor_id`` with its last two axes exchanged, where a TRANSPOSE that makes it gives
    that as well."""
    tensor = rewriter.tensors[tensor_id]
    made = next((other for other in rewriter.graph.ops if tensor_id in other.outputs), None)
    if made is not None and made.kind == "RESHAPE" and (
            rewriter.tensors[made.inputs[0]].shape[-2:] == tensor.shape[-2:]):
        before = _before_exchange(rewriter, op, made.inputs[0])
        return None if before is None else rewriter.reshaped(
            made, before, (*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2]))
    if made is None or made.kind != "TRANSPOSE":
        return None
    x = rewriter.tensors[made.inputs[0]]
    permutation: Any = made.attributes["permutation"]
    exchanged = (*permutation[:-2], permutation[-1], permutation[-2])
    view, now = swapped(x.shape, exchanged), swapped(x.shape, permutation)
    if view is None or (now is not None and now[3] >= view[3]):
        return None
    *outer, rows, columns = tensor.shape
    result = rewriter.tensor(f"{tensor.name}:exchanged", (*outer, columns, rows), tensor)
    moved(rewriter, made, made.inputs[0], view, result)
    return result


def _exchanged(rewriter: Rewriter, op: Op, tensor_id: int) -> int:
    tensor = rewriter.tensors[tensor_id]
    *outer, rows, columns = tensor.shape
    made = rewriter.tensor(f"{tensor.name}:exchanged", (*outer, columns, rows), tensor)
    moved(rewriter, op, tensor_id, (prod(outer), rows, columns, 1), made)
    return made


_RULES = ("litert_double_rounding", "qdq")      # of BATCH_MATMUL

OPERATORS = (
    DeviceOperator("FULLY_CONNECTED", (*WEIGHTED, plain_weights), _fully_connected,
                   (*weighted_int16("litert_float_half_away"), plain_weights)),
    DeviceOperator("BATCH_MATMUL", (
        int8_activations, some_elements, known_rule(*_RULES)), _matmul,
        (int16_of_one_scale, some_elements, rule_of_int16("litert_int16"), scales_of_products),
        rules=_RULES),
)
