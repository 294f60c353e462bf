"""Operators that take parts of a tensor, or put something around it: no arithmetic, any dtype."""

from __future__ import annotations

import numpy as np

from kaniwa.golden.registry import Call, kernel, quantization

__all__: list[str] = []


@kernel("SPLIT", "SPLIT_V")
def _split(call: Call) -> tuple[np.ndarray, ...]:
    axis = call.attribute("axis")
    sizes = [call.graph.tensors[i].shape[axis] for i in call.op.outputs]
    return tuple(np.split(call.value(0), np.cumsum(sizes)[:-1], axis=axis))


@kernel("SLICE", "STRIDED_SLICE")
def _slice(call: Call) -> np.ndarray:
    bounds = zip(call.attribute("begin"), call.attribute("end"), call.attribute("stride"),
                 strict=True)
    # An end of -1 of a reversed axis is before its first element, which a slice says with None.
    cut = tuple(slice(begin, None if end < 0 else end, stride) for begin, end, stride in bounds)
    return call.value(0)[cut]


@kernel("GATHER")
def _gather(call: Call) -> np.ndarray:
    x, indices = call.value(0), call.value(1)
    axis, batch = call.attribute("axis"), call.attribute("batch_dims")
    _inside(indices, np.array(x.shape[axis]))
    if batch == 0:
        return np.take(x, indices, axis=axis)
    rows = x.reshape(-1, *x.shape[batch:])
    several = indices.reshape(len(rows), *indices.shape[batch:])
    return np.stack([np.take(row, some, axis=axis - batch)
                     for row, some in zip(rows, several, strict=True)])


@kernel("GATHER_ND")
def _gather_nd(call: Call) -> np.ndarray:
    x, indices = call.value(0), call.value(1)
    _inside(indices, np.array(x.shape[: indices.shape[-1]]))
    return x[tuple(np.moveaxis(indices, -1, 0))]


def _inside(indices: np.ndarray, size: np.ndarray) -> None:
    """LiteRT stops with an error at an index outside the tensor; negative ones are too."""
    wrong = (indices < 0) | (indices >= size)
    if wrong.any():
        raise OverflowError(f"index {int(indices[wrong][0])} is outside {size.tolist()}")


@kernel("PAD", "PADV2")
def _pad(call: Call) -> np.ndarray:
    fill = 0
    if len(call.op.inputs) > 1:
        fill = call.value(1).reshape(-1)[0]
    elif call.output.quantization is not None and call.output.dtype in ("int8", "uint8", "int16"):
        fill = quantization(call.output).zero_point
    return np.pad(call.value(0), call.attribute("paddings"), constant_values=fill)


@kernel("MIRROR_PAD")
def _mirror_pad(call: Call) -> np.ndarray:
    # EDGE and WRAP are ONNX's.
    return np.pad(call.value(0), call.attribute("paddings"),
                  mode=call.attribute("mode").lower())
