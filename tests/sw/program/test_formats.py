"""The records of weight formats, and that all which is made from them follows a new one."""

import dataclasses
import itertools

import numpy as np
import pytest

from kaniwa.config import MODE_GROUP, PRESETS, AcceleratorConfig
from kaniwa.cycles.readers.streams import region_shapes
from kaniwa.errors import ProgramError
from kaniwa.isa import FIELDS, WEIGHT_FORMATS, Format
from kaniwa.isa.formats import (
    FORMATS,
    HEADER,
    RECORD,
    TABLE_BOTH,
    BlockFormat,
    Buffer,
    formats_table,
    header_of_widths,
    read_header,
    width_entries,
    widths_of,
    write_header,
)
from kaniwa.isa.modes import AHEAD, modes_of
from kaniwa.isa.packed_blocks import PackedBlock
from kaniwa.isa.weight_stream import decode_stream, encode_block

BASE = PRESETS["base"]


def some_values(block: BlockFormat, arg: int, widths: list[int],
                config: AcceleratorConfig) -> tuple[int, np.ndarray]:
    """A legal count of words, and values of so many."""
    rng = np.random.default_rng(arg)
    count = 1 if block.buffer == Buffer.TABLES else 3
    if block.buffer == Buffer.WEIGHTS:
        values = rng.integers(-128, 128, (count, config.out_lanes, config.dot_width), np.int8)
        if block.format == Format.MODES:
            groups = values.reshape(-1, MODE_GROUP)
            for row, width in zip(groups, rng.choice(widths[:4], len(groups)), strict=True):
                row[...] = row >> 8 - width if width else 0
        if block.format == Format.PACKED:
            chunks = values.reshape(-1, config.read_bytes)
            for chunk, row in enumerate(chunks):
                width = widths[chunk % (config.tile_bytes // config.read_bytes)
                               % width_entries(config)]
                row[...] = row >> 8 - width if width else 0
        return count, values
    if block.buffer == Buffer.TABLES:
        return count, rng.integers(-2**31, 2**31, (2, 256) if arg & TABLE_BOTH else 256)
    records = np.zeros(count * config.requant_lanes, RECORD)
    own, short = block.format == Format.PARAMETERS, bool(arg)
    records["bias"] = rng.integers(-2**31, 2**31, len(records)) >> (9 if short else 0)
    multipliers = rng.integers(0, 2**31, len(records)) & (-16 if short else -1)
    records["multiplier"] = multipliers if own else 7
    records["shift"] = rng.integers(0, 64, len(records)) if own else 63
    return count, records


def test_every_format_has_a_record_and_a_row_in_the_documentation() -> None:
    assert list(FORMATS) == list(Format)
    assert [row[1] for row in formats_table()[1]] == [f"`{kind.name}`" for kind in Format]


def test_formats_that_a_config_names_are_those_of_weights() -> None:
    assert set(WEIGHT_FORMATS.values()) == {
        kind for kind, block in FORMATS.items() if block.buffer == Buffer.WEIGHTS}


def some_widths(block: BlockFormat) -> list[list[int]]:
    """Widths of a header: of chunks, or those that modes choose from, which rise."""
    if block.format == Format.PACKED:
        return [[*range(1, 9)], [8, 0, 0, 3, 1, 0, 2, 7], [0] * 8]
    if block.format == Format.MODES:
        return [[1, 3, 5, 8, 0, 0, 0, 0], [0, 1, 2, 3, 0, 0, 0, 0], [5, 6, 7, 8, 0, 0, 0, 0]]
    return [[0] * 8]


@pytest.mark.parametrize(("block", "config"), [
    pytest.param(block, config, id=f"{block.format.name}-{config.name}")
    for block in FORMATS.values() for config in (BASE, PRESETS["small"], PRESETS["large"])
    if block.format != Format.MODES or config == BASE])
def test_every_argument_packs_to_its_length_and_back(
        block: BlockFormat, config: AcceleratorConfig) -> None:
    for arg, widths in itertools.product(block.arguments(config), some_widths(block)):
        count, values = some_values(block, arg, widths, config)
        header = {"format": int(block.format), "arg": arg, "count": count}
        header |= header_of_widths(widths)
        if block.format == Format.PARAMETERS_SHARED:
            header |= {"multiplier": 7, "shift": 63}
        if block.format == Format.PACKED and arg:
            values[1], header["map"] = 0, 2
        if block.format == Format.MODES:
            header["map"] = int.from_bytes(
                modes_of(values.reshape(count, -1), widths)[:AHEAD].tobytes(), "little")
        payload = block.pack(values, header, config)
        assert len(payload) == block.payload_bytes(header, config, payload)
        assert read_header(write_header(header, config)) == {"map": 0} | header
        assert block.is_legal(header, config)
        found = block.unpack(header, np.frombuffer(payload, np.uint8), config)
        assert np.array_equal(found.ravel(), values.ravel())
        if block.format in (Format.PACKED, Format.MODES):
            assert widths_of(header) == widths


def test_a_target_without_modes_refuses_them() -> None:
    header = {"format": int(Format.MODES), "arg": 0, "count": 1} | header_of_widths([1, 2, 3, 4])
    assert FORMATS[Format.MODES].is_legal(header, BASE)
    assert not FORMATS[Format.MODES].is_legal(header, PRESETS["large"])
    assert not FORMATS[Format.MODES].is_legal(header | {"arg": 1}, BASE)
    assert not FORMATS[Format.MODES].is_legal(header | header_of_widths([1, 2, 3, 9]), BASE)


@pytest.mark.parametrize("missing", [1, 16, 200])
def test_a_modes_payload_that_is_cut_short_is_refused(missing: int) -> None:
    rng = np.random.default_rng(missing)
    words = rng.integers(-8, 8, (9, BASE.tile_bytes), np.int8)
    words[:, ::3] = 100
    stream = encode_block(words, PackedBlock(0, 9, Format.MODES, (2, 4, 5, 8)), BASE)
    assert np.array_equal(decode_stream(stream, BASE)[0].values.reshape(9, -1), words)
    cut = -(-missing // BASE.read_bytes) * BASE.read_bytes
    with pytest.raises(ProgramError, match="block at byte 0 is cut short"):
        decode_stream(stream[:-cut], BASE)


def test_decoder_and_cycle_model_follow_a_new_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of a whole word that are all the same: an item is one byte."""
    same = dataclasses.replace(
        FORMATS[Format.RAW], steps=lambda header, config, behind: (1,),
        unpack=lambda header, payload, config: np.repeat(
            payload[::config.tile_bytes // config.decoded_bytes].view(np.int8), config.tile_bytes)
        .reshape(header["count"], config.out_lanes, config.dot_width))
    monkeypatch.setitem(FORMATS, 9, same)
    chunks = BASE.tile_bytes // BASE.decoded_bytes
    payload = bytes([5] * chunks + [250] * chunks)
    size = -(-len(payload) // BASE.read_bytes) * BASE.read_bytes
    stream = (HEADER.encode({"format": 9, "count": 2}).ljust(BASE.read_bytes, b"\0")
              + payload.ljust(size, b"\0"))
    block, = decode_stream(stream, BASE)
    assert (block.values[0] == 5).all() and (block.values[1] == -6).all()
    fields = dict.fromkeys(FIELDS, 0) | {"weight_bytes": len(stream)}
    shape, = region_shapes(BASE, fields, lambda address, length: stream[:length])[1]
    assert (shape.kind, shape.items, shape.steps, shape.per_word) == (
        Buffer.WEIGHTS, 2 * chunks, (1,), chunks)
