"""The cycle model against the counters of the simulated core, on layers and a model."""

import contextlib
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.bottlenecks import bottlenecks
from builders.graphs.branches import faces, pyramid
from builders.graphs.depthwise import KERNELS, depthwise
from builders.graphs.pools import CHANNELS, pools
from builders.graphs.sparse_dense import sparse_dense
from builders.instructions.places import PLACES, places_of

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import seeded_inputs
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import MemoryTooSmallError
from kaniwa.graph import Graph, Op, Quantization, Tensor, check
from kaniwa.sim.device.simulated_core import SimDevice
from kaniwa.sim.worlds.random_graphs import KINDS, random_graph, random_input

pytestmark = pytest.mark.rtl
# That of test_device, so that it is built once.
CONFIG = dataclasses.replace(
    PRESETS["small"], line_bytes=2048, ring_bytes=2048, parameter_records=64,
    memory_bytes=64 * 1024, instruction_queue=2, name="tiny")
ALL_OUTSIDE = dataclasses.replace(CONFIG, memory_bytes=0, name="tiny_outside")
PART_BAR = 0.03      # units beside the array, before a chip whose rows they leave out
VECTOR_BAR = 0.001   # beside LAYERs, whose starts after a VECTOR the model has a few cycles off
CELL_BAR = 0.01      # with outside memory: its latency is that of all words here
HOST_OF_COMPACT = {"broadcast", "max_pool", "mul"}   # kinds that a compact core has no units for
MODELS = Path(__file__).parents[2] / "models"
SDRAM = ("sdram,bytes=4,latency=10", "sdram,bytes=2,latency=4", "sdram,bytes=8,latency=30",
         "sdram,bytes=16,latency=50")
PARTS = ("sdram,part=IS42S16160G", "sdram,part=M12L64322A,clock=143,ratio=2",
         "sdram,part=AS4C32M16SB,clock=133,ratio=4", "sdram,part=EM638325,clock=80,mask=0",
         "sdram,part=IS42S16160G,clock=143,ratio=2,mask=0")
MEMORIES = [(CONFIG, "ideal"), (CONFIG, SDRAM[0]), (CONFIG, PARTS[0]), (ALL_OUTSIDE, "ideal"),
            *((ALL_OUTSIDE, outside) for outside in (*SDRAM, *PARTS))]


@pytest.fixture(scope="module", params=MEMORIES, ids=lambda case: f"{case[0].name}-{case[1]}")
def device(request):
    config, outside = request.param
    with SimDevice(config, outside=outside) as device:
        yield device, outside


def counted_and_expected(device, source):
    """Counters of a run, and what the model says: cycles, and those of each layer."""
    core, outside = device
    program = compile(source, core.config, outside=outside)
    session = Session(program, core)
    session.write_inputs(seeded_inputs(program.inputs, 1, seed=1)[0])
    tags = list(dict.fromkeys(layer.tag for layer in program.layers))
    counted = core.run(program.program_address, tags)
    expected = estimate(program)
    return ((counted.cycles, counted.per_tag(tags)), (expected.cycles, expected.per_tag(tags)))


@pytest.mark.parametrize("target", ["base", "large"])
def test_windows_of_phases(target):
    """Depthwise kernels over one window, in turn; results equal golden too."""
    with SimDevice(PRESETS[target]) as core:
        for seed, (kernel, stride) in enumerate(KERNELS):
            graph = depthwise(kernel, stride)
            program = compile(graph, core.config)
            session, values = Session(program, core), random_input(graph, seed)
            (got,) = session.run(values).values()
            assert np.array_equal(got, golden.run(graph, values)[graph.outputs[0]]), kernel
            assert session.stats.cycles == estimate(program).cycles, kernel


@pytest.mark.parametrize("target", ["base", "large", "small"])
def test_pools(target):
    """Max pools of pairs of blocks and of single ones, one behind the other and before layers whose
    pixels take a step; results equal golden too."""
    with SimDevice(PRESETS[target]) as core:
        for seed in range(4 * len(CHANNELS)):
            graph = pools(seed)
            program = compile(graph, core.config)
            session, values = Session(program, core), random_input(graph, seed)
            got, expected = session.run(values), golden.run(graph, values)
            for index in graph.outputs:
                assert np.array_equal(got[graph.tensors[index].name], expected[index]), seed
            assert session.stats.cycles == estimate(program).cycles, seed


