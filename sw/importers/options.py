"""Readers of TFLite's options tables that several families of operators share."""

from __future__ import annotations

from typing import Any

from kaniwa.importers.operands import Operands, OptionError
from kaniwa.importers.shapes import explicit_padding, extent

__all__ = ["activation", "fused", "padding", "window", "explicit_paddings"]

PADDING = {0: "SAME", 1: "VALID"}
ACTIVATION = {0: "NONE", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}


def activation(options: Any) -> str:
    """The fused activation; NONE where the options are absent."""
    code = 0 if options is None else options.FusedActivationFunction()
    if code not in ACTIVATION:
        raise OptionError(f"fused activation {code} does not exist")
    return ACTIVATION[code]


def fused(options: Any, op: Operands) -> dict[str, object]:
    """Attributes of an operator that has a fused activation and no more."""
    return {"activation": activation(options)}


def padding(options: Any) -> str:
    """SAME or VALID."""
    if options.Padding() not in PADDING:
        raise OptionError(f"padding {options.Padding()} does not exist")
    return PADDING[options.Padding()]


def window(options: Any, op: Operands) -> dict[str, object]:
    """Attributes of every operator with a window."""
    return {
        "activation": activation(options),
        "padding": padding(options),
        "stride": (options.StrideH(), options.StrideW()),
    }


def explicit_paddings(op: Operands) -> dict[str, object]:
    """The attributes as the graph has them: padding as ((top, bottom), (left, right))."""
    attributes = dict(op.attributes)
    kernel = op.pair("filter") if "filter" in attributes else op.weights.shape[1:3]
    dilation = op.pair("dilation") if "dilation" in attributes else (1, 1)
    attributes["padding"] = tuple(
        explicit_padding(str(attributes["padding"]), size, extent(k, d), s)
        for size, k, d, s in zip(
            op.x.shape[1:3], kernel, dilation, op.pair("stride"), strict=True
        )
    )
    return attributes
