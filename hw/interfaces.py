"""Signatures and payload layouts that blocks share."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode, field_shape
from kaniwa.isa import NEEDS, unit_fields
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS

__all__ = ["core_ports", "read_port", "write_port", "unit_layout", "chunk_layout",
           "parameter_layout", "step_layout", "gather_layout", "array_layout", "pool_layout",
           "beat_layout", "result_layout", "line_position_bits", "line_lane_bits",
           "products_layout", "ring_use_layout",
           "vector_command_layout", "vector_blocks"]


def core_ports(config: AcceleratorConfig) -> dict:
    """Ports of a core: its registers, whether it uses memory, and the two sides of that."""
    return {
        "csr_address": In(8),
        "csr_write": In(1),
        "csr_write_data": In(32),
        "csr_read_data": Out(32),
        "busy": Out(1),
        "local_read": Out(read_port(config)),
        "local_write": Out(write_port(config)),
        "outside_read": Out(read_port(config)),
        "outside_write": Out(write_port(config)),
    }


def read_port(config: AcceleratorConfig) -> Signature:
    """A reader of device memory, seen from the reader.

    ``request`` carries the byte address of an aligned word of read_bytes. ``response`` brings
    the words in the order of the requests and cannot be held: a reader requests only what it
    has room for.
    """
    return Signature({
        "request": Out(stream.Signature(unsigned(32))),
        "response": In(stream.Signature(unsigned(8 * config.read_bytes), always_ready=True)),
    })


def write_port(config: AcceleratorConfig) -> Signature:
    """A writer of device memory, seen from the writer: aligned words with a byte mask.

    An accepted write is visible to reads requested from the next cycle on.
    """
    return Signature({
        "request": Out(stream.Signature(data.StructLayout({
            "address": unsigned(32),
            "data": unsigned(8 * config.write_bytes),
            "mask": unsigned(config.write_bytes),
        }))),
    })


def unit_layout(unit: str, config: AcceleratorConfig) -> data.StructLayout:
    """The fields of an instruction that a unit gets, by their names in the instruction table.

    Fields of blocks that a core may lack are there if ``config`` has the block.
    """
    return data.StructLayout({
        field.name: field_shape(field) for field in unit_fields(unit)
        if field.name not in NEEDS or getattr(config, NEEDS[field.name])
    })


def line_position_bits(config: AcceleratorConfig) -> int:
    """Width of a position in the line buffer's ring.

    Two bits more than its size needs, so that the difference of two positions has a sign.
    """
    return (config.line_bytes - 1).bit_length() + 2


def line_lane_bits(config: AcceleratorConfig) -> int:
    """Bits of a position below those of a lane; rows of the line buffer begin at whole lanes."""
    return exact_log2(config.lane_bytes)


def products_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Input rows in bytes of the line buffer and of device memory.

    ``*_lanes``: rows * line_pitch in lanes of lane_bytes, modulo the positions.
    ``*_shift``: rows * ifm_pitch modulo read_bytes.
    """
    low = exact_log2(config.read_bytes)
    lanes = unsigned(line_position_bits(config) - line_lane_bits(config))
    return data.StructLayout({
        "dilation_lanes": lanes, "stride_lanes": lanes, "pad_lanes": lanes, "input_lanes": lanes,
        "dilation_shift": unsigned(low), "stride_shift": unsigned(low), "pad_shift": unsigned(low),
    })


def ring_use_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Use of the weight ring by a step: ``word`` is read; ``count`` words are given back."""
    return data.StructLayout({
        "read": unsigned(1), "word": range(config.ring_words),
        "release": unsigned(1), "count": range(config.ring_words + 1),
    })


def chunk_layout(config: AcceleratorConfig) -> data.StructLayout:
    """decoded_bytes weights; out_lanes*dot_width/decoded_bytes such, low first, are a word.

    ``whole``: one transfer is the word; its weights are 0, and so are all others of the word.
    """
    return data.StructLayout({"weights": 8 * config.decoded_bytes, "whole": 1})


def parameter_layout() -> data.StructLayout:
    """One channel's requantization parameters, as stored (72 bits)."""
    return data.StructLayout({
        "bias": signed(32), "multiplier": unsigned(31), "shift": unsigned(6), "zeros": unsigned(3),
    })


