"""The formats of the blocks of a weight stream: a record each.

Encoder and decoder of ``weight_stream``, the cycle model and ``docs/isa.md`` are made from the
records. A record packs and unpacks with code of its own for each, so that one checks the other.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.bit_table import BitTable, Field
from kaniwa.isa.table import WEIGHT_FORMATS, Format

__all__ = ["BlockFormat", "Buffer", "FORMATS", "HEADER", "RECORD", "RECORD_BYTES",
           "TABLE_BOTH", "TABLE_ENTRIES", "VALUE_BYTES", "formats_table"]

RECORD_BYTES = 9    # bias (32 bits), multiplier (31), shift (6), zeros (3)
VALUE_BYTES = 4     # a bias, or an entry of a table
TABLE_ENTRIES = 256
TABLE_BOTH = 4      # bit of a TABLE's argument
RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<i4"), ("shift", "u1")])

Payload = npt.NDArray[np.uint8]
Header = dict[str, int]
_MULTIPLIER = (1 << 31) - 1

HEADER = BitTable("the header of a block", 8, (
    Field.of("format", 4, "Format; an unknown one ends the run with BAD_FORMAT"),
    Field.of("arg", 4, "see the formats", lsb=4),
    Field.of("count", 16, "words of the buffer that the block is for; of a TABLE 1", lsb=8),
    Field.of("multiplier", 31, "PARAMETERS_SHARED: of all records, else 0", lsb=24),
    Field.of("shift", 6, "PARAMETERS_SHARED: of all records, else 0", lsb=55)))


class Buffer(enum.IntEnum):
    """Destination of the items of a block."""

    WEIGHTS = 0     # the weight ring
    RECORDS = 1     # the parameter buffer
    TABLES = 2


@dataclass(frozen=True)
class BlockFormat:
    """Storage and decoding of a block: ``count`` words, each of ``items`` that leave the
    decoder one after the other.

    ``items``: in a word. ``item_bytes``: what the decoder takes for one, by argument. ``at_once``:
    items that the buffer takes together. ``arguments``, ``counts``: those that are legal.
    ``pack``: the payload of ``count`` words' values, by argument. ``unpack``: the values, from
    header and payload. ``argument``, ``payload``: what they are, in the documentation.
    """

    format: Format
    buffer: Buffer
    argument: str
    payload: str
    items: Callable[[AcceleratorConfig], int]
    item_bytes: Callable[[int, AcceleratorConfig], int]
    pack: Callable[[np.ndarray, int], bytes]
    unpack: Callable[[Header, Payload, AcceleratorConfig], np.ndarray]
    arguments: Callable[[AcceleratorConfig], Sequence[int]] = lambda config: range(1)
    counts: range = range(1 << 16)
    at_once: Callable[[AcceleratorConfig], int] = lambda config: 1

    def is_legal(self, header: Header, config: AcceleratorConfig) -> bool:
        """True where the core of ``config`` decodes a block with this header."""
        named = [name for name, format in WEIGHT_FORMATS.items() if format == self.format]
        return (all(name in config.weight_formats for name in named)
                and header["arg"] in self.arguments(config) and header["count"] in self.counts)

    def payload_bytes(self, arg: int, count: int, config: AcceleratorConfig) -> int:
        """Length of a block's payload, without what fills its last word of memory up."""
        return count * self.items(config) * self.item_bytes(arg, config)


def _pack_words(words: np.ndarray, _: int) -> bytes:
    return words.tobytes()


def _unpack_words(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    return payload.view(np.int8).reshape(header["count"], config.out_lanes, config.dot_width)


def _pack_bits(words: np.ndarray, width: int) -> bytes:
    """The low ``width`` bits of each weight, one after the other, LSB first."""
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 1), axis=1, count=width,
                         bitorder="little")
    return np.packbits(bits, bitorder="little").tobytes()


def _unpack_bits(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    width, weights = header["arg"], header["count"] * config.tile_bytes
    shape = (header["count"], config.out_lanes, config.dot_width)
    if width == 0:   # no memory for what may be 65535 words of zeros
        return np.broadcast_to(np.int8(0), shape)
    bits = np.unpackbits(payload, count=weights * width, bitorder="little")
    values = np.zeros(weights, np.uint8)
    for bit in range(8):   # the top bit is the sign, and fills the rest
        values |= bits[min(bit, width - 1)::width] << bit
    return values.view(np.int8).reshape(shape)


def _pack_records(records: np.ndarray, _: int) -> bytes:
    scale = records["multiplier"].astype(np.int64) | records["shift"].astype(np.int64) << 31
    return np.concatenate([
        np.ascontiguousarray(records["bias"]).view(np.uint8).reshape(-1, 4),
        scale.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :5]], axis=1).tobytes()


