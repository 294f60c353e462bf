"""Layers that are cut between their channels: pieces on several devices, together the layer."""

import dataclasses
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from builders.graphs.streaming_convolution import streaming_convolution

import kaniwa
from kaniwa import golden
from kaniwa.config import PRESETS
from kaniwa.errors import CompileError, InputError, MemoryTooSmallError
from kaniwa.graph import check
from kaniwa.importers import load_model
from kaniwa.pool import (
    Pipeline,
    channels as channels_module,
    split,
    stage_maker,
    stages as stages_module,
)
from kaniwa.pool.channels import (
    bytes_at,
    channel_cuts,
    channels_of,
    part_between,
    whole_cuts,
)
from kaniwa.pool.cut_search import _balanced
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

SMALL = PRESETS["small"]
MODELS = ("mlperf_ic_resnet8.tflite", "mlperf_ad_fc_ae.tflite", "coral_mbv1_025_128_u8.tflite",
          "pytorch_shapes_qdq.onnx")


def arrays_of(graph, seed=1):
    rng = np.random.default_rng(seed)
    return {graph.tensors[i].name: rng.integers(0, 100, graph.tensors[i].shape).astype(
        graph.tensors[i].dtype) for i in graph.inputs}


def through(graph, arrays, cuts):
    """The values that cross, by name, of golden runs between all cuts in order."""
    known = dict(arrays)
    for begin, end in pairwise([(0, 0), *cuts, (len(graph.ops), 0)]):
        own = part_between(graph, begin, end)
        values = golden.run(own, {own.tensors[i].name: known[own.tensors[i].name]
                                  for i in own.inputs})
        known |= {own.tensors[i].name: values[i] for i in own.outputs}
    return known


def check_same(graph, cuts):
    arrays = arrays_of(graph)
    whole, known = golden.run(graph, arrays), through(graph, arrays, cuts)
    for i in graph.outputs:
        np.testing.assert_array_equal(known[graph.tensors[i].name], whole[i])


@pytest.mark.parametrize("file", MODELS)
def test_pieces_give_what_the_layer_gives(models, file):
    """All of them at once: each layer in two or three pieces."""
    graph = load_model(models / file)
    cuts = channel_cuts(graph, 8)
    chosen = [cut for number in {cut[0] for cut in cuts}
              for cut in [one for one in cuts if one[0] == number][::3][:2]]
    assert len(chosen) >= 3
    check_same(graph, sorted(chosen))
    check_same(graph, sorted([*chosen, *whole_cuts(graph)]))


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_in_pieces(seed):
    graph = random_graph(seed, "chain", macs=1 << 14)
    cuts = sorted([*whole_cuts(graph), *channel_cuts(graph, 2)])
    rng = np.random.default_rng(seed)
    chosen = [cuts[i] for i in sorted(rng.choice(len(cuts), min(5, len(cuts)), replace=False))]
    arrays = random_input(graph, seed)
    whole, known = golden.run(graph, arrays), through(graph, arrays, chosen)
    for i in graph.outputs:
        np.testing.assert_array_equal(known[graph.tensors[i].name], whole[i])


def test_pieces_of_layers_with_one_name_are_told_apart(models):
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    same = check(dataclasses.replace(graph, tensors=tuple(
        dataclasses.replace(t, name="x") for t in graph.tensors)))
    own = part_between(same, (1, 64), (3, 32))
    names = [own.tensors[i].name for i in (*own.inputs, *own.outputs)]
    assert len(names) == len(set(names)) == 4


def test_bytes_at_a_cut_are_those_that_cross(models):
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    for cut in channel_cuts(graph, 8):
        behind = part_between(graph, cut, (len(graph.ops), 0))
        assert bytes_at(graph, cut) == sum(
            int(np.prod(behind.tensors[i].shape)) for i in behind.inputs)


def test_what_cannot_be_cut_has_no_channels(models):
    """Depthwise layers, groups, products of two computed operands, and what belongs to a state."""
    graph = load_model(models / "mlperf_kws_dscnn.tflite")
    for number, op in enumerate(graph.ops):
        cut = any(at == number for at, _ in channel_cuts(graph, 8))
        assert cut == (op.kind in ("CONV_2D", "FULLY_CONNECTED")
                       and graph.tensors[op.outputs[0]].shape[-1] > 8)
    weights = graph.tensors[graph.ops[2].inputs[1]]
    half = dataclasses.replace(weights, shape=(64, 1, 1, 32), data=weights.data[..., :32])
    grouped = dataclasses.replace(graph, tensors=tuple(
        half if t is weights else t for t in graph.tensors))
    assert (channels_of(graph, 2), channels_of(grouped, 2)) == (64, 0)
    streaming = streaming_convolution()
    states = {n for n, op in enumerate(streaming.ops)
              for s in streaming.state if s.tensor in op.inputs or s.following in op.outputs}
    assert not states & {number for number, _ in channel_cuts(streaming, 1)}


