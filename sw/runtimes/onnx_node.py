"""A node of an ONNX model as an operator of its own: its definition, and ONNX Runtime on it.

The definition is plain text: the serialized NodeProto in base64, its operands called i0, i1, ...
and its results o0, o1, ..., with "" for absent ones. Constants are operands.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from kaniwa.graph import Tensor
from kaniwa.runtimes.onnx_exact import exact_options, exact_weights
from kaniwa.runtimes.prepared import Form, Refusal, one_line

__all__ = ["DOMAINS", "OnnxNode", "UNLIKE", "definition", "illegal"]

DOMAINS = ("", "com.microsoft")
LONGEST = 1 << 16      # characters of a definition
OPSETS = range(1, 1 << 10)
MICROSOFT_OPSET = 1
IR_VERSION = 8
OPERANDS = 1 << 10
# Names of ONNX Runtime, and the numbers in TensorProto.DataType.
TYPES = {"float32": ("tensor(float)", 1), "uint8": ("tensor(uint8)", 2),
         "int8": ("tensor(int8)", 3), "uint16": ("tensor(uint16)", 4),
         "int16": ("tensor(int16)", 5), "int32": ("tensor(int32)", 6),
         "int64": ("tensor(int64)", 7), "bool": ("tensor(bool)", 9)}
DTYPES = {name: dtype for dtype, (name, _) in TYPES.items()}
# AttributeProto.AttributeType of float, int, string, tensor and of several of them.
NUMBER, INTEGER, TEXT, TENSOR, NUMBERS, INTEGERS, TEXTS = 1, 2, 3, 4, 6, 7, 8
RANDOM = dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
                        "Multinomial", "Bernoulli"), "gives other values each time")
CONTROL = dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"),
                        "has graphs of its own; unroll control flow when exporting")
# Nodes that no runtime gets, with the reason.
UNLIKE = RANDOM | CONTROL


def definition(kind: str, domain: str, opset: int, values: Mapping[str, Any],
               absent: tuple[Sequence[int], Sequence[int]],
               counts: tuple[int, int]) -> dict[str, object]:
    """The attributes of the graph's operator for a node with the attributes ``values``.

    ``counts`` are those of operands and results, ``absent`` the positions of such. Raises Refusal
    for a definition that is too long.
    """
    from onnx import NodeProto, numpy_helper

    node = NodeProto(op_type=kind, domain=domain)
    node.input.extend("" if i in absent[0] else f"i{i}" for i in range(counts[0]))
    node.output.extend("" if i in absent[1] else f"o{i}" for i in range(counts[1]))
    for name, value in values.items():
        if isinstance(value, tuple) and not value:
            continue      # the file's reader keeps no type of an empty list
        attribute = node.attribute.add(name=name)
        if isinstance(value, np.ndarray):
            attribute.type = TENSOR
            attribute.t.CopyFrom(numpy_helper.from_array(value))
        elif isinstance(value, bytes):
            attribute.type, attribute.s = TEXT, value
        elif isinstance(value, tuple):
            attribute.type, field = {float: (NUMBERS, attribute.floats),
                                     int: (INTEGERS, attribute.ints),
                                     bytes: (TEXTS, attribute.strings)}[type(value[0])]
            field.extend(value)
        elif isinstance(value, float):
            attribute.type, attribute.f = NUMBER, value
        else:
            attribute.type, attribute.i = INTEGER, value
    text = base64.b64encode(node.SerializeToString(deterministic=True)).decode()
    if len(text) > LONGEST:
        raise Refusal(f"its attributes take more than {LONGEST} characters")
    return {"node": text, "opset": opset}


def illegal(attributes: Mapping[str, object]) -> str | None:
    """What is wrong with a definition that a program file has, as far as text tells; else None."""
    text, opset = attributes.get("node"), attributes.get("opset")
    limit = attributes.get("limit", "")
    if set(attributes) - {"limit"} != {"node", "opset"} or not isinstance(text, str) or (
            not isinstance(limit, str)):
        return "has no definition"
    if isinstance(opset, bool) or not isinstance(opset, int) or opset not in OPSETS:
        return "has no opset"
    if not 0 < len(text) <= LONGEST:
        return f"has a definition of {len(text)} characters, at most {LONGEST} are supported"
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "has a damaged definition"
    return None


class OnnxNode:
    """ONNX Runtime with a model of one node, on the CPU, one thread, without optimisation.

    ``operands`` are the tensors, None for an absent one; constants are built into the model.
    Raises Refusal where the definition is damaged, or ONNX Runtime does not take the node, and
    ImportError where a package is missing.
    """

    def __init__(self, kind: str, attributes: Mapping[str, object],
                 operands: Sequence[Tensor | None]) -> None:
        import onnxruntime

        problem = illegal(attributes)
        if problem is not None:
            raise Refusal(problem)
        node = _node(str(attributes["node"]), kind, operands)
        opset = attributes["opset"]
        assert isinstance(opset, int)
        try:
            self._session = onnxruntime.InferenceSession(
                exact_weights(_model(node, opset, operands)), exact_options(),
                providers=["CPUExecutionProvider"])
        except Exception as error:   # its errors have no base of their own
            raise Refusal(one_line(error)) from None
        self._names = [f"i{i}" if t is not None and t.data is None else None
                       for i, t in enumerate(operands)]
        self._operands = operands
        self._outputs = [name for name in node.output if name]

    @property
    def results(self) -> tuple[Form, ...]:
        """The forms of the results; raises Refusal for what is no tensor that kaniwa has."""
        forms = []
        for position, output in enumerate(self._session.get_outputs()):
            if output.type not in DTYPES:
                raise Refusal(f"its result is a {output.type}, which kaniwa has not")
            shape = tuple(n if isinstance(n, int) else None for n in output.shape or ())
            forms.append(Form(DTYPES[output.type], shape or self._tried[position]))
        return tuple(forms)

    @cached_property
    def _tried(self) -> list[tuple[int, ...]]:
        """The results' shapes in runs with zeros and with ones: ONNX Runtime lists no sizes both of
        a scalar and of a result whose shape it does not infer.

        Raises Refusal where the runs do not agree.
        """
        found = []
        for number in (0, 1):
            values = [None if name is None or tensor is None
                      else np.full(tensor.shape, number, tensor.dtype)
                      for name, tensor in zip(self._names, self._operands, strict=True)]
            try:
                found.append([value.shape for value in self.run(values)])
            except Refusal as reason:
                raise Refusal("ONNX Runtime does not infer the shape of its result, and refuses "
                              f"operands of {number} to find it: {reason}") from None
        if found[0] != found[1]:
            raise Refusal("the shape of its result depends on values")
        return found[0]

    def run(self, values: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        """The results for these operands; raises Refusal where ONNX Runtime does not take them."""
        feeds = {name: np.asarray(value) for name, value in zip(self._names, values, strict=True)
                 if name is not None}
        try:
            return [np.asarray(value) for value in self._session.run(self._outputs, feeds)]
        except Exception as error:   # its errors have no base of their own
            raise Refusal(one_line(error)) from None


def parsed(text: str) -> Any:
    """The NodeProto of a definition's text; raises Refusal for a damaged one."""
    import onnx
    from google.protobuf.message import DecodeError

    node = onnx.NodeProto()
    try:
        node.ParseFromString(base64.b64decode(text))
    except (DecodeError, UnicodeDecodeError):
        raise Refusal("has a damaged definition") from None
    return node


