"""Functions of one operand as tables, filled by the reference kernels: of int8 with all results, of
int16 with entries to interpolate between."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from kaniwa.compiler.array.elementwise import has_one_value
from kaniwa.compiler.plan.lookup import EVERY
from kaniwa.compiler.plan.operands import quantization
from kaniwa.errors import ModelError
from kaniwa.golden import run_op
from kaniwa.golden.numbers.roots import rsqrt_table_int16
from kaniwa.golden.tflite.functions import table
from kaniwa.golden.tflite.movement import rescaled_uint8
from kaniwa.graph import Graph, Op, Tensor

__all__ = ["argument", "for_all_values", "function_table", "interpolated_table", "pair_table",
           "why_no_table"]


def argument(graph: Graph, op: Op) -> int:
    """The position of the operand whose function ``op`` is."""
    return next((position for position, i in enumerate(op.inputs)
                 if graph.tensors[i].data is None), 0)


def why_no_table(graph: Graph, op: Op) -> str | None:
    """None if ``op`` is a function of one operand's value alone, else why it is not."""
    position = argument(graph, op)
    x, y = graph.tensors[op.inputs[position]], graph.tensors[op.outputs[0]]
    for i in (i for place, i in enumerate(op.inputs) if place != position):
        tensor = graph.tensors[i]
        if not has_one_value(tensor):
            return (f"'{tensor.name}' is not one constant value; only a function of one operand "
                    f"becomes a table")
    if prod(x.shape) != prod(y.shape):
        return (f"'{x.name}' is broadcast from {list(x.shape)} to {list(y.shape)}; only constants "
                f"may be")
    try:
        function_table(graph, op, op.kind)
    except ModelError:
        way_out = ("quantize the input with zero point -128" if op.kind in ("SQRT", "RSQRT")
                   else "change the constant")
        return f"it is not defined for every value of '{x.name}'; {way_out}"
    return None


def function_table(graph: Graph, op: Op, kind: str) -> npt.NDArray[np.int8]:
    """The result of operator ``kind`` for each value of its argument; index = value + 128.

    Raises ModelError where the reference has no result for some value.
    """
    position = argument(graph, op)
    if kind == "CONCATENATION":
        return _joined_table(graph.tensors[op.inputs[position]], graph.tensors[op.outputs[0]])
    return for_all_values(graph, [replace(op, kind=kind)], [op.inputs[position]], EVERY).astype(
        np.int8)


def for_all_values(graph: Graph, ops: Sequence[Op], sources: Collection[int],
                   every: np.ndarray) -> np.ndarray:
    """What the last of ``ops``, one behind the other, gives for ``every`` value of the tensors
    ``sources``, which have the same ones. All others that they read are their own, or constants: of
    one value, or of as many as ``every`` has columns.

    Raises ModelError where the reference has no result for some value.
    """
    varied = {*sources, *(i for op in ops for i in op.outputs)}
    whole = replace(graph, tensors=tuple(
        replace(t, shape=every.shape) if t.id in varied else t for t in graph.tensors))
    values: dict[int, np.ndarray | None] = {-1: None, **dict.fromkeys(sources, every)}
    for op in ops:
        for i in op.inputs:
            if i not in values:
                constant = graph.tensors[i]
                values[i] = None if constant.data is None else constant.data.reshape(-1)[
                    :1 if has_one_value(constant) else None]
        values.update(zip(op.outputs, run_op(whole, op, [values[i] for i in op.inputs]),
                          strict=True))
    result = values[ops[-1].outputs[0]]
    assert result is not None
    return result


def pair_table(graph: Graph, op: Op) -> npt.NDArray[np.int8]:
    """The results [256, 256] of ``op`` for all values of its first and of its second operand.

    Raises ModelError where the reference has no result for some pair.
    """
    shapes = dict(zip((*op.inputs, op.outputs[0]), ((256, 1), (1, 256), (256, 256)), strict=True))
    tensors = tuple(replace(t, shape=shapes.get(t.id, t.shape)) for t in graph.tensors)
    (result,) = run_op(replace(graph, tensors=tensors), op, (EVERY[:, None], EVERY[None]))
    return result.astype(np.int8)


def _joined_table(x: Tensor, y: Tensor) -> npt.NDArray[np.int8]:
    """An operand of uint8, which is int8 here, in the steps of the result."""
    before, behind = (replace(q, zero_points=tuple(z + 128 for z in q.zero_points))
                      for q in (quantization(x), quantization(y)))
    result = rescaled_uint8(np.arange(256).astype(np.uint8), before, behind)
    return (result ^ np.uint8(128)).view(np.int8)


def interpolated_table(graph: Graph, op: Op, kind: str) -> npt.NDArray[np.int64]:
    """The 513 entries between which operator ``kind`` of int16 interpolates.

    Raises ModelError where the reference has none for some value.
    """
    x, y = (quantization(graph.tensors[i]) for i in (op.inputs[0], op.outputs[0]))
    if kind == "RSQRT":      # which has no negative values, see ``wide_limits``
        return rsqrt_table_int16(scales=(x.scale, y.scale), zero_points=(
            x.zero_point, y.zero_point)).astype(np.int64)
    try:
        return table(kind, op.attributes, "int16", (x.scale, y.scale),
                     (x.zero_point, y.zero_point)).astype(np.int64)
    except OverflowError as error:
        raise ModelError(str(error)) from None
