"""SOFTMAX, LAYER_NORM, RMS_NORM of quantised ONNX models: near the exact value, and on the unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.fixed_point_case import fixed_softmax, layer_norm, random_case, values

from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.vector.layer_norm import (
    instance_norm_of,
    layer_norm_of,
    map_norm_of,
    rms_norm_of,
)
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.golden import run_op
from kaniwa.golden.onnx import (
    layer_norm as onnx_layer_norm,
    rms_norm as onnx_rms_norm,
    softmax as onnx_softmax,
)
from kaniwa.graph import Graph
from kaniwa.importers.onnx.model import import_onnx

BASE = PRESETS["base_vector"]
TWO_LANES = replace(PRESETS["small"], vector_unit=True, memory_bytes=128 * 1024, name="two_lanes")
ONES = np.ones(8, np.float32)


def real_softmax(x: np.ndarray, scale: float, step: float) -> np.ndarray:
    wide = x.astype(np.int64)
    powers = np.exp((wide - wide.max(axis=-1, keepdims=True)) * scale)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True) / step)


@pytest.mark.parametrize(("columns", "bound"), [
    (1, 2.0**-13), (2, 2.0**-13), (24, 2.0**-13), (100, 2.0**-13), (511, 2.0**-13), (512, 2.0**-8),
    (4096, 2.0**-8), (16384, 2.0**-8)])
def test_a_softmax_is_the_exact_value_rounded_but_next_to_a_tie(columns: int, bound: float) -> None:
    rng = np.random.default_rng(columns)
    for _ in range(60):
        scale = float(10 ** rng.uniform(-3, 0.3))
        step = float(rng.choice([1 / 256, 1 / 255, 0.0071, 2.0**-24]))
        for x in values((20, columns), rng):
            apart = onnx_softmax.softmax(x, 1, scale, step) - real_softmax(x, scale, step)
            assert np.abs(apart).max() <= 0.5 + bound * max(2.0**-8 / step, 1)


def test_a_softmax_along_another_axis() -> None:
    x = values((3, 40), np.random.default_rng(1))[0]
    np.testing.assert_array_equal(onnx_softmax.softmax(x.T, 0, 0.1, 1 / 256).T,
                                  onnx_softmax.softmax(x, 1, 0.1, 1 / 256))


def assert_near(results: np.ndarray, real: np.ndarray, bound: float) -> int:
    """Rounded results are the ``real`` ones, but for those so near to a tie; how many count."""
    apart = np.abs(results - real)[np.abs(real) < 256]      # beyond that it is clamped
    assert apart.max(initial=0) <= 0.5 + bound
    return apart.size


@pytest.mark.parametrize("columns", [1, 2, 24, 100, 256, 257, 384, 513, 768, 2049, 4096])
def test_a_layer_norm_is_the_exact_value_rounded_but_next_to_a_tie(columns: int) -> None:
    rng, compared = np.random.default_rng(columns), 0
    for _ in range(60):
        graph = random_case("LAYER_NORM", (20, columns), rng)
        gain = graph.tensors[2].data
        bias = graph.tensors[3].data if len(graph.tensors) > 3 else None
        epsilon = graph.ops[0].attributes["epsilon"]
        scale, step = (graph.tensors[i].quantization.scale for i in (0, 1))
        assert gain is not None and isinstance(epsilon, float)
        numbers = onnx_layer_norm.layer_norm_numbers(gain, bias, epsilon, scale, step)
        if numbers is None:
            continue
        for x in values((20, columns), rng):
            real = x * np.float64(scale)
            real -= real.mean(axis=1, keepdims=True)
            real *= gain / np.sqrt(np.square(real).mean(axis=1, keepdims=True) + epsilon)
            real = (real if bias is None else real + bias) / step
            compared += assert_near(onnx_layer_norm.layer_norm(x, numbers), real, 2.0**-12)
    assert compared > 40_000 // 20 * columns


@pytest.mark.parametrize(("kind", "shape"), [
    *(("GROUP_NORM", shape) for shape in (
        (1, 3, 2), (1, 9, 7), (1, 24, 24, 64), (1, 21845, 3), (1, 65536, 1))),
    *(("INSTANCE_NORM", shape) for shape in (
        (1, 5, 1), (2, 3, 40), (1, 4, 256), (1, 7, 600), (3, 2, 9000), (1, 2, 65536)))], ids=str)
def test_a_norm_of_a_map_or_channels_is_the_exact_value_rounded_but_next_to_a_tie(
        kind: str, shape: tuple[int, ...]) -> None:
    rng, compared, whole = np.random.default_rng(sum(shape)), 0, kind == "GROUP_NORM"
    count, axes = (int(np.prod(shape)), None) if whole else (shape[-1], -1)
    norm = onnx_layer_norm.map_norm if whole else onnx_layer_norm.instance_norm
    for _ in range(20):
        graph = random_case(kind, shape, rng)
        gain, bias = (graph.tensors[i].data for i in (2, 3))
        epsilon = graph.ops[0].attributes["epsilon"]
        scale, step = (graph.tensors[i].quantization.scale for i in (0, 1))
        assert gain is not None and bias is not None and isinstance(epsilon, float)
        numbers = onnx_layer_norm.map_norm_numbers(gain, bias, epsilon, scale, step, count)
        if numbers is None:
            continue
        if not whole:
            gain, bias = gain[:, np.newaxis], bias[:, np.newaxis]
        for x in values(shape, rng):
            real = x * np.float64(scale)
            real -= real.mean(axis=axes, keepdims=True)
            real /= np.sqrt(np.square(real).mean(axis=axes, keepdims=True) + epsilon)
            assert_near(norm(x, numbers), (real * gain + bias) / step, 2.0**-11)
            compared += 1
    assert compared >= 40


@pytest.mark.parametrize("columns", [1, 2, 24, 100, 256, 384, 4096])
def test_an_rms_norm_is_the_exact_value_rounded_but_next_to_a_tie(columns: int) -> None:
    rng, compared = np.random.default_rng(columns), 0
    for _ in range(60):
        graph = random_case("RMS_NORM", (20, columns), rng)
        gain, epsilon = graph.tensors[2].data, graph.ops[0].attributes["epsilon"]
        (scale, step), zero_point = (graph.tensors[i].quantization.scale for i in (0, 1)), (
            graph.tensors[0].quantization.zero_point)
        assert gain is not None and isinstance(epsilon, float)
        numbers = onnx_rms_norm.rms_norm_numbers(gain, epsilon, scale, step)
        if numbers is None:
            continue
        for x in values((20, columns), rng):
            differences = x.astype(np.int64) - zero_point
            real = differences * np.float64(scale)
            root = np.sqrt(np.square(real).mean(axis=1, keepdims=True) + epsilon)
            real = np.divide(real, root, out=np.zeros_like(real), where=root > 0) * gain / step
            compared += assert_near(onnx_rms_norm.rms_norm(differences, numbers), real, 2.0**-12)
    assert compared > 30_000 // 20 * columns


@pytest.mark.parametrize(("gain", "epsilon", "step"), [
    (np.ones(4097, np.float32), 1e-5, 0.03), (ONES, 0.0, 0.03), (ONES, 1e9, 0.03),
    (0 * ONES, 1e-5, 0.03), (ONES, 1e-5, 1e-6)])
def test_layer_norms_that_stay_in_float64(gain: np.ndarray, epsilon: float, step: float) -> None:
    assert onnx_layer_norm.layer_norm_numbers(gain, None, epsilon, 0.1, step) is None
    b = OnnxBuilder(1)
    x = b.quantized(b.node("Sigmoid", [b.activation((2, gain.size), 0.1)]), 0.1)
    graph = import_onnx(b.model(b.quantized(b.node(
        "LayerNormalization", [x, b.constant(gain)], epsilon=epsilon), step)), "norm.onnx")
    (op,) = (op for op in graph.ops if op.kind == "LAYER_NORM")
    assert op.rule == "qdq"
    (why,) = (op.why for op in compile(graph, BASE).host_ops if op.kind == "LAYER_NORM")
    assert "rows of more than 4096 values, an epsilon of 0" in why


def assert_equals_golden(graph: Graph, config: AcceleratorConfig, rng: np.random.Generator) -> None:
    session = Session(compile(graph, config, require_accelerator=True),
                      devices.open("emulator", config))
    (op,) = graph.ops
    for x in values(graph.tensors[0].shape, rng):
        (expected,) = run_op(graph, op, [x, *(graph.tensors[i].data for i in op.inputs[1:])])
        np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


SHAPES = [(1, 10), (10,), (1, 1), (1, 64), (2, 5, 7, 33), (4, 24, 24), (64, 1), (5, 2), (9, 100),
          (300, 8), (7, 180)]


LONG = [(9, 480), (3, 257), (16, 384), (9, 519), (1, 1024), (11, 772), (3, 4096)]
MAPS = [(1, 4, 6, 8), (1, 1, 1, 5), (1, 7, 7, 24), (1, 5, 3, 33), (1, 9, 9, 300), (1, 40, 16),
        (1, 1000, 1), (1, 24, 24, 96), (1, 11, 64)]
CHANNELS = [(1, 3, 24), (1, 16, 64), (2, 5, 33), (1, 19, 255), (1, 8, 256), (2, 9, 300), (1, 40, 1),
            (1, 3, 5000), (3, 8, 768)]
LONG_ROWS = [(1, 257), (1, 1000), (1, 3584), (1, 3585), (9, 481), (17, 512), (3, 1023), (8, 1504),
             (1, 2, 21, 577), (1, 16384)]
CASES = [*(("SOFTMAX", shape) for shape in (*SHAPES, (17, 256), (9, 480))),
         *((kind, shape) for kind in ("LAYER_NORM", "RMS_NORM")
           for shape in (*SHAPES, (17, 256), *LONG)),
         *(("GROUP_NORM", shape) for shape in MAPS),
         *(("INSTANCE_NORM", shape) for shape in CHANNELS)]


@pytest.mark.parametrize("config", [BASE, TWO_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize(("kind", "shape"), CASES, ids=str)
def test_the_vector_unit_equals_golden(config: AcceleratorConfig, kind: str,
                                       shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(sum(shape))
    compared = 0
    while compared < (1 if shape in (*LONG, *MAPS, *CHANNELS) else 4):
        graph = random_case(kind, shape, rng)
        numbers_of = {"LAYER_NORM": layer_norm_of, "RMS_NORM": rms_norm_of,
                      "GROUP_NORM": map_norm_of, "INSTANCE_NORM": instance_norm_of}.get(kind)
        if numbers_of is None or numbers_of(graph, graph.ops[0]):
            assert_equals_golden(graph, config, rng)
            compared += 1


@pytest.mark.parametrize("config", [BASE, TWO_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize("shape", LONG_ROWS, ids=str)
def test_a_softmax_of_long_rows(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    assert_equals_golden(fixed_softmax(shape, 0.01, 1 / 255), config,
                         np.random.default_rng(sum(shape)))


@pytest.mark.parametrize("shape", [(1, 1000), (5, 770)], ids=str)
@pytest.mark.parametrize(("scale", "step", "zero_point"), [
    (0.3, 1 / 256, -128), (0.002, 1.0, -3), (0.0005, 0.00001, 0)])
def test_scales_of_long_rows(shape: tuple[int, ...], scale: float, step: float,
                             zero_point: int) -> None:
    assert_equals_golden(fixed_softmax(shape, scale, step, zero_point), BASE,
                         np.random.default_rng(sum(shape)))


@pytest.mark.parametrize("columns", [225, 232, 255])
def test_a_clamp_and_a_last_tile_that_is_not_whole_fit_a_program(columns: int) -> None:
    gain = np.linspace(0.5, 2, columns).astype(np.float32)
    assert_equals_golden(layer_norm((67, columns), 0.05, 0.03, gain, None, bounds=(-100, 90)),
                         TWO_LANES, np.random.default_rng(columns))


@pytest.mark.parametrize(("graph", "message"), [
    (fixed_softmax((4, 24), 0.1, 0.5),
     "the output's scale 0.5 is too large for rows of 24; quantize it to at most 0.25"),
    (fixed_softmax((2, 600), 0.1, 1.5),
     "the output's scale 1.5 is too large for rows of 600; quantize it to at most 1;"),
    (fixed_softmax((2, 16385), 0.1), "a row of 16385 is longer than the 16384 that"),
    (fixed_softmax((2, 481), 0.1, bounds=(-128, 90)), "a row of 481 is longer than the 480 that"),
    (fixed_softmax((1, 3585), 0.1, bounds=(-128, 90)), "a row of 3585 is longer than the 3584"),
])
def test_what_the_unit_cannot_hold_is_named(graph: Graph, message: str) -> None:
    assert compile(graph, BASE).host_ops
    with pytest.raises(CompileError, match=message):
        compile(graph, BASE, require_accelerator=True)


@pytest.mark.parametrize(("shape", "axis"), [
    ((4, 24), 0), ((2, 16, 5, 3), 1), ((2, 16, 5, 3), 2), ((1, 30, 1), 1), ((3, 40, 1, 1), 1)])
def test_rows_along_any_axis(shape: tuple[int, ...], axis: int) -> None:
    assert_equals_golden(fixed_softmax(shape, 0.1, axis=axis), BASE, np.random.default_rng(1))


def test_the_largest_step_of_a_result() -> None:
    rng = np.random.default_rng(1)
    for columns in (1, 3, 24, 255):
        graph = fixed_softmax((9, columns), 0.02, 2.0 ** (3 - columns.bit_length()), 5)
        assert_equals_golden(graph, BASE, rng)


def test_a_bias_beyond_all_results() -> None:
    bias = np.array([1e9, -1e9, 300, -300, 0, 3, -3, 1e6], np.float32)
    assert_equals_golden(layer_norm((5, 8), 0.1, 0.03, ONES, bias, zero_point=-128), BASE,
                         np.random.default_rng(1))
