"""The table behind ``kaniwa operators``: what is supported, where it runs, and its limits."""

from __future__ import annotations

from typing import Any

from kaniwa.importers.operators import OPERATORS

__all__ = ["operator_table", "REFERENCE"]

REFERENCE = "LiteRT 2.3.0 BUILTIN_REF"

_SUM = "two tables and an adder behind the producing layer"
_PRODUCT = "two tables and a multiplier behind the producing layer"

# kind -> (where it runs, how it is mapped, limits that the accelerator adds to the importer's)
_MAPPING: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "CONV_2D": ("array", "dense; one dot product a channel and pixel", ()),
    "DEPTHWISE_CONV_2D": (
        "array", "one tap a cycle; with a depth multiplier as a dense convolution", ()),
    "FULLY_CONNECTED": ("array", "dense, one pixel; streams weights beyond the ring", ()),
    "AVERAGE_POOL_2D": ("array", "depthwise with unit weights",
                        ("padding must be 0 on the accelerator",)),
    "MAX_POOL_2D": ("array", "maximum over the window's taps", ()),
    "ADD": ("array", f"{_SUM}; with a scalar constant a table", (
        "a broadcast operand must be a constant on the accelerator",)),
    "SUB": ("array", f"{_SUM}; with a scalar constant a table", (
        "a broadcast operand must be a constant on the accelerator",)),
    "MUL": ("array", f"{_PRODUCT}; with a scalar constant a table", (
        "a broadcast operand must be a constant on the accelerator",
        "two operands need a target with elementwise_multiply = true")),
    "RELU": ("array", "table behind an identity", ()),
    "RELU6": ("array", "table behind an identity", ()),
    "RESHAPE": ("none", "another name of the same memory", ()),
    "SOFTMAX": ("host", "golden kernel, as the model's last operator only", ()),
}


def operator_table() -> list[dict[str, Any]]:
    """One row an operator: ``operator, where, mapping, rule, reference, limits``."""
    rows = []
    for kind, info in sorted(OPERATORS.items()):
        where, mapping, more = _MAPPING[kind]
        rows.append({"operator": kind, "where": where, "mapping": mapping, "rule": info.rule,
                     "reference": REFERENCE, "limits": [*info.constraints, *more]})
    return rows
