"""ADD, SUB and MUL: tables with constants, fusion, and one-dimensional layers."""

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.array.elementwise import sum_of
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Options
from kaniwa.compiler.plan.scale import scaled
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.graph import Graph, Quantization
from kaniwa.importers import load_model
from kaniwa.outside import parse_outside
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.sim.worlds.serial_config import SERIAL
from kaniwa.verify.diff import diff

BASE = PRESETS["base"]
EVERY = np.arange(-128, 128).astype(np.int8)


def layers(graph: Graph, **options: bool) -> tuple[ArrayLayer, ...]:
    return plan_model(graph, BASE, Options(**options, outside=parse_outside("ideal"))).layers


def assert_exact(graph: Graph, target: str | AcceleratorConfig = "base",
                 **options: bool) -> None:
    outside = None if target == "nano" else "ideal"     # a compact core has none
    program = compile(graph, target, outside=outside, **options)
    for seed in range(3):
        found = diff(program, ["golden", "emulator"], random_input(graph, seed))
        assert found["first_difference"] is None


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_table_of_a_constant_is_the_operator(kind: str) -> None:
    inside = 0
    for seed in range(40):
        b = GraphBuilder(seed)
        scales = [float(np.float32(s)) for s in 2.0 ** b.rng.uniform(-6, 3, 2)]
        zeros = [int(z) for z in b.rng.integers(-128, 128, 3)]
        x = b.tensor((1, 16, 16, 1), scales[0], zeros[0])
        c = b.constant(int(b.rng.integers(-128, 128)), scales[1], zeros[1])
        widest = scales[0] * scales[1] * 100 if kind == "MUL" else max(scales)
        scale = float(np.float32(widest * 2.0 ** b.rng.uniform(-3, 3)))
        activation = str(b.rng.choice(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]))
        order = (x, c) if seed % 2 else (c, x)
        graph = b.graph((x,), (b.elementwise(kind, *order, activation, scale, zeros[2]),))
        (layer,) = layers(graph)
        expected = golden.run(graph, [EVERY.reshape(1, 16, 16, 1)])[graph.outputs[0]]
        assert layer.table is not None and np.array_equal(layer.table, expected.ravel()), seed
        inside += len(np.unique(layer.table)) > 20
        if seed < 4:
            assert_exact(graph)
    assert inside > 10


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_table_of_one_operand_twice_is_the_operator(kind: str) -> None:
    """A square has one table and reads its operand once; it goes into the layer before it."""
    for seed in range(20):
        b = GraphBuilder(seed)
        scale = float(np.float32(2.0 ** b.rng.uniform(-6, 3)))
        zeros = [int(z) for z in b.rng.integers(-128, 128, 2)]
        x = b.tensor((1, 16, 16, 1), scale, zeros[0])
        widest = scale * scale * 100 if kind == "MUL" else scale
        y = b.elementwise(kind, x, x, "RELU6" if seed % 3 else "NONE",
                          float(np.float32(widest * 2.0 ** b.rng.uniform(-3, 3))), zeros[1])
        graph = b.graph((x,), (y,))
        (layer,) = layers(graph)
        expected = golden.run(graph, [EVERY.reshape(1, 16, 16, 1)])[y]
        assert layer.table is not None and np.array_equal(layer.table, expected.ravel()), seed
        if seed < 4:
            assert_exact(graph)
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 20)
    graph = b.graph((x,), (b.elementwise(kind, u, u, scale=60.0),))
    (layer,) = layers(graph)
    assert layer.op == f"CONV_2D+{kind}"
    assert_exact(graph)
    assert_exact(graph, "nano")      # which has no multiplier for two operands
    assert_exact(graph, materialize=True)


@pytest.mark.parametrize("kind", ["ADD", "MUL", "SUB"])
@pytest.mark.parametrize("first", [False, True])
def test_a_constant_may_come_first(kind: str, first: bool) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 4))
    c = b.tensor((4,), 0.2, 4, np.array([-100, 5, 90, -128], np.int8))
    y = b.elementwise(kind, *((c, x) if first else (x, c)), scale=20.0)
    graph = b.graph((x,), (y,))
    (layer,) = layers(graph)
    if kind == "MUL":      # -132 is no int8 weight
        assert layer.add is None and layer.geometry.kernel == (1, 2)
    else:
        assert layer.add is not None and layer.add.repeated == (kind != "SUB" or not first)
    assert_exact(graph)


