"""TFLite operators that golden lacks: LiteRT does them on the host, as they are in the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kaniwa.graph import Op, Tensor
from kaniwa.importers.operands import OptionError
from kaniwa.importers.tflite.flexbuffer import numbers_by_name
from kaniwa.importers.tflite.text import scalar
from kaniwa.runtimes.litert_model import Sizes, illegal, taken
from kaniwa.runtimes.litert_table import CUSTOM, OPTIONS, why_not
from kaniwa.runtimes.prepared import Refusal
from kaniwa.runtimes.run import prepare

__all__ = ["by_runtime", "definition"]

RULE = "litert"
VERSION = 8      # offset of the operator code's field in the table's vtable


def definition(kind: str, code: Any, source: Any, custom: bytes) -> dict[str, object]:
    """The attributes of the graph's operator: version, and options as plain values.

    ``custom`` are the options of a custom operator. Raises Refusal where LiteRT gets no such
    operator, OptionError for options that are damaged.
    """
    known = taken(kind)
    if known is None:
        raise Refusal(why_not(kind))
    number, table = source.BuiltinOptionsType(), source.BuiltinOptions()
    fields = None
    if known.options and number == OPTIONS[known.options][0] and table is not None:
        fields = _fields(table, OPTIONS[known.options][1])
    elif known.options and known.positive:
        raise OptionError(f"has no {known.options}")
    named = tuple(numbers_by_name(custom).items()) if kind in CUSTOM and custom else ()
    attributes: dict[str, object] = {
        "version": max(scalar(code, VERSION, "i"), 1), "options": fields, "custom": named}
    problem = illegal(kind, attributes)
    if problem is not None:
        raise OptionError(problem)
    return attributes


def _fields(table: Any, sizes: Sizes) -> tuple[tuple[int, str], ...]:
    """The fields that a table of options has, each as its bytes; the verifier has seen them."""
    found = []
    for number, width in sizes.items():
        offset = table.Offset(4 + 2 * number)
        if not offset:
            continue
        place, size = table.Pos + offset, width
        if width < 0:
            place, size = table.Vector(offset), -width * table.VectorLen(offset)
        found.append((number, bytes(table.Bytes[place:place + size]).hex()))
    return tuple(found)


def by_runtime(where: str, op: Op, tensors: list[Tensor], resizes: bool = False) -> Op:
    """``op``, whose attributes are a definition, as LiteRT takes it.

    Its results get the shapes that LiteRT infers, of as many elements as those of the file unless
    it ``resizes``: the caller has given inputs other shapes. Raises Refusal where LiteRT does not
    take it, UnsupportedError where LiteRT is not installed.
    """
    operands: Sequence[Tensor | None] = [None if i == -1 else tensors[i] for i in op.inputs]
    prepared = prepare(where, RULE, op.kind, op.attributes, operands,
                       [tensors[i] for i in op.outputs])
    for i, form in zip(op.outputs, prepared.results, strict=True):
        if form.dtype != tensors[i].dtype:
            raise Refusal(f"its result is {form.dtype}, in the file {tensors[i].dtype}")
        shape = tuple(int(n or 0) for n in form.shape)
        if 0 in shape or not resizes and np.prod(shape) != np.prod(tensors[i].shape):
            raise Refusal(f"its result is {list(shape)}, in the file {list(tensors[i].shape)}")
        tensors[i] = replace(tensors[i], shape=shape)
    return op
