"""Operators that the compiler gives to the vector unit, exact, and their limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.attention_case import attention_graph, matmul_graph, softmax_graph

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import load_inputs, recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.emulator.core import Emulator
from kaniwa.errors import CompileError, DeviceError
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op, Quantization, Tensor
from kaniwa.importers import load_model
from kaniwa.isa import Opcode, encode
from kaniwa.program.summary import summary
from kaniwa.verify.diff import diff

BASE = PRESETS["base_vector"]
TWO_LANES = replace(PRESETS["small"], vector_unit=True, memory_bytes=128 * 1024, name="two_lanes")
MODELS = ("mlperf_ic_resnet8", "mlperf_kws_dscnn", "tflm_micro_speech", "mlperf_sww_1d")


@pytest.mark.parametrize("config", [BASE, TWO_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize("shape", [(1, 10), (1, 1), (3,), (2, 16), (1, 5, 2, 8), (1, 64),
                                   (2, 10), (7, 1), (1, 3, 17, 17), (5, 63)])
def test_softmax_equals_golden(config: AcceleratorConfig, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape))
    for scale, beta in ((0.1, 1.0), (0.003, 1.0), (1.7, 0.5)):
        graph = softmax_graph(shape, scale, beta)
        program = compile(graph, config, require_accelerator=True)
        session = Session(program, devices.open("emulator", config))
        for x in (rng.integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127)):
            x = x.astype(np.int8)
            (expected,) = run_op(graph, graph.ops[0], [x])
            np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


def test_only_the_rule_of_its_kernel_goes_to_the_unit() -> None:
    graph = softmax_graph((1, 10), 0.1)
    graph = replace(graph, ops=(replace(graph.ops[0], rule="qdq", attributes={
        "axis": 1, "bounds": (-128, 127)}),))
    assert compile(graph, BASE).host_ops
    with pytest.raises(CompileError, match="by rule litert_softmax, this one by qdq; export it"):
        compile(graph, BASE, require_accelerator=True)


@pytest.mark.parametrize("model", MODELS)
def test_a_classifier_is_whole_on_the_device(models: Path, model: str) -> None:
    path = models / f"{model}.tflite"
    graph = load_model(path)
    program = compile(path, BASE, require_accelerator=True)
    assert not program.host_ops
    kinds = [values["opcode"] for values in program.instructions]
    assert kinds.count(Opcode.VECTOR) == sum(op.kind == "SOFTMAX" for op in graph.ops)
    session = Session(program, devices.open("emulator", BASE))
    rng = np.random.default_rng(1)
    for _ in range(3):
        inputs = {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(
            np.int8) for i in graph.inputs}
        values = golden.run(graph, inputs)
        for i in graph.outputs:
            np.testing.assert_array_equal(session.run(inputs)[graph.tensors[i].name], values[i])


@pytest.mark.parametrize(("shape", "config", "reason"), [
    ((1, 512), TWO_LANES, "longer than the 511 that the vector unit of 2 lanes takes"),
    ((2, 512), BASE, "a row of 512 is longer than the 511 that the vector unit of 8 lanes takes"),
    ((1, 10), PRESETS["base"], "target 'base' has no vector unit; use a target with vector_unit")])
def test_limits_name_what_the_unit_cannot_hold(shape: tuple[int, ...], config: AcceleratorConfig,
                                               reason: str) -> None:
    graph = softmax_graph(shape, 0.1)
    with pytest.raises(CompileError, match=reason):
        compile(graph, config, require_accelerator=True)
    assert [op.kind for op in compile(graph, config).host_ops] == ["SOFTMAX"]


@pytest.mark.parametrize("config", [BASE, TWO_LANES], ids=lambda config: config.name)
@pytest.mark.parametrize(("a", "b", "adj"), [
    ((2, 16, 16), (2, 16, 16), (False, False)), ((4, 24, 16), (4, 16, 24), (False, False)),
    ((4, 24, 24), (4, 24, 16), (False, False)), ((3, 5), (5, 8), (False, False)),
    ((1, 2, 7, 3), (1, 2, 3, 16), (False, False)), ((1, 1, 1), (1, 1, 8), (False, False)),
    ((2, 6, 32), (2, 40, 32), (False, True)), ((3, 5, 6), (3, 5, 8), (True, False)),
    ((2, 3, 8), (2, 8, 200), (False, False)), ((2, 4, 64), (2, 64, 16), (False, False)),
    ((2, 3, 65), (2, 65, 104), (False, False)), ((1, 2, 384), (1, 384, 24), (False, False)),
    ((1, 1, 40), (1, 600, 40), (False, True)),     # a row, and more columns than parameters
    ((2, 70, 33), (2, 5, 33), (False, True)),
    ((2, 4, 8), (2, 8, 12), (False, False)), ((3, 17, 16), (3, 17, 16), (False, True)),
    ((3, 17, 17), (3, 17, 16), (False, False)), ((1, 3, 5), (1, 5, 1), (False, False)),
    ((2, 5, 3), (2, 5, 9), (True, False)),         # columns of no multiple of the lanes
    ((2, 3, 5, 16), (16, 8), (False, False)), ((3, 5, 9), (1, 7, 9), (False, True)),
    ((3, 9, 5), (9, 7), (True, False)), ((4, 9), (2, 3, 9, 6), (False, False)),
    ((2, 1, 3, 8), (1, 3, 8, 5), (False, False)),
    ((2, 1, 8, 3), (1, 3, 5, 8), (True, True))])   # batches that are broadcast
def test_matmul_equals_golden(config: AcceleratorConfig, a: tuple[int, ...], b: tuple[int, ...],
                              adj: tuple[bool, bool]) -> None:
    rng, graph = np.random.default_rng(1), matmul_graph(a, b, *adj)
    session = Session(compile(graph, config, require_accelerator=True),
                      devices.open("emulator", config))
    for draw in (lambda shape: rng.integers(-128, 128, shape), lambda shape: np.full(shape, -128),
                 lambda shape: np.full(shape, 127)):
        inputs = [draw(shape).astype(np.int8) for shape in (a, b)]
        (expected,) = run_op(graph, graph.ops[0], inputs)
        got = session.run(dict(zip("ab", inputs, strict=True)))["y"]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("y", [-128, 5, 127])
@pytest.mark.parametrize("b", [-128, -127, 0, 127])
@pytest.mark.parametrize("a", [-128, -127, 0, 127])
def test_matmul_of_any_zero_points(a: int, b: int, y: int) -> None:
    """-128 is the one whose negative is no int8."""
    graph = matmul_graph((2, 3, 17), (2, 17, 9), zero_points=(a, b, y))
    session = Session(compile(graph, BASE, require_accelerator=True),
                      devices.open("emulator", BASE))
    rng = np.random.default_rng(1)
    for inputs in ([rng.integers(-128, 128, shape).astype(np.int8)
                    for shape in ((2, 3, 17), (2, 17, 9))],
                   [np.full(shape, -128, np.int8) for shape in ((2, 3, 17), (2, 17, 9))]):
        (expected,) = run_op(graph, graph.ops[0], inputs)
        got = session.run(dict(zip("ab", inputs, strict=True)))["y"]
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("graph", "reason"), [
    (matmul_graph((1, 1, 4100), (1, 1, 4100), adj_y=True), "would be 257, the limit is 255")])
def test_other_products_go_to_the_host(graph: Graph, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        compile(graph, BASE, require_accelerator=True)
    assert compile(graph, BASE).host_ops


@pytest.mark.parametrize("materialize", [False, True])
@pytest.mark.parametrize(("heads", "tokens", "depth"), [(2, 16, 8), (3, 17, 8), (1, 50, 12)])
def test_attention_of_any_length(heads: int, tokens: int, depth: int, materialize: bool) -> None:
    """Rows of whole groups of lanes, and others."""
    graph = attention_graph(heads, tokens, depth)
    program = compile(graph, BASE, require_accelerator=True, materialize=materialize)
    rng = np.random.default_rng(tokens)
    inputs = {name: rng.integers(-128, 128, (heads, tokens, depth)).astype(np.int8)
              for name in "qkv"}
    result = diff(program, ["golden", "emulator"], inputs)
    assert result["first_difference"] is None
    assert result["tensors"] == 5 or not materialize


@pytest.mark.parametrize("permutation", [(0, 2, 1), (0, 1, 2)])
def test_a_product_takes_back_an_exchange(permutation: tuple[int, ...]) -> None:
    """Keys of one head that a TRANSPOSE exchanges, or leaves as they are, are rows of weights."""
    rows, columns = ((7, 12), (12, 7))[permutation == (0, 1, 2)], 7
    alone = matmul_graph((1, 6, 12), (1, 12, columns))
    stored = replace(alone.tensors[1], id=3, name="keys", shape=(1, *rows))
    turn = Op("TRANSPOSE", "turn", (3,), (1,), {"permutation": permutation}, "exact", 1)
    graph = Graph("turned", (*alone.tensors, stored), (turn, *alone.ops), (0, 3), alone.outputs,
                  "0" * 64)
    program = compile(graph, BASE, require_accelerator=True)
    assert [layer.op for layer in program.layers] == ["BATCH_MATMUL"]
    rng = np.random.default_rng(1)
    inputs = {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(np.int8)
              for i in graph.inputs}
    assert diff(program, ["golden", "emulator"], inputs)["first_difference"] is None
    if permutation == (0, 2, 1):      # nothing is turned at all
        adjoint = compile(matmul_graph((1, 6, 12), (1, 7, 12), adj_y=True), BASE)
        assert estimate(program).cycles == estimate(adjoint).cycles


def test_weights_that_are_not_waited_for_are_refused() -> None:
    """The VECTOR before a product is what its weights' copy is complete for."""
    program = compile(matmul_graph((1, 4, 16), (1, 8, 16), adj_y=True), BASE)
    instructions = program.instructions
    barriers = [i for i, values in enumerate(instructions) if values["opcode"] == Opcode.VECTOR]
    assert len(barriers) == 1
    for i, message in ((None, None), (barriers[0], "parameter is written by instruction .* and not"
                                                   " waited for")):
        emulator = Emulator(BASE)
        for address, data in program.images:
            emulator.write(address, data)
        if i is not None:
            kept = instructions[:i] + instructions[i + 1:]
            emulator.write(program.program_address, b"".join(map(encode, kept)))
            with pytest.raises(DeviceError, match=str(message)):
                emulator.run(program.program_address)
        else:
            assert emulator.run(program.program_address).retired == len(instructions) - 1


