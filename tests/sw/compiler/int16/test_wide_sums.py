"""Sums of products of int16: digits from the array, put together and rescaled, exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.wide_builder import FULL, WideBuilder
from builders.graphs.wide_case import BASE, CONFIGS, assert_exact

from kaniwa import golden
from kaniwa.compiler.int16.sums import digit_rescale, parts
from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.plan.rescale import affine
from kaniwa.compiler.rewrite.rewriter import Rewriter
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, Quantization

Make = Callable[[WideBuilder, int], int]


def one_layer(shape: tuple[int, ...], make: Make, seed: int = 0) -> Graph:
    b = WideBuilder(seed)
    x = b.wide(shape, 0.0004)
    return b.graph((x,), (make(b, x),))


def rescaled_by(graph: Graph, *scales: float) -> Graph:
    """With these scales of the weights of its only operator, in turn."""
    weights = graph.tensors[graph.ops[0].inputs[1]]
    count = graph.tensors[graph.ops[0].outputs[0]].shape[-1] if len(scales) > 1 else 1
    tensors = list(graph.tensors)
    tensors[weights.id] = replace(weights, quantization=Quantization(
        tuple(map(float, np.resize(scales, count))), (0,) * count, 0 if count > 1 else None))
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 5, 4, 3), (2, 6, 7, 8), (1, 3, 3, 37)])
def test_convolutions_are_exact(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    for channels, settings in ((1, {"kernel": (1, 1)}), (10, {"pad": 1}),
                               (33, {"kernel": (3, 1), "activation": "RELU"}),
                               (shape[-1], {"depthwise": 1, "activation": "RELU6"}),
                               (2 * shape[-1], {"depthwise": 2, "kernel": (1, 3)})):
        assert_exact(one_layer(shape, lambda b, x, c=channels, s=settings: b.wide_conv(x, c, **s)),
                     config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("shape", [(1, 9), (3, 40), (2, 7, 64), (5, 300)])
def test_dense_layers_are_exact(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    """Those of 67 and of 251 channels have constants of more than a register, in some configs."""
    for channels in (1, 16, 67, 251):
        graph = one_layer(shape, lambda b, x, c=channels: b.wide_dense(x, c))
        for scales in ((0.004,), (0.003, 0.0007, 0.005), (0.01, 3e-8, 2e-12, 1e-3)):
            assert_exact(rescaled_by(graph, *scales), config)


@pytest.mark.parametrize("factor", [0.31, 0.2718, 0.4999999])
def test_every_step_of_a_float_factor_is_exact(factor: float) -> None:
    """All sums from -131072 to 131071, of which results are up to the limits of int16."""
    values = np.arange(-32768, 32768).astype(np.int16)[:, None]
    b = WideBuilder()
    x = b.wide(values.shape, 0.0004)
    y = b.wide_dense(x, 4, 0.0004 * 0.01 / factor)
    weights, bias = (b.tensors[i].data for i in b.ops[0].inputs[1:])
    assert weights is not None and bias is not None
    weights[:], bias[:] = 1, (np.arange(4) * 2 - 3) * 32768
    graph = b.graph((x,), (y,))
    config = replace(BASE, memory_bytes=4 << 20, name="large")
    session = Session(compile(graph, config, require_accelerator=True),
                      devices.open("emulator", config))
    (outputs,) = session.run([values]).values()
    np.testing.assert_array_equal(outputs, golden.run(graph, [values])[y])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_means_are_exact(config: AcceleratorConfig) -> None:
    makes: tuple[Make, ...] = (
        lambda b, x: b.wide_mean(x, (1, 2)), lambda b, x: b.wide_mean(x, (3,)),
        lambda b, x: b.wide_mean(x, (2,)), lambda b, x: b.wide_pool(x, (2, 3), (1, 2)),
        lambda b, x: b.wide_pool(x, (1, 1), (2, 2)), lambda b, x: b.wide_pool(x, (7, 5), (1, 1)))
    for make in makes:
        assert_exact(one_layer((1, 7, 5, 12), make), config)
        assert_exact(one_layer((2, 8, 8, 3), make), config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_largest_values_are_exact(config: AcceleratorConfig) -> None:
    for shape, window, stride, activation in (
            ((1, 7, 5, 12), (2, 2), (2, 2), "NONE"), ((2, 8, 8, 3), (3, 3), (1, 2), "RELU"),
            ((1, 4, 9, 37), (1, 9), (1, 1), "RELU6"), ((1, 3, 3, 8), (1, 1), (2, 1), "NONE"),
            ((1, 6, 6, 64), (3, 4), (3, 2), "NONE")):
        b = WideBuilder()
        x = b.wide(shape, 0.0004)
        y = b.wide_pool(x, window, stride, "MAX_POOL_2D")
        b.ops[-1] = replace(b.ops[-1], attributes={**b.ops[-1].attributes,
                                                   "activation": activation})
        assert_exact(b.graph((x,), (y,)), config)


def test_a_large_window_is_the_hosts() -> None:
    graph = one_layer((1, 5, 5, 8), lambda b, x: b.wide_pool(x, (4, 4), (1, 1), "MAX_POOL_2D"))
    with pytest.raises(CompileError, match="window of 4 x 4 has more than 12 elements; pool in tw"):
        compile(graph, BASE, require_accelerator=True)
    assert compile(graph, BASE).host_ops


@pytest.mark.parametrize("scales", [(0.004, 1e-7), (1e-9, 1e-9), (2.0, 0.004), (1e-13, 0.01)])
def test_channels_of_many_magnitudes(scales: tuple[float, float]) -> None:
    """A shift for each channel where one does not do; a factor of 0."""
    graph = rescaled_by(one_layer((1, 4, 4, 8), lambda b, x: b.wide_conv(x, 6)), *scales)
    assert_exact(graph, BASE)


def test_digits_make_the_sum() -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (5, 30)) * np.array([[1], [0], [1], [1], [1]])
    bias = np.array([0, 0, 123456789, -10**9, -129])
    x = np.concatenate([rng.integers(-32768, 32768, (400, 30)), np.full((1, 30), -32768),
                        np.full((1, 30), 32767)])
    high, low = x >> 8, (x & 255) - 128
    total = np.zeros((len(x), 5), np.int64)
    for part in parts(weights, bias, "here"):
        sums = (high if part.high else low) @ weights.T
        biases, rescale = digit_rescale(part.digit, part.bias)
        digit = affine(sums + biases, rescale.multiplier, rescale.shift, rescale.rounding, 31)
        total += digit.astype(np.int8).astype(np.int64) << 8 * part.power
    np.testing.assert_array_equal(total, x @ weights.T + bias)


def test_as_few_digits_as_the_sums_have() -> None:
    def count(size: int, weight: int) -> int:
        return len(parts(np.full((1, size), weight), np.zeros(1, np.int64), "here"))

    assert [count(1, 0), count(100, 1), count(255, 1), count(256, 127)] == [2, 4, 4, 6]


def test_a_network_of_int16() -> None:
    """What two layers read is taken apart once; products of the model are counted once."""
    b = WideBuilder()
    x = b.wide((1, 8, 8, 3), 0.0005)
    first = b.wide_conv(x, 8, activation="RELU")
    left, right = b.wide_conv(first, 8, depthwise=1), b.wide_conv(first, 8, (1, 1))
    both = b.arithmetic("ADD", left, right, 0.05)
    mean = b.wide_mean(both, (1, 2))
    flat = b.op("RESHAPE", (mean,), b.wide((1, 8), b.steps(mean)[0]), shape=(1, 8))
    y = b.wide_dense(flat, 10)
    graph = b.graph((x,), (y,))
    program = compile(graph, BASE, require_accelerator=True)
    kinds = [layer.op for layer in program.layers]
    assert [kinds.count(kind) for kind in ("BYTES", "ADD")] == [4, 1]
    assert sum(layer.macs for layer in program.layers) == 64 * (27 * 8 + 9 * 8 + 64) + 80
    for config in CONFIGS:
        assert_exact(graph, config)


def test_other_names_of_a_tensor_are_taken_apart_once() -> None:
    """Rows, pixels in a line, and pixels of an image are the same bytes."""
    b = WideBuilder()
    x = b.wide((1, 2, 6, 8), 0.0005)
    flat = b.op("RESHAPE", (x,), b.wide((1, 1, 12, 8), 0.0005), shape=(1, 1, 12, 8))
    made = [b.wide_dense(x, 5), b.wide_dense(flat, 7), b.wide_conv(flat, 3, (1, 3))]
    steps = b.steps(x)[0]
    mean = b.wide_mean(x, (3,))
    made.append(b.wide_conv(b.arithmetic("ADD", x, mean, 2 * steps), 4, (1, 1)))
    graph = b.graph((x,), tuple(made))
    kinds = [layer.op for layer in compile(graph, BASE, require_accelerator=True).layers]
    assert kinds.count("BYTES") == 2      # of x, and of the sum
    for config in CONFIGS:
        assert_exact(graph, config)


def test_a_name_of_another_type_is_taken_apart_by_itself() -> None:
    """Pairs of bytes that are int16 by another name."""
    b = WideBuilder()
    x, y = b.tensor((1, 2, 3, 16)), b.wide((1, 2, 3, 8), 0.001)
    graph = b.graph((x, y), (b.wide_dense(y, 4),))
    rewriter = Rewriter(graph, BASE)
    pairs = rewriter.named(graph.ops[0], x, (1, 2, 3, 8), graph.tensors[y])
    parts_of_it = rewriter.bytes_of(graph.ops[0], pairs)
    assert [rewriter.tensors[i].shape for i in parts_of_it] == [(1, 2, 3, 8)] * 2
    assert rewriter.ops[-1].inputs == (pairs,)


def test_dead_channels_of_int16() -> None:
    """Biases of 64 bits stay so where others go; what is removed is counted once."""
    b = WideBuilder()
    x = b.wide((1, 4, 4, 4), 0.0005)
    y = b.wide_conv(b.wide_conv(x, 12, (1, 1)), 5, (1, 1))
    weights = b.tensors[b.ops[1].inputs[1]].data
    assert weights is not None
    weights[..., 3:7] = 0
    graph = b.graph((x,), (y,))
    layers = compile(graph, BASE, require_accelerator=True).layers
    assert [layer.removed["macs"] for layer in layers if layer.removed] == [16 * 4 * 4, 16 * 4 * 5]
    assert sum(layer.macs for layer in layers) == 16 * 12 * 9
    assert_exact(graph, BASE)


def test_the_host_beside_sums_of_int16() -> None:
    """It has what is element by element up to them, and not the sums."""
    b = WideBuilder()
    x = b.wide((1, 4, 4, 8), 0.0005)
    rooted = b.op("ABS", (b.wide_conv(x, 8),), b.wide((1, 4, 4, 8), 0.03), "litert_abs")
    y = b.wide_conv(b.function("TANH", rooted, 1 / 32768), 8)
    program = compile(b.graph((x,), (y,)), BASE)
    assert [op.kind for op in program.host_ops] == ["ABS", "TANH"]
    assert compile(b.graph((x,), (y,)), PRESETS["base"]).layers == ()


@pytest.mark.parametrize("weight, bias, scale, reason", [
    (127, 2**31, 0.001, "0: a sum may reach 2189097738 in magnitude, beyond 32 bits; reduce"),
    (127, 0, 800.0, "a factor of 10.* rescales its sums; it must be below 1"),
])
def test_limits_are_named(weight: int, bias: int, scale: float, reason: str) -> None:
    graph = one_layer((1, 1, 1, 10), lambda b, x: b.wide_conv(x, 3, (1, 1)))
    for i, value in zip(graph.ops[0].inputs[1:], (weight, bias), strict=True):
        data = graph.tensors[i].data
        assert data is not None
        data[:] = value
    with pytest.raises(CompileError, match=reason):
        compile(rescaled_by(graph, scale), BASE, require_accelerator=True)
    assert compile(rescaled_by(graph, scale), BASE).host_ops


def test_a_factor_of_a_dense_layer_that_is_too_large_is_named() -> None:
    graph = rescaled_by(one_layer((1, 8), lambda b, x: b.wide_dense(x, 4)), 50.0)
    with pytest.raises(CompileError, match="factor of 0.66.* rescales its sums; it must be below"):
        compile(graph, BASE, require_accelerator=True)


def test_a_float_factor_that_has_no_inverse_is_the_hosts() -> None:
    """Nearly 0.007: products that are ties in float64, some of which are not by the numbers."""
    b = WideBuilder()
    x = b.wide((1, 8), 0.03 * 0.7)
    graph = b.graph((x,), (b.wide_dense(x, 4),))
    with pytest.raises(CompileError, match="no inverse of its factor 0.00699.* is exact for all"):
        compile(graph, BASE, require_accelerator=True)
    assert [op.kind for op in compile(graph, BASE).host_ops] == ["FULLY_CONNECTED"]


def test_the_host_has_the_largest_sums_where_memory_is_short() -> None:
    """One by one, until the rest fits."""
    b = WideBuilder()
    x = b.wide((1, 32, 32, 3), 0.0004)
    y = b.wide_conv(b.wide_conv(b.wide_conv(x, 24), 8), 4, stride=(2, 2))
    graph = b.graph((x,), (y,))
    program = compile(graph, BASE)
    assert [op.kind for op in program.host_ops] == ["CONV_2D"]
    assert "on chip" in program.host_ops[0].why
    assert len([layer for layer in program.layers if layer.op == "BYTES"]) == 2
    with pytest.raises(CompileError, match="needs .* KiB .* on chip; give it --outside sdram"):
        compile(graph, BASE, require_accelerator=True)
    assert not compile(graph, BASE, outside="ideal").host_ops


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_an_unrolled_cell_of_int16(config: AcceleratorConfig) -> None:
    """An LSTM as an exporter writes it out: rows of the input, dense layers, and gates of 16 bits,
    with the states of the step before."""
    cells, steps, b = 12, 3, WideBuilder()
    x = b.wide((1, steps, 8), 0.0002)
    hidden = state = b.wide((1, cells), 0.0001, np.zeros((1, cells), np.int16))
    for step in range(steps):
        row = b.op("STRIDED_SLICE", (x,), b.wide((1, 1, 8), 0.0002), begin=(0, step, 0),
                   end=(1, step + 1, 8), stride=(1, 1, 1))
        flat = b.op("RESHAPE", (row,), b.wide((1, 8), 0.0002), shape=(1, 8))
        made = b.wide_dense(flat, 4 * cells, 0.0004)
        if step:
            made = b.arithmetic("ADD", made, b.wide_dense(hidden, 4 * cells, 0.0004), 0.0003)
        gates = [b.wide((1, cells), b.steps(made)[0]) for _ in range(4)]
        b.op("SPLIT", (made,), gates[0], axis=1)
        b.ops[-1] = replace(b.ops[-1], outputs=tuple(gates))
        take, forget, give = (b.function("LOGISTIC", gate, FULL) for gate in gates[:3])
        new = b.arithmetic("MUL", take, b.function("TANH", gates[3], FULL), FULL)
        state = b.arithmetic("ADD", b.arithmetic("MUL", forget, state, 0.0001), new, 0.0001)
        hidden = b.arithmetic("MUL", give, b.function("TANH", state, FULL), FULL)
    assert_exact(b.graph((x,), (hidden, state)), config)
