"""The weight stream: words lie as the array reads them, and streams come back unchanged."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.isa import Format
from kaniwa.isa.formats import width_entries
from kaniwa.isa.modes import FILL
from kaniwa.isa.weight_stream import (
    decode_stream,
    dense_words,
    depthwise_words,
    encode_parameters,
    encode_tables,
    encode_weights,
)
from kaniwa.sim.worlds.serial_config import SERIAL

WIDE = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=32, write_bytes=4)
ODD = AcceleratorConfig(out_lanes=12, dot_width=8, requant_lanes=4, read_bytes=8, write_bytes=4)
# As many entries as chunks, and fewer: an odd number.
TWICE = [dataclasses.replace(ODD, weight_chunks=2),
         dataclasses.replace(ODD, out_lanes=20, weight_chunks=2)]
WIDE_MODES = dataclasses.replace(WIDE, weight_formats=("raw", "packed", "modes"))
CONFIGS = [SERIAL, PRESETS["base"], ODD, WIDE, WIDE_MODES, *TWICE]
NEVER = 1 << 30
configs = st.sampled_from(CONFIGS)
seeds = st.integers(0, 2**32 - 1)


def random_words(rng, config, count):
    """Words in runs of similar widths, as groups of channels have them; rows are narrower."""
    widths = np.repeat(rng.integers(0, 9, count), rng.integers(1, 5, count))[:count, None, None]
    rows = rng.integers(0, rng.integers(1, 6), (1, config.out_lanes, 1))
    widths = np.maximum(widths - rows, 0)
    values = rng.integers(-128, 128, (count, config.out_lanes, config.dot_width)) >> 8 - widths
    return np.where(widths == 0, 0, values).astype(np.int8)


@given(configs, seeds, st.integers(1, 12))
def test_weights_come_back(config, seed, count):
    words = random_words(np.random.default_rng(seed), config, count)
    blocks = decode_stream(encode_weights(words, config), config)
    assert np.array_equal(np.concatenate([b.values for b in blocks]), words)


@given(configs, seeds, st.integers(1, 12))
def test_a_stream_is_the_shortest_of_all_splits(config, seed, count):
    """Where a header counts twice, for the cycle that it takes of a decoder as fast as memory, and
    one of MODES for the cycles until weights come."""
    words = random_words(np.random.default_rng(seed), config, count)
    read, header = config.read_bytes, 2 if config.weight_chunks == 1 else 1
    chunks = words.reshape(count, -1, width_entries(config), read)

    def width(chunk):
        return next(w for w in range(9) if w == 8 or not (chunk if w == 0 else (
            (chunk < -(1 << (w - 1))) | (chunk >= 1 << (w - 1)))).any())

    def size(run):
        return read * min(in_chunks(run), in_modes(run))

    def in_modes(run):
        """By all choices of four widths; words of zeros are left to blocks with a map."""
        if "modes" not in config.weight_formats or not run.any(axis=(1, 2, 3)).all():
            return NEVER
        needed = Counter(width(group) for group in run.reshape(-1, 8))
        sizes = [sum(count * next((w for w in choice if w >= bits), NEVER)
                     for bits, count in needed.items())
                 for choice in itertools.combinations(range(9), 4)]
        return header + FILL + -(-(min(sizes) + run.size // 32) // read)

    def in_chunks(run):
        stored = run[run.any(axis=(1, 2, 3))] if read >= 16 else run   # a map names the others
        bits = sum(width(run[:, :, entry]) * stored[:, :, entry].size
                   for entry in range(run.shape[2]))
        return header + -(-bits // (8 * read))

    best = [0]  # of the words before each one, by trying every last block
    for end in range(1, count + 1):
        best.append(min(best[start] + size(chunks[start:end]) for start in range(end)))
    stream = encode_weights(words, config)
    formats = [block.format for block in decode_stream(stream, config)]
    late = (header - 1) * len(formats) + FILL * formats.count(Format.MODES)
    assert len(stream) + read * late == best[count]
    assert len(stream) <= read + words.size


@given(configs, seeds, st.integers(13, 400))
def test_no_stream_is_longer_than_raw_words(config, seed, count):
    """Also where words are taken in parts, of which each has blocks of its own at first."""
    rng = np.random.default_rng(seed)
    words = random_words(rng, config, count)
    words[rng.random(count) < rng.random()] |= 64     # some need 8 bits
    stream = encode_weights(words, config)
    assert len(stream) <= config.read_bytes + words.size
    assert np.array_equal(np.concatenate([b.values for b in decode_stream(stream, config)]), words)


def test_many_words_are_split_where_it_pays():
    """Words beyond those of which every split is tried: each run of one width is a block."""
    config = PRESETS["base"]
    rng = np.random.default_rng(2)
    runs = [rng.integers(-(1 << bits - 1), 1 << bits - 1, (words, 8, 16)).astype(np.int8)
            for bits, words in ((3, 900), (7, 40), (2, 2000), (5, 333))]
    stream = encode_weights(np.concatenate(runs), config)
    blocks = decode_stream(stream, config)
    assert [len(block.values) for block in blocks] == [900, 40, 2000, 333]
    assert np.array_equal(np.concatenate([b.values for b in blocks]), np.concatenate(runs))


@given(configs, seeds)
def test_raw_is_used_alone_where_nothing_else_is_there(config, seed):
    raw_only = dataclasses.replace(config, weight_formats=("raw",))
    words = random_words(np.random.default_rng(seed), config, 5)
    for stream in (encode_weights(words, raw_only), encode_weights(words, config, ("raw",))):
        assert [b.format for b in decode_stream(stream, raw_only)] == [Format.RAW]
        assert len(stream) == config.read_bytes + words.size


def test_no_words_make_no_stream():
    assert encode_weights(np.zeros((0, 8, 16), np.int8), PRESETS["base"]) == b""


def test_more_words_than_a_block_counts_are_split():
    config = SERIAL
    words = np.random.default_rng(1).integers(-4, 4, (70000, 4, 4)).astype(np.int8)
    blocks = decode_stream(encode_weights(words, config), config)
    assert [(b.format, len(b.values)) for b in blocks] == [
        (Format.PACKED, 65528), (Format.PACKED, 4472)]
    assert np.array_equal(np.concatenate([b.values for b in blocks]), words)


def test_bytes_of_a_packed_block_are_as_documented():
    config = SERIAL
    word = np.zeros((1, 4, 4), np.int8)     # two chunks of 8
    word[0, 0, 0], word[0, 0, 1], word[0, 1, 0], word[0, 3, 3] = -4, 3, 1, -1
    stream = encode_weights(word, config)
    assert stream[:8] == bytes([0x01, 1, 0, 0x13, 0, 0, 0, 0])     # widths 3 and 1
    first = [0b00010010, 0b00000010, 0b00000001]                    # bits 0, 1 and 2 of -4, 3, 1
    assert [*stream[8:]] == [*first, 0b10000000, 0, 0, 0, 0]


@given(configs, seeds, st.integers(1, 70), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40))
def test_dense_words_follow_the_loops(config, seed, channels, rows, segments, size):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (channels, rows, segments, size)).astype(np.int8)
    words = dense_words(weights, config)
    chunks = -(-size // config.dot_width)
    assert words.shape == (-(-channels // config.out_lanes), rows * segments * chunks,
                           config.out_lanes, config.dot_width)
    for _ in range(20):
        block, step, lane, byte = (int(rng.integers(n)) for n in words.shape)
        row, rest = divmod(step, segments * chunks)
        segment, chunk = divmod(rest, chunks)
        channel, offset = block * config.out_lanes + lane, chunk * config.dot_width + byte
        real = channel < channels and offset < size
        expected = weights[channel, row, segment, offset] if real else 0
        assert words[block, step, lane, byte] == expected


@given(configs, seeds, st.integers(1, 5), st.integers(1, 5), st.integers(1, 40))
def test_depthwise_words_follow_the_taps(config, seed, rows, columns, channels):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (rows, columns, channels)).astype(np.int8)
    words = depthwise_words(weights, config)
    lanes, width = config.depthwise_lanes, config.dot_width
    expected = np.zeros((-(-channels // lanes), -(-rows * columns // width), config.out_lanes,
                         width), np.int8)
    for channel in range(channels):
        for tap in range(rows * columns):
            expected[channel // lanes, tap // width, channel % lanes, tap % width] = (
                weights[tap // columns, tap % columns, channel])
    assert np.array_equal(words, expected)


@given(configs, seeds, st.integers(1, 12), st.integers(1, 4), st.booleans(), st.booleans())
def test_parameters_come_back(config, seed, block_width, blocks, shared, short):
    rng = np.random.default_rng(seed)
    channels = (blocks - 1) * block_width + int(rng.integers(1, block_width + 1))
    bias = rng.integers(-2**31, 2**31, channels) >> (9 if short else 0)
    count = 1 if shared else channels
    multiplier, shift = rng.integers(0, 2**31, count), rng.integers(0, 64, count)
    multiplier &= -16 if short else -1
    stream = encode_parameters(bias, multiplier, shift, block_width, blocks, config)
    decoded = decode_stream(stream, config)
    words = np.concatenate([b.values for b in decoded])
    assert words.shape == (blocks * -(-block_width // config.requant_lanes), config.requant_lanes)
    lanes = words.reshape(blocks, -1)[:, :block_width].reshape(-1)[:channels]
    assert np.array_equal(lanes["bias"], bias)
    assert np.array_equal(lanes["multiplier"], np.broadcast_to(multiplier, channels))
    assert np.array_equal(lanes["shift"], np.broadcast_to(shift, channels))
    if shared and channels > 16:
        assert {b.format for b in decoded} == {Format.PARAMETERS_SHARED}
        assert np.count_nonzero(words["bias"]) <= channels


def test_bytes_of_a_record_are_as_documented():
    config = SERIAL
    stream = encode_parameters([-2, 5], [0x7FFFFFFF, 1], [63, 2], 2, 1, config)
    record = 0xFFFFFFFE | 0x7FFFFFFF << 32 | 63 << 63
    other = 5 | 1 << 32 | 2 << 63
    assert stream[:8] == bytes([Format.PARAMETERS, 2, 0, 0, 0, 0, 0, 0])
    assert int.from_bytes(stream[8:], "little") == record | other << 72


def test_bytes_of_a_short_record_are_as_documented():
    config = SERIAL
    stream = encode_parameters([-2, (1 << 22) - 1], [0x7FFFFFF0, 16], [63, 2], 2, 1, config)
    record = (1 << 23) - 2 | 0x7FFFFFF << 23 | 63 << 50
    other = (1 << 22) - 1 | 1 << 23 | 2 << 50
    assert stream[:8] == bytes([Format.PARAMETERS | 1 << 4, 2, 0, 0, 0, 0, 0, 0])
    assert int.from_bytes(stream[8:], "little") == record | other << 56


@pytest.mark.parametrize(("bias", "multiplier", "target", "short"), [
    (1 << 22, 16, "base", 0), ((1 << 22) - 1, 16, "base", 1), (-1 << 22, 16, "base", 1),
    ((-1 << 22) - 1, 16, "base", 0), (0, 24, "base", 0), (0, 16, "nano", 0)])
def test_records_are_short_where_all_fit(bias, multiplier, target, short):
    stream = encode_parameters([0, bias], [32, multiplier], [5, 6], 2, 1, PRESETS[target])
    assert stream[0] == Format.PARAMETERS | short << 4


@pytest.mark.parametrize(("whole", "blocks"), [
    ([0], [(0, 1), (1, 39)]), ([39], [(1, 39), (0, 1)]), ([20], [(1, 20), (0, 1), (1, 19)]),
    ([2, 5], [(1, 2), (0, 4), (1, 34)]), ([], [(1, 40)]), ([*range(40)], [(0, 40)])])
def test_runs_of_short_records_make_up_for_their_headers(whole, blocks):
    """A word of ``base`` has 8 records, of which short ones save as much as a header takes."""
    config = PRESETS["base"]
    multiplier = np.arange(1, 321) * 16
    multiplier[np.array(whole, int) * 8] += 1
    stream = encode_parameters(np.zeros(320), multiplier, np.zeros(320), 320, 1, config)
    found = decode_stream(stream, config)
    assert [(b.arg, len(b.values)) for b in found] == blocks
    assert np.concatenate([b.values for b in found])["multiplier"].ravel().tolist() == (
        multiplier.tolist())


@given(configs, seeds, st.integers(0, 1), st.integers(0, 1))
def test_tables_come_back(config, seed, table, bank):
    values = np.random.default_rng(seed).integers(-2**31, 2**31, 256)
    block, = decode_stream(encode_tables({table: values}, bank, config), config)
    assert (block.format, block.arg) == (Format.TABLE, table | bank << 1)
    assert np.array_equal(block.values, values)
    assert [*block.tables] == [table | bank << 1]


@given(configs, seeds, st.integers(0, 1))
def test_both_tables_are_one_block_where_the_config_takes_an_entry_of_each(config, seed, bank):
    values = np.random.default_rng(seed).integers(-2**31, 2**31, (2, 256))
    stream = encode_tables({1: values[1], 0: values[0]}, bank, config)
    blocks = decode_stream(stream, config)
    assert len(blocks) == (1 if config.pairs_tables else 2)
    tables = {number: table for block in blocks for number, table in block.tables.items()}
    assert [*tables] == [bank << 1, 1 | bank << 1]
    assert np.array_equal(np.stack([*tables.values()]), values)
    if config.pairs_tables:
        first = np.frombuffer(stream, "<i4", 4, config.read_bytes)
        assert first.tolist() == values[:, :2].T.ravel().tolist()


@given(configs, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 3),
                                   st.binary(max_size=80)), max_size=6))
def test_hostile_streams_raise_only_program_errors(config, parts):
    data = b"".join(bytes([kind | arg << 4, count, 0]) + body for kind, arg, count, body in parts)
    for stream in (data, data.ljust(-(-len(data) // config.read_bytes) * config.read_bytes, b"\1")):
        try:
            blocks = decode_stream(stream, config)
        except ProgramError as error:
            assert "\n" not in str(error)
        else:
            assert len(blocks) <= len(stream)


def raises(data, config=SERIAL):
    with pytest.raises(ProgramError) as info:
        decode_stream(data, config)
    return str(info.value)


def test_an_unknown_format_is_refused():
    assert raises(bytes([6]).ljust(8, b"\0")) == (
        "weight stream: block at byte 0 has format 6, argument 0, count 0, unknown to this target")
    assert "argument 8" in raises(bytes([0x81]).ljust(8, b"\0"))
    assert "widths 0, 9" in raises(bytes([1, 0, 0, 0x90]).ljust(8, b"\0"))
    assert "argument 4" in raises(bytes([0x44, 1]).ljust(8, b"\0"))
    assert "count 2" in raises(bytes([0x04, 2]).ljust(8, b"\0"))
    assert "argument 1" in raises(bytes([0x10, 1]).ljust(8, b"\0"))


def test_packed_is_unknown_to_a_target_without_it():
    config = dataclasses.replace(SERIAL, weight_formats=("raw",))
    assert "format 1" in raises(bytes([0x01]).ljust(8, b"\0"), config)


def test_a_stream_cut_short_is_refused():
    stream = encode_weights(np.full((2, 4, 4), 100, np.int8), SERIAL)
    assert raises(stream[:-8]) == (
        "weight stream: block at byte 0 is cut short, 8 bytes are missing")
    assert raises(stream[:-3]) == "weight stream: length must be a multiple of 8, not 37"


def test_many_zero_words_take_no_memory():
    header = bytes([0x01, 0xFF, 0xFF]).ljust(128, b"\0")
    blocks = decode_stream(header * 100, PRESETS["xl"])
    assert sum(b.values.shape[0] for b in blocks) == 6553500