@pytest.mark.parametrize("shape", [(1, 6, 5, 24), (1, 1, 30, 24), (30, 24)])
@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("target", ["base", "small", "large"])
def test_a_mul_by_constants_is_a_convolution(shape: tuple[int, ...], zero_point: int,
                                             target: str) -> None:
    """Also where they are no int8 less their zero point; an ADD behind it goes into it."""
    b = GraphBuilder(1)
    x = b.tensor(shape, 0.1, -17)
    gains = b.rng.integers(-128, 128, 24).astype(np.int8)
    gains[:3] = -128, zero_point, 127
    y = b.elementwise("MUL", x, b.tensor((24,), 0.02, zero_point, gains), scale=0.2)
    z = b.elementwise("ADD", y, b.tensor((24,), 0.1, 5, b.rng.integers(-128, 128, 24, np.int8)))
    graph = b.graph((x,), (z,))
    found = [layer.op for layer in plan_model(graph, PRESETS[target], Options()).layers]
    assert found == ["MUL+ADD"]
    assert_exact(graph, target)
    assert_exact(graph, target, materialize=True)


def test_a_mul_by_constants_of_a_table_keeps_its_tables() -> None:
    b = GraphBuilder(1)
    x = b.tensor((1, 6, 5, 24), 0.1, -17)
    y = b.elementwise("MUL", x, x, scale=2.0)
    gains = b.tensor((24,), 0.02, 0, b.rng.integers(-128, 128, 24, np.int8))
    graph = b.graph((x,), (b.elementwise("MUL", y, gains, scale=30.0),))
    plan = plan_model(graph, PRESETS["base"], Options())
    (layer,) = plan.layers
    assert layer.op == "MUL+MUL" and isinstance(layer, ArrayLayer) and layer.identity
    assert scaled(plan, layer) is layer
    assert_exact(graph)


def test_multiplier_of_a_product_is_float32() -> None:
    """Scales whose quotient is 0.75 / 2^k in float32 but not in float64: ties tell."""
    rng, done = np.random.default_rng(1), 0
    while done < 6:
        scales = [np.float32(s) for s in rng.uniform(0.01, 1, 2)]
        out = np.float32(np.float64(scales[0] * scales[1]) / 0.75 * 16)
        real = scales[0] * scales[1] / out
        if np.frexp(real)[0] == 0.75 and np.float64(scales[0]) * scales[1] / out != real:
            b = GraphBuilder()
            x = b.tensor((1, 16, 16, 1), float(scales[0]), 0)
            y = b.elementwise("MUL", x, b.constant(2, float(scales[1]), 0), scale=float(out))
            graph = b.graph((x,), (y,))
            (layer,) = layers(graph)
            expected = golden.run(graph, [EVERY.reshape(1, 16, 16, 1)])[y]
            assert np.array_equal(np.asarray(layer.table), expected.ravel())
            done += 1


def test_operators_with_constants_become_one_table() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 9, 9, 3), 0.05, -128)
    y = b.elementwise("MUL", x, b.constant(127, 0.015, 0), scale=0.1, zero_point=-128)
    y = b.elementwise("SUB", y, b.constant(100, 0.1, 0), scale=0.1, zero_point=-1)
    y = b.elementwise("ADD", b.constant(-7, 0.2, 9), y, "RELU", scale=0.08, zero_point=-100)
    graph = b.graph((x,), (y,))
    (layer,) = layers(graph)
    assert layer.op == "MUL+SUB+ADD" and layer.source == (0, 1, 2) and layer.identity
    expected = golden.run(graph, [np.resize(EVERY, (1, 9, 9, 3))])[y]
    assert np.array_equal(np.asarray(layer.table)[np.arange(243)], expected.ravel())
    assert_exact(graph)
    assert_exact(graph, materialize=True)
    assert len(layers(graph, materialize=True)) == 3


def test_table_comes_behind_the_convolution() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 20)
    y = b.elementwise("MUL", u, b.constant(99), scale=60.0)
    graph = b.graph((x,), (y,))
    (layer,) = layers(graph)
    assert layer.op == "CONV_2D+MUL" and layer.table is not None and not layer.identity
    assert_exact(graph)
    assert len(layers(b.graph((x,), (u, y)))) == 2


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize("first", [False, True])
def test_table_goes_into_the_sum_behind_it(kind: str, first: bool) -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 8, 8, 20)), b.tensor((1, 8, 8, 20), 0.3, 9)
    u = b.elementwise("MUL", x, b.constant(-50), scale=9.0)
    y = b.elementwise(kind, *((u, z) if first else (z, u)), scale=8.0)
    graph = b.graph((x, z), (y,))
    (layer,) = layers(graph)
    assert layer.op == f"MUL+{kind}" and layer.table is None
    assert layer.ifm == x and layer.reads == (x, z)
    assert_exact(graph)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("target", [SERIAL, PRESETS["base"]], ids=["serial", "base"])