@pytest.mark.parametrize("target", ["base", "large", "small"])
def test_words_of_zeros(target):
    """With a map of them, in runs, and alone; half of them save 40 % of a dense layer's cycles on
    ``base``."""
    config, cycles = PRESETS[target], {}
    with SimDevice(config) as core:
        for largest, share in itertools.product((127, 20), (0.0, 0.05, 0.5, 0.9, 1.0)):
            graph = sparse_dense(config, share, largest=largest, shape=(128, 256))
            program = compile(graph, config, keep_dead_channels=True)
            session, values = Session(program, core), random_input(graph, 0)
            (got,) = session.run(values).values()
            assert np.array_equal(got, golden.run(graph, values)[graph.outputs[0]]), share
            assert session.stats.cycles == estimate(program).cycles, (largest, share)
            cycles[largest, share] = session.stats.cycles
    if target == "base":
        assert cycles[127, 0.5] <= 0.6 * cycles[127, 0.0]


@pytest.mark.parametrize("target, entries", [("base", 16), ("base_vector", 32), ("small", 64)])
def test_codebooks(target, entries):
    """Of shared weights, words of zeros among them. On ``base`` the layer waits for its weights;
    other decoders are no faster than memory, so codes save bytes alone there."""
    plain = PRESETS[target]
    config = dataclasses.replace(plain, codebook_entries=entries, name="codes")
    with SimDevice(config) as core:
        for different, share in itertools.product((3, entries - 1), (0.0, 0.3)):
            graph = sparse_dense(config, share, shape=(128, 256), different=different)
            program = compile(graph, config, keep_dead_channels=True)
            session, values = Session(program, core), random_input(graph, 0)
            (got,) = session.run(values).values()
            assert np.array_equal(got, golden.run(graph, values)[graph.outputs[0]]), share
            assert session.stats.cycles == estimate(program).cycles, (different, share)
            before = compile(graph, plain, keep_dead_channels=True)
            assert program.weight_bytes < 0.9 * before.weight_bytes
            if target == "base":
                assert session.stats.cycles <= 0.75 * estimate(before).cycles


@pytest.mark.parametrize("kind", list(KINDS))
def test_random_layers(device, kind):
    for seed in range(3):
        counted, expected = counted_and_expected(device, random_graph(seed, kind, macs=1 << 17))
        assert expected == counted, seed


@pytest.mark.parametrize("kind", ["conv", "average_pool", "transpose"])
def test_words_that_leave_bytes_out(device, kind):
    """Without a data mask each of them is merged."""
    counted, expected = counted_and_expected(device, random_graph(3, kind, macs=1 << 15))
    assert expected == counted


def test_tables_that_follow_on_tables(device):
    """Each ADD takes the sum before; its tables come while that one still looks its own up."""
    count = 3
    tensors = tuple(Tensor(number, f"t{number}", (1, 5, 7, 13), "int8",
                           Quantization((0.1 + 0.01 * number,), (number,)), None, number)
                    for number in range(2 * count + 1))
    ops = tuple(Op("ADD", f"add{number}", (2 * number, 2 * number + 1), (2 * number + 2,),
                   {"activation": "NONE"}, "litert_add", number) for number in range(count))
    inputs = (0, *range(1, 2 * count, 2))
    graph = check(Graph("sums", tensors, ops, inputs, (2 * count,)))
    counted, expected = counted_and_expected(device, graph)
    assert expected == counted


def test_a_model(device):
    counted, expected = counted_and_expected(device, MODELS / "mlperf_sww_1d.tflite")
    assert expected == counted


@pytest.mark.parametrize("network", [bottlenecks, faces, pyramid])
@pytest.mark.parametrize("outside", ["sdram,bytes=1,latency=10", PARTS[0]])
def test_layers_that_take_turns(network, outside):
    """Results, cycles, and those of each layer, of which the turns are counted one by one."""
    program = compile(network(), CONFIG, outside=outside)
    assert len(program.turns) > len(program.layers)
    inputs = seeded_inputs(program.inputs, 1, seed=1)[0]
    with SimDevice(CONFIG, outside=outside) as core:
        session = Session(program, core)
        got = session.run(inputs)
        counted = core.run(program.program_address, program.turns)
    with devices.open("golden", target=CONFIG, outside=outside) as golden:
        wanted = Session(program, golden).run(inputs)
    for name in wanted:
        np.testing.assert_array_equal(got[name], wanted[name])
    expected = estimate(program)
    assert expected.cycles == counted.cycles
    assert expected.per_layer(program.turns) == counted.per_layer(program.turns)
    assert sum(layer.cycles for layer in counted.per_layer(program.turns)) == counted.cycles


