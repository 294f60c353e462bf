"""Dead channels go, and no value that is left changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.graphs.graph_builder import GraphBuilder

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.compiler.plan.plan import Options, Plan
from kaniwa.compiler.rewrite.channel_ranges import channel_ranges
from kaniwa.compiler.rewrite.dead_channels import dead_channels
from kaniwa.compiler.rewrite.partition import partition
from kaniwa.config import PRESETS
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver.devices import open as open_device
from kaniwa.driver.session import Session
from kaniwa.errors import CompileError, DeviceError
from kaniwa.graph import Graph, Quantization, check
from kaniwa.importers import load_model
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import Program
from kaniwa.program.summary import summary
from kaniwa.sim.worlds.random_graphs import random_input
from kaniwa.verify.diff import diff

VWW = "mlperf_vww_mbv1_96.tflite"


def eliminated(graph: Graph, **options: bool) -> Plan:
    plan = dead_channels(partition(Plan(graph, graph, PRESETS["base"], Options(**options))))
    check(plan.graph)
    return plan


def assert_same(plan: Plan, seeds: range) -> None:
    """Every tensor equals the model's in the channels that are left, outputs in all."""
    graph = plan.model
    for i in (*plan.graph.inputs, *plan.graph.outputs):
        assert plan.graph.tensors[i].shape == graph.tensors[i].shape
    for seed in seeds:
        inputs = random_input(graph, seed)
        before, after = golden.run(graph, inputs), golden.run(plan.graph, inputs)
        for i, value in after.items():
            expected = before[i]
            if i in plan.channels:
                expected = expected[..., list(plan.channels[i])]
            assert np.array_equal(value, expected), (seed, graph.tensors[i].name)


