"""Codebooks: layers of few different weights take few bits, and come back as they were."""

import dataclasses

import numpy as np
import pytest
from builders.graphs.sparse_dense import sparse_dense
from hypothesis import given, strategies as st

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.driver import devices
from kaniwa.driver.session import Session
from kaniwa.errors import ConfigError, ProgramError
from kaniwa.isa import Format
from kaniwa.isa.codebook import codebook_of, look_up
from kaniwa.isa.formats import Buffer
from kaniwa.isa.weight_stream import decode_stream, encode_weights
from kaniwa.sim.worlds.random_graphs import random_input

BASE = dataclasses.replace(PRESETS["base"], codebook_entries=16)
ODD = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=8, write_bytes=4,
                        codebook_entries=64)


def words_of(weights, count, config, seed=0):
    """Ring words of random ones of the ``weights``, the first of which are rare."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, len(weights) + 1) / sum(range(1, len(weights) + 1))
    return rng.choice(np.array([*weights], np.int8), (count, config.out_lanes, config.dot_width),
                      p=share)


@given(st.sampled_from([BASE, ODD]), st.sets(st.integers(-128, 127), min_size=1, max_size=20),
       st.integers(1, 40), st.integers(0, 1 << 30))
def test_weights_come_back_and_take_no_more_than_without(config, weights, count, seed):
    words = words_of(sorted(weights), count, config, seed)
    data = encode_weights(words, config)
    blocks = [block for block in decode_stream(data, config) if block.buffer == Buffer.WEIGHTS]
    assert np.array_equal(np.concatenate([block.values for block in blocks]), words)
    plain = dataclasses.replace(config, codebook_entries=0)
    assert len(data) <= len(encode_weights(words, plain))


def test_sixteen_weights_take_four_bits():
    words = words_of(range(-128, 128, 17), 40, BASE)
    data = encode_weights(words, BASE)
    blocks = decode_stream(data, BASE)
    assert blocks[0].format == Format.CODEBOOK
    assert 40 * BASE.tile_bytes // 2 <= len(data) <= 40 * BASE.tile_bytes // 2 + 64


def test_frequent_weights_have_short_codes():
    weights = np.repeat(np.array([0, 99, -5, 7, 100], np.int8), [9, 50, 30, 20, 1])[None]
    book = codebook_of(weights, 16)
    assert book is not None
    assert [int(code) for code in book.encode(np.array([0, 99, -5, 7, 100], np.int8))] == [
        0, -1, 1, -2, 2]
    assert np.array_equal(book.weights[book.encode(weights) & 15], weights)


@pytest.mark.parametrize("used, zero, fits", [
    (15, True, True), (15, False, True), (16, False, True), (16, True, False), (17, False, False)])
def test_zero_counts_where_it_occurs(used, zero, fits):
    words = np.arange(1 - zero, used + 1, dtype=np.int8)[None]
    book = codebook_of(words, 16)
    assert (book is not None) == fits
    if book is not None:
        assert np.array_equal(look_up(book.encode(words), book.weights), words)


def test_a_word_of_the_rarest_weight_is_not_left_out():
    words = np.array([*[[*range(1, 16)] * 8] * 20, [16] * 120], np.int8)
    assert codebook_of(words, 16) is None
    book = codebook_of(words, 32)
    assert book is not None and book.encode(words).any(axis=1).all()
    assert np.array_equal(look_up(book.encode(words), book.weights), words)


def test_few_words_have_no_codebook():
    """Its entries take more cycles than they save words."""
    blocks = decode_stream(encode_weights(words_of([-128, 127], 1, BASE), BASE), BASE)
    assert all(block.format != Format.CODEBOOK for block in blocks)


def test_codes_without_a_codebook_are_refused():
    words = words_of([-100, 0, 3, 55], 60, BASE)
    data = encode_weights(words, BASE)
    codebook = 2 * BASE.read_bytes
    with pytest.raises(ProgramError, match="byte 0 has codes, and no codebook comes before it"):
        decode_stream(data[codebook:], BASE)
    with pytest.raises(ProgramError, match="format 6, argument 0, count 1, unknown"):
        decode_stream(data, PRESETS["base"])
    with pytest.raises(ProgramError, match="is cut short, 16 bytes are missing"):
        decode_stream(data[:BASE.read_bytes], BASE)


@pytest.mark.parametrize("field, message", [
    ({"codebook_entries": 1}, "codebook_entries must be 0, or 2 to 64, not 1"),
    ({"codebook_entries": 24}, "codebook_entries must be a power of two, not 24"),
    ({"codebook_entries": 128}, "codebook_entries must be 0..64, not 128"),
    ({"codebook_entries": 16, "weight_formats": ("raw",)},
     "weight_formats must contain 'packed' where codebook_entries is 16")])
def test_illegal_entries_are_named(field, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(PRESETS["small"], **field)
    with pytest.raises(ConfigError, match="codebook_entries must be 0 in a compact core, not 16"):
        dataclasses.replace(PRESETS["nano"], codebook_entries=16)


def test_other_targets_keep_their_hash():
    assert "codebook_entries" not in PRESETS["base"].as_dict()
    assert BASE.hash != PRESETS["base"].hash


@pytest.mark.parametrize("different, share", [(15, 0.0), (16, 0.0), (9, 0.4)])
def test_the_emulator_computes_with_codes(different, share):
    graph = sparse_dense(BASE, share, shape=(96, 256), different=different)
    program = compile(graph, BASE, keep_dead_channels=True)
    assert program.weight_bytes < 0.6 * compile(
        graph, PRESETS["base"], keep_dead_channels=True).weight_bytes
    with devices.open("emulator", BASE) as device:
        session = Session(program, device)
        for seed in range(3):
            values = random_input(graph, seed)
            (got,) = session.run(values).values()
            assert np.array_equal(got, golden.run(graph, values)[graph.outputs[0]])
