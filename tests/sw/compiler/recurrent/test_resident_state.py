"""State that stays in device memory: exact, not moved, not another's, lost only with notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder
from builders.graphs.streaming_convolution import streaming_convolution
from builders.networks.random_states import random_states

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver import devices
from kaniwa.driver.devices import Device
from kaniwa.driver.session import Session, forget_image
from kaniwa.errors import DeviceError
from kaniwa.graph import Graph, State
from kaniwa.program.file import from_bytes, to_bytes

RNG = np.random.default_rng(1)
FRAMES = list(RNG.integers(-128, 128, (8, 1, 2, 8)).astype(np.int8))


class Golden:
    """The model itself, with its state."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.state: dict[int, np.ndarray] = {}

    def run(self, x: np.ndarray) -> np.ndarray:
        return golden.run(self.graph, [x], state=self.state)[self.graph.outputs[0]]


class Traffic:
    """Counts the bytes that go to a device and come from it."""

    def __init__(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = self.read = 0
        write, read = device.write, device.read

        def counted_write(address: int, data: bytes) -> None:
            self.written += len(data)
            write(address, data)

        def counted_read(address: int, length: int) -> bytes:
            self.read += length
            return read(address, length)

        monkeypatch.setattr(device, "write", counted_write)
        monkeypatch.setattr(device, "read", counted_read)


def run(session: Session, x: np.ndarray) -> np.ndarray:
    (got,) = session.run([x]).values()
    return got


@pytest.mark.parametrize("target", ["base", "small", "nano"])
def test_only_inputs_and_outputs_are_moved(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = streaming_convolution()
    program = from_bytes(to_bytes(compile(graph, target)))
    assert program.resident == {graph.state[0].tensor}
    device = devices.open("emulator", target)
    session, reference = Session(program, device), Golden(graph)
    np.testing.assert_array_equal(run(session, FRAMES[0]), reference.run(FRAMES[0]))
    traffic = Traffic(device, monkeypatch)
    for x in FRAMES[1:4]:
        np.testing.assert_array_equal(run(session, x), reference.run(x))
    assert traffic.written == 3 * FRAMES[0].size
    assert traffic.read == 3 * np.prod(graph.tensors[graph.outputs[0]].shape)
    session.reset()
    reference.state.clear()
    np.testing.assert_array_equal(run(session, FRAMES[4]), reference.run(FRAMES[4]))


def test_state_is_fetched_before_memory_is_anothers() -> None:
    """Two sessions in turn, one of them twice at times, and inferences that begin cleared."""
    graph = streaming_convolution()
    program, device = compile(graph), devices.open("emulator", "base")
    sessions = [Session(program, device) for _ in range(2)]
    references = [Golden(graph) for _ in range(2)]
    for number, x in zip((0, 1, 0, 0, 1, 1, 0, 1), FRAMES, strict=True):
        np.testing.assert_array_equal(run(sessions[number], x), references[number].run(x))
        fresh = [Golden(graph).run(y) for y in FRAMES[:2]]
        for got, wanted in zip(sessions[0].map([[y] for y in FRAMES[:2]], keep_state=False),
                               fresh, strict=True):
            np.testing.assert_array_equal(next(iter(got.values())), wanted)


def test_submitted_inferences_go_on_with_the_state() -> None:
    graph = streaming_convolution()
    session, reference = Session(compile(graph), devices.open("emulator", "base")), Golden(graph)
    futures = [session.submit([x]) for x in FRAMES]
    for x, future in zip(FRAMES, futures, strict=True):
        np.testing.assert_array_equal(next(iter(future.result().values())), reference.run(x))


def test_state_that_is_lost_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, device = streaming_convolution(), devices.open("emulator", "base")
    session, reference = Session(compile(graph), device), Golden(graph)
    run(session, FRAMES[0])
    real = device.run

    def failing(*arguments: Any) -> Any:
        real(*arguments)      # the state in memory is the next one's now
        raise DeviceError("the line is cut")

    monkeypatch.setattr(device, "run", failing)
    with pytest.raises(DeviceError, match="the line is cut"):
        run(session, FRAMES[1])
    monkeypatch.undo()
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"has been lost; begin anew with session.reset\(\)"):
            run(session, FRAMES[1])
    # An inference that begins cleared needs none of it.
    (got,) = session.map([[FRAMES[2]]], keep_state=False)
    np.testing.assert_array_equal(next(iter(got.values())), Golden(graph).run(FRAMES[2]))
    with pytest.raises(DeviceError, match="has been lost"):
        run(session, FRAMES[1])
    session.reset()
    np.testing.assert_array_equal(run(session, FRAMES[3]), reference.run(FRAMES[3]))
    forget_image(device)
    with pytest.raises(DeviceError, match="has been lost"):
        run(session, FRAMES[1])


def test_a_first_inference_that_fails_leaves_the_state_cleared(
        monkeypatch: pytest.MonkeyPatch) -> None:
    graph, device = streaming_convolution(), devices.open("emulator", "base")
    session, reference = Session(compile(graph), device), Golden(graph)

    def failing(*arguments: Any) -> Any:
        raise DeviceError("the line is cut")

    monkeypatch.setattr(device, "run", failing)
    with pytest.raises(DeviceError, match="the line is cut"):
        run(session, FRAMES[1])
    monkeypatch.undo()
    np.testing.assert_array_equal(run(session, FRAMES[1]), reference.run(FRAMES[1]))


def test_a_cells_states_stay(models: Path) -> None:
    program = compile(models / "tflm_mnist_lstm.tflite", "base_vector")
    assert len(program.resident) == 2
    assert not set().union(*(step.gives for step in program.steps)).intersection(
        s.following for s in program.state)
    assert not compile(models / "tflm_mnist_lstm.tflite", "base_vector",
                       materialize=True).resident


def read_after_written() -> Graph:
    """What follows is made from the state alone, and the result from both."""
    b = GraphBuilder(5)
    x, before = b.tensor((1, 1, 2, 8)), b.tensor((1, 1, 2, 8))
    following = b.elementwise("ADD", before, x)
    y = b.elementwise("MUL", following, before, scale=9.0)
    graph = b.graph((x, before), (y,))
    state = State(before, following, np.full((1, 1, 2, 8), 7, np.int8))
    return Graph("after", graph.tensors, graph.ops, (x,), (y,), "0" * 64, state=(state,))


def given_as_output() -> Graph:
    graph = streaming_convolution()
    return Graph("given", graph.tensors, graph.ops, graph.inputs,
                 (*graph.outputs, graph.state[0].following), "0" * 64, state=graph.state)


@pytest.mark.parametrize("make", [read_after_written, given_as_output])
def test_other_state_goes_over_the_host(make: Any) -> None:
    graph = make()
    program = compile(graph)
    assert not program.resident and not program.host_ops
    session, reference = Session(program, devices.open("emulator", "base")), Golden(graph)
    for x in FRAMES[:4]:
        x = x.reshape(graph.tensors[graph.inputs[0]].shape)
        got = session.run([x])[graph.tensors[graph.outputs[0]].name]
        np.testing.assert_array_equal(got, reference.run(x))


def test_where_memory_is_short_the_state_keeps_none_for_itself() -> None:
    """Where the most is in memory, neither the state nor what follows needs to be."""
    b = GraphBuilder(6)
    x, before = b.tensor((1, 16, 16, 1)), b.tensor((1, 16, 16, 8))
    y = b.elementwise("ADD", b.conv(x, 4), b.conv(before, 4, (1, 1)))
    y = b.conv(b.conv(y, 200), 8, (1, 1))
    following = b.conv(y, 8)
    graph = b.graph((x, before), (y,))
    state = State(before, following, np.full((1, 16, 16, 8), 7, np.int8))
    graph = Graph("short", graph.tensors, graph.ops, (x,), (y,), "0" * 64, state=(state,))
    roomy = compile(graph)
    assert roomy.resident
    tight = replace(PRESETS["base"], memory_bytes=(roomy.local_bytes - 1) // 1024 * 1024)
    program = compile(graph, tight)
    assert program.local_bytes <= roomy.local_bytes - state.initial.size
    session, reference = Session(program, devices.open("emulator", tight)), Golden(graph)
    rng = np.random.default_rng(1)
    for _ in range(3):
        value = rng.integers(-128, 128, (1, 16, 16, 1)).astype(np.int8)
        np.testing.assert_array_equal(run(session, value), reference.run(value))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_random_states_are_golden_s(first: int) -> None:
    """Two sessions by chance in turn, reset at times, and inferences that begin cleared."""
    resident = 0
    for seed in range(first, first + 20):
        graph, rng = random_states(seed), np.random.default_rng(seed)
        target = ("base", "small")[seed % 2]
        program, device = compile(graph, target), devices.open("emulator", target)
        resident += len(program.resident)
        sessions = [Session(program, device) for _ in range(2)]
        states: list[dict[int, np.ndarray]] = [{}, {}]
        for _ in range(6):
            number, event = int(rng.integers(2)), rng.random()
            x = rng.integers(-128, 128, graph.tensors[graph.inputs[0]].shape).astype(np.int8)
            if event < 0.15:
                sessions[number].reset()
                states[number].clear()
            if event > 0.8:
                wanted = golden.run(graph, [x])
                (got,) = sessions[number].map([[x]], keep_state=False)
            else:
                wanted = golden.run(graph, [x], state=states[number])
                got = sessions[number].run([x])
            for i in graph.outputs:
                np.testing.assert_array_equal(got[graph.tensors[i].name], wanted[i], str(seed))
    assert resident > 5