def test_sub_is_fused_and_in_place_as_add_is(first: bool, target: AcceleratorConfig) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 24)
    v = b.conv(b.conv(u, 4), 24)
    y = b.elementwise("SUB", *((v, u) if first else (u, v)), "RELU", scale=2.5)
    graph = b.graph((x,), (b.conv(y, 4),))
    program = compile(graph, target, outside="ideal")
    assert [layer.op for layer in program.layers] == ["CONV_2D", "CONV_2D", "CONV_2D+SUB",
                                                      "CONV_2D"]
    sums = [i for i in program.instructions if i["add"]]
    assert sums and all(i["operand_address"] == i["ofm_address"] for i in sums)
    assert_exact(graph, target)
    assert_exact(graph, target, materialize=True)


def test_sub_of_a_constant_map_and_of_itself() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 5, 5, 3))
    c = b.tensor((3,), 0.2, 4, np.array([-100, 5, 90], np.int8))
    u, v, w = b.elementwise("SUB", x, c), b.elementwise("SUB", c, x), b.elementwise("SUB", x, x)
    assert_exact(b.graph((x,), (u, v, w)))


@pytest.mark.parametrize("seed", range(12))
def test_products_of_two_tensors_are_exact_for_all_pairs(seed: int) -> None:
    """All 65,536 pairs of bytes; scales of the product from far below to far above."""
    b = GraphBuilder(seed)
    scales = [float(np.float32(s)) for s in 2.0 ** b.rng.uniform(-6, 3, 2)]
    zeros = [int(z) for z in b.rng.choice([-128, 0, 127, int(b.rng.integers(-128, 128))], 3)]
    x, z = (b.tensor((1, 256, 256, 1), scales[i], zeros[i]) for i in range(2))
    scale = float(np.float32(scales[0] * scales[1] * 2.0 ** b.rng.uniform(-2, 18)))
    activation = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[seed % 4]
    y = b.elementwise("MUL", x, z, activation, scale, zeros[2])
    graph = b.graph((x, z), (y,))
    (layer,) = layers(graph)
    assert layer.op == "MUL" and layer.add is not None and layer.add.multiply and layer.identity
    assert np.abs(layer.add.tables).max() <= 255
    program = compile(graph, "base", outside="ideal")
    every = [EVERY.repeat(256).reshape(1, 256, 256, 1), np.tile(EVERY, 256).reshape(1, 256, 256, 1)]
    names = [graph.tensors[i].name for i in (x, z)]
    found = diff(program, ["golden", "emulator"], dict(zip(names, every, strict=True)))
    assert found["first_difference"] is None


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("target", ["small", "base"])
def test_mul_is_fused_and_in_place_as_add_is(first: bool, target: AcceleratorConfig) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 8, 8, 4))
    u = b.conv(x, 24)
    v = b.conv(b.conv(u, 4), 24)
    y = b.elementwise("MUL", *((v, u) if first else (u, v)), "RELU", scale=150.0)
    graph = b.graph((x,), (b.conv(y, 4),))
    program = compile(graph, target, outside="ideal")
    assert [layer.op for layer in program.layers] == ["CONV_2D", "CONV_2D", "CONV_2D+MUL",
                                                      "CONV_2D"]
    products = [i for i in program.instructions if i["multiply"]]
    assert products and all(i["add"] and i["operand_address"] == i["ofm_address"]
                            for i in products)
    assert_exact(graph, target)
    assert_exact(graph, target, materialize=True)


def test_mul_of_a_constant_map_of_a_table_and_of_itself() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 5, 5, 3))
    c = b.tensor((3,), 0.2, 4, np.array([-100, 5, 90], np.int8))
    u = b.elementwise("ADD", x, b.constant(20), scale=0.6)
    outputs = (b.elementwise("MUL", x, c), b.elementwise("MUL", c, x),
               b.elementwise("MUL", x, x, scale=30.0), b.elementwise("MUL", u, x, scale=30.0))
    graph = b.graph((x,), outputs)
    assert "ADD+MUL" in [layer.op for layer in layers(graph)]
    assert_exact(graph)


