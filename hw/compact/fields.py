"""Fields of an instruction that a compact core keeps, and the core's ways to device memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.bit_fields import number_shape
from kaniwa.isa import FIELDS, OUTSIDE, Field

__all__ = ["address_bits", "fields_layout", "held", "instruction_ports", "kept_bits",
           "reader_port", "start_bits", "starts_layout", "word_bits", "writer_port"]


def address_bits(config: AcceleratorConfig) -> int:
    """Bits of a byte address: one more than memory has, so that leaving it shows; where there may
    be outside memory, above that the bit that selects it."""
    return config.span_bits + 1 + bool(config.outside_bits)


def word_bits(config: AcceleratorConfig) -> int:
    """Bits of the address of a word of read_bytes, with the same bits more."""
    return address_bits(config) - exact_log2(config.read_bytes)


def start_bits(config: AcceleratorConfig) -> int:
    """Bits of an address as an instruction gives it: in memory, so the bit that shows leaving it
    may be left out where it is the last one."""
    return address_bits(config) if config.outside_bits else config.span_bits


def kept_bits(config: AcceleratorConfig, name: str) -> range:
    """The bits of a field that are kept; a legal instruction has zeros in all others.

    Of ``mode`` one is enough: DENSE and DEPTHWISE are all that there is.
    """
    field = FIELDS[name]
    if name == "mode":
        return range(1)
    if name in ("block_width", "last_width"):
        return range(config.out_lanes.bit_length())
    limit = config.field_limit(name, field.high)
    if _in_either_memory(config, name):
        limit %= OUTSIDE
    high = field.width if field.signed else limit.bit_length()
    return range(exact_log2(config.read_bytes) if "words" in field.compact else 0, high)


def held(config: AcceleratorConfig, name: str, bits: Value) -> tuple[Value, Value, Value]:
    """What is held of a field's ``bits`` in an instruction, and those below and above it, which
    have to be 0.

    An address in either memory is held as one of ``address_bits``, or of ``word_bits`` if in words.
    """
    kept = kept_bits(config, name)
    value, below, above = bits[kept.start:kept.stop], bits[:kept.start], bits[kept.stop:]
    if _in_either_memory(config, name):
        outside = exact_log2(OUTSIDE)
        value, above = Cat(value, C(0, 1), bits[outside]), bits[kept.stop:outside]
    return value, below, above


def _in_either_memory(config: AcceleratorConfig, name: str) -> bool:
    return bool(config.outside_bits) and name.endswith("_address")


def _held_bits(config: AcceleratorConfig, name: str) -> int:
    return len(kept_bits(config, name)) + 2 * _in_either_memory(config, name)


def _with(role: str) -> list[Field]:
    """The fields that the column ``compact`` of the instruction table gives ``role``."""
    return [field for field in FIELDS.values() if role in field.compact]


def fields_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of an instruction; addresses and lengths of streams and ``line_pitch`` in
    words of read_bytes."""
    return data.StructLayout({
        field.name: number_shape(field) if field.signed
        else unsigned(_held_bits(config, field.name)) for field in _with("kept")
    })


def starts_layout(config: AcceleratorConfig) -> data.StructLayout:
    """The kept bits of the fields that units take as they come from memory, in the cycle in which
    ``valid`` is 1: all of them before ``begin``, while no unit runs. In words as the others."""
    return data.StructLayout({
        field.name: data.StructLayout({"valid": unsigned(1),
                                       "value": unsigned(_held_bits(config, field.name))})
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
