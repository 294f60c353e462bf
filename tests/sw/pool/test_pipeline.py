"""Models cut into stages: each a graph of its own, together exactly the whole."""

import threading

import numpy as np
import pytest
from builders.graphs.streaming_convolution import streaming_convolution
from builders.networks.random_states import random_states

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.link_time import link_time
from kaniwa.errors import CompileError, DeviceError, InputError
from kaniwa.graph import check
from kaniwa.importers import load_model
from kaniwa.pool import Pipeline, split
from kaniwa.pool.part import cut_points, part
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

BASE = PRESETS["base"]


@pytest.fixture(scope="module")
def resnet(models):
    return load_model(models / "mlperf_ic_resnet8.tflite")


def arrays_of(graph, seed):
    rng = np.random.default_rng(seed)
    return {graph.tensors[i].name: rng.integers(-128, 128, graph.tensors[i].shape).astype(
        graph.tensors[i].dtype) for i in graph.inputs}


def through_parts(graph, arrays, cuts):
    """The values that cross, by name, of golden runs of all parts in order."""
    known = dict(arrays)
    bounds = [0, *cuts, len(graph.ops)]
    for first, end in zip(bounds, bounds[1:], strict=False):
        own = part(graph, first, end - 1)
        values = golden.run(own, {own.tensors[i].name: known[own.tensors[i].name]
                                  for i in own.inputs})
        known |= {own.tensors[i].name: values[i] for i in own.outputs}
    return known


def test_parts_give_what_the_whole_gives_wherever_it_is_cut(resnet):
    arrays = arrays_of(resnet, 1)
    whole = golden.run(resnet, arrays)
    for cut in cut_points(resnet):
        known = through_parts(resnet, arrays, [cut])
        for i in resnet.outputs:
            np.testing.assert_array_equal(known[resnet.tensors[i].name], whole[i])


def test_a_part_without_a_layer_has_its_time_on_the_line(resnet):
    """A RESHAPE is bytes in and the same bytes out: there are no counters of it to read."""
    (number,) = (n for n, op in enumerate(resnet.ops) if op.kind == "RESHAPE")
    program = compile(part(resnet, number, number), target=BASE)
    assert link_time(program, 300_000).exchanges == 5


def test_a_value_that_skips_a_stage_crosses_it(resnet):
    """The first sum of ResNet-8 adds what the third operator before it has read."""
    arrays = arrays_of(resnet, 2)
    known = through_parts(resnet, arrays, [1, 2, 3, 4])
    (output,) = resnet.outputs
    np.testing.assert_array_equal(known[resnet.tensors[output].name],
                                  golden.run(resnet, arrays)[output])


def test_tensors_of_one_name_are_told_apart(resnet):
    import dataclasses

    same = dataclasses.replace(resnet, tensors=tuple(
        dataclasses.replace(t, name="x") for t in resnet.tensors))
    own = part(check(same), 1, 3)
    names = [own.tensors[i].name for i in (*own.inputs, *own.outputs)]
    assert len(names) == len(set(names)) > 1


def test_state_stays_in_one_stage():
    graph = streaming_convolution()
    for cut in cut_points(graph):
        sides = [part(graph, 0, cut - 1), part(graph, cut, len(graph.ops) - 1)]
        assert sum(len(side.state) for side in sides) == 1
    assert 0 < len(cut_points(graph)) < len(graph.ops) - 1


@pytest.mark.parametrize("seed", range(12))
def test_pipelines_go_on_from_state_to_state(seed):
    graph = random_states(seed)
    cuts = cut_points(graph)
    devices = min(3, len(cuts) + 1)
    stages = split(graph, devices, BASE)
    assert sum(len(s.program.state) for s in stages) == len(graph.state)
    names = [graph.tensors[i].name for i in graph.outputs]
    state = {}
    with Pipeline(["emulator"] * devices, [s.program for s in stages], outputs=names) as line:
        inputs = [arrays_of(graph, n) for n in range(4)]
        for given, arrays in zip(line.map(inputs), inputs, strict=True):
            values = golden.run(graph, arrays, state=state)
            state = {s.tensor: values[s.following] for s in graph.state}
            for i in graph.outputs:
                np.testing.assert_array_equal(given[graph.tensors[i].name], values[i])


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_a_pipeline_is_exact_and_balanced(resnet, devices):
    inputs = [arrays_of(resnet, seed) for seed in range(5)]
    stages = split(resnet, devices, BASE)
    assert len(stages) == devices and stages[-1].last == len(resnet.ops) - 1
    assert [s.first for s in stages[1:]] == [
        s.last if s.end_channel else s.last + 1 for s in stages[:-1]]
    whole = compile(resnet, target=BASE)
    (name,) = (t.name for t in whole.outputs)
    with Pipeline(["emulator"] * devices, [s.program for s in stages]) as pipeline:
        given = list(pipeline.map(inputs))
        assert [s.inferences for s in pipeline.stats] == [len(inputs)] * devices
        slowest = max(s.seconds for s in pipeline.stats)
        assert slowest == pytest.approx(len(inputs) * max(s.seconds for s in stages))
    for outputs, arrays in zip(given, inputs, strict=True):
        np.testing.assert_array_equal(outputs[name], golden.run(resnet, arrays)[resnet.outputs[0]])


