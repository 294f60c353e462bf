"""Two cores of a board at its pins, over one line: two programs at once, and a model in two stages.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import kaniwa
from kaniwa import Pipeline, Session, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.cycles.estimate import estimate
from kaniwa.driver.devices import target_of
from kaniwa.importers import load_model
from kaniwa.isa import Command, Register, Status
from kaniwa.pool import split
from kaniwa.sim.worlds.random_graphs import random_input

NAME = "sim:ulx3s_85f?cores=2"
MODELS = ("mlperf_kws_dscnn", "mlperf_ic_resnet8")

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cores():
    devices = kaniwa.open_cores(NAME)
    yield devices
    for device in devices:
        device.close()


def check(graph, outputs, inputs):
    values = golden.run(graph, inputs)
    for tensor in graph.outputs:
        name = next(t.name for t in graph.tensors if t.id == tensor)
        np.testing.assert_array_equal(outputs[name], values[tensor])


def test_two_models_at_once_are_exact_in_the_cycles_of_the_model(cores, models):
    graphs = [load_model(models / f"{name}.tflite") for name in MODELS]
    programs = [compile(graph, target=target_of(NAME)) for graph in graphs]
    sessions = [Session(program, device) for program, device in zip(programs, cores, strict=True)]

    def work(session, graph):
        for seed in range(2):
            inputs = random_input(graph, seed)
            check(graph, session.run(inputs), inputs)
            expected = estimate(session.program).cycles
            assert abs(session.stats.cycles - expected) <= 0.01 * expected
        return True

    with ThreadPoolExecutor(len(sessions)) as pool:
        assert all(pool.map(work, sessions, graphs))
    assert [device.capabilities["memory_bytes"] for device in cores] == [128 * 1024] * 2


def test_data_of_a_core_moves_while_the_other_one_runs(cores, models):
    program = compile(load_model(models / f"{MODELS[0]}.tflite"), target=target_of(NAME))
    running, other = cores
    session = Session(program, running)
    session.write_inputs(random_input(program.graph, 1))
    running._exchange([
        running._set(Register.PROGRAM_ADDRESS, program.address_of(program.steps[0])),
        running._set(Register.CONTROL, Command.RUN)])
    data = bytes(range(200))
    other.write(1000, data)
    assert other.read(1000, 200) == data
    assert running._registers(Register.STATUS, 1) == [Status.RUNNING]
    running._wait_for_end()
    assert running._registers(Register.CYCLES, 1) == [estimate(program).cycles]


def test_a_model_in_two_stages_is_exact(cores, models):
    graph = load_model(models / f"{MODELS[0]}.tflite")
    stages = split(graph, 2, target=cores[0].config)
    inputs = [random_input(graph, seed) for seed in range(3)]
    with Pipeline(cores, [stage.program for stage in stages]) as pipeline:
        for arrays, outputs in zip(inputs, pipeline.map(inputs), strict=True):
            check(graph, outputs, arrays)
