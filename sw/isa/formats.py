"""The formats of the blocks of a weight stream: a record each.

Encoder and decoder of ``weight_stream``, the cycle model and ``docs/isa.md`` are made from the
records. A record packs and unpacks with code of its own for each, so that one checks the other.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.bit_table import BitTable, Field
from kaniwa.isa.modes import AHEAD, item_bytes, pack_modes, unpack_modes
from kaniwa.isa.step_lists import LIST_WORD_BYTES
from kaniwa.isa.table import WEIGHT_FORMATS, Format

__all__ = ["BlockFormat", "Buffer", "CODES", "FORMATS", "HEADER", "MAP_BYTES", "MAP_WORDS",
           "RAW_WIDTH", "RECORD", "RECORD_BYTES", "SHORT_RECORD", "TABLE_BOTH", "TABLE_ENTRIES",
           "VALUE_BYTES", "WIDTHS", "WIDTH_BITS", "WITH_MAP", "bytes_behind", "formats_table",
           "has_codes", "has_map", "has_maps", "header_of_widths", "read_header", "width_entries",
           "widths_of", "words_of_zeros", "write_header"]

RECORD_BYTES = 9    # bias (32 bits), multiplier (31), shift (6), zeros (3)
VALUE_BYTES = 4     # a bias, or an entry of a table
TABLE_ENTRIES = 256
TABLE_BOTH = 4      # bit of a TABLE's argument
WITH_MAP = 1        # bit of a PACKED block's argument
CODES = 2           # bit of a PACKED or MODES block's argument: its weights are codes
WIDTH_BITS = 4      # of an entry of a PACKED block's widths
WIDTHS = 8          # of its entries
RAW_WIDTH = 8       # bits of a weight, at most
MAP_WORDS = 64      # of a PACKED block with a map of its words of zeros, at most; a bit each
MAP_BYTES = MAP_WORDS // 8
RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<i4"), ("shift", "u1")])


@dataclass(frozen=True)
class _ShortRecord:
    """A record of fewer bytes: its fields' bits, LSB first. The multiplier's lowest ``dropped``
    bits are 0 and are not stored."""

    bytes: int = 7
    bias: int = 23
    multiplier: int = 27
    shift: int = 6
    dropped: int = 4


SHORT_RECORD = _ShortRecord()
Payload = npt.NDArray[np.uint8]
Header = dict[str, int]
_MULTIPLIER_BITS = 31
_MULTIPLIER = (1 << _MULTIPLIER_BITS) - 1

HEADER = BitTable("the header of a block", 8, (
    Field.of("format", 4, "Format; an unknown one ends the run with BAD_FORMAT"),
    Field.of("arg", 4, "see the formats", lsb=4),
    Field.of("count", 16, "words of the buffer that the block is for; of a TABLE 1", lsb=8),
    Field.of("multiplier", 31, "PARAMETERS_SHARED: of all records; PACKED, MODES: the widths' bits "
             "0..30; else 0", lsb=24),
    Field.of("shift", 6, "PARAMETERS_SHARED: of all records; PACKED, MODES: the widths' bit 31; "
             "else 0", lsb=55)))


class Buffer(enum.IntEnum):
    """Destination of the items of a block."""

    WEIGHTS = 0     # the weight ring
    RECORDS = 1     # the parameter buffer
    TABLES = 2
    CODEBOOK = 3    # the weights that codes stand for
    STEPS = 4       # lists of steps


@dataclass(frozen=True)
class BlockFormat:
    """Storage and decoding of a block: ``count`` words, each of ``items`` that leave the
    decoder one after the other.

    ``items``: in a word. ``steps``: the bytes that the decoder takes for the items of a word, one
    after the other and from the first again, by header; of MODES those of all items, by what
    follows the header's word, too. ``at_once``: items that the buffer takes
    together. ``stored``: words that have a payload, by header. ``arguments``, ``counts``,
    ``scales``: those that are legal, the last by header. ``pack``: the payload of ``count`` words'
    values, by header. ``unpack``: the values, from header and payload. ``argument``, ``payload``:
    what they are, in the documentation.
    """

    format: Format
    buffer: Buffer
    argument: str
    payload: str
    items: Callable[[AcceleratorConfig], int]
    steps: Callable[[Header, AcceleratorConfig, bytes | memoryview], tuple[int, ...]]
    pack: Callable[[np.ndarray, Header, AcceleratorConfig], bytes]
    unpack: Callable[[Header, Payload, AcceleratorConfig], np.ndarray]
    arguments: Callable[[AcceleratorConfig], Sequence[int]] = lambda config: range(1)
    counts: range = range(1 << 16)
    scales: Callable[[Header], bool] = lambda header: True
    at_once: Callable[[AcceleratorConfig], int] = lambda config: 1
    stored: Callable[[Header, AcceleratorConfig], int] = lambda header, config: header["count"]

    def is_legal(self, header: Header, config: AcceleratorConfig) -> bool:
        """True where the core of ``config`` decodes a block with this header."""
        named = [name for name, format in WEIGHT_FORMATS.items() if format == self.format]
        return (all(name in config.weight_formats for name in named)
                and header["arg"] in self.arguments(config) and header["count"] in self.counts
                and self.scales(header))

    def payload_bytes(self, header: Header, config: AcceleratorConfig,
                      behind: bytes | memoryview = b"") -> int:
        """Length of a block's payload, without what fills its last word of memory up. ``behind``:
        what follows the header's word; where it is too short, the length is above its own."""
        steps = self.steps(header, config, behind)
        return self.stored(header, config) * self.items(config) // len(steps) * sum(steps)

    def step(self, config: AcceleratorConfig, arg: int = 0) -> int:
        """Bytes of each item of a format whose items are alike."""
        step, = self.steps({"arg": arg}, config, b"")
        return step


