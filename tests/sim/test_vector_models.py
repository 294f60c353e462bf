"""Networks of every kind in turn on one simulated core with a vector unit, exact each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.attention_case import attention_graph
from builders.graphs.cell_case import BOTH, cell_graph, inputs_of, with_last_states
from builders.graphs.fixed_point_case import fixed_softmax, random_case, values
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.inferences import assert_equal_golden, noise
from builders.graphs.lstm_case import lstm_graph
from builders.graphs.streaming_convolution import streaming_convolution
from builders.graphs.unrolled_gru import unrolled_gru
from builders.graphs.wide_builder import WideBuilder, gated
from builders.networks.random_mixed import random_mixed
from builders.networks.random_onnx import noise as noise_of, random_onnx
from builders.networks.random_wide import random_wide

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.graph import Graph
from kaniwa.importers import load_model
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.program.summary import summary

# A convolutional network, transformers of int8 and of int16, and recurrent networks; ONNX's have
# float32 at their edges.
MODELS = ("tflm_micro_speech.tflite", "digits_transformer.tflite", "tflm_mnist_lstm.tflite",
          "keyword_transformer.tflite", "digits_transformer_int16.tflite",
          "digits_transformer_qdq.onnx", "digits_gru_qdq.onnx")


def halves_exchanged() -> Graph:
    """A SPLIT, and a CONCATENATION of what it gave."""
    b = GraphBuilder()
    x = b.tensor((1, 6, 10))
    joined = b.op("CONCATENATION", tuple(b.split(x, 2)[::-1]), b.tensor((1, 6, 10)), axis=2)
    return b.graph((x,), (joined,))


def test_networks_in_turn_on_one_core(models: Path) -> None:
    """No registers, tables or stored programs of one run reach the next, and the cell's state comes
    back behind the others."""
    paths = [models / name for name in MODELS]
    programs = [compile(path, "base_vector", require_accelerator=path.suffix == ".tflite")
                for path in paths]
    graphs = [load_model(path) for path in paths]
    states: list[dict[int, np.ndarray]] = [{} for _ in paths]
    with devices.open("sim", "base_vector") as device:
        sessions = [Session(program, device) for program in programs]
        for number in range(2):
            for path, graph, program, session, state in zip(
                    paths, graphs, programs, sessions, states, strict=True):
                inputs = recorded_inputs(path, program.inputs)[number]
                values, outputs = golden.run(graph, inputs, state=state), session.run(inputs)
                for i in graph.outputs:
                    np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])
                error = abs(session.stats.cycles - estimate(program).cycles)
                assert error <= 0.001 * session.stats.cycles, path.name


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_an_unrolled_gru(target: str) -> None:
    """Slices, splits and packed states; only these on a target without MUL."""
    graph = unrolled_gru(2, 5, 12) if target != "nano" else halves_exchanged()
    program = compile(graph, target, require_accelerator=True)
    rng = np.random.default_rng(1)
    inputs = {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(np.int8)
              for i in graph.inputs}
    with devices.open("sim", target) as device:
        outputs = Session(program, device).run(inputs)
    values = golden.run(graph, inputs)
    for i in graph.outputs:
        np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


@pytest.mark.parametrize("target", ["small", "nano"])
def test_a_stream_goes_on_with_what_memory_has(target: str) -> None:
    graph, state = streaming_convolution(), dict[int, np.ndarray]()
    program = compile(graph, target)
    assert program.resident
    rng = np.random.default_rng(1)
    with devices.open("sim", target) as device:
        session = Session(program, device)
        for _ in range(4):
            x = rng.integers(-128, 128, (1, 2, 8)).astype(np.int8)
            values = golden.run(graph, [x], state=state)
            np.testing.assert_array_equal(next(iter(session.run([x]).values())),
                                          values[graph.outputs[0]])


def test_operators_of_int16() -> None:
    """Between convolutions: QUANTIZE, functions, a product, and an ADD of a constant."""
    b = WideBuilder()
    x = b.tensor((1, 5, 7, 8))
    wide = b.quantize(gated(b, b.conv(x, 12)), 0.0004)
    c = b.wide((12,), 0.0003, b.rng.integers(-32768, 32768, 12).astype(np.int16))
    total = b.function("GELU", b.arithmetic("ADD", wide, c, 0.0005, "RELU6"), 0.0003)
    graph = b.graph((x,), (b.conv(b.quantize(total, 0.05, 3), 5),))
    program = compile(graph, "base_vector", require_accelerator=True)
    rng = np.random.default_rng(1)
    with devices.open("sim", "base_vector") as device:
        session = Session(program, device)
        for _ in range(2):
            values = rng.integers(-128, 128, (1, 5, 7, 8)).astype(np.int8)
            (y,) = session.run([values]).values()
            np.testing.assert_array_equal(y, golden.run(graph, [values])[graph.outputs[0]])
            assert abs(session.stats.cycles - estimate(program).cycles) <= (
                0.001 * session.stats.cycles)


def test_random_networks_of_int16() -> None:
    """In turn on one core: sums, attention and functions of 16 bits, layers of bytes, and parts of
    the host; cycles within 1 %."""
    with devices.open("sim", "base_vector") as device:
        for seed in range(1000, 1060):
            graph = random_wide(seed)
            x = graph.tensors[graph.inputs[0]]
            limits, rng = np.iinfo(x.dtype), np.random.default_rng(seed)
            value = rng.integers(limits.min, limits.max + 1, x.shape).astype(x.dtype)
            program = compile(graph, "base_vector")
            session = Session(program, device)
            expected, outputs = golden.run(graph, [value]), session.run([value])
            for i in graph.outputs:
                np.testing.assert_array_equal(outputs[graph.tensors[i].name], expected[i],
                                              f"seed {seed}")
            assert abs(session.stats.cycles - estimate(program).cycles) <= (
                0.01 * session.stats.cycles)


def test_random_networks_of_everything() -> None:
    """In turn on one core, with parts of the host, and states that stay between inferences."""
    with devices.open("sim", "base_vector") as device:
        for seed in range(200, 230):
            graph = random_mixed(seed)
            session = Session(compile(graph, "base_vector"), device)
            assert_equal_golden(graph, session, noise(graph, 2, seed), f"seed {seed}", 0.01)


def test_random_onnx_networks() -> None:
    """In turn on one core, with their float32 edges; cycles within 1 %."""
    with devices.open("sim", "base_vector") as device:
        for seed in range(300, 330):
            data = random_onnx(seed)
            graph, inputs = import_onnx(data, "random.onnx"), noise_of(data, seed)
            program = compile(graph, "base_vector")
            session = Session(program, device)
            (answer,) = session.run(inputs).values()
            np.testing.assert_array_equal(
                answer, golden.run(graph, inputs)[graph.outputs[0]], f"seed {seed}")
            error = abs(session.stats.cycles - estimate(program).cycles)
            assert error <= 0.01 * session.stats.cycles, f"seed {seed}"


@pytest.mark.parametrize("kind", ["SOFTMAX", "LAYER_NORM", "RMS_NORM", "GROUP_NORM",
                                  "INSTANCE_NORM"])
def test_operators_of_onnx_in_fixed_point(kind: str) -> None:
    """Rows of one register, of several and of several blocks, some groups at once or one by one, a
    single row."""
    rng = np.random.default_rng(1)
    with devices.open("sim", "base_vector") as device:
        shapes = [(4, 24, 24), (1, 40), (300, 8), (9, 100), (3, 255)]
        if kind == "GROUP_NORM":
            shapes = [(1, 7, 7, 24), (1, 40, 16), (1, 5, 300), (1, 24, 24, 12)]
        elif kind == "INSTANCE_NORM":
            shapes = [(1, 5, 40), (2, 9, 255), (1, 11, 600)]
        else:
            shapes += [(11, 372), (8, 768), (1, 1000)]
        for shape in shapes:
            graph = random_case(kind, shape, rng)
            if kind == "SOFTMAX" and shape[-1] > 480:       # beyond the limit with a clamp
                graph = fixed_softmax(shape, 0.01, 1 / 255)
            program = compile(graph, "base_vector", require_accelerator=True)
            session, constants = Session(program, device), graph.ops[0].inputs[1:]
            for x in values(shape, rng):
                (expected,) = golden.run_op(graph, graph.ops[0],
                                            [x, *(graph.tensors[i].data for i in constants)])
                np.testing.assert_array_equal(session.run({"x": x})["y"], expected)
            error = abs(session.stats.cycles - estimate(program).cycles)
            assert error <= 0.002 * session.stats.cycles


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_cells_of_onnx_in_fixed_point(kind: str) -> None:
    """Gates of one register and one by one, weights of 8 bits and of 9, computed first states, both
    directions of three sequences."""
    with devices.open("sim", "base_vector") as device:
        for seed, (shape, size, form) in enumerate([
                ((4, 1, 10), 20, {}), ((3, 1, 7), 70, {"states": "constant"}), ((1, 1, 1), 1, {}),
                ((5, 1, 28), 9, {"zero_points": (-3, 90), "spread": 4.0}),
                ((1, 1, 12), 16, {"states": "computed", "result": "Y_h", "step": 0.005,
                                  "bounds": (-100, 90)}),
                ((3, 3, 5), 6, {"backwards": BOTH, "result": "Y_h"})]):
            graph = cell_graph(kind, shape, size, np.random.default_rng(seed), **form)
            program = compile(graph, "base_vector", require_accelerator=True)
            assert_equal_golden(graph, Session(program, device), inputs_of(graph, seed),
                                tolerance=0.001)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_all_results_of_a_cell_of_onnx(kind: str) -> None:
    """The last states are stored behind all steps."""
    graph = with_last_states(cell_graph(kind, (3, 2, 6), 11, np.random.default_rng(1),
                                        backwards=BOTH, states="computed"))
    program = compile(graph, "base_vector", require_accelerator=True)
    with devices.open("sim", "base_vector") as device:
        assert_equal_golden(graph, Session(program, device), inputs_of(graph, 1), tolerance=0.001)


def test_a_cell_of_onnx_that_memory_is_short_for() -> None:
    """The products of its inputs are part of each step."""
    graph = cell_graph("LSTM", (72, 1, 48), 64, np.random.default_rng(2), spread=0.5)
    program = compile(graph, "base_vector", require_accelerator=True)
    assert [row["steps"] for row in summary(program)["layers"] if row["macs"]] == [72]
    with devices.open("sim", "base_vector") as device:
        assert_equal_golden(graph, Session(program, device), inputs_of(graph, 1)[:1],
                            tolerance=0.001)


@pytest.mark.parametrize(("heads", "tokens", "depth"), [(3, 17, 8), (1, 50, 12), (1, 197, 8)])
def test_attention_of_any_length(heads: int, tokens: int, depth: int) -> None:
    """Rows of no whole groups of lanes."""
    graph = attention_graph(heads, tokens, depth)
    program = compile(graph, "base_vector", require_accelerator=True)
    rng = np.random.default_rng(tokens)
    inputs = {name: rng.integers(-128, 128, (heads, tokens, depth)).astype(np.int8)
              for name in "qkv"}
    with devices.open("sim", "base_vector") as device:
        session = Session(program, device)
        outputs = session.run(inputs)
    np.testing.assert_array_equal(outputs["y"], golden.run(graph, inputs)[graph.outputs[0]])
    assert abs(session.stats.cycles - estimate(program).cycles) <= 0.001 * session.stats.cycles


@pytest.mark.parametrize("form", [
    {"coupled": True}, {"peepholes": True}, {"projected": 13}, {"batch": 2},
    {"projected": 6, "coupled": True, "peepholes": True}])
def test_cells_of_other_forms(form: dict[str, Any]) -> None:
    """Three gates, the cell state in the gates, a projection to the hidden state, a batch."""
    graph = lstm_graph(np.random.default_rng(3), 4, 10, 20, time_major=False, **form)
    program = compile(graph, "base_vector", require_accelerator=True)
    with devices.open("sim", "base_vector") as device:
        assert_equal_golden(graph, Session(program, device), noise(graph, 2, 1), tolerance=0.001)


def test_a_cell_that_memory_is_short_for() -> None:
    """The products of its inputs are part of each step."""
    graph = lstm_graph(np.random.default_rng(2), 4, 64, 164, time_major=False)
    program = compile(graph, "base_vector", require_accelerator=True)
    assert [row["steps"] for row in summary(program)["layers"] if row["macs"]] == [4]
    with devices.open("sim", "base_vector") as device:
        assert_equal_golden(graph, Session(program, device), noise(graph, 2, 1), tolerance=0.0)