def test_the_line_moves_the_cut(resnet):
    """On a slow line the cut goes to where little crosses."""
    def crossing(stages):
        return sum(t.bytes for t in stages[0].program.outputs)

    fast, slow = split(resnet, 2, BASE), split(resnet, 2, BASE, pace=300_000.0)
    assert crossing(slow) < crossing(fast)
    assert max(s.seconds for s in slow) > max(s.seconds for s in fast)


@pytest.mark.parametrize("seed", range(4))
def test_random_graphs_in_pipelines(seed):
    graph = random_graph(seed, "chain", macs=1 << 14)
    devices = min(3, len(cut_points(graph)) + 1)
    stages = split(graph, devices, PRESETS["small"])
    inputs = [random_input(graph, n) for n in range(3)]
    outputs = [graph.tensors[i].name for i in graph.outputs]
    with Pipeline(["emulator"] * devices, [s.program for s in stages], outputs=outputs) as line:
        for given, arrays in zip(line.map(inputs), inputs, strict=True):
            values = golden.run(graph, arrays)
            for i in graph.outputs:
                np.testing.assert_array_equal(given[graph.tensors[i].name], values[i])


def test_no_device_is_an_error(resnet):
    with pytest.raises(CompileError, match="at least one device, not 0"):
        split(resnet, 0, BASE)


class Failing(EmulatorDevice):
    """Fails with its third run."""

    runs = 0

    def run(self, program_address, tags=()):
        self.runs += 1
        if self.runs == 3:
            raise DeviceError("unplugged")
        return super().run(program_address, tags)


def test_a_lost_stage_is_named_behind_what_was_done(resnet):
    stages = split(resnet, 2, BASE)
    before, given = threading.active_count(), []
    with Pipeline(["emulator", Failing("base")], [s.program for s in stages]) as line:
        with pytest.raises(DeviceError, match=r"stage 1 of the pipeline, device 1 .*: unplugged"):
            for outputs in line.map(arrays_of(resnet, seed) for seed in range(9)):
                given.append(outputs)
        assert len(given) == 2 and threading.active_count() == before
        assert line.stats[1].lost


def test_inputs_that_do_not_fit_are_an_error_in_their_turn(resnet):
    stages = split(resnet, 2, BASE)
    good = arrays_of(resnet, 0)
    bad = dict.fromkeys(good, np.zeros(3, np.int8))
    given = []
    with Pipeline(["emulator"] * 2, [s.program for s in stages]) as line:
        with pytest.raises(InputError, match="expected int8"):
            given.extend(line.map([good, bad, good]))
        assert len(list(line.map([good]))) == 1     # and the next ones run
        with pytest.raises(InputError, match=r"expected inputs \['input_1_int8'\], found \['x'\]"):
            list(line.map([{"x": np.zeros(1, np.int8)}]))


def test_a_closed_pipeline_says_so(resnet):
    with Pipeline(["emulator"], [compile(resnet, target=BASE)]) as line:
        pass
    with pytest.raises(DeviceError, match="the pipeline is closed"):
        next(line.map([arrays_of(resnet, 0)]))


def test_stages_and_devices_must_fit(resnet):
    programs = [s.program for s in split(resnet, 2, BASE)]
    with pytest.raises(DeviceError, match="2 stages needs as many devices, not 1"):
        Pipeline(["emulator"], programs)
    with pytest.raises(DeviceError, match="stage 0 of the pipeline, .*no stage before it gives"):
        Pipeline(["emulator"] * 2, [programs[1], programs[0]])
    with pytest.raises(DeviceError, match="stage 0 of the pipeline, .*no stage before it gives"):
        Pipeline(["emulator"] * 2, programs, inputs=["x"])
    with pytest.raises(DeviceError, match="no stage of the pipeline gives 'y'"):
        Pipeline(["emulator"] * 2, programs, outputs=["y"])
