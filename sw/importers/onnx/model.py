"""Quantised ONNX files (QDQ and QOperator form) to graphs.

A float operator between DequantizeLinear and QuantizeLinear becomes one integer operator of rule
``qdq``: it waits, as ``Pending``, until a QuantizeLinear says in which steps its result is wanted.
What only moves numbers works on the integers as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from kaniwa.errors import InputError, ModelError, UnsupportedError
from kaniwa.graph import Graph, Op, check
from kaniwa.importers.onnx.builder import Builder, Origin
from kaniwa.importers.onnx.by_runtime import DOMAINS as OF_RUNTIME, beyond, by_runtime
from kaniwa.importers.onnx.constants import constant_node, folded
from kaniwa.importers.onnx.families import (
    conversion,
    detection,
    einsum,
    elementwise,
    functions,
    movement,
    normalization,
    rearranged,
    recurrent,
    reductions,
    resizing,
    selection,
    slices,
    transposed,
    weighted,
)
from kaniwa.importers.onnx.families.qoperator import expanded
from kaniwa.importers.onnx.file import Declared, Node, OnnxFile, read_onnx
from kaniwa.importers.onnx.lookahead import COMMUTING, VIEWS, steps_ahead
from kaniwa.importers.onnx.pending import floats, quantize, quantized_to
from kaniwa.importers.onnx.quant_node import DOMAINS, quant
from kaniwa.importers.onnx.quantization import ACTIVATIONS, steps_of
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


# Nodes of which one at least is in a quantised file.
QUANTISING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger",
              "ConvInteger", "Quant", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM",
              "MatMulIntegerToFloat")
HANDLERS: dict[str, Callable[[Builder, Node], Value | list[Value]]] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": conversion.dequantize_any,
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
    "Resize": resizing.resize,
    "Identity": movement.same,
    "Dropout": movement.same,
    "ConvTranspose": transposed.transposed_convolution,
    "Where": selection.where,
    "IsNaN": selection.never,
    "IsInf": selection.never,
    "Max": elementwise.extreme,
    "Min": elementwise.extreme,
    "ReduceMax": reductions.extreme_of_axes,
    "ReduceMin": reductions.extreme_of_axes,
    "ReduceSum": reductions.total,
    "ArgMax": reductions.position,
    "ArgMin": reductions.position,
    "TopK": reductions.largest,
    "DepthToSpace": rearranged.depth_to_space,
    "SpaceToDepth": rearranged.space_to_depth,
    "Expand": rearranged.expand,
    "Tile": rearranged.tile,
    "Cast": conversion.cast,
    "DynamicQuantizeLinear": conversion.dynamic_quantize,
    "MatMulInteger": conversion.of_integers,
    "ConvInteger": conversion.of_integers,
    **dict.fromkeys(functions.FUNCTIONS, functions.function),
    "Softmax": functions.softmax,
    "LogSoftmax": functions.softmax,
    "LpPool": elementwise.lp_pool,
    "GlobalLpPool": elementwise.lp_pool,
    "Einsum": einsum.einsum,
    "NonMaxSuppression": detection.non_max_suppression,
    "ReduceMean": functions.mean,
    "BatchNormalization": normalization.batch_normalization,
    "InstanceNormalization": normalization.group_normalization,
    "GroupNormalization": normalization.group_normalization,
    "LayerNormalization": normalization.layer_normalization,
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization", "LpNormalization"),
                    normalization.root_normalization),
    **dict.fromkeys(recurrent.RESULTS, recurrent.recurrent),
}


@dataclass(frozen=True, eq=False)
class ImportedOnnx:
    """The graph, and where its tensors come from in the model (``Origin`` by tensor id)."""

    graph: Graph
    origins: dict[int, Origin]


def import_onnx(data: bytes, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
                ) -> Graph:
    """The graph of the ONNX file with content ``data``; ``name`` is used in messages.

    ``shapes`` are those of inputs, by name, where the file leaves sizes open.
    Inputs and outputs are the model's, in its layout, types and names. Raises ``ModelError`` or
    ``UnsupportedError``, one line each.
    """
    return read_graph(data, name, shapes).graph


def read_graph(data: bytes, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
               ) -> ImportedOnnx:
    """The same, with the origins of the graph's tensors."""
    file = expanded(_fixed(read_onnx(data, name), shapes or {}, name))
    file = _without_idle_nodes(einsum.products(file))
    builder = Builder(name, file.opset)
    builder.quantised = any(node.kind in QUANTISING for node in file.nodes)
    builder.outputs = {declared.name for declared in file.outputs}
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
    graph = Graph(name, tuple(builder.tensors), _read(builder.ops, outputs), tuple(inputs),
                  tuple(outputs), file.sha256)
    return ImportedOnnx(check(graph), builder.origins)


def _read(ops: list[Op], outputs: list[int]) -> tuple[Op, ...]:
    """``ops`` without those that a node had begun with when golden's limit was met."""
    if not any("limit" in op.attributes for op in ops):
        return tuple(ops)
    kept, wanted = [], set(outputs)
    for op in reversed(ops):
        if wanted.intersection(op.outputs):
            kept.append(op)
            wanted.update(op.inputs)
    return tuple(reversed(kept))