def test_products_need_the_multiplier() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 4, 4, 2)), b.tensor((1, 4, 4, 2))
    graph = b.graph((x, z), (b.elementwise("MUL", x, z),))
    with pytest.raises(CompileError, match="MUL 'mul0': target 'nano' has no elementwise "
                                           "multiplier .* elementwise_multiply = true"):
        compile(graph, "nano", require_accelerator=True)
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    graph = b.graph((x,), (b.elementwise("MUL", x, b.constant(9)),))
    assert compile(graph, "nano").layers[0].op == "MUL"


def test_product_that_no_multiplier_reproduces_is_named() -> None:
    b = GraphBuilder()
    x, z = b.tensor((1, 4, 4, 2)), b.tensor((1, 4, 4, 2))
    graph = b.graph((x, z), (b.elementwise("MUL", x, z),))
    plan = plan_model(graph, BASE, Options())
    with pytest.raises(CompileError, match="^here: channel 0: no 4-bit multiplier reproduces"):
        sum_of(plan.graph, plan.graph.ops[0], z, (-128, 127), 4, "here")


def test_tables_need_the_elementwise_unit() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2))
    graph = b.graph((x,), (b.elementwise("MUL", x, b.constant(3)),))
    with pytest.raises(CompileError, match="MUL 'mul0': target .* elementwise = true"):
        compile(graph, replace(BASE, elementwise=False), require_accelerator=True)


def test_bytes_that_are_treated_alike_fill_the_lanes() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 16, 15, 3))
    (layer,) = layers(b.graph((x,), (b.elementwise("MUL", x, b.constant(3)),)))
    assert layer.geometry.ifm[2] == BASE.depthwise_lanes
    b = GraphBuilder()
    x = b.tensor((1, 7, 1, 13))
    graph = b.graph((x,), (b.add(x, x),))
    (layer,) = layers(graph)
    assert layer.geometry.ifm[2] == 7      # of 8 lanes, rather than 13 of 16
    assert_exact(graph)


def column(batch: int = 1) -> Graph:
    """A chain of all operators on tensors of width 1."""
    b = GraphBuilder()
    x = b.tensor((batch, 40, 1, 12))
    u = b.op("CONV_2D", (x, b.weights((16, 5, 1, 12)), b.bias(16)),
             b.tensor((batch, 20, 1, 16), 2.0, -4), "litert_double_rounding", stride=(2, 1),
             dilation=(1, 1), padding=((2, 1), (0, 0)), activation="RELU")
    v = b.conv(u, 16, (3, 1), dilation=(2, 1), depthwise=1)
    w = b.pool(b.add(v, u), "MAX_POOL_2D", (2, 1), (2, 1))
    y = b.pool(b.relu(w), "AVERAGE_POOL_2D", (10, 1))
    return b.graph((x,), (y,))


@pytest.mark.parametrize("batch", [1, 2])
def test_columns_become_rows_in_all_operators(batch: int) -> None:
    graph = column(batch)
    for layer in layers(graph):
        g = layer.geometry
        assert (g.ifm[0], g.kernel[0], g.padding[0]) == (1, 1, 0), layer.op
        assert g.ofm[0] == 1 or g.kernel == (1, 1)
    assert_exact(graph)
    assert_exact(graph, SERIAL)


def test_streaming_wakeword_is_all_rows(models) -> None:
    graph = load_model(models / "mlperf_sww_1d.tflite")
    for layer in layers(graph):
        assert layer.geometry.ifm[0] == layer.geometry.kernel[0] == layer.geometry.ofm[0] == 1


def test_scales_that_differ_by_operand_stay_apart() -> None:
    """The constant's position matters for SUB, and its own scale is used."""
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 2), 0.5, 0)
    c = b.constant(10, 1.0, 0)
    tables = []
    for order in ((x, c), (c, x)):
        y = b.elementwise("SUB", *order, scale=0.5, zero_point=0)
        b.tensors[y] = replace(b.tensors[y], quantization=Quantization((0.5,), (0,)))
        (layer,) = layers(b.graph((x,), (y,)))
        tables.append(np.asarray(layer.table))
    assert tables[0][128] == -20 and tables[1][128] == 20


def test_a_row_longer_than_a_pixel_may_be_is_cut_into_pixels() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 72_000), 0.1)
    graph = b.graph((x,), (b.elementwise("MUL", x, b.constant(50, 0.01)),))
    (layer,) = layers(graph)
    assert layer.geometry.ifm == (1, 9_000, 8)
    assert_exact(graph, require_accelerator=True)
