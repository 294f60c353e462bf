"""A TFLite file of one operator, written from plain values: always a sound flatbuffer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from kaniwa.graph import Tensor
from kaniwa.runtimes.litert_table import CUSTOM, FLOATS, OPERATORS, OPTIONS, TakenOperator
from kaniwa.runtimes.prepared import Refusal

__all__ = ["Sizes", "illegal", "model_of", "taken"]

TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7,
         "complex64": 8, "int8": 9}
VERSIONS = range(1, 100)
LONGEST = 1 << 12      # bytes of a vector among the options
OLD_CODES = 127        # the largest number of the field that older files have
ALIGNMENT = 16         # of a constant
Sizes = Mapping[int, int]      # width in bytes of each field


def taken(kind: str) -> TakenOperator | None:
    """What is known of an operator, a custom one too."""
    return OPERATORS.get(kind) or CUSTOM.get(kind)


def illegal(kind: str, attributes: Mapping[str, object]) -> str | None:
    """What is wrong with a definition that a program file has, or an importer made; else None."""
    known = taken(kind)
    if known is None or set(attributes) != {"version", "options", "custom"}:
        return "has no definition"
    version = attributes["version"]
    if isinstance(version, bool) or not isinstance(version, int) or version not in VERSIONS:
        return f"has version {version!s:.20}"
    options = attributes["options"]
    sizes = OPTIONS[known.options][1] if known.options else {}
    if options is not None and not _fields_fit(options, sizes):
        return "has damaged options"
    if not _is_named_numbers(attributes["custom"]):
        return "has damaged options"
    values = _integers(options)
    if any(values.get(field, int(known.options == "Conv3DOptions" and field >= 5)) < 1
           for field in known.positive):
        return "has a stride, a size or a dilation below 1"
    return None


def _fields_fit(options: object, sizes: Sizes) -> bool:
    """True for pairs of a field's number and its bytes in hexadecimal, each field once."""
    if not isinstance(options, tuple):
        return False
    seen = set()
    for pair in options:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return False
        field, text = pair
        width = sizes.get(field) if isinstance(field, int) else None
        if width is None or field in seen or not isinstance(text, str):
            return False
        seen.add(field)
        try:
            size = len(bytes.fromhex(text))
        except ValueError:
            return False
        if size != width if width > 0 else size % -width or size > LONGEST:
            return False
    return True


def _is_named_numbers(custom: object) -> bool:
    return isinstance(custom, tuple) and len(custom) <= 64 and all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
        and len(pair[0]) <= 64 and pair[0].isidentifier()
        and isinstance(pair[1], (int, float)) and abs(pair[1]) < 1 << 31 for pair in custom)


def _integers(options: object) -> dict[int, int]:
    """The fields of 4 bytes as integers."""
    if not isinstance(options, tuple):
        return {}
    return {field: int.from_bytes(bytes.fromhex(text), "little", signed=True)
            for field, text in options}


def model_of(kind: str, attributes: Mapping[str, Any], operands: Sequence[Tensor | None],
             results: Sequence[Tensor]) -> bytes:
    """The file: tensors are the operands that are there, then the results.

    The model's inputs are the operands that are no constants. Raises Refusal for operands that
    do not fit the operator.
    """
    known = taken(kind)
    assert known is not None
    if not known.least <= len(operands) <= known.most or len(results) != known.outputs:
        raise Refusal(f"has {len(operands)} operands and {len(results)} results")
    for i in known.constant:
        tensor = operands[i]
        if tensor is None or tensor.data is None:
            raise Refusal("the shape of its result depends on values" if tensor is None else
                          f"the shape of its result depends on the values of '{tensor.name}'")
    problem = _unlike(known, operands, results)
    if problem is not None:
        raise Refusal(problem)
    return _Writer().file(kind, known, attributes, operands, results)


