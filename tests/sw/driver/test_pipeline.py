"""The host's part of an inference runs while the device has another; results stay the same."""

import threading

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import Session, golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver import devices
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.overlap import PLACES, Overlap
from kaniwa.errors import DeviceError, InputError
from kaniwa.graph import Graph
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import Step
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

SECONDS = 60     # until a test that would wait for ever fails


def split(around: bool) -> Graph:
    """A SOFTMAX between two convolutions, with a branch ``around`` it or none, and one behind."""
    b = GraphBuilder(2)
    x = b.tensor((1, 5, 5, 3))
    u = b.conv(x, 4)
    v = b.conv(b.softmax(u), 4)
    return b.graph((x,), (b.softmax(b.add(v, u) if around else v),))


def expected(graph: Graph, count: int) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    inputs = [random_input(graph, seed) for seed in range(count)]
    return inputs, [golden.run(graph, item)[graph.outputs[0]] for item in inputs]


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("way", ["map", "submit", "run"])
def test_results_come_in_order_and_are_golden_s(way: str, around: bool) -> None:
    graph = split(around)
    inputs, wanted = expected(graph, 20)
    program = compile(graph)
    (name,) = [t.name for t in program.outputs]
    with devices.open("emulator") as device:
        session = Session(program, device)
        if way == "submit":
            futures = [session.submit(item) for item in inputs]
            got = [future.result() for future in futures]
        else:
            got = list(session.map(inputs) if way == "map" else map(session.run, inputs))
        assert session.stats is not None and session.stats.cycles == estimate(program).cycles
    assert all(np.array_equal(a[name], b) for a, b in zip(got, wanted, strict=True))


