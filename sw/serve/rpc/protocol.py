"""Messages and methods of the Open Inference Protocol over gRPC, from tables.

Names and numbers of fields are those of the protocol's gRPC interface, version 2 (KServe, "gRPC").
The messages are made when this module is imported, in a pool of their own, so that a client's
generated ones can be beside them.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["CONTENTS", "METHODS", "PACKAGE", "SERVICE", "Message", "messages"]

Message = Any   # of google.protobuf, whose fields no checker knows

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
METHODS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata",
           "ModelInfer")

# Field of a tensor's typed contents that holds a datatype's elements.
CONTENTS = {"BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents",
            "INT32": "int_contents", "INT64": "int64_contents", "UINT8": "uint_contents",
            "UINT16": "uint_contents", "FP32": "fp32_contents"}

# message: its fields in the order of their numbers, from 1. A type with [] is repeated; {} stands
# for a map of parameters by name. Names without a type of protobuf are messages of this table.
FIELDS: dict[str, dict[str, str]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": "bool"},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": "bool"},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": "string", "version": "string", "extensions": "string[]"},
    "ModelReadyRequest": {"name": "string", "version": "string"},
    "ModelReadyResponse": {"ready": "bool"},
    "ModelMetadataRequest": {"name": "string", "version": "string"},
    "TensorMetadata": {"name": "string", "datatype": "string", "shape": "int64[]"},
    "ModelMetadataResponse": {"name": "string", "versions": "string[]", "platform": "string",
                              "inputs": "TensorMetadata[]", "outputs": "TensorMetadata[]"},
    "InferParameter": {"bool_param": "bool", "int64_param": "int64", "string_param": "string",
                       "double_param": "double", "uint64_param": "uint64"},
    "InferTensorContents": {
        "bool_contents": "bool[]", "int_contents": "int32[]", "int64_contents": "int64[]",
        "uint_contents": "uint32[]", "uint64_contents": "uint64[]", "fp32_contents": "float[]",
        "fp64_contents": "double[]", "bytes_contents": "bytes[]"},
    "InferInputTensor": {"name": "string", "datatype": "string", "shape": "int64[]",
                         "parameters": "{}", "contents": "InferTensorContents"},
    "InferRequestedOutputTensor": {"name": "string", "parameters": "{}"},
    "ModelInferRequest": {
        "model_name": "string", "model_version": "string", "id": "string", "parameters": "{}",
        "inputs": "InferInputTensor[]", "outputs": "InferRequestedOutputTensor[]",
        "raw_input_contents": "bytes[]"},
    "InferOutputTensor": {"name": "string", "datatype": "string", "shape": "int64[]",
                          "parameters": "{}", "contents": "InferTensorContents"},
    "ModelInferResponse": {
        "model_name": "string", "model_version": "string", "id": "string", "parameters": "{}",
        "outputs": "InferOutputTensor[]", "raw_output_contents": "bytes[]"},
}
CHOICES = {"InferParameter": "parameter_choice"}   # messages of which one field at most is there


def _file() -> Any:
    """The table as the description that protobuf makes messages of."""
    file = descriptor_pb2.FileDescriptorProto(
        name="kaniwa/inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in FIELDS.items():
        made = file.message_type.add(name=name)
        if name in CHOICES:
            made.oneof_decl.add(name=CHOICES[name])
        for number, (field, kind) in enumerate(fields.items(), 1):
            _add_field(made, field, number, kind, f".{PACKAGE}.{name}")
            if name in CHOICES:
                made.field[-1].oneof_index = 0
    return file


def _add_field(made: Any, field: str, number: int, kind: str, scope: str) -> None:
    proto = descriptor_pb2.FieldDescriptorProto
    of_map, repeated = kind == "{}", kind.endswith(("[]", "{}"))
    if of_map:     # protobuf has a map as a list of messages with a key and a value
        kind = "".join(word.capitalize() for word in field.split("_")) + "Entry"
        entry = made.nested_type.add(name=kind)
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string", scope)
        _add_field(entry, "value", 2, "InferParameter", scope)
    kind = kind.removesuffix("[]")
    added = made.field.add(
        name=field, number=number,
        label=proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL)
    if hasattr(proto, f"TYPE_{kind.upper()}"):
        added.type = getattr(proto, f"TYPE_{kind.upper()}")
    else:
        added.type = proto.TYPE_MESSAGE
        added.type_name = f"{scope}.{kind}" if of_map else f".{PACKAGE}.{kind}"


def _messages() -> dict[str, Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    return {name: message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in FIELDS}


messages: dict[str, Message] = _messages()   # classes by name
