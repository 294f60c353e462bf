"""The cycle model's sums hold, and it sees what each bottleneck costs."""

import dataclasses

import numpy as np
import pytest
from builders.instructions.layer_cases import random_case
from hypothesis import given, settings, strategies as st

from kaniwa.config import PRESETS
from kaniwa.cycles.model import model_run
from kaniwa.isa import COUNTERS, FIELDS, OUTSIDE, Mode
from kaniwa.isa.weight_stream import encode_parameters, encode_weights
from kaniwa.timing import Timing

BASE = PRESETS["base"]


def instruction(**changes):
    """A 3x3 convolution of 32x32x16 to 16 channels, which keeps the array busy."""
    values = {name: max(0, field.low) for name, field in FIELDS.items()}
    return values | {
        "opcode": 1, "kernel_rows": 3, "ifm_rows": 32, "ifm_pitch": 512, "ifm_row_bytes": 512,
        "line_pitch": 512, "pad_top": 1, "pad_left_bytes": 16, "chunks": 3, "pixel_step": 16,
        "window_span": 48, "ofm_rows": 32, "ofm_columns": 32, "blocks": 2, "block_width": 8,
        "last_width": 8, "steps": 9, "block_words": 9, "parameter_bytes": 160,
        "weight_bytes": 2320, "ofm_row_pitch": 512, "ofm_pixel_pitch": 16} | changes


def total(*instructions, config=BASE):
    return model_run(config, instructions).cycles


@given(st.integers(0, 2**32 - 1), st.sampled_from(list(PRESETS.values())), st.sampled_from(Mode))
@settings(max_examples=30)
def test_issued_and_lost_add_up_to_the_cycles(seed, config, mode):
    instructions = [random_case(seed + i, config, mode).values | {"tag": i} for i in range(3)]
    statistics = model_run(config, instructions)
    layers = statistics.per_tag(range(3))
    assert sum(layer.cycles for layer in layers) == statistics.cycles
    for layer in layers:
        assert layer.issued + sum(layer.lost.values()) == layer.cycles
        assert min(layer.lost.values(), default=0) >= 0
    for snapshot in statistics.snapshots.values():
        assert sum(snapshot[name] for name in COUNTERS[1:]) == snapshot["cycles"]


def test_issued_is_a_cycle_a_step():
    layer, = model_run(BASE, [instruction()]).per_tag([0])
    assert layer.issued == 32 * 32 * 2 * 9


def test_a_busy_array_loses_only_its_budget():
    cycles = total(instruction(store_in_order=1), instruction(ifm_wait=1, ifm_watermark=1))
    assert 2 * 18432 < cycles < 2 * 18432 * 1.03


def test_layers_wait_for_all_of_the_input_without_watermark():
    first = instruction(store_in_order=1)
    late = total(first, instruction(ifm_wait=1))
    assert late > total(first, instruction(ifm_wait=1, ifm_watermark=1))


@pytest.mark.parametrize("cause, changes", [
    ("weights", {"weight_bytes": 1 << 20}),
    ("requantize", {"steps": 1, "block_words": 1, "kernel_rows": 1, "chunks": 1,
                    "mode": Mode.DEPTHWISE}),
    ("load", {"ifm_row_bytes": 40960}),
])
def test_the_slowest_unit_is_named(cause, changes):
    config = dataclasses.replace(BASE, requant_lanes=1, requant_cycles=4)
    layer, = model_run(config if cause == "requantize" else BASE,
                       [instruction(**changes)]).per_tag([0])
    assert max(layer.lost, key=layer.lost.get) == cause


def test_a_ring_that_is_full_delays_the_next_weights():
    big = {"blocks": 8, "steps": 32, "block_words": 32, "kernel_rows": 1, "chunks": 32,
           "ofm_rows": 4, "ofm_columns": 4, "ifm_rows": 6, "weight_bytes": 32768}
    small = dataclasses.replace(BASE, ring_bytes=32 * 1024)
    instructions = [instruction(**big), instruction(**big)]
    assert total(*instructions, config=small) > total(*instructions, config=BASE)


def test_columns_without_a_step_are_fill():
    rows, columns, blocks = 10, 10, 2
    layer, = model_run(BASE, [instruction(
        mode=Mode.COLUMN, sliding=1, phases=1, columns_first=3, columns_next=2, segment_step=16,
        ifm_rows=10, ifm_row_bytes=320, pad_left_bytes=16, ofm_rows=rows, ofm_columns=columns,
        blocks=blocks, chunks=1, steps=1, block_words=1, weight_bytes=272, line_pitch=328)],
    ).per_tag([0])
    assert layer.issued == rows * columns * blocks
    lost = rows * blocks * (2 + (columns - 1))
    assert lost < layer.lost["fill"] < lost + 70


@pytest.mark.parametrize("blocks, cycles", [(1, 3), (3, 6)])
def test_patches_take_the_reads_or_the_steps(blocks, cycles):
    layer, = model_run(BASE, [instruction(
        patch=1, chunks=1, segment_bytes=9, steps=2, block_words=2, blocks=blocks, window_span=9,
        pixel_step=3, pad_left_bytes=3, ifm_row_bytes=96, ifm_pitch=96, line_pitch=96,
        weight_bytes=16 + 256 * blocks)]).per_tag([0])
    assert layer.issued == 32 * 32 * 2 * blocks
    assert 0 <= layer.cycles - 32 * 32 * cycles < 200


def test_a_narrow_bus_slows_down_what_is_outside():
    layer = instruction(ifm_address=OUTSIDE, ofm_address=OUTSIDE + 65536)
    times = [model_run(BASE, [layer], outside=timing).cycles
             for timing in (Timing.of(BASE), Timing(400), Timing(10, 1))]
    assert times == sorted(set(times))
    assert times[-1] > 2 * 16384   # bytes in and out


def test_blocks_of_the_stream_count():
    weights = encode_weights(np.full((18, 8, 16), 100, np.int8), BASE)
    parameters = encode_parameters(range(16), range(16), range(16), 8, 2, BASE)
    zeros = encode_weights(np.zeros((18, 8, 16), np.int8), BASE)

    def cycles(words):
        stored = {0: parameters, 4096: words}
        return model_run(BASE, [instruction(
            parameter_bytes=len(parameters), weight_address=4096, weight_bytes=len(words))],
            lambda address, length: stored[address][:length]).cycles

    assert cycles(zeros) + 100 < cycles(weights)
