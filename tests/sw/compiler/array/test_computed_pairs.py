"""MAXIMUM, MINIMUM and SQUARED_DIFFERENCE of two computed operands on the accelerator."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.inferences import assert_runs_as_golden
from builders.operator_cases import Cases
from builders.operator_cases.cases import values, zero_point

from kaniwa.graph import Graph
from kaniwa.importers.tflite.importer import import_tflite

SHAPE = (2, 3, 4, 9)


def case(kind: str, seed: int, other: tuple[int, ...] = SHAPE, constant: bool = False,
         scales: tuple[float, float] = (0.1, 0.1), dtype: str = "int8",
         ) -> tuple[Graph, dict[str, np.ndarray]]:
    """An operator of a tensor and an ``other``, perhaps constant; every other seed exchanges
    them."""
    rng, cases = np.random.default_rng(seed), Cases()
    arrays = values(rng, SHAPE, dtype), values(rng, other, dtype)
    pair = [cases.given(x, i == 1 and constant, scale=s, zero_point=zero_point(rng, dtype))
            for i, (x, s) in enumerate(zip(arrays, scales, strict=True))]
    y = cases.result(SHAPE, dtype, scale=float(rng.choice([0.1, 2.0])),
                     zero_point=zero_point(rng, dtype))
    cases.op(kind, pair[::-1] if seed % 2 else pair, [y])
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "cases.tflite")
    return graph, {graph.tensors[i].name: x
                   for i, x in zip(graph.inputs, cases.arrays, strict=True)}


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize("other, constant", [
    (SHAPE, False), (SHAPE, True), ((9,), False), ((9,), True), ((2, 3, 4, 1), False), ((), True)],
    ids=str)
def test_two_operands_are_computed_on_the_array(kind: str, other: tuple[int, ...],
                                                constant: bool) -> None:
    for seed in range(4):
        graph, inputs = case(kind, seed, other, constant)
        program = assert_runs_as_golden(graph, "nano" if seed == 3 else "base", inputs, f"{seed}")
        assert {kind} <= {name for layer in program.layers for name in layer.op.split("+")}


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
def test_uint8_is_compared_as_int8(kind: str) -> None:
    for seed in range(2):
        graph, inputs = case(kind, seed, dtype="uint8")
        assert assert_runs_as_golden(graph, "base", inputs).layers


def test_different_scales_are_compared_byte_by_byte_as_litert_does() -> None:
    graph, inputs = case("MAXIMUM", 5, scales=(0.1, 0.7))
    assert assert_runs_as_golden(graph, "base", inputs).layers


def test_squares_of_operands_with_different_scales_need_a_vector_unit() -> None:
    graph, inputs = case("SQUARED_DIFFERENCE", 5, scales=(0.1, 0.7))
    program = assert_runs_as_golden(graph, "base", inputs)
    assert not program.layers
    assert "different scales" in program.host_ops[0].why
    assert "vector_unit = true" in program.host_ops[0].why


@pytest.mark.parametrize("other, constant", [
    (SHAPE, False), (SHAPE, True), ((9,), False), ((9,), True), ((2, 3, 4, 1), False)], ids=str)
def test_squares_of_two_scales_are_a_program(other: tuple[int, ...], constant: bool) -> None:
    for seed in range(6):
        scales = tuple(np.random.default_rng(seed).choice([0.004, 0.1, 0.11, 0.7], 2, False))
        graph, inputs = case("SQUARED_DIFFERENCE", seed, other, constant, scales)
        program = assert_runs_as_golden(graph, "base_vector", inputs, f"{seed}")
        assert program.layers and not program.host_ops
