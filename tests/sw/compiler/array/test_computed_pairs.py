"""MAXIMUM, MINIMUM and SQUARED_DIFFERENCE of two computed operands on the accelerator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.inferences import assert_runs_as_golden
from builders.operator_cases import Cases
from builders.operator_cases.cases import values, zero_point

from kaniwa.compiler.int16.square import shifted_square
from kaniwa.config import load_target
from kaniwa.cycles.estimate import estimate
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


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
@pytest.mark.parametrize("other, constant", [
    (SHAPE, False), (SHAPE, True), ((9,), False), ((2, 1, 4, 1), False)], ids=str)
def test_of_onnx_models_the_numbers_are_compared(kind: str, other: tuple[int, ...],
                                                 constant: bool) -> None:
    for seed in range(4):
        scales = tuple(np.random.default_rng(seed).choice(
            np.float32([0.013, 0.1, 0.11, 0.7]), 2, False).astype(float))
        graph, inputs = case(kind, seed, other, constant, scales)
        graph = replace(graph, ops=tuple(replace(op, rule="qdq", attributes={
            **op.attributes, "bounds": (-128, 127 - 20 * seed)}) for op in graph.ops))
        program = assert_runs_as_golden(graph, "small", inputs, f"{seed}")
        assert not program.host_ops


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


@pytest.mark.parametrize("seed", range(6))
def test_squares_of_two_scales_are_exact_for_every_pair_in_a_pass_less(seed: int) -> None:
    """Both operands have all values, and the results are those of LiteRT's two roundings."""
    rng, cases = np.random.default_rng(seed), Cases()
    every = np.arange(-128, 128).astype(np.int8)
    grid = np.repeat(every[:, None], 256, 1)
    steps = (0.02, 0.02 * float(rng.uniform(1.1, 3)))[::(1, -1)[seed % 2]]
    pair = [cases.given(x, scale=s, zero_point=zero_point(rng, "int8"))
            for x, s in zip((grid, grid.T.copy()), steps, strict=True)]
    y = cases.result(grid.shape, "int8", scale=float(rng.uniform(0.01, 1.0)),
                     zero_point=(-128, int(rng.integers(-128, 128)))[seed % 2])
    cases.op("SQUARED_DIFFERENCE", pair, [y])
    graph = import_tflite(cases.builder.build(cases.inputs, cases.outputs), "cases.tflite")
    inputs = {graph.tensors[i].name: x for i, x in zip(graph.inputs, cases.arrays, strict=True)}
    config = replace(load_target("base_vector"), name="", memory_bytes=256 * 1024)
    program = assert_runs_as_golden(graph, config, inputs)
    groups = 65_536 / program.config.requant_lanes     # with a pass for the scale 12.5 each
    assert 11 * groups < estimate(program).cycles < 12 * groups


def test_a_square_whose_results_no_scale_gives_keeps_both_roundings() -> None:
    entries, coarse = np.arange(-128, 128) * 64, np.arange(-128, 128).astype(np.int8)
    results = (entries[:, None] - 64 * coarse.astype(np.int64)) ** 2 + (1 << 15) >> 16
    assert shifted_square(entries, 64, coarse, np.minimum(results, 255), 255)
    results[0, 5] += 1
    assert shifted_square(entries, 64, coarse, np.minimum(results, 255), 255) is None
    assert shifted_square(entries * 0, 0, coarse, results * 0, 255) is None