@pytest.mark.parametrize("kib", [0, 32])
def test_vector_unit_before_outside_memory(kib):
    """More than 32 words on their way are one limit, a bus of fewer bytes than a word another."""
    config = dataclasses.replace(PRESETS["base_vector"], memory_bytes=1024 * kib, name=f"v{kib}")
    for outside in ("ideal", *SDRAM, "sdram,bytes=8,latency=200", PARTS[0]):
        with SimDevice(config, outside=outside) as device:
            for name in ("digits_transformer", "tflm_mnist_lstm"):
                program = compile(MODELS / f"{name}.tflite", config, outside=outside)
                session = Session(program, device)
                session.write_inputs(seeded_inputs(program.inputs, 1, seed=1)[0])
                counted = device.run(program.program_address)
                assert estimate(program).cycles == pytest.approx(
                    counted.cycles, rel=PART_BAR if "part" in outside else VECTOR_BAR), (
                        outside, name)


@pytest.mark.parametrize("kib", [0, 32])
def test_cell_unit_before_outside_memory(kib):
    config = dataclasses.replace(PRESETS["base_recurrent"], memory_bytes=1024 * kib, name=f"c{kib}")
    for outside in ("ideal", *SDRAM, "sdram,bytes=8,latency=200", PARTS[1]):
        with SimDevice(config, outside=outside) as device:
            program = compile(MODELS / "tflm_mnist_lstm.tflite", config, outside=outside)
            session = Session(program, device)
            session.write_inputs(seeded_inputs(program.inputs, 1, seed=1)[0])
            counted = device.run(program.program_address)
            assert estimate(program).cycles == pytest.approx(
                counted.cycles, rel=PART_BAR if "part" in outside else CELL_BAR), outside


def compact_cycles(device, program):
    """Cycles of a run on a compact core, and what the model says."""
    session = Session(program, device)
    session.write_inputs(seeded_inputs(program.inputs, 1, seed=1)[0])
    return device.run(program.program_address).cycles, estimate(program).cycles


def compact_programs(kind, config):
    """Programs of random layers that fit the memory and are not all on the host."""
    for seed in range(40):
        with contextlib.suppress(MemoryTooSmallError):
            program = compile(random_graph(seed, kind, macs=1 << 15), config)
            if program.instructions:
                yield seed, program


@pytest.fixture(scope="module", params=[{}, {"requant_cycles": 16}, {"out_lanes": 2}],
                ids=["nano", "slow_requantizer", "two_lanes"])
def compact_device(request):
    config = dataclasses.replace(PRESETS["nano"], ring_bytes=256, **request.param)
    with SimDevice(config) as device:
        yield device


@pytest.mark.parametrize("kind", sorted(set(KINDS) - HOST_OF_COMPACT))
def test_random_layers_of_a_compact_core(compact_device, kind):
    chosen = list(itertools.islice(compact_programs(kind, compact_device.config), 4))
    assert len(chosen) == 4
    for seed, program in chosen:
        counted, expected = compact_cycles(compact_device, program)
        assert expected == counted, seed


@pytest.mark.parametrize("name", ["tflm_micro_speech", "mlperf_kws_dscnn", "mlperf_ic_resnet8"])
def test_models_on_a_compact_core(name):
    with SimDevice(PRESETS["nano"]) as device:
        counted, expected = compact_cycles(device, compile(MODELS / f"{name}.tflite", "nano"))
    assert expected == counted


@pytest.mark.parametrize("outside", [
    "ideal", SDRAM[0], "sdram,bytes=1,latency=4", PARTS[0], "sdram,part=EM638325,clock=166,mask=0"])
def test_a_compact_core_before_outside_memory(outside):
    """Results too; everything that a program has lies in either memory in some of them."""
    config = dataclasses.replace(PRESETS["nano"], ring_bytes=256, memory_bytes=1024,
                                 outside_bits=20, name="nano_outside")
    places = set()
    with SimDevice(config, outside=outside) as device:
        for kind, seed in itertools.product(sorted(set(KINDS) - HOST_OF_COMPACT), range(2)):
            graph = random_graph(seed, kind, macs=1 << 14)
            program = compile(graph, config, outside=outside)
            if not program.instructions:
                continue
            session, values = Session(program, device), random_input(graph, seed)
            got, expected = session.run(values), golden.run(graph, values)
            for index in graph.outputs:
                assert np.array_equal(got[graph.tensors[index].name], expected[index]), (kind, seed)
            assert session.stats.cycles == estimate(program).cycles, (kind, seed)
            places |= places_of(program)
        counted, expected = compact_cycles(
            device, compile(MODELS / "mlperf_ad_fc_ae.tflite", config, outside=outside))
    assert expected == counted
    assert places == PLACES


def test_compact_requantizations_of_large_shifts():
    """They stay longer in the second stage, which in such a small layer is 2 % of its cycles."""
    nano = PRESETS["nano"]
    program = compile(random_graph(474476800, "residual", macs=1 << 18), nano)
    assert any(i["add"] and i["add_shift"] // 4 + 4 > 2 * nano.requant_cycles
               for i in program.instructions)
    with SimDevice(nano) as device:
        counted, expected = compact_cycles(device, program)
    assert expected == counted