@pytest.mark.parametrize(("model", "cycles"), [("digits_transformer", 18_400),
                                               ("keyword_transformer", 52_600)])
def test_a_transformer_is_whole_on_the_device(models: Path, model: str, cycles: int) -> None:
    path = models / f"{model}.tflite"
    graph = load_model(path)
    program = compile(path, BASE, require_accelerator=True)
    assert not program.host_ops and len(program.runs) == 1
    assert estimate(program).cycles <= cycles
    assert {row["steps"] for row in summary(program)["layers"]} == {1}     # of a sequence
    # Heads are split and merged where a layer writes, or by a copy, never byte by byte.
    assert sum(layer.op == "BATCH_MATMUL+TRANSPOSE" for layer in program.layers) == 2
    assert all(len(layer.instructions) == 1 for layer in program.layers if layer.op == "TRANSPOSE")
    result = diff(program, ["golden", "emulator"], recorded_inputs(path, program.inputs)[0])
    assert result["first_difference"] is None and result["tensors"] > 20
    session = Session(program, devices.open("emulator", BASE))
    samples = load_inputs(models / "inputs" / f"{model}.npz",
                          [graph.tensors[i] for i in graph.inputs])
    for sample in samples[:5]:
        values, outputs = golden.run(graph, sample), session.run(sample)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
    assert session.stats.cycles == estimate(program).cycles


