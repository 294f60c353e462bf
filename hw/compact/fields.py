"""Fields of an instruction that a compact core keeps, and the core's ways to device memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import ceil_log2, exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.bit_fields import number_shape
from kaniwa.isa import FIELDS, Field

__all__ = ["address_bits", "fields_layout", "instruction_ports", "kept_bits", "reader_port",
           "starts_layout", "word_bits", "writer_port"]


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
    return range(exact_log2(config.read_bytes) if "words" in field.compact else 0, high)


def _with(role: str) -> list[Field]:
    """The fields that the column ``compact`` of the instruction table gives ``role``."""
    return [field for field in FIELDS.values() if role in field.compact]


def fields_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of an instruction; addresses and lengths of streams and ``line_pitch`` in
    words of read_bytes."""
    return data.StructLayout({
        field.name: number_shape(field) if field.signed
        else unsigned(len(kept_bits(config, field.name))) for field in _with("kept")
    })


def starts_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of the fields that units take as they come from memory, in the cycle in which
    ``valid`` is 1: all of them before ``begin``, while no unit runs. In words as the others."""
    return data.StructLayout({
        field.name: data.StructLayout({"valid": unsigned(1),
                                       "value": unsigned(len(kept_bits(config, field.name)))})
        for field in _with("start")
    })


def instruction_ports(config: AcceleratorConfig) -> dict:
    """Ports of every unit for an instruction; ``begin``: one begins, as ``fields`` says."""
    return {
        "begin": In(1),
        "fields": In(fields_layout(config)),
        "starts": In(starts_layout(config)),
    }


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


def writer_port(config: AcceleratorConfig) -> Signature:
    """The writer of device memory, seen from it: a byte, which stays until ``ready``."""
    return Signature({
        "valid": Out(1),
        "address": Out(address_bits(config)),
        "byte": Out(8),
        "ready": In(1),
    })
