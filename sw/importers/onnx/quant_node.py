"""Quant nodes of QONNX and Brevitas: quantised and dequantised in one node, up to 8 bits.

``Quant(x, scale, zero point, bits)`` stands for scale * (q - zero point) with
q = clamp(round(x / scale + zero point)); fewer bits than 8 are 8 with a narrower clamp.
"""

from __future__ import annotations

import numpy as np

from kaniwa.errors import ModelError
from kaniwa.importers.onnx.builder import Builder
from kaniwa.importers.onnx.families.elementwise import identity_of
from kaniwa.importers.onnx.file import Node
from kaniwa.importers.onnx.pending import quantized_to
from kaniwa.importers.onnx.values import Dequantized, Floats, Known, Pending, Steps, Value

__all__ = ["DOMAINS", "quant"]

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")


def quant(builder: Builder, node: Node) -> Value:
    """The numbers on the grid that the node names."""
    if node.kind != "Quant":
        raise builder.fail(f"of domain '{node.domain}' only Quant is supported")
    x, scale, zero_point, bits = builder.operands(node, 4, 4)
    if node.attributes.get("rounding_mode", b"ROUND").upper() not in (b"ROUND", b"HALF_EVEN"):
        raise builder.fail("rounds otherwise than half to even; export with rounding_mode ROUND")
    numbers = [v.real for v in (scale, zero_point, bits) if isinstance(v, Known)]
    if len(numbers) != 3 or numbers[2].size != 1:
        raise builder.fail("its scale, zero point and bits must be constants")
    width = float(numbers[2].reshape(-1)[0])
    weights = isinstance(x, Known)
    if not width.is_integer() or not 2 <= width <= (32 if weights else 8):
        raise builder.fail(f"quantises to {width:g} bits; 2 to 8 are supported")
    signed = bool(node.attributes.get("signed", 1))
    low, high = _range(int(width), signed, bool(node.attributes.get("narrow", 0)))
    assert x is not None
    dtype = "int32" if width > 8 else "int8" if signed else "uint8"
    steps = _steps(builder, numbers[0], numbers[1], builder.shape_of(x), dtype)
    if isinstance(x, Known):
        return _constant(builder, x, steps, low, high)
    if len(steps.scales) > 1:
        raise builder.fail(f"an activation has {len(steps.scales)} scales; quantise activations "
                           "by tensor")
    zero = steps.zero_points[0]
    edges = (low - zero) * steps.scales[0], (high - zero) * steps.scales[0]
    if isinstance(x, Dequantized):
        x = identity_of(node, x)
    if isinstance(x, Pending):
        x = x.clamped(*edges, node.outputs[0])
    elif isinstance(x, Floats) and (low, high) != _range(8, steps.dtype == "int8", False):
        raise builder.fail("quantises a float32 input to fewer than 8 bits; use 8 bits for inputs")
    result = quantized_to(builder, x, steps, node.outputs[0])
    return Dequantized(result.stored, result.steps)


def _range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _steps(builder: Builder, scale: np.ndarray, zero_point: np.ndarray, shape: tuple[int, ...],
           dtype: str) -> Steps:
    scales = scale.astype(np.float32)
    if not scales.size or not (np.isfinite(scales) & (scales > 0)).all():
        raise builder.fail("scales must be positive and finite", ModelError)
    axes = [a for a, n in enumerate(scales.shape) if n > 1]
    if zero_point.size not in (1, scales.size):
        raise builder.fail(f"{scales.size} scales but {zero_point.size} zero points", ModelError)
    zeros = np.broadcast_to(zero_point.reshape(-1), (scales.size,))
    if len(axes) > 1 or axes and (scales.ndim != len(shape) or scales.size != shape[axes[0]]):
        raise builder.fail(f"scales {list(scales.shape)} are neither one nor one a channel of "
                           f"{list(shape)}")
    if (zeros != np.rint(zeros)).any() or not (np.abs(zeros) < 1 << 31).all():
        raise builder.fail("its zero point is no whole number", ModelError)
    return Steps(tuple(scales.astype(np.float64).reshape(-1).tolist()),
                 tuple(int(z) for z in zeros), dtype, axes[0] if axes else None)


def _constant(builder: Builder, x: Known, steps: Steps, low: int, high: int) -> Known:
    shape = [1] * x.data.ndim
    if steps.axis is not None:
        shape[steps.axis] = -1
    scales = np.array(steps.scales).reshape(shape)
    zeros = np.array(steps.zero_points, np.float64).reshape(shape)
    real = x.real
    if not np.isfinite(real).all():
        raise builder.fail("quantises a constant that is not finite", ModelError)
    # Weights lie on their grid already; the division meets whole numbers but for float32's error.
    with np.errstate(over="ignore"):
        whole = np.clip(np.rint(real / scales + zeros), low, high)
    return Known(whole.astype(steps.dtype), steps)
