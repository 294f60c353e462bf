"""Shape and kernel of a layer, by which a reader knows it again in the model."""

from __future__ import annotations

from typing import Any

from kaniwa.graph import Graph, Op
from kaniwa.program.host_part import HostOp
from kaniwa.program.program import LayerInfo, Program

__all__ = ["layer_facts", "layer_numbers"]

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def layer_facts(program: Program, layer: LayerInfo | HostOp) -> dict[str, Any]:
    """``shape`` of the result and, where the model is at hand, ``kernel`` ("3x3/2").

    A tensor that the program does not know has the shape [], operators without a window have the
    kernel "".
    """
    if isinstance(layer, HostOp):
        kinds, output, sources = [layer.kind], layer.outputs[0], [layer.source]
    else:
        kinds, output, sources = layer.op.split("+"), layer.output, [*layer.source]
    kernels = [_kernel(program.graph, op) for op in program.graph.ops
               if op.source_index in sources and op.kind in kinds] if program.graph else []
    return {"shape": _shape(program, output, layer.name), "kernel": next(filter(None, kernels), "")}


def layer_numbers(program: Program) -> list[int]:
    """For each of the program's layers its number, from 1, among these and the host's operators."""
    numbers, number = {}, 1
    for step in program.steps:
        layers = program.layers_of(step) if step.where == "device" else []
        for place, layer in enumerate(layers, number):
            numbers[layer.instructions] = place
        number += step.count if step.where == "host" else len(layers)
    return [numbers[layer.instructions] for layer in program.layers]


def _shape(program: Program, output: int, name: str) -> list[int]:
    """Of the tensor ``output`` or, where that is one of the compiler's own, of the same name."""
    shapes = {tensor.id: tensor.shape for tensor in program.host_tensors}
    shapes |= {tensor.id: tensor.shape for tensor in program.tensors}
    named = {tensor.name: tensor.shape for tensor in program.tensors}
    return list(shapes.get(output, named.get(name, ())))


def _kernel(graph: Graph, op: Op) -> str:
    """Rows and columns of an operator's window and, unless they are 1, its strides."""
    window = op.attributes.get("filter")
    if op.kind in CONVOLUTIONS:
        window = graph.tensors[op.inputs[1]].shape[1:3]
    if not isinstance(window, tuple):
        return ""
    strides = op.attributes.get("stride", (1, 1))
    assert isinstance(strides, tuple)
    if strides == (1, 1):
        return _by(window)
    return f"{_by(window)}/{strides[0] if strides[0] == strides[1] else _by(strides)}"


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