def test_a_layer_that_no_device_has_room_for_is_shared_out(models):
    """Anomaly detection on five small devices without more memory; its last layer has 73 KiB."""
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    with pytest.raises(MemoryTooSmallError, match="or more devices$"):
        split(graph, 2, SMALL, outside="none")
    stages = split(graph, 5, SMALL, outside="none")
    assert all(s.program.outside is None for s in stages)
    last = [s for s in stages if s.last == len(graph.ops) - 1]
    assert len(last) > 1 and last[0].end_channel == last[1].first_channel > 0
    assert last[-1].end_channel is None
    inputs = [arrays_of(graph, seed) for seed in range(3)]
    with Pipeline(["emulator"] * 5, [s.program for s in stages]) as line:
        for given, arrays in zip(line.map(inputs), inputs, strict=True):
            np.testing.assert_array_equal(
                given["Identity"], golden.run(graph, arrays)[graph.outputs[0]])


def test_a_stage_that_does_not_fit_is_not_compiled_again(models, monkeypatch):
    """But for the last one, which is the error."""
    made = Counter()

    def counted(graph, begin, end):
        made[begin, end] += 1
        return part_between(graph, begin, end)

    monkeypatch.setattr(stage_maker, "part_between", counted)
    with pytest.raises(MemoryTooSmallError):
        split(load_model(models / "mlperf_ad_fc_ae.tflite"), 3, SMALL, outside="none")
    assert len(made) >= 10 and sorted(made.values())[-2:] == [1, 2]


def test_channels_are_shared_out_where_that_is_worth_it(models):
    """The largest layer of anomaly detection sets the pace of four devices; on a line that is as
    slow as a UART the bytes that cross do."""
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    base = PRESETS["base"]
    largest = part_between(graph, (9, 0), (10, 0))
    whole = kaniwa.estimate(kaniwa.compile(largest, target=base)).cycles
    stages = split(graph, 4, base)
    assert any(s.end_channel for s in stages) and max(s.cycles for s in stages) < 0.8 * whole
    assert not any(s.end_channel for s in split(graph, 4, base, pace=30_000.0))


def test_too_many_stages_are_refused(models):
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    places = len(whole_cuts(graph)) + len(channel_cuts(graph, SMALL.out_lanes))
    with pytest.raises(CompileError, match=f"in {places} places, .* not {places + 2}: use fewer"):
        split(graph, places + 2, SMALL)


@pytest.mark.parametrize("seed", range(8))
def test_stages_are_balanced_by_their_costs(seed):
    """The largest of four costs is the least that any three cuts have."""
    rng = np.random.default_rng(seed)
    ends = [(number, 0) for number in range(9)]
    costs = rng.integers(1, 50, (len(ends), len(ends))).astype(float)
    cuts, foreseen = _balanced(costs, ends, 4)

    def largest(chosen):
        return max(costs[begin[0], end[0]] for begin, end in pairwise([ends[0], *chosen, ends[-1]]))

    assert largest(cuts) == foreseen == min(
        largest(chosen) for chosen in combinations(ends[1:-1], 3))


def test_two_stages_are_the_best_two(models, monkeypatch):
    """Of all cuts of anomaly detection, tried one by one."""
    monkeypatch.setattr(channels_module, "MOST_PIECES", 4)
    monkeypatch.setattr(stages_module, "WORTH_IT", 0.0)
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    base, end = PRESETS["base"], (len(graph.ops), 0)
    cuts = [*whole_cuts(graph), *channel_cuts(graph, base.out_lanes)]

    def cycles(begin, end):
        return kaniwa.estimate(kaniwa.compile(part_between(graph, begin, end), target=base)).cycles

    best = min(max(cycles((0, 0), cut), cycles(cut, end)) for cut in cuts)
    assert max(s.cycles for s in split(graph, 2, base)) == best


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_is_above_zero(models, pace):
    with pytest.raises(InputError, match="a line has a pace above 0 bytes a second"):
        split(load_model(models / "mlperf_ic_resnet8.tflite"), 2, SMALL, pace=pace)
