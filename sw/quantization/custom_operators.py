"""Custom operators of float TFLite files that TFLite has an operator of its own for, by now.

MediaPipe's models were made before TRANSPOSE_CONV took a bias, so they have a custom operator of
one (mediapipe/util/tflite/operations/transpose_conv_bias.cc). LiteRT, and so its quantizer, does
not know it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.quantization.tidied import packed, store, unpacked

__all__ = ["OPTIONS", "TRANSPOSE_CONV_BIAS", "as_builtin"]

TRANSPOSE_CONV_BIAS = b"Convolution2DTransposeBias"
# Its options are TfLiteTransposeConvParams of LiteRT's C interface: padding, stride across, down.
OPTIONS = struct.Struct("<3i")


def as_builtin(content: bytes, where: str) -> bytes:
    """The file with TRANSPOSE_CONV in place of MediaPipe's operator; itself where it has none.

    Raises ModelError for options that the operator cannot have; ``where`` names the file.
    """
    if TRANSPOSE_CONV_BIAS not in content:
        return content
    try:
        return packed(_rewritten(unpacked(content), where))
    except ModelError:
        raise
    except Exception:      # of a broken file, which nothing has checked: LiteRT says what is wrong
        return content


def _rewritten(model: Any, where: str) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    for number, code in enumerate(model.operatorCodes):
        if code.customCode == TRANSPOSE_CONV_BIAS:
            code.customCode, code.version = None, 3      # the first one with a bias
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
            for graph in model.subgraphs:
                for operator in graph.operators:
                    if operator.opcodeIndex == number:
                        _replace(model, graph, operator, where, schema)
    return model


def _replace(model: Any, graph: Any, operator: Any, where: str, schema: Any) -> None:
    """Give the operator the operands and options of a TRANSPOSE_CONV."""
    given, (result,) = list(operator.inputs), operator.outputs
    name = graph.tensors[result].name.decode()
    paddings = {1: schema.Padding.SAME, 2: schema.Padding.VALID}
    raw = bytes(operator.customOptions if operator.customOptions is not None else ())
    padding, across, down = OPTIONS.unpack_from(raw) if len(raw) >= OPTIONS.size else (0, 0, 0)
    if len(given) != 3 or padding not in paddings or across < 1 or down < 1:
        raise ModelError(f"{where}: '{name}' is no {TRANSPOSE_CONV_BIAS.decode()} of three "
                         f"operands with a padding and strides: {len(given)} operands, options "
                         f"{raw.hex()}")
    x, weights, bias = given
    shape = schema.TensorT()
    shape.name, shape.shape = f"{name}:shape", [len(graph.tensors[result].shape)]
    shape.type = schema.TensorType.INT32
    store(model, shape, np.array(graph.tensors[result].shape, np.int32), schema)
    operator.inputs = [len(graph.tensors), weights, x, bias]
    graph.tensors.append(shape)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideW, options.strideH = paddings[padding], across, down
    operator.builtinOptionsType = schema.BuiltinOptions.TransposeConvOptions
    operator.builtinOptions, operator.customOptions = options, None