def _unlike(known: TakenOperator, operands: Sequence[Tensor | None],
            results: Sequence[Tensor]) -> str | None:
    """Why the results cannot be what the operands make of them; None where they can."""
    for result, source in zip(results, known.dtypes, strict=False):
        tensor = operands[source] if isinstance(source, int) else None
        wanted = tensor.dtype if tensor is not None else source
        if result.dtype != wanted:
            return f"its result '{result.name}' is {result.dtype}, expected {wanted}"
    first = operands[0]
    if first is None or known.takes and first.dtype not in known.takes:
        return f"its first operand is {first and first.dtype}, must be {' or '.join(known.takes)}"
    elements = prod(results[0].shape)
    if known.shape is not None and _numbers(operands, known.shape) != results[0].shape:
        return f"its result is {list(results[0].shape)}, which its operand does not say"
    if known.spectrum is not None and not _is_spectrum(
            results[0].shape, _numbers(operands, known.spectrum)):
        return f"its result is {list(results[0].shape)}, no spectrum of lengths of powers of two"
    counts = () if known.count is None else _numbers(operands, known.count)
    below = () if known.below is None else _numbers(operands, known.below)
    if any(not 0 < n <= elements for n in counts) or any(not 0 <= n < elements for n in below):
        return f"an operand does not fit its result {list(results[0].shape)}"
    return None


