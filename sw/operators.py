"""The table behind ``kaniwa operators``: what is supported, where it runs, and its limits."""

from __future__ import annotations

from typing import Any

from kaniwa.importers.operators import OPERATORS
from kaniwa.passes.functions import FUNCTIONS, WITH_CONSTANT
from kaniwa.reference import WITHOUT_REFERENCE

__all__ = ["operator_table", "REFERENCE"]

REFERENCE = "LiteRT 2.3.0 BUILTIN_REF"
USUAL_KERNELS = "LiteRT 2.3.0 BUILTIN_WITHOUT_DEFAULT_DELEGATES"

_SUM = "two tables and an adder behind the producing layer"
_PRODUCT = "two tables and a multiplier behind the producing layer"

_INT8 = "on the accelerator activations are int8"
_CONSTANT = "on the accelerator weights are constant int8 with zero point 0"
_ONE_GROUP = "on the accelerator convolutions have one group"
_POSITIVE = "the input's zero point must be -128 on the accelerator"
_REFERENCE_ONLY: tuple[str, str, tuple[str, ...]] = (
    "golden", "reference kernel only: `kaniwa verify` runs it, `kaniwa compile` refuses it", ())

# kind -> (where it runs, how it is mapped, limits that the accelerator adds to the importer's)
_MAPPING: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "CONV_2D": ("array", "dense; one dot product a channel and pixel",
                (_INT8, _CONSTANT, _ONE_GROUP)),
    "DEPTHWISE_CONV_2D": (
        "array", "one tap a cycle; with a depth multiplier as a dense convolution",
        (_INT8, _CONSTANT)),
    "FULLY_CONNECTED": ("array", "dense, one pixel; streams weights beyond the ring",
                        (_INT8, _CONSTANT)),
    "AVERAGE_POOL_2D": ("array", "depthwise with unit weights",
                        (_INT8, "padding must be 0 on the accelerator")),
    "MAX_POOL_2D": ("array", "maximum over the window's taps", (_INT8,)),
    "ADD": ("array", f"{_SUM}; with a scalar constant a table", (
        _INT8,
        "a broadcast operand must be a constant on the accelerator",)),
    "SUB": ("array", f"{_SUM}; with a scalar constant a table", (
        _INT8,
        "a broadcast operand must be a constant on the accelerator",)),
    "MUL": ("array", f"{_PRODUCT}; with a scalar constant a table", (
        _INT8,
        "a broadcast operand must be a constant on the accelerator",
        "two operands need a target with elementwise_multiply = true")),
    "RELU": ("array", "table behind an identity", (_INT8,)),
    "RELU6": ("array", "table behind an identity", (_INT8,)),
    **dict.fromkeys(FUNCTIONS, ("array", "table behind the producing layer", (_INT8,))),
    **dict.fromkeys(WITH_CONSTANT, (
        "array", "with a scalar constant a table behind the producing layer", (
            _INT8, "one operand must be one constant value on the accelerator"))),
    "PRELU": ("array", "table behind the producing layer", (
        _INT8, "alpha must be one constant value on the accelerator")),
    "SQRT": ("array", "table behind the producing layer", (_INT8, _POSITIVE)),
    "RSQRT": ("array", "table behind the producing layer", (_INT8, _POSITIVE)),
    "RESHAPE": ("none", "another name of the same memory", (_INT8,)),
    "SOFTMAX": ("host", "golden kernel, as the model's last operator only", ()),
}


def operator_table() -> list[dict[str, Any]]:
    """One row an operator: ``operator, where, mapping, rule, rules, reference, cases, limits``.

    ``rules`` are by dtype; ``rule`` is the one of the first, int8 where the operator has it.
    ``cases`` is the number of random cases that the tests compare with the reference.
    """
    rows = []
    for kind, info in sorted(OPERATORS.items()):
        where, mapping, more = _MAPPING.get(kind, _REFERENCE_ONLY)
        rows.append({"operator": kind, "where": where, "mapping": mapping,
                     "rule": next(iter(info.rules.values())), "rules": dict(info.rules),
                     "reference": USUAL_KERNELS if kind in WITHOUT_REFERENCE else REFERENCE,
                     "cases": info.cases,
                     "limits": [*info.constraints, *more]})
    return rows
