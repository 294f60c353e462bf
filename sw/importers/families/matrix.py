"""Products of matrices."""

from __future__ import annotations

from typing import Any

from kaniwa.importers import consistency, weights
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands
from kaniwa.importers.options import activation

__all__ = ["OPERATORS"]


def _fully_connected(options: Any, op: Operands) -> dict[str, object]:
    return {
        "activation": activation(options),
        "keep_num_dims": bool(options is not None and options.KeepNumDims()),
        "weights_format": 0 if options is None else options.WeightsFormat(),
    }


def _without_format(op: Operands) -> dict[str, object]:
    return {name: v for name, v in op.attributes.items() if name != "weights_format"}


def default_weights_format(op: Operands) -> str | None:
    """Fully connected weights are in the default format (not shuffled)."""
    return None if op.attributes["weights_format"] == 0 else "weights are shuffled, must be plain"


OPERATORS = (
    OperatorInfo(
        "FULLY_CONNECTED",
        {"int8": "litert_float_half_away"},
        "FullyConnectedOptions",
        False,
        _fully_connected,
        (
            consistency.operand_count(2, 3),
            consistency.matrix_weights,
            consistency.fully_connected_shape,
            consistency.bias_shape,
        ),
        (*weights.WEIGHTED, default_weights_format),
        _without_format,
    ),
)
