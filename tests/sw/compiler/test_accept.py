"""What the accelerator does not take is named in one line: node, reason, way out."""

from typing import Any

import numpy as np
import pytest
from builders.operator_cases.cases import Cases

from kaniwa.benchmark.networks.tflite_file import PADDING
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.rewrite.refusal import why_not
from kaniwa.config import PRESETS
from kaniwa.importers.tflite.importer import import_tflite

X = {"scale": 0.5, "zero_point": 3}
WINDOW = {"Padding": PADDING["SAME"], "StrideH": 1, "StrideW": 1, "DilationHFactor": 1,
          "DilationWFactor": 1}


def reason(cases: Cases) -> str | None:
    """Why the accelerator does not take the model's only operator."""
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "m.tflite")
    return why_not(Plan(graph, graph, PRESETS["base"], Options()), 0)


def product(dtype: str = "int8", weights: str = "int8", bias: str = "int32",
            constant: bool = True, zero: int = 0) -> Cases:
    """A FULLY_CONNECTED [1, 4] × [3, 4]."""
    cases = Cases()
    q: dict[str, Any] = {} if dtype == "float32" else {
        "scale": 0.5, "zero_point": 0 if dtype == "int16" else 3}
    w_q = {} if dtype == "float32" else {"scale": 0.25, "zero_point": zero}
    x = cases.given(np.zeros((1, 4), dtype), **q)
    w = cases.given(np.ones((3, 4), weights), constant, **w_q)
    b = cases.given(np.zeros(3, bias), True)
    cases.op("FULLY_CONNECTED", [x, w, b], [cases.result((1, 3), dtype, **q)])
    return cases


def grouped(groups: int) -> Cases:
    """A CONV_2D of four channels in groups."""
    cases = Cases()
    x = cases.given(np.zeros((1, 4, 4, 4), np.int8), **X)
    w = cases.given(np.ones((4, 1, 1, 4 // groups), np.int8), True, scale=0.25, zero_point=0)
    b = cases.given(np.zeros(4, np.int32), True)
    cases.op("CONV_2D", [x, w, b], [cases.result((1, 4, 4, 4), **X)], **WINDOW)
    return cases


def left_in_float() -> Cases:
    """A float32 product in a model with int8 elsewhere."""
    cases = product("float32", "float32", "float32")
    x = cases.given(np.zeros((1, 3), np.int8), **X)
    cases.op("RELU", [x], [cases.result((1, 3), **X)])
    return cases


def float_input() -> Cases:
    cases = Cases()
    x = cases.given(np.zeros((1, 3), np.float32))
    cases.op("QUANTIZE", [x], [cases.result((1, 3), **X)])
    return cases


def single_place() -> Cases:
    cases = Cases()
    x = cases.given(np.zeros((3, 2), np.int8), **X)
    cases.op("GATHER_ND", [x, cases.numbers([1])], [cases.result((2,), **X)])
    return cases


@pytest.mark.parametrize("cases, expected", [
    (product(), None),
    (grouped(1), None),
    (grouped(2), None),
    (product("float32", "float32", "float32"), "'t0' is float32; quantize the model to int8"),
    (left_in_float(), "'t0' is float32; quantize this operator, too"),
    (float_input(), "'t0' is float32, which the host quantizes"),
    (product("int16", bias="int64"),
     "target 'base' has no vector unit, which int16 needs; quantize the model to int8, or use a "
     "target with vector_unit = true"),
    (product("uint8", "uint8", zero=7), None),
    (product(constant=False, zero=2),
     "weights 't1' are computed; make them constant"),
])
def test_the_reason_is_named(cases: Cases, expected: str | None) -> None:
    assert reason(cases) == expected


def test_an_unknown_operator_is_refused() -> None:
    assert reason(single_place()) == (
        "the accelerator has no such operator; `kaniwa operators` lists those that it has")