def _fixed(file: OnnxFile, shapes: Mapping[str, tuple[int, ...]], name: str) -> OnnxFile:
    """``file`` with the ``shapes`` that the caller asks for, where it leaves sizes open."""
    own = {declared.name: declared.shape for declared in file.inputs}
    for key, shape in shapes.items():
        if key not in own:
            raise InputError(f"{name}: has no input '{key}'; its inputs are {', '.join(own)}")
        file_has = own[key]
        if file_has is not None and (len(file_has) != len(shape) or any(
                m not in (-1, n) for n, m in zip(shape, file_has, strict=True))):
            raise InputError(f"{name}: input '{key}' cannot have the shape {list(shape)}; in the "
                             f"file it has {list(file_has)}")
    return replace(file, inputs=tuple(
        replace(declared, shape=shapes.get(declared.name, declared.shape))
        for declared in file.inputs))


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
                           "give --shape NAME=1x49x40, or export with fixed shapes")
    shape = tuple(1 if n < 0 else n for n in shape)
    identity = tuple(range(len(shape)))
    if declared.dtype == "float32":
        index = builder.tensor(declared.name, shape, "float32")
        builder.values[declared.name] = Floats(Stored(declared.name, shape, {identity: index}))
        return index
    if declared.dtype in ("int32", "int64"):
        index = builder.tensor(declared.name, shape, declared.dtype)
        builder.values[declared.name] = Floats(Stored(declared.name, shape, {identity: index}),
                                               declared.dtype)
        return index
    if declared.dtype not in ACTIVATIONS:
        raise builder.fail(f"{where}: {declared.dtype} is not supported; inputs must be float32, "
                           "int32, int64, or of 8 or 16 bits")
    steps = _input_steps(builder, file, declared, len(shape))
    own = replace(steps.quantization, zero_points=steps.zero_points)
    index = builder.tensor(declared.name, shape, declared.dtype, own)
    stored = Stored(declared.name, shape, {identity: index})
    if steps.shift:
        dtype, quantization = steps.stored_as
        shifted = builder.tensor(f"{declared.name}:{dtype}", shape, dtype, quantization)
        builder.emit("QUANTIZE", (index,), shifted, {"bounds": steps.bounds}, "qdq")
        stored = Stored(declared.name, shape, {identity: shifted})
    builder.values[declared.name] = Integers(stored, steps)
    return index


def _input_steps(builder: Builder, file: OnnxFile, declared: Declared, rank: int) -> Steps:
    """Those of the DequantizeLinear that reads it; of plain numbers (read by Cast, ...) 1."""
    reader = next((n for n in file.nodes if n.kind == "DequantizeLinear"
                   and n.inputs[:1] == (declared.name,)), None)
    builder.node = reader or (builder.readers.get(declared.name) or file.nodes)[0]
    operands = [builder.values.get(name) for name in reader.inputs[1:3]] if reader else []
    if not operands or not isinstance(operands[0], Known):
        return Steps((1.0,), (0,), declared.dtype)
    steps = steps_of(builder, operands[0], operands[1] if len(operands) > 1 else None,
                     declared.dtype, rank, 0)
    if len(steps.scales) > 1:
        raise builder.fail(f"input '{declared.name}': has {len(steps.scales)} scales; quantise it "
                           "by tensor")
    return steps


def _import_node(builder: Builder, file: OnnxFile, node: Node) -> None:
    if node.domain and node.domain not in (*DOMAINS, *OF_RUNTIME):
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
    # Of float32 that is only seen in another shape nothing is computed before its quantization.
    # Numbers of integers, such as ids that a Gather takes its rows by, are never quantised.
    waits = isinstance(first, Pending) or (
        isinstance(first, Floats) and first.dtype == "float32" and node.kind not in VIEWS)
    if node.kind in COMMUTING and not node.domain and waits:
        assert isinstance(first, (Pending, Floats))
        steps = steps_ahead(builder, file, first, node)
        if steps is not None:
            label = first.label if isinstance(first, Pending) else first.stored.name
            early = quantized_to(builder, first, steps, label)
            builder.values[node.inputs[0]] = Dequantized(early.stored, steps)
    value: Value | list[Value] | None = None if node.domain else folded(builder, node, values)
    if value is None:
        own = HANDLERS.get(node.kind, by_runtime) if not node.domain else by_runtime
        try:
            value = (quant if node.domain in DOMAINS else own)(builder, node)
        except UnsupportedError as limit:
            if own is by_runtime:
                raise
            value = beyond(builder, node, limit)
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
    dtype = builder.tensors[builder.form(stored, stored.first)].dtype if steps is None else (
        steps.dtype)
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
        new = builder.tensor(declared.name, tensor.shape, steps.dtype, own)
        limits = np.iinfo(steps.dtype)
        index = builder.emit("QUANTIZE", (index,), new, {
            "bounds": (int(limits.min), int(limits.max))}, "qdq")
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
