"""Recurrent networks on a simulated core with a cell unit, beside others of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.inferences import assert_equal_golden, noise
from builders.graphs.lstm_case import lstm_graph

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.isa import Opcode, encode
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES

TARGET = "base_recurrent"
# A convolutional network, a transformer, and a recurrent one; ONNX's has gates on the vector unit.
MODELS = ("tflm_micro_speech.tflite", "digits_transformer.tflite", "tflm_mnist_lstm.tflite",
          "digits_gru_qdq.onnx")
EXACT = 0.0


def test_networks_in_turn_on_one_core(models: Path) -> None:
    """The cell unit leaves nothing to the vector unit, or to the array, nor they to it."""
    paths = [models / name for name in MODELS]
    programs = [compile(path, TARGET, require_accelerator=path.suffix == ".tflite")
                for path in paths]
    graphs = [load_model(path) for path in paths]
    states: list[dict[int, np.ndarray]] = [{} for _ in paths]
    with devices.open("sim", TARGET) as device:
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


@pytest.mark.parametrize("steps, depth, count, form", [
    (3, 8, 12, {"clip": 1.5, "power": -12}), (2, 30, 70, {"time_major": True, "power": -9}),
    (4, 9, 20, {"batch": 2}), (1, 4, 1, {"zero": -128}), (9, 40, 3, {"zero": 127, "power": -10}),
    (2, 5, 256, {})])
def test_lstms_of_any_size(steps: int, depth: int, count: int, form: dict[str, Any]) -> None:
    """With the states that they leave for the next inference, and to the cycle; the model has the
    starts of LAYERs behind a CELL, which a batch has, a few cycles off."""
    rng = np.random.default_rng(steps * count)
    graph = lstm_graph(rng, steps, depth, count, **{"time_major": False, **form})
    config = replace(PRESETS[TARGET], memory_bytes=1 << 19, name="room")
    program = compile(graph, config, require_accelerator=True)
    assert Opcode.CELL in [v["opcode"] for v in program.instructions]
    with SimDevice(config) as device:
        assert_equal_golden(graph, Session(program, device), noise(graph, 3, 1),
                            tolerance=0.005 if "batch" in form else EXACT)


@pytest.mark.parametrize("steps, depth, count", [(9, 96, 33), (4, 257, 64)])
def test_sums_with_long_inputs_come_before_the_sequence(steps: int, depth: int, count: int) -> None:
    """The array's sums in the order of the cells, to the cycle."""
    graph = lstm_graph(np.random.default_rng(depth), steps, depth, count, time_major=False)
    program = compile(graph, TARGET, require_accelerator=True)
    opcodes = [v["opcode"] for v in program.instructions]
    assert len(program.layers) == 2 and opcodes.count(Opcode.CELL) == 1
    with devices.open("sim", TARGET) as device:
        assert_equal_golden(graph, Session(program, device), noise(graph, 3, 1), tolerance=EXACT)


@pytest.mark.parametrize("stalls", [0.2, 0.5])
def test_a_sequence_while_memory_stalls(models: Path, stalls: float) -> None:
    path = models / "tflm_mnist_lstm.tflite"
    program, graph = compile(path, TARGET, require_accelerator=True), load_model(path)
    with SimDevice(PRESETS[TARGET], stalls=stalls, seed=3) as device:
        session = Session(program, device)
        inputs = recorded_inputs(path, program.inputs)[0]
        outputs, values = session.run(inputs), golden.run(graph, inputs)
        for i in graph.outputs:
            np.testing.assert_array_equal(outputs[graph.tensors[i].name], values[i])


def test_an_illegal_descriptor_ends_the_run(models: Path) -> None:
    """With the code and the instruction; the next run is as any other."""
    program = compile(models / "tflm_mnist_lstm.tflite", TARGET, require_accelerator=True)
    inputs = recorded_inputs(models / "tflm_mnist_lstm.tflite", program.inputs)[0]
    with SimDevice(PRESETS[TARGET]) as device:
        device.write(0, encode({"opcode": Opcode.CELL, "parameter_address": 1024,
                                "parameter_bytes": DESCRIPTOR_BYTES}))
        device.write(1024, bytes(DESCRIPTOR_BYTES))
        with pytest.raises(DeviceError, match="VECTOR at instruction 0"):
            device.run(0)
        session = Session(program, device)
        outputs = session.run(inputs)
    with devices.open("emulator", TARGET) as emulator:
        expected = Session(program, emulator).run(inputs)
    for name, value in expected.items():
        np.testing.assert_array_equal(outputs[name], value)
