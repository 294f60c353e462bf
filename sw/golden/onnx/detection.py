"""NonMaxSuppression as ONNX defines it, in float32: rule ``onnx``.

Source: NonMaxSuppression (opset 10 and 11) in the ONNX operator specification,
``docs/Operators.md``. The result has a row for each box that may be selected: batch, class, box;
rows behind the last one are -1, where ONNX has fewer rows.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.onnx.float import RULE
from kaniwa.golden.registry import Call, kernel

__all__: list[str] = []


def _corners(boxes: np.ndarray, centers: bool) -> tuple[np.ndarray, ...]:
    """Lower and upper ends along both axes, whichever of the corners comes first."""
    if centers:
        x, y, width, height = boxes.T
        two = np.float32(2)
        return x - width / two, x + width / two, y - height / two, y + height / two
    first, second = boxes[:, :2], boxes[:, 2:]
    low, high = np.minimum(first, second), np.maximum(first, second)
    return low[:, 0], high[:, 0], low[:, 1], high[:, 1]


def _overlaps(corners: tuple[np.ndarray, ...], one: int, others: list[int],
              limit: np.float32) -> bool:
    """True where a box has more than ``limit`` of its union with one of ``others`` in common."""
    zero = np.float32(0)
    low_x, high_x, low_y, high_y = corners
    area = (high_x - low_x) * (high_y - low_y)
    for other in others:
        width = min(high_x[one], high_x[other]) - max(low_x[one], low_x[other])
        height = min(high_y[one], high_y[other]) - max(low_y[one], low_y[other])
        if width <= zero or height <= zero or area[one] <= zero or area[other] <= zero:
            continue
        common = width * height
        union = area[one] + area[other] - common
        if union > zero and common / union > limit:
            return True
    return False


@kernel("NON_MAX_SUPPRESSION", rule=RULE)
def _non_max_suppression(call: Call) -> np.ndarray:
    boxes, scores = call.value(0), call.value(1)
    limit, least = (np.float32(call.attribute(name)) for name in ("overlap", "least"))
    rows = np.full(call.output.shape, -1, np.int64)
    count = 0
    for batch, classes in enumerate(scores):
        corners = _corners(boxes[batch], call.attribute("centers"))
        for number, chances in enumerate(classes):
            chosen = list[int]()
            for box in np.argsort(-chances, kind="stable"):
                if len(chosen) == call.attribute("most") or not chances[box] > least:
                    break
                if not _overlaps(corners, int(box), chosen, limit):
                    chosen.append(int(box))
                    rows[count] = batch, number, box
                    count += 1
    return rows
