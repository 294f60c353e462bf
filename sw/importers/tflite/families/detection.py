"""The end of detectors: boxes from anchors, and the best of each place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kaniwa.importers import consistency
from kaniwa.importers.info import OperatorInfo
from kaniwa.importers.operands import Operands, OptionError, shape_of
from kaniwa.importers.tflite.flexbuffer import numbers_by_name

__all__ = ["OPERATORS"]

PER_CLASS = 100      # detections, where the file names no number
MOST = 1 << 16      # detections of an image


def _options(options: Any, op: Operands) -> dict[str, object]:
    """By the names of the file; what is absent is 0, as the reference has it."""
    found = numbers_by_name(options)
    scales = tuple(_float(found.get(f"{axis}_scale", 0)) for axis in "yxhw")
    numbers: dict[str, object] = {
        "max_detections": int(found.get("max_detections", 0)),
        "max_classes": int(found.get("max_classes_per_detection", 0)),
        "detections_per_class": int(found.get("detections_per_class", PER_CLASS)),
        "classes": int(found.get("num_classes", 0)),
        "regular": bool(found.get("use_regular_nms", False)),
        "score_threshold": _float(found.get("nms_score_threshold", 0)),
        "iou_threshold": _float(found.get("nms_iou_threshold", 0)),
        "scales": scales,
    }
    if not all(math.isfinite(scale) and scale != 0 for scale in scales):
        raise OptionError(f"has the scales {list(scales)}, none may be 0")
    return numbers


def _float(number: float | int) -> float:
    """The number as float32, which the reference reads."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _shapes(op: Operands) -> tuple[tuple[int, ...], ...]:
    room = op.integer("max_detections") * op.integer("max_classes")
    return (1, room, 4), (1, room), (1, room), (1,)


def _fitting(op: Operands) -> str | None:
    boxes, scores, anchors = op.x.shape, op.weights.shape, op.present(2).shape
    if not (len(boxes) == len(scores) == 3 and len(anchors) == 2 and boxes[0] == scores[0] == 1
            and boxes[1] == scores[1] == anchors[0] and boxes[2] >= 4 and anchors[1] == 4):
        return (f"{shape_of(op.x)}, {shape_of(op.weights)} and {shape_of(op.present(2))} are no "
                f"boxes, scores and anchors")
    if not 0 <= scores[2] - op.integer("classes") <= 1:
        return f"has {op.integer('classes')} classes, and scores of {scores[2]}"
    return None


def _numbers(op: Operands) -> str | None:
    numbers = [op.integer(name) for name in ("max_detections", "max_classes",
                                             "detections_per_class", "classes")]
    if min(numbers) < 1 or numbers[0] * numbers[1] > MOST:
        return f"gives {numbers[0]} detections of {numbers[1]} classes"
    threshold = op.attributes["iou_threshold"]
    assert isinstance(threshold, float)
    return None if 0 < threshold <= 1 else f"overlap {threshold:g} must be above 0, at most 1"


def scaled_bytes(op: Operands) -> str | None:
    """Boxes and anchors, and scores, are float32, or uint8 with one scale."""
    for tensor in (op.x, op.weights, op.present(2)):
        if tensor.dtype not in ("float32", "uint8"):
            return f"'{tensor.name}' is {tensor.dtype}, must be float32 or uint8"
        q = tensor.quantization
        if tensor.dtype == "uint8" and (q is None or len(q.scales) != 1):
            return f"'{tensor.name}' needs one scale and zero point"
    if op.present(2).dtype != op.x.dtype:
        return f"'{op.present(2).name}' is {op.present(2).dtype}, must be {op.x.dtype}"
    return None


def float_results(op: Operands) -> str | None:
    """All four results are float32."""
    wrong = next((t for t in op.outputs if t.dtype != "float32"), None)
    return None if wrong is None else f"'{wrong.name}' is {wrong.dtype}, must be float32"


OPERATORS = (
    OperatorInfo(
        "TFLite_Detection_PostProcess",
        {"float32": "litert_detection", "uint8": "litert_detection"},
        read=_options,
        consistency=(consistency.operand_count(3, 3, optional=3, outputs=4), _fitting, _numbers),
        limits=(scaled_bytes, float_results),
        custom=True,
        results=_shapes,
    ),
)