class Planted(GraphBuilder):
    """Random graphs in which weights of whole channels are zero and quantization varies."""

    def weights(self, shape: tuple[int, ...], scale: float = 0.01) -> int:
        data = self.rng.integers(-127, 128, shape).astype(np.int8)
        if self.rng.random() < 0.3:
            data = np.abs(data)
        outputs = 3 if shape[0] == 1 and len(shape) == 4 else 0
        for axis in {outputs, len(shape) - 1}:
            dead = self.rng.random(shape[axis]) < self.rng.choice([0.0, 0.3, 0.6])
            data[(slice(None),) * axis + (dead,)] = 0
        return self.tensor(shape, scale, 0, data)

    def bias(self, channels: int) -> int:
        if self.rng.random() < 0.2:
            return -1
        return self.tensor((channels,), None, 0, self.rng.integers(
            -30000, 30000, channels).astype(np.int32))

    def vary(self, y: int) -> int:
        """Another zero point, and scales by channel, for an operator with weights."""
        zero = int(self.rng.choice([-128, -4, int(self.rng.integers(-128, 128))]))
        self.tensors[y] = replace(self.tensors[y], quantization=Quantization((2.0,), (zero,)))
        w = self.ops[-1].inputs[1]
        if self.rng.random() < 0.5:
            shape = self.tensors[w].shape
            axis = 3 if self.ops[-1].kind.startswith("DEPTH") else 0
            scales = tuple(float(np.float32(s)) for s in self.rng.uniform(.001, .03, shape[axis]))
            self.tensors[w] = replace(self.tensors[w], quantization=Quantization(
                scales, (0,) * len(scales), axis if len(scales) > 1 else None))
        return y

    def step(self, maps: list[int]) -> None:
        """One more operator on one of the ``maps``."""
        x = maps[int(self.rng.integers(max(0, len(maps) - 3), len(maps)))]
        _, rows, columns, depth = self.tensors[x].shape
        activation = str(self.rng.choice(["NONE", "RELU", "RELU6"]))
        style = self.rng.random()
        same = [i for i in maps if self.tensors[i].shape == self.tensors[x].shape]
        if style < 0.3:
            kernel = (1, 1) if self.rng.random() < 0.5 or min(rows, columns) < 3 else (3, 3)
            y = self.vary(self.conv(x, int(self.rng.integers(2, 12)), kernel,
                                    pad=int(self.rng.integers(0, kernel[0])) or None,
                                    activation=activation))
        elif style < 0.6:
            multiplier = int(self.rng.choice([1, 1, 2])) if depth < 12 else 1
            y = self.vary(self.conv(x, depth * multiplier, (3, 3), depthwise=multiplier,
                                    activation=activation))
        elif style < 0.7 and min(rows, columns) > 2:
            y = self.pool(x, str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"])), (2, 2))
            self.ops[-1] = replace(self.ops[-1], attributes={
                **self.ops[-1].attributes, "activation": activation})
        elif style < 0.8:
            y = self.relu(x, str(self.rng.choice(["RELU", "RELU6"])))
        else:
            other = int(self.rng.choice(same))
            if self.rng.random() < 0.3:
                other = self.tensor((depth,), 0.3, 2, self.rng.integers(
                    -128, 128, depth).astype(np.int8))
            y = self.add(x, other, activation)
            kind = str(self.rng.choice(["ADD", "SUB", "MUL"]))
            self.ops[-1] = replace(self.ops[-1], kind=kind, rule=f"litert_{kind.lower()}")
        maps.append(y)


def planted(seed: int) -> Graph:
    b = Planted(seed)
    x = b.tensor((1, int(b.rng.integers(2, 8)), int(b.rng.integers(2, 8)), 3), 0.5,
                 int(b.rng.choice([-128, 3])))
    maps = [b.vary(b.conv(x, int(b.rng.integers(4, 12))))]
    for _ in range(int(b.rng.integers(2, 8))):
        b.step(maps)
    _, rows, columns, depth = b.tensors[maps[-1]].shape
    last = maps[-1]
    if b.rng.random() < 0.5:
        last, rows, columns = b.pool(last, "AVERAGE_POOL_2D", (rows, columns)), 1, 1
    if b.rng.random() < 0.5:
        last = b.reshape(last, (1, rows * columns * depth))
    y = b.vary(b.fully_connected(last, 5))
    extra = (maps[int(b.rng.integers(len(maps)))],) if b.rng.random() < 0.3 else ()
    return b.graph((x,), (y, *extra))


def test_planted_channels_go_and_nothing_changes() -> None:
    removed: dict[str, int] = {}
    for seed in range(150):
        plan = eliminated(planted(seed))
        assert_same(plan, range(seed, seed + 3))
        for op in plan.graph.ops:
            counts = op.attributes.get("removed")
            if isinstance(counts, dict):
                before, after = counts["output_channels"]
                removed[op.kind] = removed.get(op.kind, 0) + before - after
    assert {kind for kind, count in removed.items() if count > 5} == {
        "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "AVERAGE_POOL_2D", "RELU", "RELU6", "ADD",
        "SUB", "MUL", "RESHAPE"}


def test_ranges_hold_for_all_values_of_golden() -> None:
    for seed in range(60):
        graph = planted(seed)
        ranges = channel_ranges(graph)
        for sample in range(4):
            for i, value in golden.run(graph, random_input(graph, sample)).items():
                rows = value.reshape(-1, value.shape[-1])
                assert (rows >= ranges[i].low).all() and (rows <= ranges[i].high).all()


def chain(constant: int, pad: int, kernel: int = 3, depthwise: bool = False,
          weights: int = 1, big_bias: int = 0) -> Graph:
    """A 1x1 convolution whose channel 1 is ``constant`` (zero point -4), and one that reads it."""
    b = GraphBuilder(1)
    x = b.tensor((1, 6, 6, 2))
    u = b.conv(x, 3, (1, 1))
    w, bias = b.ops[0].inputs[1:]
    b.tensors[w].data[1] = 0
    # Requantized by 0.5 * 0.01 / 2.
    b.tensors[bias].data[1] = (constant + 4) * 400
    y = b.conv(u, 3 if depthwise else 4, (kernel, kernel), pad=pad, depthwise=int(depthwise))
    b.tensors[b.ops[1].inputs[1]].data[..., 1] = weights
    if big_bias:
        b.tensors[b.ops[1].inputs[2]].data[:] = big_bias
    if depthwise:
        y = b.conv(y, 4, (1, 1))
    return b.graph((x,), (y,))


@pytest.mark.parametrize(("graph", "left"), [
    (chain(50, 0), 2),                    # the bias takes it
    (chain(50, 1), 3),                    # but not where a border sees less of it
    (chain(-4, 1), 2),                    # unless it is the zero point, as the padding
    (chain(50, 1, weights=0), 2),         # or has no weights
    (chain(50, 0, 1), 2),
    (chain(127, 0, big_bias=(1 << 31) - 1000), 3),      # the bias cannot take it
])
def test_padding_keeps_constants_that_a_border_would_show(graph: Graph, left: int) -> None:
    plan = eliminated(graph)
    assert plan.graph.tensors[plan.graph.ops[0].outputs[0]].shape[-1] == left
    if left < 3:
        assert_same(plan, range(4))


@pytest.mark.parametrize(("constant", "pad", "weights", "dead"), [
    (50, 1, 20, False), (50, 0, 20, True), (-4, 1, 20, True), (50, 1, 0, True),
    (-3, 1, 1, True)])      # -3: at most 9 * 0.0025, which rounds to 0 at every position
def test_depthwise_channel_is_constant_only_if_it_is_so_at_borders(
        constant: int, pad: int, weights: int, dead: bool) -> None:
    plan = eliminated(chain(constant, pad, depthwise=True, weights=weights))
    assert plan.graph.tensors[plan.graph.ops[1].outputs[0]].shape[-1] == (2 if dead else 3)
    assert_same(plan, range(4))


def test_constant_goes_into_the_bias_exactly() -> None:
    graph = chain(50, 0)
    op = eliminated(graph).graph.ops[1]
    tensors = eliminated(graph).graph.tensors
    before, after = graph.tensors[graph.ops[1].inputs[2]].data, tensors[op.inputs[2]].data
    assert before is not None and after is not None
    assert (after - before).tolist() == [9 * (50 + 4)] * 4
    assert op.attributes["removed"] == {"input_channels": (3, 2), "output_channels": (4, 4),
                                        "macs": 4 * 4 * 4 * 9}


def test_channels_that_nobody_uses_go_backwards() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    u = b.conv(b.conv(b.conv(x, 6), 6, depthwise=1), 6, (1, 1))
    y = b.conv(u, 4)
    b.tensors[b.ops[2].inputs[1]].data[..., 2] = 0
    b.tensors[b.ops[3].inputs[1]].data[..., :3] = 0
    plan = eliminated(b.graph((x,), (y,)))
    assert [plan.graph.tensors[op.outputs[0]].shape[-1] for op in plan.graph.ops] == [5, 5, 3, 4]
    assert plan.channels[u] == (3, 4, 5)
    assert_same(plan, range(3))


def test_operands_of_an_add_keep_the_same_channels() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    u, v = b.conv(x, 4), b.conv(x, 4)
    y = b.conv(b.add(u, v), 4, (1, 1))
    for op, dead in ((0, (0, 1)), (1, (1, 2))):
        b.tensors[b.ops[op].inputs[1]].data[list(dead)] = 0
    plan = eliminated(b.graph((x,), (y,)))
    assert plan.channels == {u: (0, 2, 3), v: (0, 2, 3), b.ops[2].outputs[0]: (0, 2, 3)}
    assert_same(plan, range(3))


def test_always_clamped_channel_is_constant() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    y = b.conv(b.conv(x, 3, activation="RELU"), 4, (1, 1))
    b.tensors[b.ops[0].inputs[2]].data[2] = -(1 << 24)
    plan = eliminated(b.graph((x,), (y,)))
    assert list(plan.channels.values()) == [(0, 1)]
    assert_same(plan, range(3))


def test_pool_clamps_constants() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    u = b.conv(x, 3)
    b.tensors[b.ops[0].inputs[1]].data[1] = 0
    b.tensors[b.ops[0].inputs[2]].data[1] = -8000
    v = b.pool(u, "MAX_POOL_2D", (2, 2))
    b.ops[1] = replace(b.ops[1], attributes={**b.ops[1].attributes, "activation": "RELU"})
    ranges = channel_ranges(b.graph((x,), (b.conv(v, 2),)))
    assert (ranges[u].low[1], ranges[u].high[1]) == (-24, -24)
    assert (ranges[v].low[1], ranges[v].high[1]) == (-4, -4)


def test_sum_that_may_leave_int32_is_not_constant() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    u = b.conv(x, 4)
    b.tensors[b.ops[0].inputs[2]].data[:3] = (
        1 << 30, (1 << 31) - 1, -(1 << 31))
    plan = eliminated(b.graph((x,), (b.conv(u, 2, (1, 1)),)))
    assert plan.channels[u] == (1, 2, 3)


def test_one_channel_stays() -> None:
    b = GraphBuilder()
    x = b.tensor((1, 6, 6, 2))
    y = b.conv(b.conv(x, 5), 4, (1, 1))
    b.tensors[b.ops[0].inputs[1]].data[:] = 0
    plan = eliminated(b.graph((x,), (y,)))
    assert plan.graph.tensors[b.ops[0].outputs[0]].shape == (1, 6, 6, 1)
    assert_same(plan, range(3))


@pytest.mark.parametrize("option", ["materialize", "keep_dead_channels"])
def test_nothing_goes_where_all_is_wanted(option: str) -> None:
    graph = chain(50, 0)
    plan = eliminated(graph, **{option: True})
    assert [op.inputs for op in plan.graph.ops] == [op.inputs for op in graph.ops]
    assert plan.graph.tensors == graph.tensors and not plan.channels


def test_random_programs_are_exact_on_the_emulator() -> None:
    done = 0
    for seed in range(0, 150, 4):
        graph = planted(seed)
        try:
            program = compile(graph, "base", outside="ideal", require_accelerator=True)
        except CompileError:      # an inexact rounding, or a product
            continue
        found = diff(program, ["golden", "emulator"], random_input(graph, seed))
        assert found["first_difference"] is None, seed
        done += bool(program.removed_macs)
    assert done > 10


@pytest.fixture(scope="module")
def person(models: Path) -> tuple[Graph, Program]:
    graph = load_model(models / VWW)
    return graph, compile(graph, "base")


def test_person_detection_loses_half_of_its_work(person: tuple[Graph, Program],
                                                 models: Path) -> None:
    graph, program = person
    dense = compile(graph, "base", keep_dead_channels=True)
    assert program.macs == dense.macs == 7_489_664 and dense.removed_macs == 0
    # 3,727,313 without the channels that stay to fill lanes for depthwise by columns.
    assert program.macs - program.removed_macs == 3_875_680
    # Packed rows and words of zeros take no bytes: channels that are kept dead cost parameters,
    # headers and the inputs that other channels have from them, 88,976 bytes with all the others;
    # raw ones cost all of their weights.
    assert program.weight_bytes < 45_000 < 85_000 < dense.weight_bytes
    raw = replace(PRESETS["base"], weight_formats=("raw",), memory_bytes=512 << 10)
    of_raw, of_raw_dense = (compile(graph, raw, keep_dead_channels=kept) for kept in (False, True))
    assert of_raw.weight_bytes < of_raw_dense.weight_bytes / 5
    values = summary(program)
    assert values["removed_macs"] == program.removed_macs
    assert values["layers"][12]["removed"] == {
        "input_channels": (64, 64), "output_channels": (128, 112), "macs": 36864}
    plan = eliminated(graph)
    weights = sum(int(t.data.size) for op in plan.graph.ops for i in op.inputs
                  if (t := plan.graph.tensors[i]).data is not None and t.dtype == "int8")
    assert weights == 32_936      # 29,066 without those channels
    assert from_bytes(to_bytes(program)) == program


@pytest.mark.slow
def test_person_detection_is_exact(person: tuple[Graph, Program], models: Path) -> None:
    graph, program = person
    plan = eliminated(graph)
    logits = plan.graph.outputs[0]
    samples = recorded_inputs(models / VWW, program.inputs)
    samples += [random_input(graph, seed) for seed in range(100)]
    with open_device("emulator", target=program.config) as device:
        session = Session(program, device)
        for number, sample in enumerate(samples):
            expected = golden.run(graph, sample)
            assert np.array_equal(golden.run(plan.graph, sample)[logits], expected[logits])
            outputs = session.run(sample)
            for i in graph.outputs:
                assert np.array_equal(outputs[graph.tensors[i].name], expected[i]), number
    assert diff(program, ["golden", "emulator"], samples[0])["first_difference"] is None


def test_tensor_without_its_dead_channels_is_not_the_models(
        person: tuple[Graph, Program]) -> None:
    _, program = person
    part = next(t for t in program.tensors if t.channels is not None)
    assert part.shape[-1] == len(part.channels or ())
    session = Session(program, open_device("emulator"))
    session.run({t.name: np.zeros(t.shape, np.int8) for t in program.inputs})
    still = [t for t in program.tensors if t.channels and t.overwritten is None]
    for tensor in still[:1]:
        with pytest.raises(DeviceError, match="compile with --keep-dead-channels"):
            session.tensor(tensor.name)
    assert still