class Meeting(EmulatorDevice):
    """A device whose runs, from the second on, wait until the host is at work, and it for them."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.host_at_work, self.device_at_work = threading.Event(), threading.Event()

    def run(self, program_address, tags=()):
        self.runs += 1
        if self.runs > 1:
            self.device_at_work.set()
            assert self.host_at_work.wait(SECONDS), "the host does nothing meanwhile"
        return super().run(program_address, tags)


@pytest.mark.parametrize("way", ["map", "submit"])
def test_host_and_device_work_at_the_same_time(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 3))
    graph = b.graph((x,), (b.softmax(b.conv(x, 4)),))
    inputs, wanted = expected(graph, 3)
    device = Meeting()
    session = Session(compile(graph), device)
    run_on_host = session._run_on_host

    def meet(step, values):
        device.host_at_work.set()
        assert device.device_at_work.wait(SECONDS), "the device does nothing meanwhile"
        run_on_host(step, values)

    monkeypatch.setattr(session, "_run_on_host", meet)
    got = (list(session.map(inputs)) if way == "map" else
           [future.result() for future in [session.submit(item) for item in inputs]])
    name = session.program.outputs[0].name
    assert device.runs == 3
    assert all(np.array_equal(a[name], b) for a, b in zip(got, wanted, strict=True))


def test_memory_that_outlives_a_run_keeps_the_device() -> None:
    class Noted(EmulatorDevice):
        def run(self, program_address, tags=()):
            runs.append(program_address)
            return super().run(program_address, tags)

    runs: list[int] = []
    graph = split(around=True)
    list(Session(compile(graph), Noted()).map(expected(graph, 3)[0]))
    assert runs == runs[:2] * 3 and runs[0] < runs[1]


def test_none_runs_beside_one_that_goes_on_with_the_state() -> None:
    """What it leaves in device memory is its own until it has ended."""
    seen: list[tuple[str, str]] = []

    def do(step: Step, state: str) -> None:
        seen.append((state, step.where))
        if seen[-1] == ("first", "host") and pipeline._next(PLACES) is not None:
            pipeline.cancel([second])      # nobody works at what was taken here

    steps = [Step(where, 0, 1, (), ()) for where in ("device", "host")]
    pipeline = Overlap[str, None](steps, do, lambda item: None)
    pipeline.submit("first", alone=True)
    second = pipeline.submit("second")
    pipeline.work(second)
    second.future.result()
    assert seen == [(state, step.where) for state in ("first", "second") for step in steps]


def test_an_inference_that_fails_leaves_the_others_alone() -> None:
    class Once(EmulatorDevice):
        runs = 0

        def run(self, program_address, tags=()):
            self.runs += 1
            if self.runs == 3:
                raise DeviceError("pulled out")
            return super().run(program_address, tags)

    b = GraphBuilder()
    x = b.tensor((1, 4, 4, 3))
    graph = b.graph((x,), (b.softmax(b.conv(x, 4)),))
    inputs, wanted = expected(graph, 5)
    session = Session(compile(graph), Once())
    name = session.program.outputs[0].name
    futures = [session.submit(item) for item in inputs]
    with pytest.raises(DeviceError, match="pulled out"):
        futures[2].result()
    for number in (0, 1, 3, 4):
        assert np.array_equal(futures[number].result()[name], wanted[number])

    session = Session(compile(graph), Once())
    outputs = session.map([*inputs[:2], inputs[2]])
    assert np.array_equal(next(outputs)[name], wanted[0])
    next(outputs)
    with pytest.raises(DeviceError, match="pulled out"):
        next(outputs)
    assert np.array_equal(session.run(inputs[3])[name], wanted[3])


def test_a_wrong_input_ends_a_map_and_no_thread_stays() -> None:
    graph = split(around=False)
    inputs, wanted = expected(graph, 2)
    session = Session(compile(graph), EmulatorDevice())
    with pytest.raises(InputError, match="expected 1 inputs, found 0"):
        list(session.map([inputs[0], []]))
    assert np.array_equal(session.run(inputs[1])[session.program.outputs[0].name], wanted[1])
    for thread in threading.enumerate():
        if thread.name.startswith("kaniwa-"):
            thread.join(SECONDS)
            assert not thread.is_alive()


def remembering() -> Graph:
    """An SVDF that sums up what it saw in three inferences."""
    b = ModelBuilder()
    x = b.tensor("x", [1, 4], scale=0.1, zero_point=0)
    f = b.tensor("f", [2, 4], scale=0.05, zero_point=0, data=np.ones((2, 4), np.int8))
    t = b.tensor("t", [2, 3], "int16", scale=2e-5, zero_point=0,
                 data=np.full((2, 3), 30000, np.int16))
    s = b.tensor("s", [1, 6], "int16", scale=1e-3, zero_point=0, variable=True)
    y = b.tensor("y", [1, 2], scale=0.1, zero_point=0)
    b.op("SVDF", [x, f, t, -1, s], [y], Rank=1, FusedActivationFunction=1)
    return import_tflite(b.build([x], [y]), "svdf.tflite")


def test_state_goes_from_one_inference_to_the_next() -> None:
    graph = remembering()
    program = compile(graph)
    inputs = [{"x": np.full((1, 4), value, np.int8)} for value in (40, 20, 30)]
    (output,) = graph.outputs
    state: dict[int, np.ndarray] = {}
    following = [golden.run(graph, item, state=state)[output] for item in inputs]
    cleared = [golden.run(graph, item)[output] for item in inputs]
    assert not np.array_equal(following[1], cleared[1])

    def equal(got, wanted):
        return all(np.array_equal(next(iter(a.values())), b)
                   for a, b in zip(got, wanted, strict=True))

    for device in ("emulator", "golden"):
        session = Session(program, devices.open(device))
        assert equal(session.map(inputs), following)
        session.reset()
        assert equal([future.result() for future in [session.submit(x) for x in inputs]], following)
        assert equal(session.map(inputs, keep_state=False), cleared)
        session.reset()
        assert equal(map(session.run, inputs), following)
    loaded = from_bytes(to_bytes(program))
    assert loaded == program and assemble(disassemble(program)) == to_bytes(program)
    assert equal(Session(loaded, devices.open("emulator")).map(inputs), following)
    assert diff(program, ["golden", "emulator"], inputs[0])["first_difference"] is None