def read_header(word: bytes) -> Header:
    """The header in the first word of a block, with the ``map`` behind it, which only counts with
    WITH_MAP, and in MODES: as the modes of the first items."""
    return HEADER.decode(word[:HEADER.size]) | {
        "map": int.from_bytes(word[HEADER.size:HEADER.size + MAP_BYTES], "little")}


def write_header(header: Header, config: AcceleratorConfig) -> bytes:
    """The first word of a block."""
    fields = {name: value for name, value in header.items() if name != "map"}
    word = HEADER.encode(fields) + header.get("map", 0).to_bytes(MAP_BYTES, "little")
    return word[:config.read_bytes].ljust(config.read_bytes, b"\0")


def has_maps(config: AcceleratorConfig) -> bool:
    """Whether the first word of a block has room for a map of words of zeros."""
    return config.read_bytes >= HEADER.size + MAP_BYTES


def has_map(header: Header) -> bool:
    """Whether a block has a map of words of zeros."""
    return header["format"] == Format.PACKED and bool(header["arg"] & WITH_MAP)


def has_codes(header: Header) -> bool:
    """Whether the weights of a block are codes."""
    return header["format"] in (Format.PACKED, Format.MODES) and bool(header["arg"] & CODES)


def words_of_zeros(header: Header, config: AcceleratorConfig) -> npt.NDArray[np.bool_]:
    """For each ring word of a PACKED block whether it is of zeros and has no payload: those that
    its map names, or all where all widths are 0."""
    if not any(widths_of(header)[:width_entries(config)]):
        return np.ones(header["count"], np.bool_)
    if not has_map(header):
        return np.zeros(header["count"], np.bool_)
    bits = np.frombuffer(header.get("map", 0).to_bytes(MAP_BYTES, "little"), np.uint8)
    return np.unpackbits(bits, bitorder="little")[:header["count"]].astype(np.bool_)


