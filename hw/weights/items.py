"""Layouts and sizes of the weight stream on its way through the decoder."""

import math

from amaranth import *
from amaranth.lib import data
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Format
from kaniwa.hw.parts.bit_fields import number_shape
from kaniwa.isa.formats import FORMATS, HEADER, TABLE_ENTRIES, VALUE_BYTES

__all__ = ["BYTES", "UNITS", "header_layout", "block_layout", "item_layout", "window_layout",
           "own_step", "shared_step", "grain", "moving_units", "widths_layout"]

UNITS = 8           # a word is 8 units; a chunk of w-bit weights takes w of them, a plane each
BYTES = 9           # in place of a width: a chunk of weights of a byte each, not in planes


def header_layout() -> data.StructLayout:
    """The first 64 bits of a block."""
    numbers = {field.name: number_shape(field) for field in HEADER.fields.values()}
    return data.StructLayout(numbers | {"format": Format, "zeros": unsigned(3)})


def block_layout() -> data.StructLayout:
    """Facts of an item's block that the outputs need; ``table``: a TABLE's argument."""
    return data.StructLayout({
        "is_weights": 1, "is_table": 1, "is_shared": 1, "is_short": 1, "table": 3, "scale": 37})


def own_step(config: AcceleratorConfig) -> int:
    """Bytes of an item of PARAMETERS, at most."""
    return FORMATS[Format.PARAMETERS].step(config)


def shared_step(config: AcceleratorConfig) -> int:
    """Bytes of an item of PARAMETERS_SHARED."""
    return FORMATS[Format.PARAMETERS_SHARED].step(config)


def grain(config: AcceleratorConfig) -> int:
    """Values begin at multiples of so many bytes."""
    return math.gcd(VALUE_BYTES, config.own_records, config.read_bytes // UNITS)


def moving_units(config: AcceleratorConfig) -> int:
    """Units of a window that come down to byte 0.

    Without packed weights only whole words (RAW, biases) need the word's upper units, and they need
    them where they are.
    """
    size, unit = config.read_bytes, config.read_bytes // UNITS
    shared = shared_step(config)
    # Bytes of a value from a multiple of ``grain`` on.
    reach = max(own_step(config), shared if shared < size else 0) + unit - grain(config)
    return max(-(-reach // unit), UNITS if "packed" in config.weight_formats else 0)


def widths_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """For each chunk of an item its planes, 0 to 8, or BYTES."""
    return data.ArrayLayout(range(BYTES + 1), config.weight_chunks)


def item_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An item: from byte ``position`` of the first of ``words`` on, perhaps into those after it.

    ``number``: its place in its word of the buffer, or in the table. ``widths``: planes of the
    weights of its chunks, or BYTES. ``second``: the unit in which its second chunk begins.
    ``whole``: a whole word of zeros.
    """
    size, chunks = config.read_bytes, config.weight_chunks
    most_items = max(config.tile_bytes // size, config.requant_lanes, TABLE_ENTRIES)
    return data.StructLayout({
        "words": data.ArrayLayout(8 * size, chunks + 1), "position": range(size),
        "number": range(most_items), "widths": widths_layout(config),
        "second": range(2 * UNITS if chunks > 1 else 1), "whole": 1,
    })


def window_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An item with the unit in which it begins at byte 0, from ``offset`` * ``grain`` on.

    ``second``: its second chunk.
    """
    unit = config.read_bytes // UNITS
    return data.StructLayout({
        "bytes": 8 * max(config.read_bytes, moving_units(config) * unit), "number": 8,
        "second": 8 * config.read_bytes * (config.weight_chunks - 1),
        "widths": widths_layout(config), "whole": 1,
        "offset": range(1 << exact_log2(unit // grain(config))),
    })