def _unpack_records(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    columns = payload.reshape(-1, RECORD_BYTES)
    records = np.zeros(len(columns), RECORD)
    records["bias"] = np.ascontiguousarray(columns[:, :4]).view("<i4")[:, 0]
    records["multiplier"] = (np.ascontiguousarray(columns[:, 4:8]).view("<u4")[:, 0]
                             & _MULTIPLIER).astype("<i4")
    records["shift"] = columns[:, 8] << 1 & 62 | columns[:, 7] >> 7
    return records.reshape(header["count"], config.requant_lanes)


def _pack_biases(records: np.ndarray, _: int) -> bytes:
    return records["bias"].tobytes()


def _unpack_biases(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    records = np.zeros(header["count"] * config.requant_lanes, RECORD)
    records["bias"] = payload.view("<i4")
    records["multiplier"], records["shift"] = header["multiplier"], header["shift"]
    return records.reshape(header["count"], config.requant_lanes)


def _pack_entries(entries: np.ndarray, _: int) -> bytes:
    return entries.T.astype("<i4").tobytes()


def _unpack_entries(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    entries = payload.view("<i4")
    return entries.reshape(-1, 2).T if header["arg"] & TABLE_BOTH else entries


def _tables(config: AcceleratorConfig) -> tuple[int, ...]:
    """Arguments of TABLE: one table of a bank, or both."""
    banks = range(0, 2 * config.table_banks, 2)
    both = tuple(TABLE_BOTH | bank for bank in banks) if config.pairs_tables else ()
    return *range(2 * config.table_banks), *both


def _chunks(config: AcceleratorConfig) -> int:
    return config.tile_bytes // config.read_bytes


FORMATS: dict[int, BlockFormat] = {record.format: record for record in (
    BlockFormat(
        Format.RAW, Buffer.WEIGHTS, "0", "weights, int8",
        items=_chunks, item_bytes=lambda arg, config: config.read_bytes,
        pack=_pack_words, unpack=_unpack_words),
    BlockFormat(
        Format.PACKED, Buffer.WEIGHTS, "bits of a weight, 0..7",
        "weights of that many bits, LSB first, two's complement",
        items=_chunks, item_bytes=lambda arg, config: arg * config.read_bytes // 8,
        pack=_pack_bits, unpack=_unpack_bits, arguments=lambda config: range(8)),
    BlockFormat(
        Format.PARAMETERS, Buffer.RECORDS, "0", f"records of {RECORD_BYTES} bytes",
        items=lambda config: config.requant_lanes // config.own_records,
        item_bytes=lambda arg, config: config.own_records * RECORD_BYTES,
        at_once=lambda config: config.shared_records // config.own_records,
        pack=_pack_records, unpack=_unpack_records),
    BlockFormat(
        Format.PARAMETERS_SHARED, Buffer.RECORDS, "0", "biases, int32",
        items=lambda config: config.requant_lanes // config.shared_records,
        item_bytes=lambda arg, config: config.shared_records * VALUE_BYTES,
        pack=_pack_biases, unpack=_unpack_biases),
    BlockFormat(
        Format.TABLE, Buffer.TABLES,
        "bit 0: the operand's table, bit 1: bank; bit 2, with bit 0 = 0: both tables",
        f"{TABLE_ENTRIES} entries, int32; of both tables, {TABLE_ENTRIES} times one of each",
        items=lambda config: TABLE_ENTRIES,
        item_bytes=lambda arg, config: VALUE_BYTES * (2 if arg & TABLE_BOTH else 1),
        arguments=_tables, counts=range(1, 2),
        pack=_pack_entries, unpack=_unpack_entries),
)}


def formats_table() -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """The head and the rows of the table of formats in the documentation."""
    return ("value", "format", "arg", "payload"), [
        (int(record.format), f"`{record.format.name}`", record.argument, record.payload)
        for record in FORMATS.values()]
