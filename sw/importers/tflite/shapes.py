"""Shapes that the caller fixes, those that follow from them, and integers made of shapes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op, Tensor
from kaniwa.importers.consistency import WrongShape
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.input_shapes import Shapes
from kaniwa.importers.operands import Operands

__all__ = ["fixed", "known", "resized", "MAXIMUM_ELEMENTS"]

MAXIMUM_ELEMENTS = 1 << 26
FEW = 256      # elements of integers that are calculated as the file is read


def fixed(tensors: list[Tensor], inputs: list[int], shapes: Shapes, subgraph: Any) -> str | None:
    """Give inputs the ``shapes`` that the caller asks for, where the file leaves sizes open.

    The complaint where one has no such shape.
    """
    by_name = {tensors[i].name: i for i in inputs}
    for name, shape in shapes.items():
        if name not in by_name:
            return f"has no input '{name}'; its inputs are {', '.join(by_name)}"
        tensor = tensors[by_name[name]]
        sizes = _sizes(subgraph.Tensors(tensor.id), len(tensor.shape))
        if len(shape) != len(sizes) or math.prod(shape) > MAXIMUM_ELEMENTS or any(
                m not in (-1, n) for n, m in zip(shape, sizes, strict=True)):
            return (f"input '{name}' cannot have the shape {list(shape)}; in the file it has "
                    f"{sizes}")
        tensors[tensor.id] = replace(tensor, shape=shape)
    return None


def _sizes(source: Any, rank: int) -> list[int]:
    """The sizes of a tensor of the file, -1 for those that are open."""
    if source.ShapeSignatureLength() == rank:
        return [int(source.ShapeSignature(i)) for i in range(rank)]
    return [int(source.Shape(i)) for i in range(rank)]


def resized(info: OperatorInfo, view: Operands, tensors: list[Tensor]) -> Operands:
    """The operator with the outputs' shapes that follow from the inputs'."""
    for _ in view.outputs:
        wrong = next((what for check in info.consistency if (what := check(view))), None)
        if not isinstance(wrong, WrongShape) or math.prod(wrong.shape) > MAXIMUM_ELEMENTS:
            break
        tensors[wrong.output.id] = replace(wrong.output, shape=wrong.shape)
        view = replace(view, outputs=tuple(tensors[t.id] for t in view.outputs))
    return view


def known(op: Op, tensors: list[Tensor], outputs: Collection[int]) -> bool:
    """True for an operator that makes few integers of nothing but constants, or of a shape.

    Its results are constants from here on, unless they are among the model's ``outputs``.
    """
    values = [None if i == -1 else tensors[i].data for i in op.inputs]
    if op.kind == "SHAPE":
        values = [np.empty(tensors[op.inputs[0]].shape, np.int8)]
    elif any(value is None and i != -1 or value is not None and value.size > FEW
             for i, value in zip(op.inputs, values, strict=True)):
        return False
    if any(tensors[i].dtype not in ("int32", "int64") or math.prod(tensors[i].shape) > FEW
           or i in outputs for i in op.outputs):
        return False
    results = run_op(Graph("constants", tuple(tensors), (), (), ()), op, values)
    for i, value in zip(op.outputs, results, strict=True):
        data = np.array(value)
        data.flags.writeable = False
        tensors[i] = replace(tensors[i], data=data)
    return True
