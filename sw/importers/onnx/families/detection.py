"""NonMaxSuppression of ONNX models."""

from __future__ import annotations

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import floats
from kaniwa.importers.onnx.values import Floats, Known, Value

__all__ = ["non_max_suppression"]


def non_max_suppression(builder: Builder, node: Node) -> Value:
    """NonMaxSuppression in float32: as many rows as there may be, -1 behind the last one."""
    boxes, scores, *limits = builder.operands(node, 2, 5)
    numbers = []
    for value, default in zip(limits, (0, 0.0, -np.inf), strict=True):
        if value is None:
            numbers.append(float(default))
        elif isinstance(value, Known) and value.data.size == 1:
            numbers.append(float(value.real.reshape(())))
        else:
            raise builder.fail("its limits must be constant numbers")
    places, chances = (floats(builder, v, "its operand") for v in (boxes, scores))
    chance_shape = chances.shape
    if len(places.shape) != 3 or len(chance_shape) != 3 or (
            (*chance_shape[::2], 4) != places.shape):
        raise builder.fail(f"boxes {list(places.shape)} do not fit scores {list(chance_shape)}",
                           ModelError)
    batch, _, count = chance_shape
    most = min(int(numbers[0]), count)
    if most < 1:
        raise builder.fail("selects no box; make max_output_boxes_per_class 1 or more")
    name, shape = node.outputs[0], (batch * chance_shape[1] * most, 3)
    index = builder.tensor(name, shape, "int64")
    inputs = tuple(builder.form(s, (0, 1, 2)) for s in (places, chances))
    builder.emit("NON_MAX_SUPPRESSION", inputs, index, {
        "most": most, "overlap": numbers[1], "least": numbers[2],
        "centers": bool(node.attributes.get("center_point_box", 0))}, "onnx")
    return Floats(builder.store(name, index, shape, (0, 1)), "int64")
