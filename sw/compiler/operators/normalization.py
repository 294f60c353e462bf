"""Normalisations of rows on the accelerator."""

from __future__ import annotations

from kaniwa.compiler.operators.limits import int8_activations, some_elements
from kaniwa.compiler.operators.record import DeviceOperator
from kaniwa.compiler.operators.rewriting import as_it_is
from kaniwa.compiler.vector.layer_norm import (
    instance_norm_of,
    layer_norm_of,
    map_norm_of,
    rms_norm_of,
)
from kaniwa.graph import Graph, Op

__all__ = ["OPERATORS"]


def normal_rows(graph: Graph, op: Op) -> str | None:
    """Rows have at most 4,096 values, epsilon is above 0, Scale below 2^12 steps of the output, in
    rows of n > 256 values below 2^14 / sqrt(n)."""
    return None if layer_norm_of(graph, op) is not None else (
        "rows of more than 4096 values, an epsilon of 0, or one or a Scale far too large for the "
        "quantization; change these")


def normal_map(graph: Graph, op: Op) -> str | None:
    """One group of one image, of at most 65,536 values; epsilon is above 0, Scale below 2^12 steps
    of the output, of n > 256 values below 2^15 / sqrt(n)."""
    return None if map_norm_of(graph, op) is not None else (
        "several groups or images, more than 65536 values, an epsilon of 0, or one or a Scale far "
        "too large for the quantization; change these")


def normal_channels(graph: Graph, op: Op) -> str | None:
    """Channels have at most 65,536 values; epsilon is above 0, Scale below 2^12 steps of the
    output, of n > 256 values below 2^15 / sqrt(n)."""
    return None if instance_norm_of(graph, op) is not None else (
        "channels of more than 65536 values, an epsilon of 0, or one or a Scale far too large for "
        "the quantization; change these")


def rows_by_root(graph: Graph, op: Op) -> str | None:
    """Rows have at most 4,096 values, Scale is below 2^14 / sqrt(n) steps of the output."""
    return None if rms_norm_of(graph, op) is not None else (
        "rows of more than 4096 values, or an epsilon or a Scale far too large for the "
        "quantization; change these")


OPERATORS = (
    DeviceOperator("LAYER_NORM", (int8_activations, some_elements, normal_rows), as_it_is,
                   onnx=True),
    DeviceOperator("GROUP_NORM", (int8_activations, some_elements, normal_map), as_it_is,
                   onnx=True),
    DeviceOperator("INSTANCE_NORM", (int8_activations, some_elements, normal_channels), as_it_is,
                   onnx=True),
    DeviceOperator("RMS_NORM", (int8_activations, some_elements, rows_by_root), as_it_is,
                   onnx=True),
)
