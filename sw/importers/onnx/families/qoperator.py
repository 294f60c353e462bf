"""QOperator form (QLinearConv, QGemm, ...): each node as the QDQ nodes that mean the same.

ONNX defines these operators by integers, ONNX Runtime computes them with a float32 scale: here they
follow rule ``qdq``, as the same model in QDQ form does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kaniwa.errors import ModelError, UnsupportedError
from kaniwa.importers.onnx.file import Node, OnnxFile

__all__ = ["expanded"]

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class _Form:
    """Of a node with ``count`` quantised operands, each with scale and zero point behind it.

    The result's scale and zero point are the operands ``result`` and the next; ``bias`` is that
    of the int32 bias. ``float_kind`` computes the same on real numbers.
    """

    float_kind: str
    count: int
    result: int
    bias: int | None = None


FORMS: Mapping[tuple[str, str], _Form] = {
    ("", "QLinearConv"): _Form("Conv", 2, 6, 8),
    ("", "QLinearMatMul"): _Form("MatMul", 2, 6),
    (MICROSOFT, "QGemm"): _Form("Gemm", 2, 7, 6),
    (MICROSOFT, "QLinearAdd"): _Form("Add", 2, 6),
    (MICROSOFT, "QLinearMul"): _Form("Mul", 2, 6),
    (MICROSOFT, "QLinearAveragePool"): _Form("AveragePool", 1, 3),
    (MICROSOFT, "QLinearGlobalAveragePool"): _Form("GlobalAveragePool", 1, 3),
    (MICROSOFT, "QLinearSigmoid"): _Form("Sigmoid", 1, 3),
    (MICROSOFT, "QLinearLeakyRelu"): _Form("LeakyRelu", 1, 3),
    (MICROSOFT, "QLinearSoftmax"): _Form("Softmax", 1, 3),
}


def expanded(file: OnnxFile) -> OnnxFile:
    """``file`` without nodes of QOperator form. Raises the errors of an importer."""
    nodes: list[Node] = []
    constants = dict(file.constants)
    for node in file.nodes:
        if (node.domain, node.kind) == (MICROSOFT, "QLinearConcat"):
            nodes += _concat(file, node)
        elif (node.domain, node.kind) in FORMS:
            nodes += _expand(file, node, FORMS[node.domain, node.kind], constants)
        elif node.domain == MICROSOFT and node.kind in ("QuantizeLinear", "DequantizeLinear"):
            nodes.append(replace(node, domain=""))
        else:
            nodes.append(node)
    return replace(file, nodes=tuple(nodes), constants=constants)


def _fail(file: OnnxFile, node: Node, what: str, error: type[Exception] = ModelError) -> Exception:
    return error(f"{file.name}: node {node.index} {node.kind} '{node.name}': {what}")


def _expand(file: OnnxFile, node: Node, form: _Form,
            constants: dict[str, np.ndarray]) -> list[Node]:
    inputs, name = node.inputs, node.outputs[0] if node.outputs else ""
    # A QGemm without the result's scale gives float32.
    real_result = form.float_kind == "Gemm" and 6 <= len(inputs) and not any(inputs[form.result:])
    if len(inputs) < form.result + 1 and not real_result or not name:
        raise _fail(file, node, f"has {len(inputs)} operands and {len(node.outputs)} results")
    if node.attributes.get("channels_last", 0):
        raise _fail(file, node, "channel-last maps are not supported; export before optimising",
                    UnsupportedError)
    made, real = [], []
    for i in range(form.count):
        real.append(f"{name}:real{i}")
        # Scales of weights lie along their output channels.
        axis = 0 if form.float_kind == "Conv" else 1
        if form.float_kind == "Gemm" and node.attributes.get("transB", 0):
            axis = 0
        made.append(Node(node.index, "DequantizeLinear", "", node.name,
                         inputs[3 * i:3 * i + 3], (real[i],), {"axis": axis}))
    if form.bias is not None and len(inputs) > form.bias and inputs[form.bias]:
        real.append(f"{name}:bias")
        scales = [constants.get(inputs[i]) for i in (1, 4)]
        if any(s is None or s.dtype != np.float32 or s.ndim > 1 for s in scales):
            raise _fail(file, node, "its scales must be constant float32 numbers", UnsupportedError)
        # Those of the products: a Gemm's are times alpha.
        alpha = np.float32(node.attributes.get("alpha", 1.0) if form.float_kind == "Gemm" else 1.0)
        if alpha == 0 or not np.isfinite(alpha):
            raise _fail(file, node, f"alpha is {alpha}, expected a finite number other than 0",
                        UnsupportedError)
        constants[f"{name}:scale"] = (
            abs(alpha) * np.asarray(scales[0]).reshape(-1)[:1] * np.asarray(scales[1]))
        bias = inputs[form.bias]
        if alpha < 0:
            bias = f"{name}:negated"
            constants[bias] = _negated(file, node, constants.get(inputs[form.bias]))
        made.append(Node(node.index, "DequantizeLinear", "", node.name,
                         (bias, f"{name}:scale"), (real[-1],), {"axis": 0}))
    if form.float_kind == "Softmax":
        return made + _softmax(file, node, real[0])
    attributes = {k: v for k, v in node.attributes.items() if k != "channels_last"}
    result = name if real_result else f"{name}:float"
    made.append(Node(node.index, form.float_kind, "", node.name, tuple(real), (result,),
                     attributes))
    if real_result:
        return made
    made.append(Node(node.index, "QuantizeLinear", "", node.name, (
        f"{name}:float", *inputs[form.result:form.result + 2]), (name,), {}))
    return made


def _negated(file: OnnxFile, node: Node, bias: np.ndarray | None) -> np.ndarray:
    """An int32 bias times -1."""
    if bias is None or bias.dtype != np.int32 or (bias == np.iinfo(np.int32).min).any():
        raise _fail(file, node, "a bias beside a negative alpha must be constant int32 above -2^31",
                    UnsupportedError)
    return np.asarray(-bias)


def _softmax(file: OnnxFile, node: Node, real: str) -> list[Node]:
    """QLinearSoftmax of ``real``, which has a version of its own.

    Before 13 it works on a matrix: the axis and all behind it are one dimension.
    """
    version, axis = node.attributes.get("opset"), node.attributes.get("axis", -1)
    if not isinstance(version, int) or not isinstance(axis, int):
        raise _fail(file, node, "its opset and its axis must be numbers")
    name = node.outputs[0]
    scale = node.inputs[3:5]

    def made(kind: str, inputs: tuple[str, ...], output: str, **attributes: object) -> Node:
        return Node(node.index, kind, "", node.name, inputs, (output,), attributes)

    if version >= 13:
        return [made("Softmax", (real,), f"{name}:float", axis=axis, opset=version),
                made("QuantizeLinear", (f"{name}:float", *scale), name)]
    return [made("Flatten", (real,), f"{name}:matrix", axis=axis),
            made("Softmax", (f"{name}:matrix",), f"{name}:float", axis=1),
            made("QuantizeLinear", (f"{name}:float", *scale), f"{name}:rows"),
            made("Shape", (real,), f"{name}:shape"),
            made("Reshape", (f"{name}:rows", f"{name}:shape"), name)]


def _concat(file: OnnxFile, node: Node) -> list[Node]:
    """QLinearConcat: the result's scale and zero point, then three operands a part."""
    inputs, name = node.inputs, node.outputs[0] if node.outputs else ""
    if len(inputs) < 5 or len(inputs) % 3 != 2 or not name:
        raise _fail(file, node, f"has {len(inputs)} operands and {len(node.outputs)} results")
    made, real = [], []
    for i in range(2, len(inputs), 3):
        real.append(f"{name}:real{i}")
        made.append(Node(node.index, "DequantizeLinear", "", node.name, inputs[i:i + 3],
                         (real[-1],), {}))
    made.append(Node(node.index, "Concat", "", node.name, tuple(real), (f"{name}:float",),
                     node.attributes))
    made.append(Node(node.index, "QuantizeLinear", "", node.name, (f"{name}:float", *inputs[:2]),
                     (name,), {}))
    return made