def _node(text: str, kind: str, operands: Sequence[Tensor | None]) -> Any:
    """The NodeProto of a definition, with everything checked that ONNX Runtime does not check."""
    node = parsed(text)
    known = {NUMBER, INTEGER, TEXT, TENSOR, NUMBERS, INTEGERS, TEXTS}
    names = ["" if t is None else f"i{i}" for i, t in enumerate(operands)]
    outputs = [name for i, name in enumerate(node.output) if name not in ("", f"o{i}")]
    if node.op_type != kind or node.domain not in DOMAINS or kind in UNLIKE:
        raise Refusal("has the definition of another operator")
    if list(node.input) != names or outputs or not any(node.output) or (
            max(len(names), len(node.output)) > OPERANDS):
        raise Refusal("has other operands than its definition")
    for attribute in node.attribute:
        if attribute.type not in known or attribute.ref_attr_name or (
                attribute.t.data_location or attribute.t.external_data):
            raise Refusal("has an attribute that is neither numbers nor text")
    return node


def _model(node: Any, opset: int, operands: Sequence[Tensor | None]) -> bytes:
    from onnx import ValueInfoProto, helper, numpy_helper

    inputs, constants = [], []
    for i, tensor in enumerate(operands):
        if tensor is None:
            continue
        if tensor.dtype not in TYPES:
            raise Refusal(f"its operand '{tensor.name}' is {tensor.dtype}")
        if tensor.data is not None:
            # Not ascontiguousarray, which makes one dimension of none.
            constants.append(numpy_helper.from_array(np.asarray(tensor.data, order="C"), f"i{i}"))
        else:
            inputs.append(helper.make_tensor_value_info(
                f"i{i}", TYPES[tensor.dtype][1], tensor.shape))
    graph = helper.make_graph([node], "node", inputs, [
        ValueInfoProto(name=name) for name in node.output if name], constants)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft",
                                                                   MICROSOFT_OPSET)]
    model: bytes = helper.make_model(graph, opset_imports=imports,
                                     ir_version=IR_VERSION).SerializeToString()
    return model