def width_entries(config: AcceleratorConfig) -> int:
    """Widths of a PACKED block: chunk c of a ring word has entry c modulo so many."""
    chunks = config.tile_bytes // config.read_bytes
    return next(count for count in range(min(WIDTHS, chunks), 0, -1) if chunks % count == 0)


def header_of_widths(widths: Sequence[int]) -> Header:
    """The fields of a PACKED block's header that hold its widths (0..8)."""
    number = sum(int(width) << WIDTH_BITS * entry for entry, width in enumerate(widths))
    return {"multiplier": number & _MULTIPLIER, "shift": number >> _MULTIPLIER_BITS}


def widths_of(header: Header) -> list[int]:
    """All entries of a PACKED block's header."""
    number = header["multiplier"] | header["shift"] << _MULTIPLIER_BITS
    return [number >> WIDTH_BITS * entry & (1 << WIDTH_BITS) - 1 for entry in range(WIDTHS)]


def bytes_behind(header: Header) -> int:
    """Bytes behind the fields of a header that it needs: a map, or the modes of the first items."""
    if header["format"] == Format.MODES:
        return AHEAD
    return MAP_BYTES if has_map(header) else 0


def _packed_steps(header: Header, config: AcceleratorConfig,
                  behind: bytes | memoryview) -> tuple[int, ...]:
    """Of the chunks that are decoded together, until they begin with the first entry again."""
    entries, together = width_entries(config), config.weight_chunks
    widths = widths_of(header)[:entries] * (math.lcm(entries, together) // entries)
    return tuple(sum(widths[first:first + together]) * config.read_bytes // 8
                 for first in range(0, len(widths), together))


def _pack_words(words: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    return words.tobytes()


def _unpack_words(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    return payload.view(np.int8).reshape(header["count"], config.out_lanes, config.dot_width)


def _pack_planes(words: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    """Of each group of a chunk the low bits of all its weights, then the next bits, up to the
    chunk's width."""
    widths, size = widths_of(header)[:width_entries(config)], config.plane_weights
    words = words.reshape(header["count"], -1)[~words_of_zeros(header, config)]
    chunks = words.view(np.uint8).reshape(-1, len(widths), config.read_bytes // size, size)
    parts = [np.packbits(chunks[:, entry, group] >> plane & 1, axis=1, bitorder="little")
             for entry, width in enumerate(widths) for group in range(chunks.shape[2])
             for plane in range(width)]
    return np.concatenate(parts, axis=1).tobytes() if parts else b""


def _unpack_planes(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    widths, size = widths_of(header)[:width_entries(config)], config.plane_weights
    groups = config.read_bytes // size
    shape = (header["count"], config.out_lanes, config.dot_width)
    if not any(widths):   # no memory for what may be 65535 words of zeros
        return np.broadcast_to(np.int8(0), shape)
    rows = payload.reshape(-1, groups * sum(widths), size // 8)
    bits = np.unpackbits(rows, axis=2, bitorder="little")
    values = np.zeros((len(rows), len(widths), groups, size), np.uint8)
    first = 0
    for entry, width in enumerate(widths):
        for group in range(groups if width else 0):
            for bit in range(8):   # the top plane is the sign, and fills the rest
                values[:, entry, group] |= bits[:, first + min(bit, width - 1)] << bit
            first += width
    if not has_map(header):
        return values.view(np.int8).reshape(shape)
    words = np.zeros(shape, np.int8)
    words[~words_of_zeros(header, config)] = values.view(np.int8).reshape(-1, *shape[1:])
    return words


def _mode_steps(header: Header, config: AcceleratorConfig,
                behind: bytes | memoryview) -> tuple[int, ...]:
    items = header["count"] * _weight_items(config)
    return tuple(item_bytes(items, header.get("map", 0), widths_of(header), behind)) or (0,)


def _unpack_modes(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    shape = (header["count"], config.out_lanes, config.dot_width)
    if not header["count"]:
        return np.zeros(shape, np.int8)
    return unpack_modes(header["count"] * _weight_items(config), header.get("map", 0),
                        widths_of(header), payload).reshape(shape)


def _pack_records(records: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    if header["arg"]:
        return _pack_short(records)
    scale = records["multiplier"].astype(np.int64) | records["shift"].astype(np.int64) << 31
    return np.concatenate([
        np.ascontiguousarray(records["bias"]).view(np.uint8).reshape(-1, 4),
        scale.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :5]], axis=1).tobytes()


def _pack_short(records: np.ndarray) -> bytes:
    short = SHORT_RECORD
    number = (records["bias"].astype(np.int64) & (1 << short.bias) - 1
              | records["multiplier"].astype(np.int64) >> short.dropped << short.bias
              | records["shift"].astype(np.int64) << short.bias + short.multiplier)
    return number.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :short.bytes].tobytes()


def _unpack_short(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    short = SHORT_RECORD
    columns = payload.reshape(-1, short.bytes)
    number = np.pad(columns, ((0, 0), (0, 8 - short.bytes))).view("<i8")[:, 0]
    records = np.zeros(len(columns), RECORD)
    bias = number & (1 << short.bias) - 1
    records["bias"] = bias - ((bias >> short.bias - 1) << short.bias)
    multiplier = number >> short.bias & (1 << short.multiplier) - 1
    records["multiplier"] = multiplier << short.dropped
    records["shift"] = number >> short.bias + short.multiplier
    return records.reshape(header["count"], config.requant_lanes)


def _unpack_records(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    if header["arg"]:
        return _unpack_short(header, payload, config)
    columns = payload.reshape(-1, RECORD_BYTES)
    records = np.zeros(len(columns), RECORD)
    records["bias"] = np.ascontiguousarray(columns[:, :4]).view("<i4")[:, 0]
    records["multiplier"] = (np.ascontiguousarray(columns[:, 4:8]).view("<u4")[:, 0]
                             & _MULTIPLIER).astype("<i4")
    records["shift"] = columns[:, 8] << 1 & 62 | columns[:, 7] >> 7
    return records.reshape(header["count"], config.requant_lanes)


def _pack_biases(records: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    return records["bias"].tobytes()


def _unpack_biases(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    records = np.zeros(header["count"] * config.requant_lanes, RECORD)
    records["bias"] = payload.view("<i4")
    records["multiplier"], records["shift"] = header["multiplier"], header["shift"]
    return records.reshape(header["count"], config.requant_lanes)


def _pack_entries(entries: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    return entries.T.astype("<i4").tobytes()


def _unpack_entries(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    entries = payload.view("<i4")
    return entries.reshape(-1, 2).T if header["arg"] & TABLE_BOTH else entries


def _tables(config: AcceleratorConfig) -> tuple[int, ...]:
    """Arguments of TABLE: one table of a bank, or both."""
    banks = range(0, 2 * config.table_banks, 2)
    both = tuple(TABLE_BOTH | bank for bank in banks) if config.pairs_tables else ()
    return *range(2 * config.table_banks), *both


def _pack_codebook(weights: np.ndarray, header: Header, config: AcceleratorConfig) -> bytes:
    return weights.astype(np.int8).tobytes()


def _unpack_codebook(header: Header, payload: Payload, config: AcceleratorConfig) -> np.ndarray:
    return payload.view(np.int8)


def _weight_arguments(config: AcceleratorConfig, plain: int) -> tuple[int, ...]:
    """Arguments of a format of weights: ``plain`` ones, and the same with CODES."""
    return *range(plain), *(CODES | arg for arg in range(plain) if config.codebook_entries)


def _weight_items(config: AcceleratorConfig) -> int:
    return config.tile_bytes // config.decoded_bytes


FORMATS: dict[int, BlockFormat] = {record.format: record for record in (
    BlockFormat(
        Format.RAW, Buffer.WEIGHTS, "0", "weights, int8",
        items=_weight_items, steps=lambda header, config, behind: (config.decoded_bytes,),
        pack=_pack_words, unpack=_unpack_words),
    BlockFormat(
        Format.PACKED, Buffer.WEIGHTS, "bit 0: a map of words of zeros; bit 1: codes",
        "of each chunk as many planes of bits as its width says, the lowest first; of words of "
        "zeros nothing",
        items=_weight_items, steps=_packed_steps, pack=_pack_planes, unpack=_unpack_planes,
        arguments=lambda config: _weight_arguments(config, 2 if has_maps(config) else 1),
        scales=lambda header: max(widths_of(header)) <= RAW_WIDTH and (
            not header["arg"] & WITH_MAP or header["count"] <= MAP_WORDS),
        stored=lambda header, config: int((~words_of_zeros(header, config)).sum())),
    BlockFormat(
        Format.PARAMETERS, Buffer.RECORDS, "0, or 1 for short records",
        f"records of {RECORD_BYTES} bytes, or of {SHORT_RECORD.bytes}",
        items=lambda config: config.requant_lanes // config.own_records,
        steps=lambda header, config, behind: (
            config.own_records * (SHORT_RECORD.bytes if header["arg"] else RECORD_BYTES),),
        arguments=lambda config: range(1 if config.compact else 2),
        at_once=lambda config: config.shared_records // config.own_records,
        pack=_pack_records, unpack=_unpack_records),
    BlockFormat(
        Format.PARAMETERS_SHARED, Buffer.RECORDS, "0", "biases, int32",
        items=lambda config: config.requant_lanes // config.shared_records,
        steps=lambda header, config, behind: (config.shared_records * VALUE_BYTES,),
        pack=_pack_biases, unpack=_unpack_biases),
    BlockFormat(
        Format.TABLE, Buffer.TABLES,
        "bit 0: the operand's table, bit 1: bank; bit 2, with bit 0 = 0: both tables",
        f"{TABLE_ENTRIES} entries, int32; of both tables, {TABLE_ENTRIES} times one of each",
        items=lambda config: TABLE_ENTRIES,
        steps=lambda header, config, behind: (
            VALUE_BYTES * (2 if header["arg"] & TABLE_BOTH else 1),),
        arguments=_tables, counts=range(1, 2),
        pack=_pack_entries, unpack=_unpack_entries),
    BlockFormat(
        Format.MODES, Buffer.WEIGHTS, "bit 1: codes; bit 0 is 0",
        "of each item a byte, the modes of the item four behind it, and as many planes of bits of "
        "each group as its mode says, the lowest first",
        items=_weight_items, steps=_mode_steps,
        pack=lambda words, header, config: pack_modes(words, widths_of(header)),
        unpack=_unpack_modes, arguments=lambda config: _weight_arguments(config, 1),
        scales=lambda header: max(widths_of(header)) <= RAW_WIDTH),
    BlockFormat(
        Format.CODEBOOK, Buffer.CODEBOOK, "0",
        "for each code a weight, int8",
        items=lambda config: config.codebook_entries,
        steps=lambda header, config, behind: (1,), counts=range(1, 2),
        arguments=lambda config: range(1 if config.codebook_entries else 0),
        pack=_pack_codebook, unpack=_unpack_codebook),
    BlockFormat(
        Format.STEPS, Buffer.STEPS, "0",
        "words of 4 bytes: how many steps, then two of them a word: the chunk, and in bit 14 of "
        "its half whether it is the segment's last",
        items=lambda config: 1, steps=lambda header, config, behind: (LIST_WORD_BYTES,),
        arguments=lambda config: range(1 if config.step_entries else 0),
        pack=lambda words, header, config: words.astype("<u4").tobytes(),
        unpack=lambda header, payload, config: payload.view("<u4")),
)}


def formats_table() -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """The head and the rows of the table of formats in the documentation."""
    return ("value", "format", "arg", "payload"), [
        (int(record.format), f"`{record.format.name}`", record.argument, record.payload)
        for record in FORMATS.values()]
