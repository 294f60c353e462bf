"""Golden equals LiteRT's reference kernels, to the bit, on random layers."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from builders.files import tflite_layers as layers

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import PADDING, ModelBuilder
from kaniwa.importers.tflite.importer import import_tflite

pytest.importorskip("ai_edge_litert")

from kaniwa.verify.litert import LiteRT

FAMILIES: dict[str, tuple[Callable[[np.random.Generator], layers.Layer], int]] = {
    "CONV_2D": (partial(layers.random_conv, depthwise=False), 120),
    "DEPTHWISE_CONV_2D": (partial(layers.random_conv, depthwise=True), 120),
    "FULLY_CONNECTED": (layers.random_fully_connected, 80),
    "ADD": (partial(layers.random_elementwise, kind="ADD"), 60),
    "SUB": (partial(layers.random_elementwise, kind="SUB"), 60),
    "MUL": (partial(layers.random_elementwise, kind="MUL"), 60),
    "AVERAGE_POOL_2D": (partial(layers.random_pool, kind="AVERAGE_POOL_2D"), 40),
    "MAX_POOL_2D": (partial(layers.random_pool, kind="MAX_POOL_2D"), 30),
    "SOFTMAX": (layers.random_softmax, 60),
    "RELU": (partial(layers.random_relu, kind="RELU"), 20),
    "RELU6": (partial(layers.random_relu, kind="RELU6"), 20),
}


def differences(layer: layers.Layer) -> tuple[int, np.ndarray]:
    """The number of elements where golden differs from LiteRT, and LiteRT's output."""
    content, arrays = layer
    graph = import_tflite(content, "layer.tflite")
    sample = {graph.tensors[i].name: a for i, a in zip(graph.inputs, arrays, strict=True)}
    output = graph.outputs[0]
    theirs = LiteRT(content, graph).run(sample, [output])[output]
    return int((golden.run(graph, sample)[output] != theirs).sum()), theirs


@pytest.mark.parametrize("kind", FAMILIES)
def test_random_layers_equal_litert(kind: str) -> None:
    draw, count = FAMILIES[kind]
    inside = 0
    for seed in range(count):
        rng = np.random.default_rng([seed, *kind.encode()])
        wrong, output = differences(draw(rng))
        assert wrong == 0, f"{kind}: seed {seed}: {wrong} elements differ"
        inside += int(((output > -128) & (output < 127)).any())
    # A comparison of saturated outputs alone would prove little.
    assert inside > count // 3


def test_reshape_resolves_minus_one() -> None:
    b = ModelBuilder()
    x = b.tensor("x", [1, 2, 3, 4], scale=0.5, zero_point=1)
    shape = b.tensor("shape", [2], "int32", data=np.array([-1, 6], np.int32))
    y = b.tensor("y", [4, 6], scale=0.5, zero_point=1)
    b.op("RESHAPE", [x, shape], [y])
    rng = np.random.default_rng(0)
    assert differences((b.build([x], [y]), [layers.int8(rng, (1, 2, 3, 4))]))[0] == 0


EVERY = np.arange(-128, 128).astype(np.int8)


@pytest.mark.parametrize("shift", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["CONV_2D", "FULLY_CONNECTED"])
def test_ties_round_as_in_litert(kind: str, shift: int) -> None:
    """y = x · w / 2^shift for every x: each rule breaks half of these ties in its own way."""
    for weight in (1, -1, 3):
        for zero in (0, 5):
            b = ModelBuilder()
            shape, w_shape = ([1, 16, 16, 1], [1] * 4) if kind == "CONV_2D" else ([256, 1], [1, 1])
            x = b.tensor("x", shape, scale=0.3, zero_point=zero)
            w = b.tensor(
                "w",
                w_shape,
                scale=2.0**-shift,
                zero_point=0,
                data=np.full(w_shape, weight, np.int8),
            )
            bias = b.tensor(
                "b", [1], "int32", scale=0.3 * 2.0**-shift, zero_point=0, data=np.zeros(1, np.int32)
            )
            y = b.tensor("y", shape, scale=0.3, zero_point=-zero)
            windows = (
                {
                    "Padding": PADDING["SAME"],
                    "StrideH": 1,
                    "StrideW": 1,
                    "DilationHFactor": 1,
                    "DilationWFactor": 1,
                }
                if kind == "CONV_2D"
                else {}
            )
            b.op(kind, [x, w, bias], [y], FusedActivationFunction=0, **windows)
            assert differences((b.build([x], [y]), [EVERY.reshape(shape)]))[0] == 0


@pytest.mark.parametrize(
    "scales",
    [
        (0.5, 0.5, 1.0),
        (0.5, 0.25, 1.0),
        (0.1, 0.1, 0.3),
        (0.013, 0.7, 0.71),
        (1e-5, 1.0, 1.0),
        (1.0, 0.5, 0.25),
    ],
)
@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_sums_equal_litert_on_every_pair(kind: str, scales: tuple[float, float, float]) -> None:
    assert wrong_pairs(kind, scales) == 0


@pytest.mark.parametrize("factor", [0.5, 0.75])
def test_multiplier_of_a_product_is_float32(factor: float) -> None:
    """Scales whose quotient is ``factor`` / 2^k in float32 but not in float64: ties tell."""
    rng, done = np.random.default_rng(1), 0
    while done < 4:
        a, b = np.float32(rng.uniform(0.01, 1, 2))
        out = np.float32(np.float64(a * b) / factor * 2.0 ** int(rng.integers(4, 8)))
        real = a * b / out
        if np.frexp(real)[0] == factor and np.float64(a) * np.float64(b) / np.float64(out) != real:
            assert wrong_pairs("MUL", (float(a), float(b), float(out)), (0, 0, 0)) == 0
            done += 1


def wrong_pairs(
    kind: str,
    scales: tuple[float, float, float],
    zero_points: tuple[int, int, int] = (-7, 100, 3),
) -> int:
    """The number of pairs of int8 values for which golden and LiteRT differ."""
    b = ModelBuilder()
    a, c, y = (
        b.tensor(name, shape, scale=scale, zero_point=zero)
        for name, shape, scale, zero in zip(
            "acy", ([256, 1], [1, 256], [256, 256]), scales, zero_points, strict=True
        )
    )
    b.op(kind, [a, c], [y], FusedActivationFunction=0)
    layer = b.build([a, c], [y]), [EVERY.reshape(256, 1), EVERY.reshape(1, 256)]
    return differences(layer)[0]


def test_softmax_equals_litert_over_every_difference() -> None:
    values = np.stack([np.full(256, 127), np.arange(-128, 128)], axis=1).astype(np.int8)
    for scale in (0.002, 0.0317, 0.1, 0.35, 2.0):
        b = ModelBuilder()
        x = b.tensor("x", values.shape, scale=scale, zero_point=3)
        y = b.tensor("y", values.shape, scale=1 / 256, zero_point=-128)
        b.op("SOFTMAX", [x], [y], Beta=1.0)
        assert differences((b.build([x], [y]), [values]))[0] == 0