def _is_spectrum(shape: tuple[int, ...], lengths: tuple[int, ...]) -> bool:
    """True for the result of a real transform of two lengths, which must be powers of two."""
    return (len(lengths) == 2 and all(n > 0 and n & n - 1 == 0 for n in lengths)
            and shape[-2:] == (lengths[0], lengths[1] // 2 + 1))


def _numbers(operands: Sequence[Tensor | None], position: int) -> tuple[int, ...]:
    tensor = operands[position]
    assert tensor is not None and tensor.data is not None      # it is among ``constant``
    return tuple(int(n) for n in tensor.data.reshape(-1))


class _Writer:
    def __init__(self) -> None:
        import flatbuffers
        import tflite

        self.b: Any = flatbuffers.Builder(1024)
        self.tflite: Any = tflite
        self.buffers = [self._buffer(None)]

    def file(self, kind: str, known: TakenOperator, attributes: Mapping[str, Any],
             operands: Sequence[Tensor | None], results: Sequence[Tensor]) -> bytes:
        b, t = self.b, self.tflite
        there = [tensor for tensor in operands if tensor is not None]
        tensors = [self._tensor(i, tensor) for i, tensor in enumerate((*there, *results))]
        numbers = iter(range(len(there)))
        inputs = [-1 if tensor is None else next(numbers) for tensor in operands]
        outputs = list(range(len(there), len(tensors)))
        operator = self._operator(known, attributes, inputs, outputs)
        variable = [i for i, tensor in enumerate(there) if tensor.data is None]
        vectors = [self._offsets(tensors), self._offsets([operator]), self._int32(variable),
                   self._int32(outputs)]
        t.SubGraphStart(b)
        t.SubGraphAddTensors(b, vectors[0])
        t.SubGraphAddOperators(b, vectors[1])
        t.SubGraphAddInputs(b, vectors[2])
        t.SubGraphAddOutputs(b, vectors[3])
        graphs = self._offsets([t.SubGraphEnd(b)])
        codes = self._offsets([self._code(kind, attributes["version"])])
        buffers = self._offsets(self.buffers)
        t.ModelStart(b)
        t.ModelAddVersion(b, 3)
        t.ModelAddOperatorCodes(b, codes)
        t.ModelAddSubgraphs(b, graphs)
        t.ModelAddBuffers(b, buffers)
        b.Finish(t.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _code(self, kind: str, version: int) -> int:
        b, t = self.b, self.tflite
        custom = b.CreateString(kind) if kind in CUSTOM else None
        code = t.BuiltinOperator.CUSTOM if kind in CUSTOM else getattr(t.BuiltinOperator, kind)
        t.OperatorCodeStart(b)
        t.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, OLD_CODES))
        t.OperatorCodeAddBuiltinCode(b, code)
        t.OperatorCodeAddVersion(b, version)
        if custom is not None:
            t.OperatorCodeAddCustomCode(b, custom)
        return int(t.OperatorCodeEnd(b))

    def _tensor(self, number: int, tensor: Tensor) -> int:
        b, t, quantization = self.b, self.tflite, None
        if tensor.dtype not in TYPES:
            raise Refusal(f"'{tensor.name}' is {tensor.dtype}")
        q = tensor.quantization
        if q is not None:
            scales = b.CreateNumpyVector(np.asarray(q.scales, np.float32))
            zeros = b.CreateNumpyVector(np.asarray(q.zero_points, np.int64))
            t.QuantizationParametersStart(b)
            t.QuantizationParametersAddScale(b, scales)
            t.QuantizationParametersAddZeroPoint(b, zeros)
            t.QuantizationParametersAddQuantizedDimension(b, q.axis or 0)
            quantization = t.QuantizationParametersEnd(b)
        place = 0
        if tensor.data is not None:
            place = len(self.buffers)
            self.buffers.append(self._buffer(np.ascontiguousarray(tensor.data)))
        shape, name = self._int32(tensor.shape), b.CreateString(f"t{number}")
        t.TensorStart(b)
        t.TensorAddShape(b, shape)
        t.TensorAddType(b, TYPES[tensor.dtype])
        t.TensorAddBuffer(b, place)
        t.TensorAddName(b, name)
        if quantization is not None:
            t.TensorAddQuantization(b, quantization)
        return int(t.TensorEnd(b))

    def _buffer(self, data: np.ndarray | None) -> int:
        b, t, vector = self.b, self.tflite, None
        if data is not None:
            content = data.reshape(-1).view(np.uint8)
            # The vector's own alignment is an element's.
            b.Prep(ALIGNMENT, content.size)
            vector = b.CreateNumpyVector(content)
        t.BufferStart(b)
        if vector is not None:
            t.BufferAddData(b, vector)
        return int(t.BufferEnd(b))

    def _operator(self, known: TakenOperator, attributes: Mapping[str, Any],
                  inputs: Sequence[int], outputs: Sequence[int]) -> int:
        b, t = self.b, self.tflite
        options = self._options(known, attributes["options"])
        custom = None
        if attributes["custom"]:
            from flatbuffers import flexbuffers

            custom = b.CreateByteVector(bytes(flexbuffers.Dumps(dict(attributes["custom"]))))
        ins, outs = self._int32(inputs), self._int32(outputs)
        t.OperatorStart(b)
        t.OperatorAddOpcodeIndex(b, 0)
        t.OperatorAddInputs(b, ins)
        t.OperatorAddOutputs(b, outs)
        if options is not None:
            t.OperatorAddBuiltinOptionsType(b, OPTIONS[known.options][0])
            t.OperatorAddBuiltinOptions(b, options)
        if custom is not None:
            t.OperatorAddCustomOptions(b, custom)
        return int(t.OperatorEnd(b))

    def _options(self, known: TakenOperator, fields: Any) -> int | None:
        if fields is None or not known.options:
            return None
        b, sizes = self.b, OPTIONS[known.options][1]
        content = {number: bytes.fromhex(text) for number, text in fields}
        vectors = {number: b.CreateNumpyVector(np.frombuffer(data, np.float32))
                   for number, data in content.items() if sizes[number] == FLOATS}
        b.StartObject(1 + max(sizes))
        # Larger fields first, as every writer of flatbuffers has them.
        for number in sorted(content, key=lambda n: -abs(sizes[n])):
            if number in vectors:
                b.PrependUOffsetTRelativeSlot(number, vectors[number], 0)
            elif sizes[number] == 1:
                b.PrependUint8(content[number][0])
                b.Slot(number)
            else:
                b.PrependUint32(int.from_bytes(content[number], "little"))
                b.Slot(number)
        return int(b.EndObject())

    def _int32(self, values: Sequence[int]) -> int:
        return int(self.b.CreateNumpyVector(np.asarray(values, np.int32)))

    def _offsets(self, offsets: Sequence[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return int(self.b.EndVector())
