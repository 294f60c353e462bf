"""Facts of an ONNX file that its graph does not need: as ONNX Runtime gives them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kaniwa.compat.errors import InvalidArgument, InvalidProtobuf
from kaniwa.extras import needed

__all__ = ["Metadata", "ModelMetadata", "NodeArg", "read_metadata"]

# By the number of the data type; others are not imported.
TYPES = {1: "float", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
         10: "float16", 11: "double"}
NO_VERSION = (1 << 63) - 1      # as ONNX Runtime has it where the file says none


@dataclass(frozen=True)
class NodeArg:
    """An input or output: ``type`` as in ``tensor(float)``.

    A dimension that the file leaves open is its name, or None where it has none.
    """

    name: str
    type: str
    shape: list[int | str | None]


@dataclass(frozen=True)
class ModelMetadata:
    """What the exporter says of the model."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metadata:
    """Inputs without the constants that old files list among them, outputs, and the rest."""

    inputs: list[NodeArg]
    outputs: list[NodeArg]
    model: ModelMetadata


def read_metadata(data: bytes, name: str) -> Metadata:
    """The facts in ``data``; ``name`` is used in messages.

    Raises InvalidProtobuf for what is no ONNX file, InvalidArgument for one without a graph.
    """
    with needed(f"{name}: the reader of ONNX files", "onnx"):
        import onnx
        from google.protobuf.message import DecodeError
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise InvalidProtobuf(f"{name}: not a sound ONNX file: protobuf cannot be decoded"
                              ) from None
    if not model.HasField("graph"):
        raise InvalidArgument(f"{name}: has no graph: not an ONNX file")
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    return Metadata(
        [_node_arg(each) for each in graph.input if each.name not in constants],
        [_node_arg(each) for each in graph.output],
        ModelMetadata(model.producer_name, graph.name, model.domain, model.doc_string,
                      graph.doc_string,
                      model.model_version if model.HasField("model_version") else NO_VERSION,
                      {entry.key: entry.value for entry in model.metadata_props}))


def _node_arg(declared: Any) -> NodeArg:
    tensor = declared.type.tensor_type
    return NodeArg(declared.name, f"tensor({TYPES.get(tensor.elem_type, tensor.elem_type)})",
                   [_size(dimension) for dimension in tensor.shape.dim])


def _size(dimension: Any) -> int | str | None:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    return dimension.dim_param or None
