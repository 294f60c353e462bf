"""A float ONNX model in the form that ONNX Runtime's quantiser handles well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.quantization.finite import check_finite
from kaniwa.quantization.recipe import Recipe

__all__ = ["check_weights", "prepare", "settle_biases"]

OPSET = 17          # the first one with LayerNormalization; scales by channel came with 13
WIDE_OPSET = 21     # the first one with QuantizeLinear of 4 and 16 bits
# The place of the bias among the inputs.
BIASED = dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "InstanceNormalization",
                        "LayerNormalization", "BatchNormalization"), 2)


def prepare(path: Path, whole: Path, recipe: Recipe) -> None:
    """Write the model of ``path`` to the file ``whole``.

    Without data in other files, which the quantiser does not find from its own folder; float16 as
    float32; of an operator set that has what the recipe asks for. Raises ModelError for weights
    that are not finite; minus infinity may hide scores of an attention.
    """
    import onnx

    model = onnx.load(path)
    check_weights(path, model.graph, hidden=True)
    _widen(model.graph)
    wide = recipe.weights == "int4" or recipe.activations in ("int16", "uint16")
    wanted = WIDE_OPSET if wide else OPSET
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset < wanted:
        model = onnx.version_converter.convert_version(model, wanted)
    onnx.save(model, whole)


def check_weights(path: Path, graph: Any, hidden: bool = False) -> None:
    """Raise ModelError for a constant of an ONNX ``graph`` that is not finite; with ``hidden`` it
    may have minus infinity."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if hidden and values.dtype.kind == "f":
            values = np.where(np.isneginf(values), 0, values)
        check_finite(path, tensor.name, values)


def _widen(graph: Any) -> None:
    """Make float16 float32 in a ``graph``: constants, what is cast to, and what is declared."""
    from onnx import TensorProto, numpy_helper

    def widened(tensor: Any) -> None:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    for tensor in graph.initializer:
        widened(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                widened(attribute.t)
            elif attribute.HasField("g"):
                _widen(attribute.g)
            elif attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def settle_biases(graph: Any) -> None:
    """Give each operator of an ONNX ``graph`` a bias [channels] that nothing else uses.

    The quantiser takes a bias of a row, which a sum behind a product has made, for one number. A
    shared one it copies, and counts up behind its name: b0, b1, b2, whether or not another tensor
    has that name.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    taken = {*constants, *(value.name for value in graph.input),
             *(name for node in graph.node for name in node.output)}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        place = BIASED.get(node.op_type, len(node.input))
        if place >= len(node.input) or node.input[place] not in constants:
            continue
        bias = constants[node.input[place]]
        row = [*bias.dims][:-1] == [1]
        if uses[bias.name] == 1 and not row:
            continue
        own = graph.initializer.add()
        own.CopyFrom(bias)
        own.name = next(name for i in range(len(taken) + 1)
                        if (name := f"{bias.name}_of_{i}") not in taken)
        if row:
            own.dims.pop(0)
        node.input[place] = own.name
        taken.add(own.name)
