"""MEAN and SUM on the array, exact against golden, and what the host keeps of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, MemoryTooSmallError
from kaniwa.golden import run_op
from kaniwa.graph import Graph, Op, Quantization, Tensor


def mean_graph(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool = True,
               scales: tuple[float, float] = (0.1, 0.03), rule: str = "litert_mean") -> Graph:
    """A single MEAN of int8."""
    left = tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
    tensors = (Tensor(0, "x", shape, "int8", Quantization((scales[0],), (3,)), None),
               Tensor(1, "y", left, "int8", Quantization((scales[1],), (-20,)), None))
    op = Op("MEAN", "mean", (0,), (1,), {"axes": axes}, rule, 0)
    return Graph("mean", tensors, (op,), (0,), (1,), "0" * 64)


@pytest.mark.parametrize(("target", "shape"), [
    ("base", (1, 28, 28, 72)), ("base", (2, 40, 41, 24)), ("small", (1, 28, 28, 24)),
    ("nano", (1, 28, 28, 6))])
def test_a_mean_of_more_than_the_line_buffer_holds_is_one_of_blocks(
        target: str, shape: tuple[int, ...]) -> None:
    graph = mean_graph(shape, (1, 2))
    program = compile(graph, replace(PRESETS[target], memory_bytes=1 << 18),
                      require_accelerator=True)
    assert [layer.op for layer in program.layers] == ["TRANSPOSE", "MEAN"]
    session = Session(program, devices.open("emulator", program.config))
    x = np.random.default_rng(2).integers(-128, 128, shape).astype(np.int8)
    (got,) = session.run([x]).values()
    np.testing.assert_array_equal(got, run_op(graph, graph.ops[0], [x])[0])


@pytest.mark.parametrize("target", ["base", "small", "nano"])
@pytest.mark.parametrize(("shape", "axes"), [
    ((1, 7, 7, 32), (1, 2)), ((2, 4, 3, 8), (1, 2)), ((1, 25, 64), (1,)), ((6, 16), (0,)),
    ((1, 1, 1, 5), (1, 2)), ((1, 16, 32), (2,)), ((1, 24, 64), (1, 2)), ((3, 5), (1,)),
    ((2, 3, 4, 5), (3,)), ((2, 3, 1, 5), (1, 3)), ((7,), (0,)), ((2, 6, 4, 8), (2,))])
def test_mean_equals_golden(target: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    for keep, scales in ((True, (0.1, 0.03)), (False, (0.02, 0.021)), (True, (0.011, 0.0005))):
        graph = mean_graph(shape, axes, keep, scales)
        session = Session(compile(graph, target, require_accelerator=True),
                          devices.open("emulator", target))
        for x in (rng.integers(-128, 128, shape), np.full(shape, -128), np.full(shape, 127)):
            x = x.astype(np.int8)
            (expected,) = run_op(graph, graph.ops[0], [x])
            np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


@pytest.mark.parametrize("target", ["base", "small", "nano"])
@pytest.mark.parametrize(("shape", "axes"), [
    ((1, 7, 7, 32), (1, 2)), ((1, 25, 64), (1,)), ((2, 3, 4, 5), (3,)), ((3, 250), (1,))])
def test_a_sum_of_onnx_equals_golden(target: str, shape: tuple[int, ...],
                                     axes: tuple[int, ...]) -> None:
    for scales in ((0.1, 0.0317), (0.02, 0.6113)):
        graph = mean_graph(shape, axes, scales=scales, rule="qdq")
        op = replace(graph.ops[0], kind="SUM", attributes={"axes": axes, "bounds": (-128, 127)})
        graph = replace(graph, ops=(op,))
        session = Session(compile(graph, target, require_accelerator=True),
                          devices.open("emulator", target))
        x = np.random.default_rng(1).integers(-20, 25, shape).astype(np.int8)
        (expected,) = run_op(graph, op, [x])
        np.testing.assert_array_equal(session.run({"x": x})["y"], expected)


@pytest.mark.parametrize(("graph", "reason"), [
    (mean_graph((2, 4, 4, 8), (1, 3)), r"axes \(1, 3\), between which others are kept"),
    (mean_graph((1, 4, 4, 8), (1, 2), rule="onnx"), "by rule litert_mean, this one by onnx")])
def test_other_means_go_to_the_host(graph: Graph, reason: str) -> None:
    with pytest.raises(CompileError, match=reason):
        compile(graph, require_accelerator=True)
    assert compile(graph).host_ops


def test_what_does_not_fit_beside_the_rest_goes_to_the_host(models: Path) -> None:
    config = replace(PRESETS["base"], memory_bytes=56 * 1024, name="little")
    program = compile(models / "digits_transformer.tflite", config)
    reasons = {op.kind: op.why for op in program.host_ops}
    assert reasons["MEAN"].endswith("KiB, target 'little' has 56 KiB on chip")
    assert "FULLY_CONNECTED" not in reasons
    with pytest.raises(MemoryTooSmallError, match="target 'little' has 20 KiB on chip"):
        compile(models / "digits_transformer.tflite",
                replace(config, memory_bytes=20 * 1024))
