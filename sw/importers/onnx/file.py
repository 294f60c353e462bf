"""An ONNX file as plain values: protobuf read, every size and type checked before it is used."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kaniwa.errors import Error, ModelError, UnsupportedError
from kaniwa.extras import needed

__all__ = ["Node", "Declared", "OnnxFile", "read_onnx"]

MAXIMUM_RANK = 6
MAXIMUM_ELEMENTS = 1 << 26
MAXIMUM_COUNT = 1 << 16       # of nodes and of constants
MAXIMUM_NAME = 1000
OPSETS = range(10, 24)        # what the handlers were written for
STANDARD = ("", "ai.onnx")

# TensorProto.DataType → (NumPy's name, field of the values where there is no raw_data).
TENSOR_TYPES = {1: ("float32", "float_data"), 2: ("uint8", "int32_data"), 3: ("int8", "int32_data"),
          4: ("uint16", "int32_data"), 5: ("int16", "int32_data"), 6: ("int32", "int32_data"),
          7: ("int64", "int64_data"), 9: ("bool", "int32_data"), 10: ("float16", "int32_data"),
          11: ("float64", "double_data"), 21: ("uint4", "int32_data"), 22: ("int4", "int32_data")}
ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
# AttributeProto.AttributeType of what operators outside the standard have: QONNX, com.microsoft.
OTHERS = {"signed": 2, "narrow": 2, "rounding_mode": 3, "axis": 2, "channels_last": 2, "alpha": 1,
          "transA": 2, "transB": 2, "ceil_mode": 2, "count_include_pad": 2, "auto_pad": 3,
          "kernel_shape": 7, "strides": 7, "pads": 7, "dilations": 7, "group": 2, "axes": 7,
          "keepdims": 2, "block_size": 2, "output_dtype": 2}


@dataclass(frozen=True)
class Node:
    """A node; absent operands have the name "". Tensor attributes are arrays."""

    index: int
    kind: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Declared:
    """A model input or output; ``shape`` is None where the file says nothing."""

    name: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class OnnxFile:
    """The main graph of a file."""

    name: str
    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    sha256: str


def read_onnx(data: bytes, name: str) -> OnnxFile:
    """The file with content ``data``; ``name`` is used in messages.

    Raises ``ModelError`` for a damaged file, ``UnsupportedError`` for what kaniwa does not take,
    and where the ``onnx`` package is missing.
    """
    with needed(f"{name}: the reader of ONNX files", "onnx"):
        import onnx
        from google.protobuf.message import DecodeError
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        return _Reader(model, name).file(hashlib.sha256(data).hexdigest())
    except DecodeError:
        raise ModelError(f"{name}: not a sound ONNX file: protobuf cannot be decoded") from None
    except UnicodeDecodeError:
        raise ModelError(f"{name}: a name in the file is not UTF-8") from None


class _Reader:
    def __init__(self, model: Any, name: str) -> None:
        self.model = model
        self.name = name

    def fail(self, what: str, error: type[Error] = ModelError) -> Error:
        return error(f"{self.name}: {what}")

    def text(self, value: str | bytes) -> str:
        """A name of the file, on one line."""
        if isinstance(value, bytes):      # what protobuf gives for bytes that are no UTF-8
            raise self.fail("a name in the file is not UTF-8")
        if len(value) > MAXIMUM_NAME:
            raise self.fail(f"a name of {len(value)} characters, at most {MAXIMUM_NAME} are "
                            f"supported", UnsupportedError)
        return "".join(c if c.isprintable() else "?" for c in value)

    def file(self, sha256: str) -> OnnxFile:
        graph, opset = self.model.graph, self.opset
        for count, what in ((len(graph.node), "nodes"), (len(graph.initializer), "constants")):
            if count > MAXIMUM_COUNT:
                raise self.fail(f"has {count} {what}, at most {MAXIMUM_COUNT} are supported",
                                UnsupportedError)
        if self.model.functions:
            raise self.fail("has functions of its own; inline them with "
                            "onnx.inliner.inline_local_functions", UnsupportedError)
        if graph.sparse_initializer:
            raise self.fail("has sparse constants; store them densely", UnsupportedError)
        constants: dict[str, np.ndarray] = {}
        for tensor in graph.initializer:
            key = self.text(tensor.name)
            if not key or key in constants:
                raise self.fail(f"constant '{key}' has no name of its own")
            constants[key] = self.tensor(tensor, f"constant '{key}'")
        # Files of IR version 3 list constants among the inputs.
        inputs = tuple(self.declared(i, "input") for i in graph.input
                       if self.text(i.name) not in constants)
        outputs = tuple(self.declared(o, "output") for o in graph.output)
        if not inputs or not outputs or not graph.node:
            raise self.fail(f"has {len(inputs)} inputs, {len(outputs)} outputs and "
                            f"{len(graph.node)} nodes")
        for which, items in (("input", inputs), ("output", outputs)):
            names = [item.name for item in items]
            twice = [n for n in names if names.count(n) > 1] if len(names) < 100 else []
            if twice or len(names) >= 100:
                raise self.fail(f"{which} '{twice[0]}' is listed twice" if twice
                                else f"has {len(names)} {which}s, at most 99 are supported")
        nodes = tuple(self.node(i, node) for i, node in enumerate(graph.node))
        return OnnxFile(self.name, opset, nodes, constants, inputs, outputs, sha256)

    @cached_property
    def opset(self) -> int:
        versions = [o.version for o in self.model.opset_import if o.domain in STANDARD]
        if len(versions) != 1:
            raise self.fail(f"names {len(versions)} versions of ONNX's operators, expected one")
        if versions[0] not in OPSETS:
            raise self.fail(f"uses opset {versions[0]}, supported are {OPSETS[0]} to {OPSETS[-1]}; "
                            f"convert it with onnx.version_converter", UnsupportedError)
        return int(versions[0])

    def declared(self, source: Any, which: str) -> Declared:
        key = self.text(source.name)
        if not key:
            raise self.fail(f"an {which} has no name")
        where = f"{which} '{key}'"
        if source.type.WhichOneof("value") != "tensor_type":
            raise self.fail(f"{where}: is no tensor", UnsupportedError)
        tensor = source.type.tensor_type
        dtype = self.dtype(tensor.elem_type, where)
        if not tensor.HasField("shape"):
            return Declared(key, dtype, None)
        dims = tensor.shape.dim
        if len(dims) > MAXIMUM_RANK:
            raise self.fail(f"{where}: has {len(dims)} dimensions, at most {MAXIMUM_RANK} are "
                            f"supported", UnsupportedError)
        # -1 stands for a size that is left open.
        shape = tuple(int(d.dim_value) if d.HasField("dim_value") else -1 for d in dims)
        return Declared(key, dtype, shape)

    def dtype(self, number: int, where: str) -> str:
        if number not in TENSOR_TYPES:
            raise self.fail(f"{where}: data type {number} is not supported; quantise the model to "
                            f"int8", UnsupportedError)
        return TENSOR_TYPES[number][0]

    def node(self, index: int, source: Any) -> Node:
        kind, domain = self.text(source.op_type), self.text(source.domain)
        name = self.text(source.name) or (self.text(source.output[0]) if source.output else "")
        where = f"node {index} {kind} '{name}'"
        attributes: dict[str, Any] = {}
        types = self.attribute_types(kind, domain) if source.attribute else {}
        for attribute in source.attribute:
            key = self.text(attribute.name)
            field = ATTRIBUTES.get(attribute.type)
            if field is None or attribute.ref_attr_name:
                raise self.fail(f"{where}: attribute '{key}' holds a graph or a reference; unroll "
                                f"control flow when exporting", UnsupportedError)
            declared = types.get(key, attribute.type)
            if attribute.type != declared:
                raise self.fail(f"{where}: attribute '{key}' is of type '{field}', the operator's "
                                f"is '{ATTRIBUTES.get(declared, declared)}'; export it again")
            value = getattr(attribute, field)
            if field == "t":
                value = self.tensor(value, f"{where}: attribute '{key}'")
            elif field in ("floats", "ints", "strings"):
                value = tuple(value)
            attributes[key] = value
        return Node(index, kind, "" if domain in STANDARD else domain, name,
                    tuple(self.text(i) for i in source.input),
                    tuple(self.text(o) for o in source.output), attributes)

    def attribute_types(self, kind: str, domain: str) -> Mapping[str, int]:
        """The attributes that an operator has, and their numbers in AttributeProto."""
        from onnx import defs

        if domain not in STANDARD:
            return OTHERS
        if not defs.has(kind, self.opset):
            return {}
        schema = defs.get_schema(kind, self.opset)
        return {key: int(value.type.value) for key, value in schema.attributes.items()}

    def tensor(self, source: Any, where: str) -> np.ndarray:
        """A constant's values, read-only; sizes are compared before anything is made."""
        if source.data_location == 1 or source.external_data:
            raise self.fail(f"{where}: its values are in another file, which is not opened; store "
                            f"them in the model with onnx.save(onnx.load(M), M)", UnsupportedError)
        dtype, field = self.dtype(source.data_type, where), TENSOR_TYPES[source.data_type][1]
        shape = tuple(int(d) for d in source.dims)
        if len(shape) > MAXIMUM_RANK or any(d < 0 for d in shape):
            raise self.fail(f"{where}: has shape {list(shape)[:8]}")
        elements = math.prod(shape)
        if elements > MAXIMUM_ELEMENTS:
            raise self.fail(f"{where}: shape {list(shape)} has more than {MAXIMUM_ELEMENTS} "
                            f"elements", UnsupportedError)
        array = (self._raw(source.raw_data, dtype, elements, where) if source.HasField("raw_data")
                 else self._listed(getattr(source, field), dtype, elements, where))
        array = array.reshape(shape)
        array.flags.writeable = False
        return array

    def _raw(self, raw: bytes, dtype: str, elements: int, where: str) -> np.ndarray:
        four_bits = dtype in ("int4", "uint4")
        expected = (elements + 1) // 2 if four_bits else elements * np.dtype(dtype).itemsize
        if len(raw) != expected:
            raise self.fail(f"{where}: has {len(raw)} bytes, {elements} of {dtype} need {expected}")
        if four_bits:
            return _nibbles(np.frombuffer(raw, np.uint8), dtype, elements)
        if dtype == "bool":
            return np.frombuffer(raw, np.uint8) != 0
        array = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).astype(dtype)
        return array

    def _listed(self, values: Any, dtype: str, elements: int, where: str) -> np.ndarray:
        four_bits = dtype in ("int4", "uint4")
        expected = (elements + 1) // 2 if four_bits else elements
        if len(values) != expected:
            raise self.fail(f"{where}: has {len(values)} values, needs {expected}")
        array = np.array(values)
        if four_bits:
            return _nibbles((array.astype(np.int64) & 255).astype(np.uint8), dtype, elements)
        if dtype == "float16":
            return (array.astype(np.int64) & 0xFFFF).astype(np.uint16).view(np.float16)
        if dtype not in ("float32", "float64", "int64", "bool") and elements:
            limits = np.iinfo(dtype)
            if array.min() < limits.min or array.max() > limits.max:
                raise self.fail(f"{where}: a value does not fit {dtype}")
        return array.astype(dtype)


def _nibbles(packed: np.ndarray, dtype: str, elements: int) -> np.ndarray:
    """4-bit numbers, the low half of a byte first, widened to 8 bits."""
    halves = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:elements]
    if dtype == "uint4":
        return halves
    return ((halves.astype(np.int8) ^ 8) - 8).astype(np.int8)
