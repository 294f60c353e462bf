"""Functions of one tensor as one table of it, and tables that go into those of their readers."""

from __future__ import annotations

import numpy as np
import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.plan import Options
from kaniwa.config import PRESETS
from kaniwa.graph import Graph

EVERY = np.arange(-128, 128).astype(np.int8)
SHAPE = (1, 6, 5, 20)
RULES = {"litert": "litert_table", "qdq": "qdq"}


def layers(graph: Graph, target: str = "base", **options: bool) -> list[ArrayLayer]:
    found = plan_model(graph, PRESETS[target], Options(**options)).layers
    assert all(isinstance(layer, ArrayLayer) for layer in found)
    return [layer for layer in found if isinstance(layer, ArrayLayer)]


def assert_exact(graph: Graph, target: str = "base") -> None:
    for materialize in (False, True):
        assert_equals_golden(compile(graph, target, materialize=materialize), graph, 3)


def function(b: GraphBuilder, kind: str, x: int, framework: str = "litert") -> int:
    """LOGISTIC or TANH of ``x``, with the output's steps that TFLite prescribes."""
    steps = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
    return b.op(kind, (x,), b.tensor(b.tensors[x].shape, *steps), RULES[framework],
                bounds=(-128, 127))


def of_two(b: GraphBuilder, kind: str, first: int, second: int, scale: float, zero_point: int = 5,
           framework: str = "litert") -> int:
    y = b.tensor(b.tensors[first].shape, scale, zero_point)
    return b.op(kind, (first, second), y, "qdq" if framework == "qdq" else f"litert_{kind.lower()}",
                activation="NONE", bounds=(-128, 127))


def silu(b: GraphBuilder, x: int, swapped: bool = False) -> int:
    pair = (x, function(b, "LOGISTIC", x))
    return of_two(b, "MUL", *(pair[::-1] if swapped else pair), scale=b.steps(x)[0])


@pytest.mark.parametrize("framework", ["litert", "qdq"])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_a_function_of_one_tensor_is_the_models_for_all_values(kind: str, framework: str) -> None:
    inside = 0
    for seed in range(30):
        b = GraphBuilder(seed)
        steps = float(np.float32(2.0 ** b.rng.uniform(-6, 1)))
        x = b.tensor((1, 16, 16, 1), steps, int(b.rng.integers(-128, 128)))
        pair = [x, function(b, ("LOGISTIC", "TANH")[seed % 2], x, framework)]
        if seed % 3 == 0:
            pair[0] = function(b, "TANH", x, framework)
        if seed % 5 == 0:
            pair.reverse()
        scale = float(np.float32(steps * 2.0 ** b.rng.uniform(-1, 2)))
        y = of_two(b, kind, pair[0], pair[1], scale, int(b.rng.integers(-128, 128)), framework)
        graph = b.graph((x,), (y,))
        (layer,) = layers(graph)
        expected = golden.run(graph, [EVERY.reshape(1, 16, 16, 1)])[y]
        assert layer.add is None and layer.ifm == x
        assert np.array_equal(np.asarray(layer.table), expected.ravel()), seed
        inside += len(np.unique(expected)) > 20
    assert inside > 10


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("target", ["small", "base"])
def test_silu_is_a_table_behind_its_convolution(swapped: bool, target: str) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4))
    graph = b.graph((x,), (silu(b, b.requantized(b.conv(x, 20), 0.06, -3), swapped),))
    (layer,) = layers(graph, target)
    assert layer.op == "CONV_2D+LOGISTIC+MUL" and layer.source == (0, 1, 2)
    assert_exact(graph, target)
    assert len(layers(graph, target, materialize=True)) == 3


def test_a_chain_of_functions_is_one_table() -> None:
    """0.5 x (1 + tanh(0.8 x)), GELU's approximation less its cube."""
    b = GraphBuilder()
    x = b.tensor(SHAPE, 0.03, 9)
    inner = function(b, "TANH", b.elementwise("MUL", x, b.constant(80, 0.01, 0), scale=0.03))
    half = b.elementwise("MUL", x, b.constant(50, 0.01, 0), scale=0.015)
    sum_ = b.elementwise("ADD", inner, b.constant(100, 0.01, 0), scale=0.008, zero_point=-128)
    graph = b.graph((x,), (of_two(b, "MUL", half, sum_, 0.03),))
    (layer,) = layers(graph)
    assert layer.op == "MUL+MUL+TANH+ADD+MUL" and sorted(layer.source) == [0, 1, 2, 3, 4]
    assert_exact(graph)


def test_it_is_a_function_of_the_nearest_tensor() -> None:
    """What others read of the way there stays in the layer that makes it."""
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4))
    u = b.requantized(b.conv(x, 20), 0.06, -3)
    near = b.elementwise("MUL", u, b.constant(90, 0.01, 0), scale=0.06)
    graph = b.graph((x,), (b.conv(near, 8), silu(b, near)))
    assert [layer.op for layer in layers(graph)] == ["CONV_2D+MUL", "CONV_2D", "LOGISTIC+MUL"]
    assert_exact(graph)


def test_a_function_that_is_a_result_stays() -> None:
    b = GraphBuilder()
    x = b.tensor(SHAPE, 0.05)
    gate = function(b, "LOGISTIC", x)
    graph = b.graph((x,), (gate, of_two(b, "MUL", x, gate, 0.05)))
    first, second = layers(graph)
    assert (first.op, second.op) == ("LOGISTIC", "MUL") and second.ifm == x
    assert_exact(graph)


