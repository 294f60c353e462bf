"""Operators of int16: on the vector unit, exact; on the host where they stand beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders.graphs.wide_builder import FULL, WideBuilder, gated
from builders.graphs.wide_case import BASE, CONFIGS, assert_exact
from builders.networks.random_wide import random_wide
from builders.operator_cases import DRAWS, Cases

from kaniwa import golden
from kaniwa.compiler.int16.functions import WideProgram
from kaniwa.compiler.operators.table import OPERATORS, is_wide
from kaniwa.compiler.pipeline import compile, plan_model
from kaniwa.compiler.plan.plan import Options
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.diff import diff

SHAPES = ((1,), (1, 7), (3, 5, 11), (1, 4, 4, 64), (2, 700))
WIDE = [kind for kind, operator in OPERATORS.items() if operator.int16_limits]
CLOSE = (0.0005606394843198359, 0.0009554173448123038)   # some results are nearly half steps


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_functions_are_exact(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    for kind, before, after in (
            ("LOGISTIC", 0.0003, FULL), ("LOGISTIC", 2.0**-12, FULL), ("TANH", 0.0001, FULL),
            ("TANH", 2.0**-11, FULL), ("GELU", 0.0002, 0.0002), ("EXP", 0.0001, 0.001),
            ("LOG", 0.001, 0.0002), ("RELU", 0.001, 0.0003), ("RELU6", 0.001, 0.0011)):
        b = WideBuilder()
        x = b.wide(shape, before)
        assert_exact(b.graph((x,), (b.function(kind, x, after),)), config)


@pytest.mark.parametrize("kind, before, after", [
    ("RELU", *CLOSE), ("QUANTIZE", *CLOSE), ("TANH", 0.0002, FULL),
    ("LOGISTIC", 0.0002, FULL), ("GELU", 0.0003, 0.0003)])
def test_every_value_is_exact(kind: str, before: float, after: float) -> None:
    """LiteRT divides the scales of RELU in float32, those of QUANTIZE in float64."""
    values = np.arange(-32768, 32768).astype(np.int16)
    b = WideBuilder()
    x = b.wide(values.shape, before)
    y = b.quantize(x, after) if kind == "QUANTIZE" else b.function(kind, x, after)
    graph = b.graph((x,), (y,))
    config = replace(BASE, memory_bytes=512 * 1024, name="large")
    session = Session(compile(graph, config), devices.open("emulator", config))
    np.testing.assert_array_equal(session.run([values])["t1"], golden.run(graph, [values])[y])


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_arithmetic_is_exact(config: AcceleratorConfig, shape: tuple[int, ...], kind: str) -> None:
    """The bound of RELU_N1_TO_1 at a scale of 1/128 is the least int8."""
    for scale, activation in ((0.0007, "NONE"), (0.0009, "RELU"), (1 / 128, "RELU_N1_TO_1")):
        b = WideBuilder()
        x, z = b.wide(shape, 0.0004), b.wide(shape, 0.0007 if kind == "ADD" else 0.0001)
        assert_exact(b.graph((x, z), (b.arithmetic(kind, x, z, scale, activation),)), config)
    b = WideBuilder()
    x = b.wide(shape, 0.0004)
    assert_exact(b.graph((x,), (b.arithmetic(kind, x, x, 0.002),)), config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("of", [(), (11,), (5, 1), (3, 5, 11)])
def test_constants_are_exact(config: AcceleratorConfig, first: bool, of: tuple[int, ...]) -> None:
    for kind in ("ADD", "SUB", "MUL"):
        b = WideBuilder()
        x = b.wide((3, 5, 11), 0.0004)
        c = b.wide(of, 0.0002, b.rng.integers(-32768, 32768, of).astype(np.int16))
        y = b.arithmetic(kind, *((c, x) if first else (x, c)), 0.0005)
        assert_exact(b.graph((x,), (y,)), config)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_quantize_is_exact(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    for before, after, back in ((0.1, 0.0005, 0.11), (0.001, 0.3, 0.01), (1.0, 0.0003, 0.02)):
        b = WideBuilder()
        x = b.tensor(shape, before, -17)
        y = b.quantize(b.quantize(b.quantize(x, after), after * 1.7), back, 5)
        assert_exact(b.graph((x,), (y,)), config)


def test_a_table_stays_for_the_next_program_that_wants_it() -> None:
    """Over arithmetic and layers of the array; not over another table, or another program."""
    b = WideBuilder()
    x = b.tensor((1, 4, 4, 8), 0.05)
    one = b.function("TANH", b.quantize(x, 0.0005), FULL)
    two = b.function("LOGISTIC", b.arithmetic("ADD", one, one, 0.0003), FULL)
    moved = b.op("TRANSPOSE", (two,), b.wide((4, 4, 1, 8), FULL), permutation=(1, 2, 0, 3))
    gelu = b.function("GELU", b.function("TANH", moved, FULL), FULL)
    same = b.function("GELU", gelu, FULL)
    back = b.quantize(b.function("TANH", same, FULL), 0.01, 0)
    soft = b.op("SOFTMAX", (back,), b.tensor((4, 4, 1, 8), 1 / 256, -128), "litert_softmax",
                beta=1.0)
    graph = b.graph((x,), (b.quantize(b.function("TANH", b.quantize(soft, 0.0005), FULL),
                                      0.01, 0),))
    tables = [(layer.op, bool(layer.table)) for layer in plan_model(graph, BASE, Options()).layers
              if isinstance(layer, WideProgram) and layer.op in ("LOGISTIC", "TANH", "GELU")]
    assert tables == [("TANH", True), ("LOGISTIC", False), ("TANH", False), ("GELU", True),
                      ("GELU", False), ("TANH", True), ("TANH", True)]
    for config in CONFIGS:
        assert_exact(graph, config)


@pytest.mark.parametrize("materialize", [False, True])
def test_between_layers_of_bytes(materialize: bool) -> None:
    b = WideBuilder()
    x = b.tensor((1, 6, 6, 8))
    y = b.conv(gated(b, b.conv(x, 12)), 5)
    graph = b.graph((x,), (y,))
    program = compile(graph, BASE, require_accelerator=True, materialize=materialize)
    assert [layer.op for layer in program.layers][1:-1] == [
        "QUANTIZE", *(("LOGISTIC", "TANH") if materialize else ("TANH", "LOGISTIC")), "MUL",
        "QUANTIZE"]
    assert_exact(graph, BASE)
    inputs = {"t0": np.random.default_rng(1).integers(-128, 128, (1, 6, 6, 8)).astype(np.int8)}
    report = diff(program, ("golden", "emulator"), inputs)
    assert report["first_difference"] is None and report["tensors"] == 9


def test_the_host_has_it_where_there_is_no_vector_unit() -> None:
    b = WideBuilder()
    x = b.tensor((1, 6, 6, 8))
    graph = b.graph((x,), (b.conv(gated(b, b.conv(x, 12)), 5),))
    program = compile(graph, "base")
    assert [op.kind for op in program.host_ops if op.kind != "RESHAPE"] == [
        "QUANTIZE", "LOGISTIC", "TANH", "MUL", "QUANTIZE"]
    with pytest.raises(CompileError, match="QUANTIZE .*no vector unit, which int16 needs; quanti"):
        compile(graph, "base", require_accelerator=True)


def test_what_stands_beside_int16_of_the_host_is_the_hosts() -> None:
    """From the QUANTIZE on: bytes cross, and no part of the device lies between."""
    b = WideBuilder()
    x = b.tensor((1, 8))
    wide = b.quantize(x, 0.0005)
    root = b.op("ABS", (b.function("TANH", wide, FULL),), b.wide((1, 8), FULL), "litert_abs")
    other = b.quantize(b.function("LOGISTIC", b.quantize(x, 0.001), FULL), 0.01, 0)
    y = b.quantize(b.arithmetic("ADD", root, wide, 0.001), 0.1, 3)
    graph = b.graph((x,), (y, other))
    program = compile(graph, BASE)
    assert [op.kind for op in program.host_ops] == ["QUANTIZE", "TANH", "ABS", "ADD", "QUANTIZE"]
    assert "stands beside an operator of the host" in program.host_ops[0].why
    assert [layer.op for layer in program.layers] == ["QUANTIZE", "LOGISTIC", "QUANTIZE"]


@pytest.mark.parametrize("first, count", [(0, 24), pytest.param(24, 72, marks=pytest.mark.long)])
def test_random_networks_equal_golden(first: int, count: int) -> None:
    """With each kind of operator on the device."""
    done = set[str]()
    for seed in range(first, first + count):
        graph = random_wide(seed)
        x = graph.tensors[graph.inputs[0]]
        limits, rng = np.iinfo(x.dtype), np.random.default_rng(seed)
        value = rng.integers(limits.min, limits.max + 1, x.shape).astype(x.dtype)
        expected = golden.run(graph, [value])
        for config in (*CONFIGS, PRESETS["base"]):
            for materialize in (False, True):
                program = compile(graph, config, materialize=materialize)
                done.update(layer.op for layer in program.layers)
                outputs = Session(program, devices.open("emulator", config)).run([value])
                for i in graph.outputs:
                    np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i],
                                                  f"seed {seed}, {config.name}")
    assert done >= {"CONV_2D", "CONCATENATION", "TRANSPOSE", *WIDE} - {"LOG"}


def test_halves_of_int16() -> None:
    """Cut, exchanged, joined and turned between two functions; beside the host all is its own."""
    b = WideBuilder()
    x = b.tensor((4, 6, 10))
    parts = [b.wide((4, 6, 5), FULL) for _ in range(2)]
    b.op("SPLIT", (b.function("TANH", b.quantize(x, 0.0005), FULL),), parts[0], axis=2)
    b.ops[-1] = replace(b.ops[-1], outputs=tuple(parts))
    joined = b.op("CONCATENATION", tuple(parts[::-1]), b.wide((4, 6, 10), FULL), axis=2)
    turned = b.op("TRANSPOSE", (joined,), b.wide((6, 4, 10), FULL), permutation=(1, 0, 2))
    y = b.quantize(b.function("GELU", turned, FULL), 0.01, 0)
    graph = b.graph((x,), (y,))
    for config in CONFIGS:
        assert_exact(graph, config)
    assert not compile(graph, "base").layers
    root = b.op("ABS", (turned,), b.wide((6, 4, 10), FULL), "litert_abs")
    assert not compile(b.graph((x,), (root,)), BASE).layers


# RSQRT is the device's only of what is never negative.
@pytest.mark.parametrize("kind", sorted(set(WIDE) - {"RSQRT"}))
def test_random_cases_equal_litert(kind: str) -> None:
    """Of all dtypes; int16 is the device's."""
    pytest.importorskip("ai_edge_litert")
    from kaniwa.verify.litert import LiteRT

    cases = Cases()
    for seed in range(160 if kind != "MAX_POOL_2D" else 320):      # few without padding
        DRAWS[kind](cases, np.random.default_rng([seed, *kind.encode()]), kind)
    content = cases.builder.build(cases.inputs, cases.outputs)
    graph = import_tflite(content, "cases.tflite")
    config = replace(BASE, memory_bytes=1 << 20, name="large")
    program = compile(graph, config, outside="ideal")
    wide = {op.outputs[0] for op in graph.ops if is_wide(graph, op)}
    refused = {op.outputs[0]: op.why for op in program.host_ops if op.outputs[0] in wide}
    done = wide.difference(refused)
    assert len(done) >= 10
    reasons = ("use int8 or int16", "use int16 for both",
               "pooling with padding is not supported", "give them the same",
               "has more than 12 elements", "it must be below 1/4")
    assert all(any(reason in why for reason in reasons) for why in refused.values())
    inputs = {graph.tensors[i].name: array
              for i, array in zip(graph.inputs, cases.arrays, strict=True)}
    outputs = Session(program, devices.open("emulator", config)).run(inputs)
    expected = LiteRT(content, graph).run(inputs, cases.outputs)
    for i in done:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i])


@pytest.mark.parametrize("rule, activation, reason", [
    ("qdq", "NONE", "the accelerator rounds by rule litert_add, this one by qdq; export it"),
    ("litert_add", "TANH", "fused activation TANH is not supported")])
def test_limits_are_named(rule: str, activation: str, reason: str) -> None:
    b = WideBuilder()
    x, z = b.wide((1, 8), 0.1), b.wide((1, 8), 0.1)
    graph = b.graph((x, z), (b.arithmetic("ADD", x, z, 0.2, activation),))
    graph = replace(graph, ops=(replace(graph.ops[0], rule=rule),))
    with pytest.raises(CompileError, match=reason):
        compile(graph, BASE, require_accelerator=True)


def test_a_function_without_a_value_is_named() -> None:
    b = WideBuilder()
    x = b.wide((1, 8), 0.01)
    with pytest.raises(CompileError, match="EXP .*not defined for every value of 't0'; quantize"):
        compile(b.graph((x,), (b.function("EXP", x, 0.1),)), BASE, require_accelerator=True)
