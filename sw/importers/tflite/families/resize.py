"""Resizing of images."""

from __future__ import annotations

from typing import Any

from kaniwa.importers import consistency, limits
from kaniwa.importers.consistency import output_is
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, shape_of

__all__ = ["OPERATORS"]


def _size(options: Any, op: Operands) -> dict[str, object]:
    size = op.numbers(1)
    if len(size) != 2 or min(size) < 1 or len(op.x.shape) != 4:
        raise OptionError(f"size {list(size)} does not fit {shape_of(op.x)}")
    return {"size": size, "align_corners": bool(options.AlignCorners()),
            "half_pixel_centers": bool(options.HalfPixelCenters())}


def _resized(op: Operands) -> tuple[int, ...]:
    return (op.x.shape[0], *op.several("size"), op.x.shape[3])


def not_both(op: Operands) -> str | None:
    """Not both align_corners and half_pixel_centers."""
    both = op.attributes["align_corners"] and op.attributes["half_pixel_centers"]
    return "has both align_corners and half_pixel_centers" if both else None


def sides_in_range(op: Operands) -> str | None:
    """Sides are at most 8192."""
    worst = max(*op.x.shape[1:3], *op.several("size"))
    # Positions with 10 fractional bits, and in float32, stay exact or within int32.
    return None if worst <= 8192 else f"a side of {worst} is too large"


def _row(kind: str, options: str, rules: dict[str, str]) -> OperatorInfo:
    return OperatorInfo(
        kind, rules, options, True, _size,
        (consistency.operand_count(2, 2), output_is(_resized)),
        (limits.one_dtype(0), limits.quantized(0), limits.same_quantization, not_both,
         sides_in_range),
        constants={1: "size"})


OPERATORS = (
    _row("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions",
         dict.fromkeys(("int8", "uint8", "int16", "int32", "float32", "bool"), "exact")),
    _row("RESIZE_BILINEAR", "ResizeBilinearOptions",
         {"int8": "litert_bilinear", "uint8": "float32", "int16": "litert_bilinear",
          "float32": "float32"}),
)
