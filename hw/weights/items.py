"""Layouts and sizes of the weight stream on its way through the decoder."""

import math

from amaranth import *
from amaranth.lib import data, stream
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Format
from kaniwa.hw.parts.bit_fields import number_shape
from kaniwa.isa.formats import FORMATS, HEADER, TABLE_ENTRIES, VALUE_BYTES
from kaniwa.isa.step_lists import LIST_WORD_BYTES

__all__ = ["BYTES", "UNITS", "header_layout", "list_words", "block_layout", "item_layout",
           "window_layout", "own_step", "shared_step", "grain", "moving_units", "widths_layout",
           "groups", "has_modes", "unit_bytes", "start_places", "starts_layout"]

UNITS = 8           # of a group of weights of a byte each; w-bit weights take w, a plane each
BYTES = 9           # in place of a width: a group of weights of a byte each, not in planes


def has_modes(config: AcceleratorConfig) -> bool:
    """Whether there are MODES blocks."""
    return "modes" in config.weight_formats


def groups(config: AcceleratorConfig) -> int:
    """Groups of an item of weights; those of a group are in planes of their own."""
    return config.decoded_bytes // config.plane_weights


def unit_bytes(config: AcceleratorConfig) -> int:
    """Bytes of a plane of a group."""
    return config.plane_weights // UNITS


def header_layout() -> data.StructLayout:
    """The first 64 bits of a block."""
    numbers = {field.name: number_shape(field) for field in HEADER.fields.values()}
    return data.StructLayout(numbers | {"format": Format, "zeros": unsigned(3)})


def block_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Facts of an item's block that the outputs need; ``table``: a TABLE's argument. With codebooks
    ``is_codebook``, and ``is_coded``: its weights are codes. With step lists ``is_list``."""
    codes = {"is_codebook": 1, "is_coded": 1} if config.codebook_entries else {}
    lists = {"is_list": 1} if config.step_entries else {}
    return data.StructLayout({
        "is_weights": 1, "is_table": 1, "is_shared": 1, "is_short": 1, "table": 3, "scale": 37,
        **codes, **lists})


def list_words() -> stream.Signature:
    """The words of step lists."""
    return stream.Signature(unsigned(8 * LIST_WORD_BYTES))


def own_step(config: AcceleratorConfig) -> int:
    """Bytes of an item of PARAMETERS, at most."""
    return FORMATS[Format.PARAMETERS].step(config)


def shared_step(config: AcceleratorConfig) -> int:
    """Bytes of an item of PARAMETERS_SHARED."""
    return FORMATS[Format.PARAMETERS_SHARED].step(config)


def grain(config: AcceleratorConfig) -> int:
    """Values begin at multiples of so many bytes."""
    entry = 1 if config.codebook_entries else VALUE_BYTES
    return math.gcd(entry, config.own_records, unit_bytes(config))


def start_places(config: AcceleratorConfig, group: int) -> int:
    """Units in which a group of an item may begin, the first word's and those behind it: after a
    byte of modes, where there are such, and wide groups before it."""
    places = config.read_bytes // unit_bytes(config) + has_modes(config)
    return places + UNITS * group


def moving_units(config: AcceleratorConfig) -> int:
    """Units of a window that come down to byte 0.

    Without packed weights only whole words (RAW, biases) need the word's upper units, and they need
    them where they are.
    """
    size, unit = config.read_bytes, unit_bytes(config)
    shared = shared_step(config)
    # Bytes of a value from a multiple of ``grain`` on.
    reach = max(own_step(config), shared if shared < size else 0) + unit - grain(config)
    return max(-(-reach // unit), UNITS if "packed" in config.weight_formats else 0)


def widths_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """For each group of an item its planes, 0 to 8, or BYTES."""
    return data.ArrayLayout(range(BYTES + 1), groups(config))


def item_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An item: from byte ``position`` of the first of ``words`` on, perhaps into those after it.

    ``number``: its place in its word of the buffer, or in the table. ``widths``: planes of the
    weights of its groups, or BYTES. ``starts``: the unit in which each group begins, but for the
    first one of those without modes: there it is the one of ``position``. ``whole``: a whole word
    of zeros.
    """
    size, chunks = config.read_bytes, config.weight_chunks
    most_items = max(config.tile_bytes // size, config.requant_lanes, TABLE_ENTRIES)
    return data.StructLayout({
        "words": data.ArrayLayout(8 * size, chunks + 1), "position": range(size),
        "number": range(most_items), "widths": widths_layout(config),
        "starts": starts_layout(config), "whole": 1,
    })


def starts_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """Units in which groups begin."""
    return data.ArrayLayout(range(start_places(config, groups(config) - 1)),
                            groups(config) - 1 + has_modes(config))


def window_layout(config: AcceleratorConfig) -> data.StructLayout:
    """An item with the unit in which it begins at byte 0, from ``offset`` * ``grain`` on.

    ``bytes``: those of the first group and what the window has besides; of an item with modes the
    modes are left out. ``others``: the other groups. ``more``: what values have behind those, for
    values and bytes of weights go on from the one into the next.
    """
    unit = unit_bytes(config)
    moving = moving_units(config) * unit
    first = config.plane_weights if has_modes(config) else max(config.read_bytes, moving)
    return data.StructLayout({
        "bytes": 8 * first, "number": 8,
        "others": data.ArrayLayout(8 * config.plane_weights, groups(config) - 1),
        "more": 8 * max(0, moving - config.decoded_bytes) * has_modes(config),
        "widths": widths_layout(config), "whole": 1,
        "offset": range(1 << exact_log2(unit // grain(config))),
    })
