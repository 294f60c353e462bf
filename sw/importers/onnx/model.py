"""Quantised ONNX files (QDQ and QOperator form) to graphs.

A float operator between DequantizeLinear and QuantizeLinear becomes one integer operator of rule
``qdq``: it waits, as ``Pending``, until a QuantizeLinear says in which steps its result is wanted.
What only moves numbers works on the integers as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from kaniwa.errors import ModelError
from kaniwa.graph import Graph, check
from kaniwa.importers.onnx.builder import Builder, Origin
from kaniwa.importers.onnx.constants import constant_node, folded
from kaniwa.importers.onnx.families import (
    elementwise,
    functions,
    movement,
    normalization,
    recurrent,
    slices,
    weighted,
)
from kaniwa.importers.onnx.families.qoperator import expanded
from kaniwa.importers.onnx.file import Declared, Node, OnnxFile, read_onnx
from kaniwa.importers.onnx.lookahead import COMMUTING, steps_ahead
from kaniwa.importers.onnx.pending import floats, quantize, quantized_to
from kaniwa.importers.onnx.quant_node import DOMAINS, quant
from kaniwa.importers.onnx.quantization import dequantize, steps_of
from kaniwa.importers.onnx.values import (
    Dequantized,
    Floats,
    Integers,
    Known,
    Pending,
    Steps,
    Stored,
    Value,
)

__all__ = ["import_onnx", "ImportedOnnx", "read_graph"]


HANDLERS: dict[str, Callable[[Builder, Node], Value | list[Value]]] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "Constant": constant_node,
    "Conv": weighted.convolution,
    "Gemm": weighted.gemm,
    "MatMul": weighted.matmul,
    "Add": elementwise.elementwise,
    "Sub": elementwise.elementwise,
    "Mul": elementwise.elementwise,
    "Div": elementwise.elementwise,
    "Relu": elementwise.clamp,
    "Clip": elementwise.clamp,
    "AveragePool": elementwise.average_pool,
    "GlobalAveragePool": elementwise.average_pool,
    "MaxPool": elementwise.max_pool,
    "GlobalMaxPool": elementwise.max_pool,
    "Concat": movement.concat,
    "Reshape": movement.reshape,
    "Flatten": movement.reshape,
    "Squeeze": movement.reshape,
    "Unsqueeze": movement.reshape,
    "Transpose": movement.transpose,
    "Slice": slices.cut,
    "Split": slices.split,
    "Gather": slices.gather,
    "Pad": slices.pad,
    "Resize": slices.resize,
    "Identity": movement.same,
    "Dropout": movement.same,
    **dict.fromkeys(functions.FUNCTIONS, functions.function),
    "Softmax": functions.softmax,
    "ReduceMean": functions.mean,
    "LayerNormalization": normalization.layer_normalization,
    **dict.fromkeys(recurrent.RESULTS, recurrent.recurrent),
}


@dataclass(frozen=True, eq=False)
class ImportedOnnx:
    """The graph, and where its tensors come from in the model (``Origin`` by tensor id)."""

    graph: Graph
    origins: dict[int, Origin]


def import_onnx(data: bytes, name: str) -> Graph:
    """The graph of the ONNX file with content ``data``; ``name`` is used in messages.

    Inputs and outputs are the model's, in its layout, types and names. Raises ``ModelError`` or
    ``UnsupportedError``, one line each.
    """
    return read_graph(data, name).graph


def read_graph(data: bytes, name: str) -> ImportedOnnx:
    """The same, with the origins of the graph's tensors."""
    file = _without_idle_nodes(expanded(read_onnx(data, name)))
    builder = Builder(name, file.opset)
    builder.values.update((key, Known(array)) for key, array in file.constants.items())
    for node in file.nodes:
        for read in dict.fromkeys(node.inputs):
            builder.readers.setdefault(read, []).append(node)
    inputs = [_input(builder, file, declared) for declared in file.inputs]
    for node in file.nodes:
        builder.node = node
        _import_node(builder, file, node)
    outputs: list[int] = []
    for declared in file.outputs:
        outputs.append(_output(builder, declared, {*inputs, *outputs}))
    builder.node = None
    own = dict(zip(inputs, (i.name for i in file.inputs), strict=True))
    _name_once(builder, own | dict(zip(outputs, (o.name for o in file.outputs), strict=True)))
    graph = Graph(name, tuple(builder.tensors), tuple(builder.ops), tuple(inputs), tuple(outputs),
                  file.sha256)
    return ImportedOnnx(check(graph), builder.origins)


def _without_idle_nodes(file: OnnxFile) -> OnnxFile:
    """Only nodes of which some output of the model is made: quantisers leave others behind."""
    wanted = {output.name for output in file.outputs}
    for node in reversed(file.nodes):
        if wanted.intersection(node.outputs):
            wanted.update(node.inputs)
    return replace(file, nodes=tuple(n for n in file.nodes if wanted.intersection(n.outputs)))