def step_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One cycle of the array on its way to the window: what to do with the bytes read for it.

    ``offset``: byte offset of byte 0 of the read in the input row (negative: left padding).
    Rows and their padding are at most line_bytes each, so offsets are as wide as positions.
    ``column``: in depthwise mode the multiplier column, that is tap % dot_width.
    COLUMN shifts a column of bytes into the window: of those ``rows`` that are real, or with
    ``single_row`` of the row like other modes. ``preset``: all other columns read as ``pad_value``.
    Only with ``compute`` (1 in other modes) the array takes the window; with ``again`` it is that
    of the column before, and nothing is shifted. Where there are ``config.phase_windows``: with
    ``own`` the window is that of the ``phase``, twice as wide, of which the array takes the right
    half, and with ``again`` the left one; with ``corner`` the first row of the right half, and
    what is beside both halves.

    ``pair``, where ``config.pool_blocks`` is 2: the step of MAX_POOL is one of two blocks.

    Where there is a patch buffer: ``patch``: the array takes word ``patch_word`` of it instead of
    what was read. ``gather``: of the bytes read, padding included, 0 to ``gather_last`` go into the
    patch buffer, from ``gather_position`` on; a step may do both.
    """
    return data.StructLayout({
        "mode": Mode,
        "row_valid": unsigned(1),
        "offset": signed(line_position_bits(config)),
        "row_bytes": unsigned(line_position_bits(config) - 1),
        "pad_value": signed(8),
        "column": range(config.dot_width),
        "single_row": unsigned(1),
        "rows": unsigned(config.column_window[0]),
        "preset": unsigned(1),
        "compute": unsigned(1),
        "again": unsigned(1),
        **({"own": unsigned(1), "phase": unsigned(1), "corner": unsigned(1)}
           if config.phase_windows else {}),
        "weight_zero_point": signed(8),
        "first": unsigned(1),
        "last": unsigned(1),
        **({"pair": unsigned(1)} if config.pool_blocks > 1 else {}),
        **({"patch": unsigned(1), "patch_word": range(config.patch_bytes // config.dot_width),
            "gather": unsigned(1), "gather_position": range(config.patch_bytes),
            "gather_last": range(config.dot_width)} if config.patch_bytes else {}),
    })


def gather_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Bytes on their way into the patch buffer: 0 to ``last`` of ``data``, to ``position``."""
    return data.StructLayout({
        "position": range(config.patch_bytes),
        "last": range(config.dot_width),
        "data": data.ArrayLayout(signed(8), config.dot_width),
    })


def array_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One cycle of the MAC array: the activations of each lane that has its own, all weights.

    ``weight_zero_point`` is taken off every weight; where it is not 0, all lanes have the same
    activations. A compact core has none.
    """
    return data.StructLayout({
        "activations": data.ArrayLayout(
            data.ArrayLayout(signed(8), config.dot_width), config.activation_lanes),
        "weights": data.ArrayLayout(
            data.ArrayLayout(signed(8), config.dot_width), config.out_lanes),
        **({} if config.compact else {"weight_zero_point": signed(8)}),
        "first": unsigned(1),
        "last": unsigned(1),
    })


def pool_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One cycle of the max pool unit: a byte of each channel, with ``pair`` of two blocks."""
    return data.StructLayout({
        "bytes": data.ArrayLayout(signed(8), config.pool_lanes),
        "first": unsigned(1),
        "last": unsigned(1),
        **({"pair": unsigned(1)} if config.pool_blocks > 1 else {}),
    })


def result_layout(config: AcceleratorConfig) -> data.ArrayLayout:
    """The accumulators of one block of output channels of one pixel."""
    return data.ArrayLayout(signed(32), config.out_lanes)


def beat_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Up to requant_lanes results of neighboring channels; the first ``count`` are real."""
    return data.StructLayout({
        "values": data.ArrayLayout(signed(8), config.requant_lanes),
        "count": range(config.requant_lanes + 1),
    })


def vector_command_layout() -> data.StructLayout:
    """Load ``count`` instructions (or none) from byte ``address`` on to ``entry`` of the store, and
    run from ``entry`` on."""
    return data.StructLayout({
        "address": unsigned(32), "count": range(STORE_INSTRUCTIONS + 1),
        "entry": range(STORE_INSTRUCTIONS),
    })


def vector_blocks(config: AcceleratorConfig) -> Signature:
    """Another user of the requantizer's multiplier blocks: two a lane, which share ``b``.

    While ``select`` is 1 the blocks multiply ``a`` and ``b``, with a latency of 2.
    """
    lanes = config.requant_lanes
    return Signature({
        "select": Out(1),
        "a": Out(data.ArrayLayout(signed(18), 2 * lanes)),
        "b": Out(data.ArrayLayout(signed(18), lanes)),
        "p": In(data.ArrayLayout(signed(36), 2 * lanes)),
    })
