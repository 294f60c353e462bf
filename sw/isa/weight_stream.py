"""The weight stream: ring words from weights, streams from words, and streams back to words.

``formats`` has the formats of blocks; here blocks are chosen, put together and taken apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError
from kaniwa.isa import Format
from kaniwa.isa.codebook import codebook_of, look_up
from kaniwa.isa.formats import (
    CODES,
    FORMATS,
    MAP_WORDS,
    RAW_WIDTH,
    RECORD,
    RECORD_BYTES,
    SHORT_RECORD,
    TABLE_BOTH,
    WITH_MAP,
    Buffer,
    has_codes,
    has_maps,
    header_of_widths,
    read_header,
    widths_of,
    words_of_zeros,
    write_header,
)
from kaniwa.isa.modes import AHEAD, modes_of
from kaniwa.isa.packed_blocks import MAX_COUNT, PackedBlock, packed_blocks
from kaniwa.isa.step_lists import Steps, pack_steps

__all__ = ["StreamBlock", "dense_words", "depthwise_words", "column_words", "corner_words",
           "phase_window_words", "encode_weights", "encode_block", "encode_codebook",
           "encode_parameters", "encode_step_words", "encode_steps", "encode_tables", "equal_runs",
           "decode_stream", "decode_headers"]

Int8 = npt.NDArray[np.int8]
Integers = npt.ArrayLike  # of an integer type


def _pad_to(values: np.ndarray, sizes: tuple[int, ...], filler: int = 0) -> np.ndarray:
    """``values`` with ``filler`` after the end of each axis, up to ``sizes``."""
    return np.pad(values, [(0, size - n) for size, n in zip(sizes, values.shape, strict=True)],
                  constant_values=filler)


def dense_words(weights: Int8, config: AcceleratorConfig, zero_point: int = 0) -> Int8:
    """Ring words [blocks, steps, M, N] of weights [channels, kernel rows, segments, bytes].

    Channels are padded to a multiple of M, the bytes of a segment to a multiple of N, with weights
    that are ``zero_point``.
    """
    channels, rows, segments, size = weights.shape
    lanes, width = config.out_lanes, config.dot_width
    blocks, chunks = -(-channels // lanes), -(-size // width)
    padded = _pad_to(weights, (blocks * lanes, rows, segments, chunks * width), zero_point)
    split = padded.reshape(blocks, lanes, rows * segments * chunks, width)
    return np.ascontiguousarray(split.transpose(0, 2, 1, 3))


def depthwise_words(weights: Int8, config: AcceleratorConfig) -> Int8:
    """Ring words [blocks, ceil(taps / N), M, N] of weights [kernel rows, columns, channels].

    A block has depthwise_lanes channels; the rows beyond them are zero.
    """
    rows, columns, channels = weights.shape
    lanes, width = config.depthwise_lanes, config.dot_width
    blocks, words = -(-channels // lanes), -(-rows * columns // width)
    taps = _pad_to(weights.reshape(rows * columns, channels), (words * width, blocks * lanes))
    split = taps.reshape(words, width, blocks, lanes).transpose(2, 0, 3, 1)
    return _pad_to(split, (blocks, words, config.out_lanes, width))


def column_words(weights: Int8, window: tuple[int, int], config: AcceleratorConfig) -> Int8:
    """Ring words [blocks, phases * groups, M, N] of COLUMN ``weights`` [rows, columns, channels].

    A word holds the taps of ``window`` (rows, columns) of the kernel, in groups of columns that
    end at the window's right edge; a block has column_lanes channels.
    """
    kernel_rows, kernel_columns, channels = weights.shape
    rows, columns = window
    lanes, phases, groups = (config.column_lanes, -(-kernel_rows // rows),
                             -(-kernel_columns // columns))
    blocks = -(-channels // lanes)
    taps = np.zeros((phases * rows, groups, columns, blocks * lanes), np.int8)
    for group in range(groups):
        part = weights[:, group * columns:(group + 1) * columns]
        taps[:kernel_rows, group, columns - part.shape[1]:, :channels] = part
    split = taps.reshape(phases, rows, groups, columns, blocks, lanes).transpose(4, 0, 2, 5, 1, 3)
    words = split.reshape(blocks, phases * groups, lanes, rows * columns)
    return _pad_to(words, (blocks, phases * groups, config.out_lanes, config.dot_width))


def phase_window_words(weights: Int8, config: AcceleratorConfig) -> Int8:
    """Ring words [blocks, phases * halves, M, N] of COLUMN ``weights`` [rows, columns, channels]
    for windows of each phase, whose right edge the kernel's is; the right half comes first.
    """
    kernel_rows, kernel_columns, channels = weights.shape
    rows, columns = config.column_window
    lanes, phases, halves = (config.column_lanes, -(-kernel_rows // rows),
                             -(-kernel_columns // columns))
    blocks = -(-channels // lanes)
    taps = np.zeros((phases * rows, halves * columns, blocks * lanes), np.int8)
    taps[:kernel_rows, halves * columns - kernel_columns:, :channels] = weights
    split = taps.reshape(phases, rows, halves, columns, blocks, lanes)[:, :, ::-1]
    words = split.transpose(4, 0, 2, 5, 1, 3).reshape(
        blocks, phases * halves, lanes, rows * columns)
    return _pad_to(words, (blocks, phases * halves, config.out_lanes, config.dot_width))


def corner_words(weights: Int8, config: AcceleratorConfig) -> Int8:
    """Ring words [blocks, 2, M, N] of COLUMN ``weights`` [rows + 1, columns + 1, channels] of a
    kernel that is a row and a column larger than the window.

    First what the window holds at the kernel's right edge; then the rest of the last row, the
    first column down to it, and where these meet.
    """
    rows, columns = config.column_window
    window = weights[:rows, 1:].reshape(rows * columns, -1)
    corner = np.concatenate([weights[rows, 1:], weights[:, 0]])
    corner = _pad_to(corner, window.shape)
    lanes = config.column_lanes
    blocks = -(-weights.shape[2] // lanes)
    taps = _pad_to(np.stack([window, corner]), (2, rows * columns, blocks * lanes))
    words = taps.reshape(2, rows * columns, blocks, lanes).transpose(2, 0, 3, 1)
    return _pad_to(words, (blocks, 2, config.out_lanes, config.dot_width))


def encode_weights(words: Int8, config: AcceleratorConfig,
                   formats: tuple[str, ...] | None = None) -> bytes:
    """A stream of RAW, PACKED and MODES blocks for ring words [..., M, N], as ``packed_blocks``
    splits them; with a CODEBOOK in front where that is smaller.

    ``formats`` (default: the config's, and codebooks) names what may be used; never longer than RAW
    alone.
    """
    flat = np.ascontiguousarray(words, np.int8).reshape(-1, config.tile_bytes)
    used = config.weight_formats if formats is None else formats
    if "packed" not in used:
        return encode_block(flat, PackedBlock(0, len(flat), Format.RAW), config)
    plain = b"".join(encode_block(flat, block, config)
                     for block in packed_blocks(flat, config, "modes" in used))
    if formats is not None or not config.codebook_entries:
        return plain
    coded = _coded(flat, config)
    # An entry takes a cycle of the decoder, as a word of memory does.
    entries = config.codebook_entries * config.read_bytes
    return coded if coded and len(coded) + entries < len(plain) else plain


def _coded(flat: Int8, config: AcceleratorConfig) -> bytes:
    """A CODEBOOK and blocks of codes; nothing where there are too many different weights."""
    book = codebook_of(flat, config.codebook_entries)
    if book is None:
        return b""
    codes = book.encode(flat)
    return encode_codebook(book.weights, config) + b"".join(
        encode_block(codes, block, config, CODES)
        for block in packed_blocks(codes, config, "modes" in config.weight_formats))


def encode_codebook(weights: Int8, config: AcceleratorConfig) -> bytes:
    """A CODEBOOK block of int8 ``weights`` [codebook_entries]."""
    return _block(Format.CODEBOOK, 0, 1, weights, config)


def encode_block(flat: Int8, block: PackedBlock, config: AcceleratorConfig,
                 codes: int = 0) -> bytes:
    """The words of ``flat`` [words, tile_bytes] that a block has; more than the header can count
    become several blocks. With ``codes`` = CODES the words are codes."""
    encode = {Format.RAW: _raw, Format.PACKED: _packed, Format.MODES: _modes}[block.format]
    return b"".join(
        encode(flat[first:min(block.end, first + MAX_COUNT)], block.widths, codes, config)
        for first in range(block.start, block.end, MAX_COUNT))


def _raw(words: Int8, widths: tuple[int, ...], codes: int, config: AcceleratorConfig) -> bytes:
    return _block(Format.RAW, codes, len(words), words, config)


def _modes(words: Int8, widths: tuple[int, ...], codes: int, config: AcceleratorConfig) -> bytes:
    """A MODES block of ring words [words, tile_bytes], of groups that have the ``widths``."""
    first = int.from_bytes(modes_of(words, widths)[:AHEAD].tobytes(), "little")
    return _block(Format.MODES, codes, len(words), words, config, map=first,
                  **header_of_widths(widths))


def _packed(words: Int8, widths: tuple[int, ...], codes: int, config: AcceleratorConfig) -> bytes:
    """A PACKED block of ring words [words, tile_bytes] with a map of those of zeros, where there
    are some and it has room for all; else RAW where all chunks need 8 bits."""
    zeros = ~words.any(axis=1)
    if has_maps(config) and len(words) <= MAP_WORDS and any(widths) and zeros.any():
        bits = int.from_bytes(np.packbits(zeros, bitorder="little").tobytes(), "little")
        return _block(Format.PACKED, codes | WITH_MAP, len(words), words, config, map=bits,
                      **header_of_widths(widths))
    if min(widths) == RAW_WIDTH:
        return _raw(words, widths, codes, config)
    return _block(Format.PACKED, codes, len(words), words, config, **header_of_widths(widths))


def _block(block_format: Format, arg: int, count: int, values: np.ndarray,
           config: AcceleratorConfig, **scale: int) -> bytes:
    """Header and payload, each padded to a multiple of read_bytes."""
    size = config.read_bytes
    fields = {"format": int(block_format), "arg": arg, "count": count, **scale}
    payload = FORMATS[block_format].pack(values, fields, config)
    return write_header(fields, config) + payload.ljust(-(-len(payload) // size) * size, b"\0")


def encode_steps(steps: Steps, config: AcceleratorConfig) -> bytes:
    """The list of ``steps`` [blocks, segments, chunks], each segment of which has one at least."""
    return encode_step_words(pack_steps(steps), config)


def encode_step_words(words: npt.NDArray[np.uint32], config: AcceleratorConfig) -> bytes:
    """A STEPS block of the words of a list."""
    return _block(Format.STEPS, 0, len(words), words, config)


def encode_parameters(bias: Integers, multiplier: Integers, shift: Integers, block_width: int,
                      blocks: int, config: AcceleratorConfig) -> bytes:
    """Parameter words of the channels of ``blocks`` blocks, the last of which may be narrower.

    ``multiplier`` and ``shift`` are one for each channel, or one for all; where they are equal, the
    blocks are PARAMETERS_SHARED: biases alone. Else records are short where they fit, in runs that
    make up for their headers. Lanes without a channel get zeros.
    """
    biases = np.asarray(bias, np.int64)
    lanes = config.requant_lanes
    words = -(-block_width // lanes)
    channels = np.arange(len(biases))
    slots = channels // block_width * words * lanes + channels % block_width
    records = np.zeros(blocks * words * lanes, RECORD)
    for name, values in (("bias", biases), ("multiplier", multiplier), ("shift", shift)):
        records[name][slots] = values
    scale = {name: int(records[name][slots[0]]) for name in ("multiplier", "shift")}
    if all((records[name][slots] == value).all() for name, value in scale.items()):
        runs = [(records, Format.PARAMETERS_SHARED, 0, scale)]
    else:
        runs = [(run, Format.PARAMETERS, int(short), {}) for run, short in _runs(records, config)]
    return b"".join(
        _block(kind, short, len(part) // lanes, part, config, **fields)
        for run, kind, short, fields in runs
        for part in np.split(run, range(MAX_COUNT * lanes, len(run), MAX_COUNT * lanes)))


def _runs(records: np.ndarray, config: AcceleratorConfig) -> list[tuple[np.ndarray, bool]]:
    """Runs of whole words of records, each with whether it is stored as short ones.

    Short ones between others have a header more, and so have the others behind them.
    """
    if config.compact:
        return [(records, False)]
    words = records.reshape(-1, config.requant_lanes)
    short = _are_short(words)
    saved = (RECORD_BYTES - SHORT_RECORD.bytes) * config.requant_lanes
    for first, last in equal_runs(short):
        headers = (first > 0) + (last < len(words))
        if short[first] and (last - first) * saved <= headers * config.read_bytes:
            short[first:last] = False
    return [(words[first:last].reshape(-1), bool(short[first]))
            for first, last in equal_runs(short)]


def equal_runs(values: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs [first, past the last) of values that are equal."""
    edges = np.flatnonzero(np.diff(values, prepend=~values[:1], append=~values[-1:])).tolist()
    return list(zip(edges, edges[1:], strict=False))


def _are_short(words: np.ndarray) -> npt.NDArray[np.bool_]:
    """For each word [words, lanes] whether all its records fit short ones."""
    limit, dropped = 1 << SHORT_RECORD.bias - 1, (1 << SHORT_RECORD.dropped) - 1
    bias, multiplier = words["bias"], words["multiplier"]
    fits = (bias >= -limit) & (bias < limit) & (multiplier & dropped == 0)
    return np.asarray(fits.all(axis=1))


def encode_tables(tables: Mapping[int, Integers], bank: int, config: AcceleratorConfig) -> bytes:
    """Blocks that load table 0 (accumulated result), 1 (operand) or both of a bank; 256 int32 each.

    Both are one block where the config takes an entry of each in a cycle.
    """
    values = {number: np.asarray(table, np.int64) for number, table in sorted(tables.items())}
    if len(values) == 2 and config.pairs_tables:
        return _block(Format.TABLE, TABLE_BOTH | bank << 1, 1, np.stack([*values.values()]), config)
    return b"".join(_block(Format.TABLE, number | bank << 1, 1, table, config)
                    for number, table in values.items())


@dataclass(frozen=True, eq=False)
class StreamBlock:
    """A decoded block.

    ``values``: int8 [count, M, N] for RAW, PACKED and MODES, of codes the weights that they stand
    for; RECORD [count, R] for both kinds of parameters, int32 [256] for TABLE, [2, 256] for one of
    both tables, int8 [codebook_entries] for CODEBOOK, uint32 [count] for STEPS. Not to be written
    to.
    """

    format: Format
    arg: int
    values: np.ndarray

    @property
    def buffer(self) -> Buffer:
        """Buffer that the block's values go to."""
        return FORMATS[self.format].buffer

    @property
    def tables(self) -> dict[int, np.ndarray]:
        """Of a TABLE: int32 [256] by its number: table | bank << 1."""
        if not self.arg & TABLE_BOTH:
            return {self.arg: self.values}
        first = self.arg & ~TABLE_BOTH
        return {first: self.values[0], first | 1: self.values[1]}


def decode_stream(data: bytes, config: AcceleratorConfig) -> list[StreamBlock]:
    """The blocks of a stream, as the core's weight decoder understands it.

    Raises ProgramError for a format or argument that the config has no hardware for, codes before
    a CODEBOOK of the same stream, a block cut short, or a length that is not a multiple of
    read_bytes.
    """
    blocks = []
    codebook = np.zeros(1, np.int8)
    for header, place in decode_headers(data, config):
        block = FORMATS[header["format"]]
        payload = np.frombuffer(data, np.uint8, len(place), place.start)
        values = block.unpack(header, payload, config)
        if block.buffer == Buffer.CODEBOOK:
            codebook = values
        elif has_codes(header):
            values = _of_codes(values, codebook, header, config)
        blocks.append(StreamBlock(block.format, header["arg"], values))
    return blocks


def _of_codes(codes: Int8, codebook: Int8, header: dict[str, int],
              config: AcceleratorConfig) -> Int8:
    """The weights of a block [count, M, N] of codes. Words that were left out are zeros."""
    weights = look_up(codes, codebook)
    if header["format"] == Format.PACKED:
        weights[words_of_zeros(header, config)] = 0
    return weights


def decode_headers(data: bytes, config: AcceleratorConfig,
                   ) -> Iterator[tuple[dict[str, int], range]]:
    """The header of each block of a stream, and the bytes of ``data`` that its payload is.

    Raises ProgramError as ``decode_stream`` does.
    """
    size = config.read_bytes
    if len(data) % size:
        raise ProgramError(f"weight stream: length must be a multiple of {size}, not {len(data)}")
    position, has_codebook = 0, False
    while position < len(data):
        header = read_header(data[position:position + size])
        block = FORMATS.get(header["format"])
        if block is None or not block.is_legal(header, config):
            widths = (f"widths {', '.join(map(str, widths_of(header)))}, "
                      if header["format"] in (Format.PACKED, Format.MODES) else "")
            raise ProgramError(f"weight stream: block at byte {position} has format "
                               f"{header['format']}, argument {header['arg']}, {widths}count "
                               f"{header['count']}, unknown to this target")
        if has_codes(header) and not has_codebook:
            raise ProgramError(f"weight stream: block at byte {position} has codes, and no "
                               "codebook comes before it")
        has_codebook |= block.buffer == Buffer.CODEBOOK
        first = position + size
        payload = block.payload_bytes(header, config, memoryview(data)[first:])
        position = first + -(-payload // size) * size
        if position > len(data):
            raise ProgramError(f"weight stream: block at byte {first - size} is cut short, "
                               f"{position - len(data)} bytes are missing")
        yield header, range(first, first + payload)