def _input(builder: Builder, file: OnnxFile, declared: Declared) -> int:
    """An input in the model's own layout and type; a first dimension left open is taken as 1."""
    where = f"input '{declared.name}'"
    shape = declared.shape
    if shape is None or any(n < 1 for n in shape[1:]) or shape[:1] == (0,):
        raise builder.fail(f"{where}: shape {None if shape is None else list(shape)} is not fixed; "
                           "export with fixed shapes")
    shape = tuple(1 if n < 0 else n for n in shape)
    identity = tuple(range(len(shape)))
    if declared.dtype == "float32":
        index = builder.tensor(declared.name, shape, "float32")
        builder.values[declared.name] = Floats(Stored(declared.name, shape, {identity: index}))
        return index
    reader = next((n for n in file.nodes if n.kind == "DequantizeLinear"
                   and n.inputs[:1] == (declared.name,)), None)
    if declared.dtype not in ("int8", "uint8") or reader is None:
        raise builder.fail(f"{where}: {declared.dtype} is not supported; inputs must be float32, "
                           "or int8 or uint8 read by DequantizeLinear")
    operands = [builder.values.get(name) for name in reader.inputs[1:3]]
    if not operands or not isinstance(operands[0], Known):
        raise builder.fail(f"{where}: its scale must be a constant")
    builder.node = reader
    steps = steps_of(builder, operands[0], operands[1] if len(operands) > 1 else None,
                     declared.dtype, len(shape), 0)
    if len(steps.scales) > 1:
        raise builder.fail(f"{where}: has {len(steps.scales)} scales; quantise it by tensor")
    own = replace(steps.quantization, zero_points=steps.zero_points)
    index = builder.tensor(declared.name, shape, declared.dtype, own)
    stored = Stored(declared.name, shape, {identity: index})
    if steps.shift:
        shifted = builder.tensor(f"{declared.name}:int8", shape, "int8", steps.quantization)
        builder.emit("QUANTIZE", (index,), shifted, {"bounds": steps.bounds}, "qdq")
        stored = Stored(declared.name, shape, {identity: shifted})
    builder.values[declared.name] = Integers(stored, steps)
    return index


def _import_node(builder: Builder, file: OnnxFile, node: Node) -> None:
    if node.domain and node.domain not in DOMAINS:
        raise builder.fail(f"its domain '{node.domain}' is not supported; export with ONNX's own "
                           "operators")
    # Only recurrent operators may leave out their first result.
    if not any(node.outputs[:None if node.kind in recurrent.RESULTS else 1]):
        raise builder.fail("has no output", ModelError)
    taken = [name for name in node.outputs if name in builder.values]
    if taken:
        raise builder.fail(f"writes '{taken[0]}', which already has a value", ModelError)
    values = [builder.value(name) if name else None for name in node.inputs]
    first = values[0] if values else None
    if node.kind in COMMUTING and not node.domain and isinstance(first, Pending):
        steps = steps_ahead(builder, file, first, node)
        if steps is not None:
            early = quantized_to(builder, first, steps, first.label)
            builder.values[node.inputs[0]] = Dequantized(early.stored, steps)
    value: Value | list[Value] | None = None if node.domain else folded(builder, node, values)
    if value is None:
        handler = quant if node.domain else HANDLERS.get(node.kind)
        if handler is None:
            raise builder.fail("operator is not supported; replace it in the model by one that "
                               "`kaniwa operators` lists, or cut the model before it")
        value = handler(builder, node)
    if first is not None:
        builder.values[node.inputs[0]] = first
    results = value if isinstance(value, list) else [value]
    builder.values.update((name, result) for name, result in zip(node.outputs, results,
                                                                 strict=False) if name)


def _output(builder: Builder, declared: Declared, taken: set[int]) -> int:
    """An output in the model's own layout and type; one that is in ``taken`` is copied."""
    where = f"output '{declared.name}'"
    value = builder.values.get(declared.name)
    if value is None:
        raise builder.fail(f"{where}: is never written", ModelError)
    if isinstance(value, Known):
        raise builder.fail(f"{where}: is a constant; remove it from the outputs")
    steps: Steps | None = None
    if isinstance(value, Integers):
        stored, steps = value.stored, value.steps
    else:
        stored = floats(builder, value, where)
    dtype = "float32" if steps is None else steps.dtype
    if declared.dtype != dtype:
        raise builder.fail(f"{where}: is declared {declared.dtype}, but is {dtype}", ModelError)
    if declared.shape is not None and (len(declared.shape) != len(stored.shape) or any(
            n > 0 and n != m for n, m in zip(declared.shape, stored.shape, strict=True))):
        raise builder.fail(f"{where}: is declared {list(declared.shape)}, but is "
                           f"{list(stored.shape)}", ModelError)
    identity = tuple(range(len(stored.shape)))
    index = builder.form(stored, identity)
    tensor = builder.tensors[index]
    if steps is not None and steps.shift:
        own = replace(steps.quantization, zero_points=steps.zero_points)
        new = builder.tensor(declared.name, tensor.shape, "uint8", own)
        index = builder.emit("QUANTIZE", (index,), new, {"bounds": (0, 255)}, "qdq")
    elif index in taken:
        new = builder.tensor(declared.name, tensor.shape, tensor.dtype, tensor.quantization)
        index = builder.emit("RESHAPE", (index,), new, {"shape": tensor.shape}, "exact")
    builder.origins[index] = Origin(declared.name, identity, 0)
    return index


def _name_once(builder: Builder, names: dict[int, str]) -> None:
    """Inputs and outputs have the model's names; no other tensor has one of those."""
    reserved = set(names.values())
    for tensor in list(builder.tensors):
        name = names.get(tensor.id, tensor.name)
        if tensor.id not in names and name in reserved:
            name = f"{name}:{tensor.id}"
        builder.tensors[tensor.id] = replace(tensor, name=name)
