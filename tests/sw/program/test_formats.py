"""The records of weight formats, and that all which is made from them follows a new one."""

import dataclasses
import itertools

import numpy as np
import pytest

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.readers.streams import region_shapes
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
from kaniwa.isa.weight_stream import decode_stream

BASE = PRESETS["base"]


def some_values(block: BlockFormat, arg: int, widths: list[int],
                config: AcceleratorConfig) -> tuple[int, np.ndarray]:
    """A legal count of words, and values of so many."""
    rng = np.random.default_rng(arg)
    count = 1 if block.buffer == Buffer.TABLES else 3
    if block.buffer == Buffer.WEIGHTS:
        values = rng.integers(-128, 128, (count, config.out_lanes, config.dot_width), np.int8)
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


@pytest.mark.parametrize("config", [BASE, PRESETS["small"], PRESETS["large"]],
                         ids=lambda config: config.name)
@pytest.mark.parametrize("block", FORMATS.values(), ids=lambda block: block.format.name)
def test_every_argument_packs_to_its_length_and_back(
        block: BlockFormat, config: AcceleratorConfig) -> None:
    for arg, widths in itertools.product(block.arguments(config), (
            [[*range(1, 9)], [8, 0, 0, 3, 1, 0, 2, 7], [0] * 8]
            if block.format == Format.PACKED else [[0] * 8])):
        count, values = some_values(block, arg, widths, config)
        header = {"format": int(block.format), "arg": arg, "count": count}
        header |= header_of_widths(widths)
        if block.format == Format.PARAMETERS_SHARED:
            header |= {"multiplier": 7, "shift": 63}
        if block.format == Format.PACKED and arg:
            values[1], header["map"] = 0, 2
        payload = block.pack(values, header, config)
        assert len(payload) == block.payload_bytes(header, config)
        assert read_header(write_header(header, config)) == {"map": 0} | header
        assert block.is_legal(header, config)
        found = block.unpack(header, np.frombuffer(payload, np.uint8), config)
        assert np.array_equal(found.ravel(), values.ravel())
        if block.format == Format.PACKED:
            assert widths_of(header) == widths


def test_decoder_and_cycle_model_follow_a_new_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of a whole word that are all the same: an item is one byte."""
    same = dataclasses.replace(
        FORMATS[Format.RAW], steps=lambda header, config: (1,),
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
