"""Pooling."""

from __future__ import annotations

from typing import Any

from kaniwa.importers import consistency, limits
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands
from kaniwa.importers.options import explicit_paddings, window

__all__ = ["OPERATORS"]


def _pool(options: Any, op: Operands) -> dict[str, object]:
    return {**window(options, op), "filter": (options.FilterHeight(), options.FilterWidth())}


def _row(kind: str, rules: dict[str, str]) -> OperatorInfo:
    return OperatorInfo(
        kind,
        rules,
        "Pool2DOptions",
        True,
        _pool,
        (
            consistency.operand_count(1, 1),
            consistency.ranks(4),
            consistency.positive_options,
            consistency.window_shape,
        ),
        (
            limits.one_dtype(0),
            limits.quantized(0),
            limits.same_quantization,
            limits.known_activation,
            limits.activation_in_range,
            limits.window_in_range,
        ),
        explicit_paddings,
    )


OPERATORS = (
    _row("AVERAGE_POOL_2D", {**dict.fromkeys(limits.QUANTIZED, "litert_average_pool"),
                             "float32": "float32"}),
    _row("MAX_POOL_2D", dict.fromkeys((*limits.QUANTIZED, "float32"), "exact")),
)
