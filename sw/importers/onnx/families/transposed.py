"""ConvTranspose of quantised ONNX models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.weighted import (
    bias_of,
    constant_weights,
    integers_of,
    real_input,
    tensor_of,
)
from kaniwa.importers.onnx.families.windows import as_map, from_map, map_result, numbers
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import lowers
from kaniwa.importers.onnx.quantization import clamp_bounds
from kaniwa.importers.onnx.values import Dequantized, Floats, Integers, Known, Pending, Steps, Value

__all__ = ["transposed_convolution", "lower_transposed_convolution"]


def transposed_convolution(builder: Builder, node: Node) -> Value:
    """ConvTranspose over one or two dimensions, any groups, strides, dilations and padding."""
    x, w, bias = builder.operands(node, 2, 3)
    x = real_input(builder, x, "its input")
    weights = constant_weights(builder, w)
    shape = x.stored.shape
    if len(shape) not in (3, 4):
        raise builder.fail(f"works on {len(shape) - 2} dimensions; one and two are supported")
    groups = node.attributes.get("group", 1)
    if (len(shape) != weights.data.ndim or weights.data.shape[0] != shape[1]
            or not isinstance(groups, int) or groups < 1 or shape[1] % groups):
        raise builder.fail(f"weights {list(weights.data.shape)} in {groups} groups do not fit "
                           f"input {list(shape)}", ModelError)
    kernel = weights.data.shape[2:]
    if tuple(node.attributes.get("kernel_shape", kernel)) != tuple(kernel):
        raise builder.fail("kernel_shape is not that of its weights", ModelError)
    spread = _spread(builder, node, shape[2:], kernel)
    channels = weights.data.shape[1] * groups
    return Pending(node, (x, weights, bias), (shape[0], channels, *spread.sizes[-len(kernel):]))


@dataclass(frozen=True)
class _Spread:
    """Along rows and columns; what is of one dimension has one row.

    ``padding`` is what the result loses at its ends, less what output_padding adds.
    """

    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    sizes: tuple[int, int]


def _spread(builder: Builder, node: Node, spatial: tuple[int, ...],
            kernel: tuple[int, ...]) -> _Spread:
    rank = len(spatial)
    stride, dilation = (numbers(builder, node, name, rank, 1) for name in ("strides", "dilations"))
    more = numbers(builder, node, "output_padding", rank, 0)
    pads = numbers(builder, node, "pads", 2 * rank, 0)
    auto = node.attributes.get("auto_pad", b"NOTSET")
    wanted = node.attributes.get("output_shape")
    stated = wanted is not None
    if wanted is not None:
        wanted = numbers(builder, node, "output_shape", len(wanted), 1)[-rank:]
    elif auto.startswith(b"SAME"):
        wanted = tuple(n * s for n, s in zip(spatial, stride, strict=True))
    padding, sizes = [], []
    for axis in range(rank):
        whole = stride[axis] * (spatial[axis] - 1) + (kernel[axis] - 1) * dilation[axis] + 1
        before, after = (pads[axis], pads[rank + axis]) if auto == b"NOTSET" else (0, 0)
        if wanted is not None:
            # What the padding is shared out to is not below 0: a larger result goes on at its end.
            total = whole + more[axis] - wanted[axis]
            half = max(total, 0) // 2
            before = half if auto == b"SAME_UPPER" else max(total, 0) - half
            after = (total if stated else max(total, 0)) - before
        size = whole + more[axis] - before - after
        if size < 1:
            raise builder.fail(f"its padding leaves nothing of {list(spatial)}", ModelError)
        padding.append((before, after - more[axis]))
        sizes.append(size)
    if rank == 1:
        stride, dilation = (1, *stride), (1, *dilation)
        padding, sizes = [(0, 0), *padding], [1, *sizes]
    return _Spread((stride[0], stride[1]), (dilation[0], dilation[1]), (padding[0], padding[1]),
                   (sizes[0], sizes[1]))


@lowers("ConvTranspose", to_float=True)
def lower_transposed_convolution(builder: Builder, pending: Pending, steps: Steps,
                                 name: str) -> Integers:
    """To TRANSPOSE_CONV on channel-last maps."""
    x, known, bias = pending.operands
    assert isinstance(x, (Dequantized, Floats)) and isinstance(known, Known)
    spread = _spread(builder, pending.node, x.stored.shape[2:], known.data.shape[2:])
    groups = pending.node.attributes.get("group", 1)
    data, q = integers_of(builder, known, 1)
    depth, columns, *kernel = data.shape
    kernel = [1, *kernel] if len(kernel) == 1 else kernel
    channels = groups * columns
    # [G · IC, OC, KH, KW] to [G · OC, KH, KW, IC].
    layout = np.moveaxis(data.reshape(groups, depth // groups, columns, *kernel), 1, -1)
    layout = np.ascontiguousarray(layout.reshape(channels, *kernel, depth // groups))
    if q is not None and len(q.scales) > 1:
        q = type(q)(q.scales * groups, q.zero_points * groups, 0)
    weights = tensor_of(builder, name, layout, q, 0)
    offset, rounding = bias_of(builder, bias, x, q, channels, steps, name)
    output = map_result(builder, pending, spread.sizes, channels, steps, name)
    builder.emit("TRANSPOSE_CONV", (weights, as_map(builder, x), offset), output, {
        "stride": spread.stride, "dilation": spread.dilation, "padding": spread.padding,
        "activation": "NONE", "bounds": clamp_bounds(pending.clamps, steps), **rounding},
        steps.rule)
    return from_map(builder, pending, output, steps, name)
