"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from kaniwa.golden.numbers.rounding import quantize_multiplier
from kaniwa.golden.tflite.matrix import matmul_multiplier
from kaniwa.importers import consistency, limits
from kaniwa.importers.consistency import output_is
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, quantization_of, shape_of
from kaniwa.importers.options import activation
from kaniwa.importers.weights import BIAS_TYPE, weighted

__all__ = ["OPERATORS"]


def _fully_connected(options: Any, op: Operands) -> dict[str, object]:
    return {
        "activation": activation(options),
        "keep_num_dims": bool(options is not None and options.KeepNumDims()),
        "weights_format": 0 if options is None else options.WeightsFormat(),
        BIAS_TYPE: 0 if options is None else options.QuantizedBiasType(),
    }


def _kept(op: Operands) -> dict[str, object]:
    return {name: op.attributes[name] for name in ("activation", "keep_num_dims")}


def default_weights_format(op: Operands) -> str | None:
    """Fully connected weights are in the default format (not shuffled)."""
    return None if op.attributes["weights_format"] == 0 else "weights are shuffled, must be plain"


def _batch_matmul(options: Any, op: Operands) -> dict[str, object]:
    return {"adj_x": bool(options.AdjX()), "adj_y": bool(options.AdjY())}


def _product(op: Operands) -> tuple[int, ...]:
    a, b = op.x.shape, op.weights.shape
    if min(len(a), len(b)) < 2 or max(len(a), len(b)) > 5:
        raise OptionError(f"{shape_of(op.x)} and {shape_of(op.weights)} must have 2 to 5 "
                          f"dimensions")
    rows, depth = a[-2:][::-1] if op.attributes["adj_x"] else a[-2:]
    other, columns = b[-2:][::-1] if op.attributes["adj_y"] else b[-2:]
    try:
        batch = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        batch = None
    if depth != other or batch is None:
        raise OptionError(f"{shape_of(op.x)} and {shape_of(op.weights)} do not multiply")
    return (*batch, rows, columns)


# A left shift beyond these is undefined in C++ for any sum; below, for sums that it takes too far.
LARGEST_SHIFT = {"int8": 30, "int16": 14}


def product_multiplier_in_range(op: Operands) -> str | None:
    """The product of the input scales is below 2^30 of the output scale, with int16 2^14."""
    if op.x.dtype not in limits.QUANTIZED:
        return None
    a, b, out = (quantization_of(t).scale for t in (op.x, op.weights, op.output))
    if quantize_multiplier(matmul_multiplier(a, b, out))[1] <= LARGEST_SHIFT[op.x.dtype]:
        return None
    return f"output scale {out:g} is too small for input scales {a:g} and {b:g}"


OPERATORS = (
    OperatorInfo(
        "FULLY_CONNECTED",
        {**dict.fromkeys(limits.QUANTIZED, "litert_float_half_away"), "float32": "float32"},
        "FullyConnectedOptions", False, _fully_connected,
        (
            consistency.operand_count(2, 3),
            consistency.matrix_weights,
            consistency.fully_connected_shape,
            consistency.bias_shape,
        ),
        (*weighted(0, 1, 0, computed=True), default_weights_format),
        _kept,
    ),
    OperatorInfo(
        "BATCH_MATMUL",
        {"int8": "litert_double_rounding", "int16": "litert_int16", "float32": "float32"},
        "BatchMatMulOptions", True, _batch_matmul,
        (consistency.operand_count(2, 2), output_is(_product)),
        (limits.one_dtype(0, 1), limits.quantized(0, 1), product_multiplier_in_range),
    ),
)
