"""Quantization that comes only behind operators which do not compute: it is done before them.

Exporters that quantise what goes into a convolution, not what comes out, write Conv, MaxPool,
QuantizeLinear. Rounding and clamping are monotone, and moving numbers changes none: so the largest
of the rounded is the rounded largest, and the convolution can give integers at once.
"""

from __future__ import annotations

from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.file import Node, OnnxFile
from kaniwa.importers.onnx.quantization import activation_steps
from kaniwa.importers.onnx.values import Floats, Pending, Steps

__all__ = ["COMMUTING", "VIEWS", "steps_ahead", "wanted_steps"]

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
COMMUTING = (*VIEWS, "MaxPool", "GlobalMaxPool", "Slice", "Gather", "DepthToSpace",
             "SpaceToDepth", "Expand", "Tile", "ReduceMax", "ReduceMin")
MAXIMUM_NODES = 16      # between the result and its quantization


def steps_ahead(builder: Builder, file: OnnxFile, value: Pending | Floats,
                node: Node) -> Steps | None:
    """The steps in which every reader behind ``node`` wants ``value``, or None.

    ``node`` reads it. None where the value is wanted as it is, too, or in several steps.
    """
    outputs = {declared.name for declared in file.outputs}
    waiting, found, seen = [node], None, 0
    while waiting:
        reader = waiting.pop()
        seen += 1
        if reader.kind == "QuantizeLinear":
            steps = _steps_of(builder, reader, len(builder.shape_of(value)))
            if steps is None or found not in (None, steps):
                return None
            found = steps
        elif reader.kind in COMMUTING and len(reader.outputs) == 1 and seen <= MAXIMUM_NODES:
            if reader.outputs[0] in outputs:
                return None
            waiting += builder.readers.get(reader.outputs[0], [])
        else:
            return None
    return found


def wanted_steps(builder: Builder, node: Node, rank: int) -> Steps | None:
    """The steps in which every reader of the result of ``node``, of ``rank``, quantises it; None
    where one does not, or in others."""
    name = node.outputs[0]
    readers = builder.readers.get(name, [])
    found = {_steps_of(builder, reader, rank) if reader.kind == "QuantizeLinear" else None
             for reader in readers}
    return found.pop() if len(found) == 1 and name not in builder.outputs else None


def _steps_of(builder: Builder, reader: Node, rank: int) -> Steps | None:
    if any(name not in builder.values for name in reader.inputs[1:]) or len(reader.inputs) < 2:
        return None
    values = [builder.values[name] for name in reader.inputs[1:]]
    scale, zero_point = values[0], values[1] if len(values) > 1 else None
    return activation_steps(builder, reader, scale, zero_point, None, rank)
