"""TFLite_Detection_PostProcess as LiteRT defines it: boxes from anchors, the best of each place.

Source: ``detection_postprocess.cc`` of its kernels. Numbers are float32, but for the products that
place a box, which are float64.
"""

from __future__ import annotations

import math

import numpy as np

from kaniwa.golden.numbers.partial_sort import falling
from kaniwa.golden.registry import Call, kernel

__all__: list[str] = []

ZERO = np.float32(0)
Outputs = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _real(call: Call, position: int) -> np.ndarray:
    """The operand, uint8 as the numbers that it stands for."""
    x = call.value(position)
    if x.dtype == np.float32:
        return x
    q = call.quantization(position)
    return (x.astype(np.float32) - np.float32(q.zero_point)) * np.float32(q.scale)


def _boxes(call: Call) -> np.ndarray:
    """[boxes, (top, left, bottom, right)]."""
    encoded, anchors = _real(call, 0)[0, :, :4].astype(np.float64), _real(call, 2)[:, :4]
    scales = np.array(call.attribute("scales"), np.float64)
    (place, size), anchors = (encoded / scales).reshape(-1, 2, 2).swapaxes(0, 1), anchors.astype(
        np.float64)
    center = (place * anchors[:, 2:] + anchors[:, :2]).astype(np.float32)
    grown = np.array([_exp(value) for value in size.flat]).reshape(size.shape)
    half = (0.5 * grown * anchors[:, 2:]).astype(np.float32)
    with np.errstate(all="ignore"):
        boxes = np.concatenate([center - half, center + half], axis=1)
    wrong = np.flatnonzero((boxes[:, :2] >= boxes[:, 2:]).any(axis=1))
    if wrong.size:
        raise OverflowError(f"box {wrong[0]} has no area, which the reference refuses")
    return boxes


def _exp(x: float) -> float:
    """C's ``exp``."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _overlaps(boxes: np.ndarray, one: int, others: np.ndarray) -> np.ndarray:
    """The intersection of a box with each of ``others`` over their union."""
    a, b = boxes[one], boxes[others]
    with np.errstate(all="ignore"):
        area, areas = ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
                       for box in (a, b))
        top_left, bottom_right = np.maximum(a[:2], b[:, :2]), np.minimum(a[2:], b[:, 2:])
        sides = np.maximum(bottom_right - top_left, ZERO)
        common = sides[:, 0] * sides[:, 1]
        return np.where((area <= 0) | (areas <= 0), ZERO, common / (area + areas - common))


def _selected(call: Call, boxes: np.ndarray, scores: np.ndarray, most: int) -> list[int]:
    """Boxes by falling score, without those that overlap one before them."""
    kept = np.flatnonzero(scores >= np.float32(call.attribute("score_threshold")))
    left, selected = kept[np.argsort(-scores[kept], kind="stable")], list[int]()
    while left.size and len(selected) < most:
        best, left = int(left[0]), left[1:]
        selected.append(best)
        overlaps = _overlaps(boxes, best, left)
        left = left[~(overlaps > np.float32(call.attribute("iou_threshold")))]
    return selected


def _regular(call: Call, boxes: np.ndarray, scores: np.ndarray) -> Outputs:
    """Class by class; of equal scores that of the earlier class comes first."""
    most = call.attribute("max_detections")
    best: list[tuple[np.float32, int, int]] = []
    for number, of_class in enumerate(scores.T):
        found = _selected(call, boxes, of_class, min(call.attribute("detections_per_class"), most))
        best = [*best, *((of_class[i], i, number) for i in found)]
        best = sorted(best, key=lambda entry: -entry[0])[:most]
    return _outputs(call, boxes, [[(i, number, score)] for score, i, number in best])


def _fast(call: Call, boxes: np.ndarray, scores: np.ndarray) -> Outputs:
    """All classes at once, by the best of each box; some classes of a box are given."""
    count = min(call.attribute("max_classes"), scores.shape[1])
    order = np.array([falling(row, count) for row in scores.tolist()])
    rows = _selected(call, boxes, scores[np.arange(len(scores)), order[:, 0]],
                     call.attribute("max_detections"))
    return _outputs(call, boxes, [[(i, int(number), scores[i, number]) for number in order[i]]
                                  for i in rows])


def _outputs(call: Call, boxes: np.ndarray,
             found: list[list[tuple[int, int, np.float32]]]) -> Outputs:
    """The four results of boxes, classes and scores, one list a detection.

    Where there is nothing they are 0. The reference leaves some of these places as they were
    before, which may be anything.
    """
    detections, several = call.attribute("max_detections"), call.attribute("max_classes")
    places, classes, scores = (np.zeros((detections * several, *more), np.float32)
                               for more in ((4,), (), ()))
    for first, entries in enumerate(found):
        for position, (box, number, score) in enumerate(entries, several * first):
            places[position], classes[position], scores[position] = boxes[box], number, score
    return places, classes, scores, np.array([len(found)], np.float32)


@kernel("TFLite_Detection_PostProcess")
def _detection(call: Call) -> Outputs:
    boxes, scores = _boxes(call), _real(call, 1)[0]
    of_classes = scores[:, scores.shape[1] - call.attribute("classes"):]      # 0 is the background
    return (_regular if call.attribute("regular") else _fast)(call, boxes, of_classes)
