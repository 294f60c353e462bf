"""Builds small TFLite files in memory, with the table writers of the ``tflite`` package.

``ModelBuilder`` takes tensors and operators as plain values and writes the flatbuffer; what it
writes need not be a sensible model, so that tests can also make the senseless ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
from flatbuffers import flexbuffers

__all__ = ["ModelBuilder", "PADDING", "ACTIVATION"]

PADDING = {"SAME": tflite.Padding.SAME, "VALID": tflite.Padding.VALID}
ACTIVATION = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}
TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "complex64": 8,
    "int8": 9,
    "int4": 17,
    "resource": 13,
}
# Where LiteRT has no version 1, or our forms need a later one.
VERSIONS = {"FULLY_CONNECTED": 5, "BROADCAST_TO": 2, "TRANSPOSE_CONV": 4,
            "CONV_2D": 5, "DEPTHWISE_CONV_2D": 6}
# Operator → the options table that TFLite pairs with it.
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "RESHAPE": "ReshapeOptions",
    "SHAPE": "ShapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "CONCATENATION": "ConcatenationOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "GATHER": "GatherOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "CAST": "CastOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "GELU": "GeluOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTMOptions",
    "SVDF": "SVDFOptions",
    "VAR_HANDLE": "VarHandleOptions",
    "READ_VARIABLE": "ReadVariableOptions",
    "ASSIGN_VARIABLE": "AssignVariableOptions",
    "CALL_ONCE": "CallOnceOptions",
}


@dataclass
class _Tensor:
    name: str
    shape: Sequence[int]
    dtype: str
    scales: Sequence[float]
    zero_points: Sequence[int]
    axis: int
    buffer: int
    variable: bool
    signature: Sequence[int] | None


@dataclass
class _Operator:
    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Any] | None
    options_type: str | None
    intermediates: Sequence[int]


@dataclass
class ModelBuilder:
    """Collects tensors and operators; ``build`` returns the file's bytes.

    ``behind``: data of tensors stands behind the flatbuffer. ``code_fields``: which of
    deprecated_builtin_code and builtin_code are written.
    """

    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[_Operator] = field(default_factory=list)
    buffers: list[bytes] = field(default_factory=lambda: [b""])
    # Tensor indexes by name, of inputs and of outputs, by the key of a signature.
    signatures: dict[str, tuple[Mapping[str, int], Mapping[str, int]]] = field(default_factory=dict)
    behind: bool = False
    code_fields: tuple[bool, bool] = (True, True)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        *,
        scale: float | Sequence[float] = (),
        zero_point: int | Sequence[int] = (),
        axis: int = 0,
        data: np.ndarray | bytes | None = None,
        variable: bool = False,
        signature: Sequence[int] | None = None,
    ) -> int:
        """Add a tensor and return its index; ``data`` (array or raw bytes) makes it a constant.

        ``signature`` is the shape with -1 for what is left open.
        """
        scales = [scale] if isinstance(scale, (float, int, np.floating)) else list(scale)
        zero_points = (
            [zero_point] if isinstance(zero_point, (int, np.integer)) else list(zero_point)
        )
        buffer = 0
        if data is not None:
            buffer = len(self.buffers)
            self.buffers.append(
                data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
            )
        self.tensors.append(
            _Tensor(name, shape, dtype, scales, zero_points, axis, buffer, variable, signature)
        )
        return len(self.tensors) - 1

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options_type: str | None = None,
        intermediates: Sequence[int] = (),
        **options: Any,
    ) -> None:
        """Add an operator; options are named as in the schema's table, in CamelCase."""
        options_type = options_type or OPTIONS.get(kind)
        self.operators.append(
            _Operator(kind, inputs, outputs, options, options_type, intermediates)
        )

    def build(self, inputs: Sequence[int], outputs: Sequence[int],
              *others: ModelBuilder) -> bytes:
        """The TFLite file; ``others`` are further subgraphs, without inputs and outputs."""
        if not self.behind:
            return self._file(inputs, outputs, others, None)
        # The length is that of any file whose offsets are not 0.
        start = len(_aligned(self._file(inputs, outputs, others, 1)))
        content = self._file(inputs, outputs, others, start).ljust(start, b"\0")
        return content + b"".join(_aligned(data) for each in (self, *others)
                                  for data in each.buffers[1:])

    def _file(self, inputs: Sequence[int], outputs: Sequence[int],
              others: Sequence[ModelBuilder], start: int | None) -> bytes:
        """The flatbuffer; with ``start`` the data of tensors is elsewhere, from that byte on."""
        b = flatbuffers.Builder(1024)
        builders = (self, *others)
        kinds = list(dict.fromkeys(o.kind for each in builders for o in each.operators))
        codes = [self._code(b, kind) for kind in kinds]
        data, graphs = [b""], []
        for each in builders:
            # Buffer 0 is everybody's, and empty.
            tensors = [self._tensor(b, t, len(data) - 1) for t in each.tensors]
            data += each.buffers[1:]
            operators = [self._operator(b, o, kinds) for o in each.operators]
            ins, outs = (inputs, outputs) if each is self else ((), ())
            graphs.append(self._subgraph(b, tensors, operators, ins, outs))
        buffers = []
        for content in data:
            buffers.append(self._buffer(b, content, start))
            start = start and start + len(_aligned(content))
        signed = [_signature(b, key, *names) for key, names in self.signatures.items()]
        vectors = [_offsets(b, v) for v in (graphs, codes, buffers, signed)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, vectors[1])
        tflite.ModelAddSubgraphs(b, vectors[0])
        tflite.ModelAddBuffers(b, vectors[2])
        if signed:
            tflite.ModelAddSignatureDefs(b, vectors[3])
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    @staticmethod
    def _subgraph(b: flatbuffers.Builder, tensors: list[int], operators: list[int],
                  inputs: Sequence[int], outputs: Sequence[int]) -> int:
        vectors = [_offsets(b, v) for v in (tensors, operators)]
        ins, outs, name = _int32(b, inputs), _int32(b, outputs), b.CreateString("main")
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, vectors[0])
        tflite.SubGraphAddOperators(b, vectors[1])
        tflite.SubGraphAddInputs(b, ins)
        tflite.SubGraphAddOutputs(b, outs)
        tflite.SubGraphAddName(b, name)
        return tflite.SubGraphEnd(b)

    def _code(self, b: flatbuffers.Builder, kind: str) -> int:
        custom = None
        code = getattr(tflite.BuiltinOperator, kind, None)
        if code is None:
            code, custom = tflite.BuiltinOperator.CUSTOM, b.CreateString(kind)
        tflite.OperatorCodeStart(b)
        old, new = self.code_fields
        if old:
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
        if new:
            tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, VERSIONS.get(kind, 1))
        if custom is not None:
            tflite.OperatorCodeAddCustomCode(b, custom)
        return tflite.OperatorCodeEnd(b)

    @staticmethod
    def _buffer(b: flatbuffers.Builder, data: bytes, start: int | None) -> int:
        # TFLite aligns buffers to 16 bytes; CreateNumpyVector does it by the element alone.
        vector = None
        if data and start is None:
            b.StartVector(1, len(data), 16)
            b.head = b.Head() - len(data)
            b.Bytes[b.Head() : b.Head() + len(data)] = data
            vector = b.EndVector()
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        elif data:
            tflite.BufferAddOffset(b, start)
            tflite.BufferAddSize(b, len(data))
        return tflite.BufferEnd(b)

    @staticmethod
    def _tensor(b: flatbuffers.Builder, t: _Tensor, first_buffer: int = 0) -> int:
        shape, name, quantization = _int32(b, t.shape), b.CreateString(t.name), None
        if t.scales:
            scale = b.CreateNumpyVector(np.asarray(t.scales, np.float32))
            zero_point = b.CreateNumpyVector(np.asarray(t.zero_points, np.int64))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, scale)
            tflite.QuantizationParametersAddZeroPoint(b, zero_point)
            tflite.QuantizationParametersAddQuantizedDimension(b, t.axis)
            quantization = tflite.QuantizationParametersEnd(b)
        signature = None if t.signature is None else _int32(b, t.signature)
        tflite.TensorStart(b)
        if signature is not None:
            tflite.TensorAddShapeSignature(b, signature)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, TYPES[t.dtype])
        tflite.TensorAddBuffer(b, t.buffer and t.buffer + first_buffer)
        tflite.TensorAddName(b, name)
        tflite.TensorAddIsVariable(b, t.variable)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        return tflite.TensorEnd(b)

    @staticmethod
    def _operator(b: flatbuffers.Builder, o: _Operator, kinds: list[str]) -> int:
        options, ins, outs = None, _int32(b, o.inputs), _int32(b, o.outputs)
        between = _int32(b, o.intermediates) if o.intermediates else None
        custom = None
        if o.options and getattr(tflite.BuiltinOperator, o.kind, None) is None:
            custom = b.CreateByteVector(bytes(flexbuffers.Dumps(dict(o.options))))
        if o.options_type is not None:
            values = {
                key: (_int32(b, v) if isinstance(v, (list, tuple))
                      else b.CreateString(v) if isinstance(v, str) else v)
                for key, v in (o.options or {}).items()
            }
            getattr(tflite, f"{o.options_type}Start")(b)
            for key, value in values.items():
                getattr(tflite, f"{o.options_type}Add{key}")(b, value)
            options = getattr(tflite, f"{o.options_type}End")(b)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, kinds.index(o.kind))
        tflite.OperatorAddInputs(b, ins)
        tflite.OperatorAddOutputs(b, outs)
        if between is not None:
            tflite.OperatorAddIntermediates(b, between)
        if custom is not None:
            tflite.OperatorAddCustomOptions(b, custom)
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(
                b, getattr(tflite.BuiltinOptions, o.options_type or "")
            )
            tflite.OperatorAddBuiltinOptions(b, options)
        return tflite.OperatorEnd(b)


def _signature(b: flatbuffers.Builder, key: str, inputs: Mapping[str, int],
               outputs: Mapping[str, int]) -> int:
    maps = []
    for names in (inputs, outputs):
        tables = []
        for name, index in names.items():
            text = b.CreateString(name)
            tflite.TensorMapStart(b)
            tflite.TensorMapAddName(b, text)
            tflite.TensorMapAddTensorIndex(b, index)
            tables.append(tflite.TensorMapEnd(b))
        maps.append(_offsets(b, tables))
    text = b.CreateString(key)
    tflite.SignatureDefStart(b)
    tflite.SignatureDefAddInputs(b, maps[0])
    tflite.SignatureDefAddOutputs(b, maps[1])
    tflite.SignatureDefAddSignatureKey(b, text)
    return tflite.SignatureDefEnd(b)


def _aligned(data: bytes) -> bytes:
    return data.ljust(len(data) + -len(data) % 16, b"\0")


def _int32(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    return b.CreateNumpyVector(np.asarray(values, np.int32))


def _offsets(b: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return b.EndVector()
