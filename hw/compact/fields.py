"""What a compact core keeps of an instruction, and its ways to device memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import ceil_log2, exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS

__all__ = ["address_bits", "fields_layout", "kept_bits", "reader_port", "starts_layout",
           "word_bits"]

# All fields that the units of a compact core look at again and again.
_KEPT = (
    "mode", "weights_stream", "add", "table", "rounding", "add_rounding", "ifm_pitch",
    "kernel_rows", "ifm_rows", "line_pitch", "ifm_row_bytes", "segments", "stride_rows",
    "dilation_rows", "pad_value", "chunks", "pixel_step", "pad_left_bytes", "segment_step",
    "ofm_rows", "ofm_columns", "blocks", "block_width", "last_width", "weight_address",
    "weight_bytes", "zero_point", "act_min", "act_max", "add_zero_point", "add_multiplier",
    "add_shift", "add_min", "add_max", "operand_row_pitch", "operand_pixel_pitch",
    "ofm_row_pitch", "ofm_pixel_pitch",
)
# Those with which a unit's own register begins: they go there, and are kept nowhere else.
_STARTS = ("ifm_address", "pad_top", "parameter_address", "parameter_bytes", "weight_repeat",
           "operand_address", "ofm_address")
# Multiples of read_bytes: kept in words.
_WORDS = ("line_pitch", "parameter_address", "parameter_bytes", "weight_address", "weight_bytes")


def address_bits(config: AcceleratorConfig) -> int:
    """Bits of a byte address: one more than memory has, so that leaving it shows."""
    return ceil_log2(config.memory_bytes) + 1


def word_bits(config: AcceleratorConfig) -> int:
    """Bits of the address of a word of read_bytes, with the same bit more."""
    return address_bits(config) - exact_log2(config.read_bytes)


def kept_bits(config: AcceleratorConfig, name: str) -> range:
    """The bits of a field that are kept; a legal instruction has zeros in all others.

    Of ``mode`` one is enough: DENSE and DEPTHWISE are all that there is.
    """
    field = FIELDS[name]
    if name == "mode":
        return range(1)
    if name in ("block_width", "last_width"):
        return range(config.out_lanes.bit_length())
    high = field.width if field.signed else config.field_limit(name, field.high).bit_length()
    return range(exact_log2(config.read_bytes) if name in _WORDS else 0, high)


def fields_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of an instruction; addresses and lengths of streams and ``line_pitch`` in
    words of read_bytes."""
    return data.StructLayout({
        name: signed(FIELDS[name].width) if FIELDS[name].signed
        else unsigned(len(kept_bits(config, name))) for name in _KEPT
    })


def starts_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of the fields that units take as they come from memory, in the cycle in which
    ``valid`` is 1: all of them before ``begin``, while no unit runs. In words as the others."""
    return data.StructLayout({
        name: data.StructLayout({"valid": unsigned(1),
                                 "value": unsigned(len(kept_bits(config, name)))})
        for name in _STARTS
    })


def reader_port(config: AcceleratorConfig) -> Signature:
    """A reader of device memory, seen from the reader: one word at a time.

    ``request`` and ``word``, its address in words, stay until ``response`` is 1 for a cycle, in
    which the memory's data are there.
    """
    return Signature({
        "request": Out(1),
        "word": Out(word_bits(config)),
        "response": In(1),
    })
