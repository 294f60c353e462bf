"""Random ends of detectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from builders.operator_cases.cases import Cases, Rng, draws

__all__: list[str] = []


@draws("TFLite_Detection_PostProcess")
def detection(cases: Cases, rng: Rng, kind: str) -> None:
    """With and without background, regular and fast, with scores that are equal; the file may
    leave out the shapes of the results.

    Fast ones give all boxes, for the reference leaves other results as they were before.
    """
    regular = bool(rng.random() < 0.6)
    count, classes = int(rng.integers(2, 40)), int(rng.integers(1, 5))
    background = bool(rng.random() < 0.5)
    most = int(rng.integers(1, 12 if regular else min(12, count + 1)))
    several = 1 if regular else int(rng.integers(1, classes + 1))
    boxes = rng.normal(0, 2, (1, count, 4 + int(rng.random() < 0.2)))
    scores = rng.random((1, count, classes + background))
    if rng.random() < 0.5:
        scores = np.round(scores * 6) / 6
    anchors = rng.uniform(0.1, 0.9, (count, 4))
    unsigned = rng.random() < 0.4
    operands = [_given(cases, x, unsigned, constant) for x, constant in (
        (boxes, False), (scores, False), (anchors, True))]
    options: dict[str, Any] = {
        "max_detections": most, "max_classes_per_detection": several,
        "use_regular_nms": regular, "num_classes": classes,
        "nms_score_threshold": float(rng.choice([0.0, 0.3, 0.5])) if regular else 0.0,
        "nms_iou_threshold": float(rng.choice([0.2, 0.5, 1.0])) if regular else 1.0,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": float(rng.uniform(3, 9))}
    if rng.random() < 0.7:
        options["detections_per_class"] = int(rng.integers(1, 20))
    room = most * several
    shapes = [[1, room, 4], [1, room], [1, room], [1]]
    results = [cases.result([] if rng.random() < 0.2 else shape, "float32") for shape in shapes]
    cases.op(kind, operands, results, **options)


def _given(cases: Cases, x: np.ndarray, unsigned: bool, constant: bool) -> int:
    if not unsigned:
        return cases.given(x.astype(np.float32), constant)
    low = min(float(x.min()), 0.0)
    scale = float(np.float32((float(x.max()) - low) / 255))
    zero = round(-low / scale)
    values = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.uint8)
    return cases.given(values, constant, scale=scale, zero_point=zero)