def test_rows_in_groups_from_one_part_to_the_next() -> None:
    """What the SOFTMAX left in whole groups is read behind an operator of the host."""
    probability = Quantization((1 / 256,), (-128,))
    tensors = (Tensor(0, "x", (5, 17), "int8", Quantization((0.1,), (3,)), None),
               Tensor(1, "p", (5, 17), "int8", probability, None),
               Tensor(2, "log", (5, 17), "int8", Quantization((16 / 256,), (127,)), None),
               Tensor(3, "y", (17, 17), "int8", Quantization((0.05,), (4,)), None))
    ops = (Op("SOFTMAX", "softmax", (0,), (1,), {"beta": 1.0}, "litert_softmax", 0),
           Op("LOG_SOFTMAX", "log", (1,), (2,), {}, "litert_softmax", 1),
           Op("BATCH_MATMUL", "product", (2, 1), (3,), {"adj_x": True, "adj_y": False},
              "litert_double_rounding", 2))
    graph = Graph("parts", tensors, ops, (0,), (3,), "0" * 64)
    program = compile(graph, BASE)
    assert [step.where for step in program.steps] == ["device", "host", "device"]
    session = Session(program, devices.open("emulator", BASE))
    x = np.random.default_rng(1).integers(-128, 128, (5, 17)).astype(np.int8)
    np.testing.assert_array_equal(session.run({"x": x})["y"], golden.run(graph, {"x": x})[3])


@pytest.mark.parametrize("columns", [1, 3])
def test_a_transposition_behind_a_softmax_is_its_own_layer(columns: int) -> None:
    graph = softmax_graph((17, columns), 0.1)
    turned = Tensor(2, "t", (columns, 17), "int8", graph.tensors[1].quantization, None)
    op = Op("TRANSPOSE", "turn", (1,), (2,), {"permutation": (1, 0)}, "exact", 1)
    graph = replace(graph, tensors=(*graph.tensors, turned), ops=(*graph.ops, op), outputs=(2,))
    session = Session(compile(graph, BASE, require_accelerator=True),
                      devices.open("emulator", BASE))
    x = np.random.default_rng(1).integers(-128, 128, (17, columns)).astype(np.int8)
    np.testing.assert_array_equal(session.run({"x": x})["t"], golden.run(graph, {"x": x})[2])
