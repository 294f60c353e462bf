"""PRELU with a slope of each channel: one pass of the array, exact by both rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.graph_builder import GraphBuilder

import kaniwa
from kaniwa.compiler.pipeline import compile
from kaniwa.errors import CompileError
from kaniwa.graph import Graph
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff
from kaniwa.verify.litert import verify

EVERY = np.arange(-128, 128).astype(np.int8)
CHANNELS = 9


def sloped(seed: int, low: int, high: int, shape: tuple[int, ...] = (1, 256, 1, CHANNELS),
           behind_conv: bool = False) -> Graph:
    """A PRELU whose slopes, less their zero point, are in [low, high]."""
    b = GraphBuilder(seed)
    zero = int(b.rng.integers(-128 - low, 127 - high, endpoint=True))
    slopes = (b.rng.integers(low, high, CHANNELS, endpoint=True) + zero).astype(np.int8)
    scales = [float(np.float32(s)) for s in (0.05, 0.01, 0.05 * 2.0 ** b.rng.uniform(-2, 3))]
    x = b.tensor(shape, scales[0], int(b.rng.integers(-128, 128)))
    source = b.requantized(b.conv(x, CHANNELS, (1, 1)), scales[0], 9) if behind_conv else x
    y = b.tensor((*shape[:-1], CHANNELS), scales[2], int(b.rng.integers(-128, 128)))
    wide = (1,) * (len(shape) - 2) + (CHANNELS,)
    alpha = b.tensor(wide, scales[1], zero, slopes.reshape(wide))
    return b.graph((x,), (b.op("PRELU", (source, alpha), y, "litert_double_rounding"),))


@pytest.mark.parametrize("target", ["nano", "small", "base"])
@pytest.mark.parametrize("low, high", [(1, 100), (1, 200), (-60, 60), (-200, -1), (0, 1)])
def test_every_value_of_every_channel_is_the_models(low: int, high: int, target: str) -> None:
    for seed in range(6):
        graph = sloped(seed, low, high)
        program = compile(graph, target, require_accelerator=True)
        inputs = {graph.tensors[graph.inputs[0]].name:
                  np.repeat(EVERY[:, None], CHANNELS, 1).reshape(1, 256, 1, CHANNELS)}
        assert diff(program, ["golden", "emulator"], inputs)["first_difference"] is None
        assert {layer.op for layer in program.layers} == {"PRELU"}
        assert len(program.layers) == 1 + (low < 0)


def test_it_is_a_pass_behind_its_convolution() -> None:
    graph = sloped(1, 1, 100, (1, 6, 5, 4), behind_conv=True)
    for materialize, count in ((False, 2), (True, 4)):
        program = compile(graph, "base", materialize=materialize, require_accelerator=True)
        found = diff(program, ["golden", "emulator"], random_input(graph, 1))
        assert found["first_difference"] is None and len(program.layers) == count


@pytest.mark.parametrize("shape", [(3, CHANNELS), (2, 7, CHANNELS)])
def test_of_any_rank(shape: tuple[int, ...]) -> None:
    graph = sloped(2, 1, 100, shape)
    program = compile(graph, "base", require_accelerator=True)
    assert diff(program, ["golden", "emulator"], random_input(graph, 2))[
        "first_difference"] is None


def test_other_slopes_are_the_hosts() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 3))
    alpha = b.tensor((4, 1, 3), 0.01, 0, b.rng.integers(1, 100, (4, 1, 3), np.int8))
    graph = b.graph((x,), (b.op("PRELU", (x, alpha), b.tensor((1, 4, 4, 3)),
                                "litert_double_rounding"),))
    with pytest.raises(CompileError, match=r"slopes 't1' \[4, 1, 3\] are not constants, one a "
                                           "channel; share them along other axes"):
        compile(graph, "base", require_accelerator=True)


@pytest.mark.parametrize("kind", ["float", "negative float", "integers"])
def test_onnx_models_have_it_too(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    b = OnnxBuilder(3)
    x = b.quantized(b.node("Conv", [b.activation((1, 3, 6, 5), 0.05),
                                    b.weights((CHANNELS, 3, 1, 1), axis=0)]), 0.3)
    low = -0.5 if kind == "negative float" else 0.0
    real = b.rng.uniform(low, 0.5, (CHANNELS, 1, 1)).astype(np.float32)
    slope = b.constant(real) if "float" in kind else b.node("DequantizeLinear", [
        b.constant(np.rint(real * 200).astype(np.int8)), b.constant(np.float32(1 / 200)),
        b.constant(np.int8(0))])
    y = b.node("PRelu", [x, slope])
    path = tmp_path / "m.onnx"
    path.write_bytes(b.model(b.quantized(y, 0.2)))
    found = verify(path, "onnxruntime", layers=True, limit=4)
    assert not found["mismatches"], found["first_mismatch"]
    program = kaniwa.compile(path, target="base")
    assert "PRELU" not in [op.kind for op in program.host_ops]
    for _ in range(2):
        assert diff(program, ["golden", "emulator"], b.samples(1.0))["first_difference"] is None
