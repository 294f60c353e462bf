"""What transformers have of int16: products of activations, softmax, normalisation; exact."""

from __future__ import annotations

import numpy as np
import pytest
from builders.graphs.attention_case import matmul_graph
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.wide_builder import FULL, WideBuilder
from builders.graphs.wide_case import BASE, CONFIGS, assert_exact

from kaniwa.compiler.pipeline import compile
from kaniwa.config import AcceleratorConfig
from kaniwa.errors import CompileError
from kaniwa.graph import Graph

every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def product(a: tuple[int, ...], b: tuple[int, ...], scale: float, **adjoint: bool) -> Graph:
    made = WideBuilder()
    x, y = made.wide(a, 0.0004), made.wide(b, 0.0003)
    return made.graph((x, y), (made.wide_product(x, y, scale, **adjoint),))


@every_config
def test_products_are_exact(config: AcceleratorConfig) -> None:
    """Shifts of 17 to 46, sums of one term and of so many that they have four digits."""
    for a, b, scale, adjoint in (
            ((1, 1), (1, 1), 0.004, {}), ((5, 9), (9, 6), 0.001, {}),
            ((2, 3, 16, 8), (2, 3, 16, 8), 0.0005, {"adj_y": True}),
            ((3, 7, 33), (3, 7, 20), 1e-6, {"adj_x": True}),
            ((1, 8, 70), (1, 9, 70), 0.02, {"adj_y": True}),
            ((4, 300), (300, 5), 0.2, {}), ((2, 17, 3), (2, 5, 17), 5e-7,
                                            {"adj_x": True, "adj_y": True}),
            ((6, 6), (6, 6), 100.0, {})):
        assert_exact(product(a, b, scale, **adjoint), config)


@every_config
@pytest.mark.parametrize("shape", [(1,), (1, 7), (9, 16), (2, 3, 5, 33), (300, 4), (1, 1200)])
def test_softmax_is_exact(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    for scale, beta in ((0.0005, 1.0), (0.00002, 1.0), (0.01, 0.5)):
        b = WideBuilder()
        x = b.wide(shape, scale)
        assert_exact(b.graph((x,), (b.wide_softmax(x, beta),)), config)


@every_config
def test_normalisation_is_exact(config: AcceleratorConfig) -> None:
    for shape in ((1, 16, 32), (3, 5, 11), (1, 4, 4, 3)):
        b = WideBuilder()
        x = b.wide(shape, 0.0004)
        assert_exact(b.graph((x,), (b.wide_normalised(x, 0.0003),)), config)


@every_config
@pytest.mark.parametrize("of", [(1, 1, 1), (11,), (3, 5, 1), (1,), (3, 1, 11)])
def test_broadcasts_are_exact(config: AcceleratorConfig, of: tuple[int, ...]) -> None:
    for kind in ("ADD", "SUB", "MUL"):
        for first in (False, True):
            b = WideBuilder()
            x, z = b.wide((3, 5, 11), 0.0004), b.wide(of, 0.0003)
            y = b.arithmetic(kind, *((z, x) if first else (x, z)), 0.0007)
            assert_exact(b.graph((x, z), (y,)), config)


@every_config
def test_attention_is_exact(config: AcceleratorConfig) -> None:
    """Heads split and merged, and the transposition that a product can do without."""
    b = WideBuilder()
    x = b.wide((1, 10, 16), 0.0004)
    parts = []
    for _ in range(3):
        made = b.wide_dense(x, 16, 0.001)
        apart = b.op("RESHAPE", (made,), b.wide((1, 10, 2, 8), 0.001), shape=(1, 10, 2, 8))
        parts.append(b.op("TRANSPOSE", (apart,), b.wide((1, 2, 10, 8), 0.001),
                          permutation=(0, 2, 1, 3)))
    keys = b.op("TRANSPOSE", (parts[1],), b.wide((1, 2, 8, 10), 0.001), permutation=(0, 1, 3, 2))
    weights = b.wide_softmax(b.wide_product(parts[0], keys, 0.0005))
    mixed = b.wide_product(weights, parts[2], 0.001)
    merged = b.op("TRANSPOSE", (mixed,), b.wide((1, 10, 2, 8), 0.001), permutation=(0, 2, 1, 3))
    flat = b.op("RESHAPE", (merged,), b.wide((1, 10, 16), 0.001), shape=(1, 10, 16))
    y = b.wide_normalised(b.arithmetic("ADD", b.wide_dense(flat, 16, 0.002), x, 0.002), 0.0003)
    assert_exact(b.graph((x,), (y,)), config)


def test_products_of_two_depths_in_one_program() -> None:
    """What a stream of weights has behind the terms that are written stays 0."""
    b = GraphBuilder()
    products, inputs = [], []
    for depth in (8, 7):
        x, y = b.tensor((1, 4, depth), 0.05, 3), b.tensor((1, 5, depth), 0.04, 0)
        products.append(b.op("BATCH_MATMUL", (x, y), b.tensor((1, 4, 5), 0.3, 1),
                             "litert_double_rounding", adj_x=False, adj_y=True))
        inputs += [x, y]
    assert_exact(b.graph(tuple(inputs), tuple(products)), BASE)
    assert len(compile(matmul_graph((1, 4, 8), (1, 8, 5)), BASE).layers) == 1


def test_limits_are_named() -> None:
    def refused(graph: Graph, reason: str) -> None:
        with pytest.raises(CompileError, match=reason):
            compile(graph, BASE, require_accelerator=True)
        assert compile(graph, BASE).host_ops

    refused(product((4, 8), (8, 4), 4e-7), "a factor of 0.3 rescales its sums; it must be below 1/")
    b = WideBuilder()
    x = b.wide((1, 8), 0.0004)
    refused(b.graph((x,), (b.function("RSQRT", x, 0.01),)),
            "'t0' may be negative, where it is not defined; leave it to the host")
    b = WideBuilder()
    x = b.wide((1, 8), 0.0004)
    refused(b.graph((x,), (b.function("RSQRT", b.function("EXP", x, 0.001), 0.01),)),
            "'t1' may be negative")
    b = WideBuilder()
    x = b.wide((1, 8), 0.0004)
    square = b.arithmetic("MUL", x, x, 0.003)
    less = b.arithmetic("SUB", square, b.function("RELU", x, 0.0004), 0.003)
    refused(b.graph((x,), (b.function("RSQRT", less, 0.01),)), "'t3' may be negative")


@pytest.mark.parametrize("kind", ["RELU", "LOGISTIC", "square", "sum", "constant"])
def test_roots_of_what_is_never_negative(kind: str) -> None:
    b = WideBuilder()
    x = b.wide((1, 8), 0.0003)
    y = b.function(kind, x, FULL) if kind.isupper() else b.arithmetic("MUL", x, x, 0.003)
    if kind == "sum":
        y = b.arithmetic("ADD", y, b.function("RELU", x, 0.0003), 0.003)
    if kind == "constant":
        y = b.arithmetic("MUL", y, b.wide((8,), 0.01, np.arange(8, dtype=np.int16)), 0.003)
    shape = b.op("RESHAPE", (y,), b.wide((2, 4), b.steps(y)[0]), shape=(2, 4))
    assert_exact(b.graph((x,), (b.function("RSQRT", shape, 0.01),)), BASE)
