"""Step lists: what is packed comes back, and what no instruction could use is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from kaniwa.config import PRESETS
from kaniwa.errors import ConfigError, ProgramError
from kaniwa.isa import Format
from kaniwa.isa.formats import Buffer
from kaniwa.isa.step_lists import list_words, most_steps, pack_steps, ring_words, unpack_steps
from kaniwa.isa.weight_stream import decode_stream, encode_steps

CONFIG = dataclasses.replace(PRESETS["base"], step_entries=1024)


def random_steps(seed, shape, share=0.4):
    steps = np.random.default_rng(seed).random(shape) < share
    steps[..., -1] |= ~steps.any(axis=2)
    return steps


@given(st.integers(0, 1 << 30), st.tuples(*[st.integers(1, 9)] * 3),
       st.sampled_from(["base", "small", "xl"]))
def test_lists_come_back(seed, shape, target):
    config = dataclasses.replace(PRESETS[target], step_entries=64)
    steps = random_steps(seed, shape)
    data = encode_steps(steps, config)
    block, = decode_stream(data, config)
    assert (block.format, block.buffer) == (Format.STEPS, Buffer.STEPS)
    assert len(block.values) == list_words(int(steps.sum()))
    assert np.array_equal(unpack_steps(block.values, shape), steps)


def test_a_list_is_what_the_page_says():
    steps = np.array([[[1, 0, 1], [0, 1, 0]]], np.bool_)
    assert pack_steps(steps).tolist() == [3, 0 | (2 | 1 << 14) << 16, 1 | 1 << 14]


@pytest.mark.parametrize("change, problem", [
    (lambda steps: steps[:-1], "24 steps are 13 words, not 12"),
    (lambda steps: np.append(steps, steps[-1:]), "24 steps are 13 words, not 14"),
    (lambda steps: steps | 1 << 15 << 16, "segments end in it"),
    (lambda steps: steps & ~np.uint32(1 << 14 << 16 | 1 << 14), "0 segments end in it"),
    (lambda steps: steps | 9, "must be in order, each once, and below 4"),
])
def test_other_lists_are_refused(change, problem):
    count, steps = np.split(pack_steps(np.ones((2, 3, 4), np.bool_)), [1])
    with pytest.raises(ProgramError, match=problem):
        unpack_steps(np.concatenate([count, change(steps)]), (2, 3, 4))


def test_a_list_without_its_number_is_refused():
    with pytest.raises(ProgramError, match="0 steps are 1 words, not 0"):
        unpack_steps(np.zeros(0, np.uint32), (2, 3, 4))


def test_chunks_of_a_segment_come_once_and_in_order():
    for first, second in ((1, 1), (2, 1)):
        words = np.array([2, first | (second | 1 << 14) << 16], np.uint32)
        with pytest.raises(ProgramError, match="in order"):
            unpack_steps(words, (1, 1, 4))


def test_a_list_of_other_segments_is_refused():
    with pytest.raises(ProgramError, match="6 segments end in it, the instruction has 8"):
        unpack_steps(pack_steps(np.ones((2, 3, 4), np.bool_)), (2, 4, 4))


def test_the_longest_list_fills_the_ring():
    assert list_words(most_steps(CONFIG)) == ring_words(CONFIG) == 512
    assert most_steps(PRESETS["base"]) == 0


def test_targets_without_lists_take_none():
    with pytest.raises(ProgramError, match="has format 7, argument 0, .*unknown to this target"):
        decode_stream(encode_steps(random_steps(0, (1, 2, 3)), CONFIG), PRESETS["base"])


@pytest.mark.parametrize("entries, problem", [
    (8, "step_entries must be 0 or at least 16, not 8"),
    (100, "step_entries must be a power of two, not 100"),
    (1 << 20, "step_entries must be 0..16384, not 1048576")])
def test_sizes_of_rings_are_limited(entries, problem):
    with pytest.raises(ConfigError, match=problem):
        dataclasses.replace(PRESETS["base"], step_entries=entries)


def test_a_compact_core_has_no_lists():
    with pytest.raises(ConfigError, match="step_entries must be 0 in a compact core, not 64"):
        dataclasses.replace(PRESETS["nano"], step_entries=64)


def test_hashes_of_targets_without_lists_are_as_before():
    assert "step_entries" not in PRESETS["base"].as_dict()
    assert CONFIG.hash != PRESETS["base"].hash
