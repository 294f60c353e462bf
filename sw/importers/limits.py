"""Limits that several families share: named, each with the sentence that users read.

Each limit takes the operator and returns None, or what is not supported (an
``UnsupportedError``); its docstring is the sentence that ``kaniwa operators`` prints.
"""

from __future__ import annotations

import numpy as np

from kaniwa.graph import Tensor
from kaniwa.importers.operands import Constraint, Operands, quantization_of
from kaniwa.importers.shapes import extent

__all__ = [
    "at_most",
    "broadcast_rank",
    "one_dtype",
    "every_dtype",
    "quantized",
    "every_quantized",
    "input_quantized",
    "known_activation",
    "activation_in_range",
    "same_quantization",
    "same_quantization_as",
    "QUANTIZED",
    "window_in_range",
]

QUANTIZED = ("int8", "uint8", "int16")
MAXIMUM_LENGTH = 1 << 26  # of an axis, where nothing else limits it


def one_dtype(*positions: int) -> Constraint:
    """These inputs and all outputs have the first one's dtype."""

    def check(op: Operands) -> str | None:
        expected = op.present(positions[0]).dtype
        for tensor in _activations(op, positions):
            if tensor.dtype != expected:
                return f"activation '{tensor.name}' is {tensor.dtype}, must be {expected}"
        return None

    check.__doc__ = "All activations have the same dtype."
    return check


def broadcast_rank(op: Operands) -> str | None:
    """Operands of different shapes have at most 4 dimensions."""
    shapes = {tensor.shape for tensor in op.inputs if tensor is not None}
    ranks = max(len(shape) for shape in shapes)
    if len(shapes) == 1 or ranks <= 4:
        return None
    return f"operands with {ranks} dimensions are broadcast, at most 4 are supported"


def at_most(most: int) -> Constraint:
    """The first operand has at most so many dimensions."""

    def check(op: Operands) -> str | None:
        rank = len(op.x.shape)
        return f"'{op.x.name}' has {rank} dimensions, at most {most}" if rank > most else None

    check.__doc__ = f"The input has at most {most} dimensions."
    return check


def every_dtype(op: Operands) -> str | None:
    """All operands have the same dtype."""
    return one_dtype(*range(len(op.inputs)))(op)


def every_quantized(op: Operands) -> str | None:
    """Each operand of 8 and 16 bits has one scale and a zero point in its range."""
    return quantized(*range(len(op.inputs)))(op)


def quantized(*positions: int) -> Constraint:
    """These inputs and all outputs are quantised, where they are integers of 8 or 16 bits."""

    def check(op: Operands) -> str | None:
        wrong = (_quantized(tensor) for tensor in _activations(op, positions))
        return next((what for what in wrong if what), None)

    check.__doc__ = (
        "Activations of 8 and 16 bits have one scale and a zero point in their range; int16's is 0."
    )
    return check


def input_quantized(op: Operands) -> str | None:
    """The input, if of 8 or 16 bits, has one scale and a zero point in its range; int16's is 0."""
    return _quantized(op.x)


def _quantized(tensor: Tensor) -> str | None:
    if tensor.dtype not in QUANTIZED:
        return None
    if tensor.quantization is None or len(tensor.quantization.scales) != 1:
        return f"activation '{tensor.name}' needs one scale and zero point"
    zero_point, limits = tensor.quantization.zero_point, np.iinfo(tensor.dtype)
    if tensor.dtype == "int16":
        good = zero_point == 0
        return None if good else (
            f"int16 activation '{tensor.name}' needs zero point 0, not {zero_point}")
    if limits.min <= zero_point <= limits.max:
        return None
    return (f"activation '{tensor.name}' needs a zero point in {limits.min}..{limits.max}, "
            f"not {zero_point}")


def _activations(op: Operands, positions: tuple[int, ...]) -> list[Tensor]:
    return [*(op.present(position) for position in positions), *op.outputs]


def known_activation(op: Operands) -> str | None:
    """The fused activation is NONE, RELU, RELU6 or RELU_N1_TO_1."""
    name = op.attributes["activation"]
    return (
        None
        if name in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
        else (f"fused activation {name} is not supported")
    )


def activation_in_range(op: Operands) -> str | None:
    """The fused activation's bounds over the output's scale fit an integer."""
    bound = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0}.get(str(op.attributes.get("activation", op.kind)))
    if op.output.dtype not in QUANTIZED:
        return None
    scale = quantization_of(op.output).scale
    # LiteRT refuses quotients beyond int32; half of that keeps the zero point's addition inside.
    return (
        None
        if bound is None or bound / scale < 2.0**30
        else (f"output scale {scale:g} is too small for the activation's bound {bound:g}")
    )


def same_quantization_as(position: int) -> Constraint:
    """This input and all outputs have the same scale and zero point."""

    def check(op: Operands) -> str | None:
        if op.present(position).dtype not in QUANTIZED:
            return None
        x = quantization_of(op.present(position))
        for tensor in op.outputs:
            out = quantization_of(tensor)
            if abs(x.scale - out.scale) > 1e-6 or x.zero_point != out.zero_point:
                return (
                    f"output scale {out.scale:g} and zero point {out.zero_point} differ "
                    f"from the input's {x.scale:g} and {x.zero_point}"
                )
        return None

    check.__doc__ = "Input and outputs have the same scale and zero point."
    return check


same_quantization = same_quantization_as(0)


def window_in_range(op: Operands) -> str | None:
    """Strides, and the span of the dilated kernel, are at most 4096 in each direction."""
    kernel = op.pair("filter") if "filter" in op.attributes else op.weights.shape[1:3]
    dilation = op.pair("dilation") if "dilation" in op.attributes else (1, 1)
    worst = max(*op.pair("stride"), *(extent(k, d) for k, d in zip(kernel, dilation, strict=True)))
    return None if worst <= 4096 else f"stride or span of {worst} is too large"
