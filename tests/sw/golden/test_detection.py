"""The end of detectors, where the random cases of all operators cannot look: LiteRT's fast
suppression leaves results that it does not give as they were, and damaged options are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders.operator_cases import Cases
from builders.operator_cases.cases import both
from flatbuffers import flexbuffers

from kaniwa import golden
from kaniwa.errors import Error, ModelError
from kaniwa.importers.operands import OptionError
from kaniwa.importers.tflite.flexbuffer import numbers_by_name
from kaniwa.importers.tflite.importer import import_tflite

OPTIONS: dict[str, Any] = {
    "max_detections": 6, "max_classes_per_detection": 3, "use_regular_nms": False,
    "nms_score_threshold": 0.3, "nms_iou_threshold": 0.4, "num_classes": 2,
    "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}


def detector(seed: int, **changed: Any) -> Cases:
    rng, cases, options = np.random.default_rng(seed), Cases(), {**OPTIONS, **changed}
    arrays = [rng.normal(0, 2, (1, 30, 4)), rng.integers(0, 6, (1, 30, 3)) / 6,
              rng.uniform(0.1, 0.9, (30, 4))]
    operands = [cases.given(x.astype(np.float32), i == 2) for i, x in enumerate(arrays)]
    results = [cases.result(shape, "float32") for shape in ([1, 18, 4], [1, 18], [1, 18], [1])]
    cases.op("TFLite_Detection_PostProcess", operands, results, **options)
    return cases


def graph_of(cases: Cases) -> Any:
    return import_tflite(cases.builder.build(cases.inputs, cases.outputs), "m.tflite")


def test_what_fast_suppression_gives_is_litert_s() -> None:
    pytest.importorskip("ai_edge_litert")
    counts = []
    for seed in range(20):
        cases = detector(seed, nms_iou_threshold=0.1 + seed / 40)
        (*ours, count), (*theirs, expected) = both(cases)
        assert count == expected
        counts.append(int(count[0]))
        for mine, other in zip(ours, theirs, strict=True):
            # Three places a detection, of which two classes take two.
            given = [np.delete(x[0], np.s_[2::3], axis=0)[:2 * counts[-1]] for x in (mine, other)]
            np.testing.assert_array_equal(*given, f"seed {seed}")
            assert not mine[0][3 * counts[-1]:].any()
    assert min(counts) < 6 and max(counts) == 6


@pytest.mark.parametrize("changed, message", [
    ({"num_classes": 5}, "has 5 classes, and scores of 3"),
    ({"nms_iou_threshold": 0.0}, "overlap 0 must be above 0, at most 1"),
    ({"max_detections": 0}, "gives 0 detections of 3 classes"),
    ({"max_detections": 1 << 30}, "gives 1073741824 detections of 3 classes"),
    ({"y_scale": 0.0}, "has the scales [0.0, 10.0, 5.0, 5.0], none may be 0"),
])
def test_options_without_sense_are_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as error:
        graph_of(detector(1, **changed))
    assert str(error.value) == f"m.tflite: op 0 TFLite_Detection_PostProcess 't3': {message}"


def test_a_box_without_area_is_refused_as_litert_does() -> None:
    cases = detector(1)
    cases.arrays[0][0, 7, 2:] = -1000
    with pytest.raises(ModelError, match="box 7 has no area, which the reference refuses$"):
        golden.run(graph_of(cases), cases.arrays)


def test_numbers_of_every_width_are_read() -> None:
    numbers = {"a": 1, "b": -300, "c": 1 << 40, "d": 0.1, "e": True, "g": 2.5}
    assert numbers_by_name(bytes(flexbuffers.Dumps({**numbers, "h": "text"}))) == numbers


def test_damaged_options_are_refused_in_one_line() -> None:
    content, rng = bytes(flexbuffers.Dumps(OPTIONS)), np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(content[:int(rng.integers(0, len(content) + 1))])
        for at in rng.integers(0, len(damaged), 2) if damaged else ():
            damaged[at] = int(rng.integers(0, 256))
        try:
            numbers_by_name(bytes(damaged))
        except OptionError as error:
            refused += "\n" not in str(error)
    assert refused > 1000
    cases = detector(1)
    whole = cases.builder.build(cases.inputs, cases.outputs)
    start = whole.index(b"max_detections")
    for at in range(start, start + len(content) - 20):
        try:
            import_tflite(whole[:at] + b"\xff" + whole[at + 1:], "m.tflite")
        except Error as error:
            assert "\n" not in str(error)
