"""The table behind ``kaniwa operators``: what is supported, where it runs, and its limits."""

from __future__ import annotations

from typing import Any

from kaniwa.compiler.array.moves import CUTS, JOINS, PADS, REPEATS, VIEWS
from kaniwa.compiler.operators.record import sentence
from kaniwa.compiler.operators.table import FUNCTIONS, OPERATORS as ON_DEVICE, WITH_CONSTANT
from kaniwa.importers.operators import OPERATORS
from kaniwa.verify.litert import WITHOUT_REFERENCE

__all__ = ["operator_table", "REFERENCE"]

REFERENCE = "LiteRT 2.3.0 BUILTIN_REF"
USUAL_KERNELS = "LiteRT 2.3.0 BUILTIN_WITHOUT_DEFAULT_DELEGATES"

_SUM = "two tables and an adder behind the producing layer"
_PRODUCT = "two tables and a multiplier behind the producing layer"

_HOST = ("host", "golden kernel")

# kind -> (where it runs, how it is mapped)
_MAPPING: dict[str, tuple[str, str]] = {
    "CONV_2D": (
        "array", "dense; one dot product a channel and pixel; grouped: some groups at a time"),
    "DEPTHWISE_CONV_2D": (
        "array", "a column of the kernel a cycle, on small targets a tap; with a depth multiplier "
        "as a grouped convolution"),
    "TRANSPOSE_CONV": (
        "array", "a dense convolution for each place of a result between two inputs"),
    "FULLY_CONNECTED": ("array", "dense, one pixel; streams weights beyond the ring"),
    "AVERAGE_POOL_2D": ("array", "depthwise with unit weights"),
    "MAX_POOL_2D": ("array", "maximum over the window's taps"),
    "ADD": ("array", f"{_SUM}; with a scalar constant a table"),
    "SUB": ("array", f"{_SUM}; with a scalar constant a table"),
    "MUL": ("array", f"{_PRODUCT}; with a scalar constant a table, with constants by channel "
                     "depthwise"),
    "RELU": ("array", "table behind an identity"),
    "RELU6": ("array", "table behind an identity"),
    **dict.fromkeys(FUNCTIONS, ("array", "table behind the producing layer")),
    **dict.fromkeys(WITH_CONSTANT, (
        "array", "with a scalar constant a table behind the producing layer")),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), (
        "array", "two adders, one after the other; with a scalar constant a table behind the "
        "producing layer")),
    "SQUARED_DIFFERENCE": (
        "array", "three adders and a table; of two scales a program of the vector unit; with a "
        "scalar constant a table behind the producing layer"),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), (
        "array", "a dilated convolution, with one between the two; else depthwise with unit "
        "weights, for each position in a block")),
    **dict.fromkeys(REPEATS, (
        "array", "depthwise with unit weights, for each axis that is repeated; short runs are "
        "products")),
    "GATHER": ("array", "depthwise with unit weights, for each run of neighbors; channels are "
               "picked by products"),
    "SOFTMAX": (
        "vector", "a program of the vector unit, a row in each lane; on the host where the target "
        "has none"),
    "BATCH_MATMUL": (
        "vector", "dense, one operand as weights, for which the vector unit waits; on the host "
        "where the target has none"),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        "vector", "products on the array, gates on the vector unit; where the target has a cell "
        "unit all steps there; on the host where it has neither"),
    "MEAN": ("array", "a window of all that is averaged, with unit weights"),
    "TRANSPOSE": (
        "array", "depthwise with unit weights, for each exchange of two groups of axes"),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN"), (
        "array", "maximum over windows of some values, then of what these give")),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), (
        "array", "maximum, a sum that tells which values equal it, and the maximum of their "
        "places")),
    "PRELU": (
        "array", "table behind the producing layer; with a slope of each channel depthwise, and a "
        "table added"),
    "RESIZE_BILINEAR": ("array", "a depthwise convolution for all pixels with the same weights"),
    "RESIZE_NEAREST_NEIGHBOR": ("array", "depthwise with unit weights"),
    **dict.fromkeys(PADS, (
        "array", "padding of the layer behind it where that is exact, else depthwise with unit "
        "weights")),
    **dict.fromkeys((*CUTS, *JOINS, "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "MIRROR_PAD"), (
        "array", "depthwise with unit weights")),
    **dict.fromkeys(VIEWS, ("none", "another name of the same memory")),
}


def operator_table() -> list[dict[str, Any]]:
    """One row an operator: ``operator, where, mapping, rule, rules, reference, cases, limits``.

    ``rules`` are by dtype; ``rule`` is the one of the first, int8 where the operator has it. Where
    a limit of the accelerator is not met, the host runs the operator. ``cases`` is the number of
    random cases that the tests compare with the reference.
    """
    rows = []
    for kind, info in sorted(OPERATORS.items()):
        where, mapping = _MAPPING.get(kind, _HOST)
        device = []
        if (own := ON_DEVICE.get(kind)) is not None:
            device += [f"on the accelerator: {sentence(limit)}" for limit in own.limits]
            device += [f"on the accelerator, of int16: {sentence(limit)}"
                       for limit in own.int16_limits]
        rows.append({"operator": kind, "where": where, "mapping": mapping,
                     "rule": next(iter(info.rules.values())), "rules": dict(info.rules),
                     "reference": USUAL_KERNELS if kind in WITHOUT_REFERENCE else REFERENCE,
                     "cases": info.cases,
                     "limits": [*info.constraints, *device]})
    return rows