def test_operands_of_two_tensors_stay_two() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    graph = b.graph((x, z), (of_two(b, "MUL", function(b, "LOGISTIC", x), z, 0.05),))
    (layer,) = layers(graph)
    assert layer.op == "LOGISTIC+MUL" and layer.add is not None and set(layer.reads) == {x, z}
    assert_exact(graph)


def test_a_pixel_that_is_repeated_is_another_operand() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 1, 1, 20), 0.05)
    z = b.tensor(SHAPE, 0.05)
    gate = function(b, "LOGISTIC", x)
    graph = b.graph((x, z), (of_two(b, "MUL", z, gate, 0.05), of_two(b, "MUL", x, gate, 0.05)))
    assert [layer.op for layer in layers(graph)] == ["BROADCAST+LOGISTIC+MUL", "MUL"]
    assert_exact(graph)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kinds", [("SUB", "ADD"), ("ADD", "MUL"), ("MUL", "MUL")])
def test_a_table_goes_into_those_of_all_its_readers(kinds: tuple[str, str], first: bool) -> None:
    """The candidate of a GRU: tanh of a sum, read by a difference and by a sum."""
    b = GraphBuilder()
    x, z, w = (b.tensor(SHAPE, scale) for scale in (0.05, 0.02, 0.01))
    inner = b.elementwise("ADD", x, z, scale=0.03)
    near = function(b, "TANH", inner)
    made = [of_two(b, kind, *((near, w) if first else (w, near)), scale=0.02) for kind in kinds]
    graph = b.graph((x, z, w), tuple(made))
    found = layers(graph)
    assert [layer.op for layer in found] == ["ADD", f"TANH+{kinds[0]}", kinds[1]]
    assert all(set(layer.reads) == {inner, w} for layer in found[1:])
    assert_exact(graph)


def test_a_table_goes_into_a_table() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    near = function(b, "TANH", b.elementwise("ADD", x, z, scale=0.03))
    graph = b.graph((x, z), (function(b, "LOGISTIC", near), of_two(b, "MUL", near, z, 0.01)))
    assert [layer.op for layer in layers(graph)] == ["ADD", "TANH+LOGISTIC", "MUL"]
    assert_exact(graph)


def test_tables_of_tables_go_to_their_readers_one_by_one() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    near = function(b, "TANH", b.elementwise("ADD", x, z, scale=0.03))
    far = function(b, "LOGISTIC", near)
    graph = b.graph((x, z), (*(of_two(b, "MUL", i, z, 0.01) for i in (near, far, far)),))
    assert [layer.op for layer in layers(graph)] == [
        "ADD", "TANH+MUL", "LOGISTIC+MUL", "MUL"]
    assert_exact(graph)


def test_a_table_stays_where_a_reader_has_no_place_for_it() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    near = function(b, "TANH", b.elementwise("ADD", x, z, scale=0.03))
    graph = b.graph((x, z), (b.conv(near, 8), of_two(b, "MUL", near, z, 0.01)))
    assert [layer.op for layer in layers(graph)] == ["ADD", "TANH", "CONV_2D", "MUL"]
    assert_exact(graph)


@pytest.mark.parametrize("swapped", [False, True])
def test_silu_needs_no_multiplier_of_two_tensors(swapped: bool) -> None:
    """``nano`` has none: the product is a table there, and nothing is the host's."""
    b = GraphBuilder()
    x = b.tensor((1, 6, 5, 4))
    near = b.elementwise("MUL", b.requantized(b.conv(x, 20), 0.06, -3), b.constant(90, 0.01, 0),
                         scale=0.06)
    graph = b.graph((x,), (silu(b, near, swapped),))
    (layer,) = layers(graph, "nano")
    assert layer.op == "CONV_2D+MUL+MUL"
    assert_exact(graph, "nano")
    assert len(layers(graph, "nano", materialize=True)) == 4


def test_a_product_of_two_tensors_stays_the_hosts_on_nano() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    graph = b.graph((x, z), (of_two(b, "MUL", function(b, "LOGISTIC", x), z, 0.05),))
    (host,) = compile(graph, "nano").host_ops
    assert host.kind == "MUL" and "elementwise_multiply = true" in host.why


@pytest.mark.parametrize("target", ["nano", "small", "base"])
def test_a_table_goes_behind_each_pass_of_what_moves(target: str) -> None:
    """Upsampled in new steps: the passes of the move look up what they copy."""
    b = GraphBuilder()
    x = b.tensor((1, 4, 5, 16), 0.05)
    up = b.op("RESIZE_NEAREST_NEIGHBOR", (x,), b.tensor((1, 8, 10, 16), 0.05), size=(8, 10),
              align_corners=False, half_pixel_centers=False)
    y = function(b, "TANH", up)
    graph = b.graph((x,), (y,))
    program = compile(graph, target)
    assert [layer.op for layer in program.layers] == ["RESIZE_NEAREST_NEIGHBOR+TANH"]
    assert_exact(graph, target)


def test_a_table_behind_a_join_goes_behind_its_copies() -> None:
    b = GraphBuilder()
    x, z = b.tensor(SHAPE, 0.05), b.tensor(SHAPE, 0.05)
    joined = b.op("CONCATENATION", (x, z), b.tensor((1, 6, 5, 40), 0.05), axis=3)
    graph = b.graph((x, z), (function(b, "LOGISTIC", joined),))
    program = compile(graph, "base")
    assert [layer.op for layer in program.layers] == ["CONCATENATION+LOGISTIC"]
    assert_exact(graph)
