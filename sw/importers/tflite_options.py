"""Operator options of TFLite files to plain attributes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kaniwa.errors import Error
from kaniwa.importers.operands import Operands
from kaniwa.importers.operators import OperatorInfo
from kaniwa.importers.shapes import explicit_padding, extent

__all__ = ["read_attributes", "explicit_paddings"]

PADDING = {0: "SAME", 1: "VALID"}
ACTIVATION = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
MAXIMUM_RANK = 6
WINDOWED = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")


def read_attributes(
    tflite: Any, info: OperatorInfo, source: Any, operands: Operands, fail: Callable[[str], Error]
) -> dict[str, object]:
    """The attributes of operator ``source``, with padding still "SAME" or "VALID".

    ``fail`` makes the ``ModelError`` for options that are absent, of another operator, or out of
    the schema's range.
    """
    options = _options(tflite, info, source, fail)
    if info.kind == "RESHAPE":
        return {"shape": _new_shape(options, operands)}
    if info.kind == "SOFTMAX":
        return {"beta": float(options.Beta())}
    if options is None and info.kind not in ("FULLY_CONNECTED", "ADD", "SUB", "MUL"):
        return {}
    code = 0 if options is None else options.FusedActivationFunction()
    if code not in ACTIVATION:
        raise fail(f"fused activation {code} does not exist")
    attributes: dict[str, object] = {"activation": ACTIVATION[code]}
    if info.kind == "FULLY_CONNECTED":
        attributes["keep_num_dims"] = bool(options is not None and options.KeepNumDims())
        attributes["weights_format"] = 0 if options is None else options.WeightsFormat()
    if info.kind in WINDOWED:
        if options.Padding() not in PADDING:
            raise fail(f"padding {options.Padding()} does not exist")
        attributes["padding"] = PADDING[options.Padding()]
        attributes["stride"] = (options.StrideH(), options.StrideW())
        if info.options == "Pool2DOptions":
            attributes["filter"] = (options.FilterHeight(), options.FilterWidth())
        else:
            attributes["dilation"] = (options.DilationHFactor(), options.DilationWFactor())
        if info.kind == "DEPTHWISE_CONV_2D":
            attributes["depth_multiplier"] = options.DepthMultiplier()
    return attributes


def explicit_paddings(operands: Operands) -> dict[str, object]:
    """The attributes as the graph has them: padding as ((top, bottom), (left, right))."""
    attributes = dict(operands.attributes)
    attributes.pop("weights_format", None)
    if operands.kind in WINDOWED:
        kernel = operands.pair("filter") if "filter" in attributes else operands.weights.shape[1:3]
        dilation = operands.pair("dilation") if "dilation" in attributes else (1, 1)
        attributes["padding"] = tuple(
            explicit_padding(str(attributes["padding"]), size, extent(k, d), s)
            for size, k, d, s in zip(
                operands.x.shape[1:3], kernel, dilation, operands.pair("stride"), strict=True
            )
        )
    return attributes


def _options(tflite: Any, info: OperatorInfo, source: Any, fail: Callable[[str], Error]) -> Any:
    """The options object, or None where the file has none and the operator needs none."""
    number, table = source.BuiltinOptionsType(), source.BuiltinOptions()
    if not info.options or (not info.options_required and (number == 0 or table is None)):
        return None
    if number != getattr(tflite.BuiltinOptions, info.options) or table is None:
        raise fail(f"has no {info.options}")
    options = getattr(tflite, info.options)()
    options.Init(table.Bytes, table.Pos)
    return options


def _new_shape(options: Any, operands: Operands) -> tuple[int, ...] | None:
    """RESHAPE's shape with -1 resolved, from the tensor, else the options; None if computed."""
    if len(operands.inputs) > 1:
        tensor = operands.weights
        if (
            tensor.data is None
            or tensor.dtype != "int32"
            or tensor.data.ndim != 1
            or (tensor.data.size > MAXIMUM_RANK)
        ):
            return None
        shape = [int(n) for n in tensor.data]
    elif options is not None and 0 < options.NewShapeLength() <= MAXIMUM_RANK:
        shape = [options.NewShape(i) for i in range(options.NewShapeLength())]
    else:
        return None
    if shape.count(-1) == 1:
        known = math.prod(n for n in shape if n != -1)
        elements = int(np.prod(operands.x.shape, dtype=np.int64))
        shape[shape.index(-1)] = elements // known if known > 0 else -1
    return tuple(shape)
