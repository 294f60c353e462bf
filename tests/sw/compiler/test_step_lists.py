"""Layers whose blocks of weights are zeros: computed without their steps, to the bit."""

import dataclasses

import pytest
from builders.exactness import assert_equals_golden
from builders.graphs.graph_builder import GraphBuilder
from builders.networks.random_groups import random_groups
from builders.networks.random_pruned import prune_blocks, random_pruned

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.isa.formats import Buffer
from kaniwa.isa.weight_stream import decode_stream
from kaniwa.report.accesses import accesses
from kaniwa.report.weight_bytes import weight_bytes

ENTRIES = {"base": 1024, "small": 1024, "large": 1024, "base_vector": 1024, "xl": 1024}
TARGETS = {name: dataclasses.replace(PRESETS[name], step_entries=entries, name=f"{name}_lists")
           for name, entries in ENTRIES.items()}
BASE = TARGETS["base"]
# Rows and columns of the map, input and output channels, rows and columns of the kernel: cycles
# with all blocks, half of them and a quarter, as the pages have them.
LAYERS = {(8, 64, 64, 3): (19_612, 10_342, 5_528), (16, 32, 32, 3): (19_524, 9_854, 5_737),
          (16, 64, 64, 1): (8_774, 4_701, 3_041), (8, 128, 128, 1): (9_700, 5_230, 2_800),
          (32, 16, 16, 3): (18_780, 10_458, 7_310)}
PAGES = ("docs/decisions/0082-step-lists.md", "docs/howto/compress.md")


def layer(shape, left, config=BASE, seed=1):
    size, inputs, outputs, kernel = shape
    b = GraphBuilder(seed)
    x = b.tensor((1, size, size, inputs))
    y = b.conv(x, outputs, (kernel, kernel))
    prune_blocks(b, y, config, left)
    return b.graph((x,), (y,))


def listed(program):
    return [v["listed"] for v in program.instructions if v["opcode"] == 1]


@pytest.mark.parametrize("target", list(TARGETS))
def test_random_networks_equal_golden(target):
    found = []
    for seed in range(12):
        config = TARGETS[target]
        graph = random_pruned(seed, config)
        program = compile(graph, config, outside="ideal")
        assert_equals_golden(program, graph, 1)
        found += listed(program)
        plain = compile(graph, dataclasses.replace(config, step_entries=0), outside="ideal")
        assert estimate(program).cycles <= 1.05 * estimate(plain).cycles, seed
    assert sum(found) > len(found) // 3


@pytest.mark.parametrize("shape", list(LAYERS), ids=str)
def test_half_of_the_blocks_take_at_most_sixty_percent_of_the_cycles(shape):
    full, *fewer = (compile(layer(shape, left), BASE, outside="ideal") for left in (1, 0.5, 0.25))
    assert not any(listed(full)) and all(all(listed(program)) for program in fewer)
    found = tuple(estimate(program).cycles for program in (full, *fewer))
    assert found == LAYERS[shape]
    assert found[1] <= 0.6 * found[0]


def test_a_dense_layer_with_half_of_its_blocks():
    full, half = (compile(layer((1, 512, 128, 1), left), BASE) for left in (1, 0.5))
    assert estimate(half).cycles <= 0.6 * estimate(full).cycles


def test_the_pages_have_these_cycles(root):
    decision, page = ((root / name).read_text() for name in PAGES)
    for all_blocks, half, quarter in LAYERS.values():
        assert f"| {all_blocks:,} | {half:,} | {quarter:,} |" in decision
    for cycles in LAYERS[8, 64, 64, 3]:
        assert f"| {cycles:,} |" in page


def test_a_block_without_weights_keeps_a_step_for_each_row_of_the_kernel():
    graph = layer((5, 32, 16, 3), 1.0)
    weights = next(t for t in graph.tensors if t.shape == (16, 3, 3, 32))
    data = weights.data.copy()
    data[8:] = 0
    graph = dataclasses.replace(graph, tensors=tuple(
        dataclasses.replace(t, data=data) if t is weights else t for t in graph.tensors))
    program = compile(graph, BASE, keep_dead_channels=True)
    assert_equals_golden(program, graph)
    assert program.instructions[0]["block_words"] == 18 + 3


def test_full_layers_have_no_list():
    assert listed(compile(layer((6, 32, 32, 3), 1.0), BASE)) == [0]


def test_other_targets_multiply_the_zeros():
    assert listed(compile(layer((6, 32, 32, 3), 0.3), "base")) == [0]


def test_a_layer_whose_list_is_too_long_is_cut_or_has_none():
    short = dataclasses.replace(BASE, step_entries=64)
    program = compile(layer((6, 64, 64, 3), 0.4), short, outside="ideal")
    assert len(listed(program)) > 1 and all(listed(program))
    assert max(v["block_words"] for v in program.instructions[:-1]) <= 62
    tiny = dataclasses.replace(BASE, step_entries=16)
    assert not any(listed(compile(layer((6, 64, 64, 3), 0.6), tiny, outside="ideal")))


def test_grouped_convolutions_leave_out_what_belongs_to_other_groups():
    fewer = 0
    for seed in range(8):
        graph = random_groups(seed)
        program = compile(graph, BASE, outside="ideal")
        assert_equals_golden(program, graph, 1)
        plain = estimate(compile(graph, "base", outside="ideal")).cycles
        fewer += estimate(program).cycles < plain
    assert fewer


def test_lists_take_two_bytes_a_step():
    program = compile(layer((8, 64, 64, 3), 0.5), BASE)
    for v in program.instructions[:-1]:
        data = program.read(v["parameter_address"], v["parameter_bytes"])
        steps, = (block.values for block in decode_stream(data, BASE)
                  if block.buffer == Buffer.STEPS)
        assert steps[0] == v["block_words"] and len(steps) == 1 + -(-v["block_words"] // 2)


def test_the_report_counts_their_bytes():
    program = compile(layer((8, 64, 64, 3), 0.5), BASE)
    total, _ = weight_bytes(program, accesses(program))
    steps = sum(v["block_words"] for v in program.instructions if v["opcode"] == 1)
    assert 2 * steps < total["steps"] <= 2 * steps + 8 * len(program.instructions)
