"""Random weight streams for benches, and what decoding them must give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from kaniwa.config import MODE_GROUP
from kaniwa.errors import ProgramError
from kaniwa.isa import Format
from kaniwa.isa.codebook import look_up
from kaniwa.isa.formats import (
    CODES,
    HEADER,
    RAW_WIDTH,
    Buffer,
    has_map,
    read_header,
    width_entries,
    widths_of,
    words_of_zeros,
)
from kaniwa.isa.packed_blocks import PackedBlock
from kaniwa.isa.weight_stream import (
    StreamBlock,
    decode_headers,
    decode_stream,
    encode_block,
    encode_codebook,
    encode_parameters,
    encode_step_words,
    encode_tables,
    encode_weights,
)
from kaniwa.sim.harness.bench import Env, cover

__all__ = ["ExpectedStreams"]

LONG = 400      # words of memory, of a payload of a hostile stream


class ExpectedStreams:
    """Values that the outputs must give, kept beside the bytes of the streams."""

    def __init__(self, env: Env) -> None:
        assert env.config is not None
        self.env, self.config = env, env.config
        self.chunks: list[dict[str, int]] = []
        self.records: list[list[dict[str, int]]] = []  # by transfers
        self.entries: list[dict[str, Any]] = []
        self.listed: list[int] = []    # words of step lists
        self.tables = env.rng.randrange(6)

    def weights(self, count: int, width: int) -> bytes:
        """Ring words whose weights need ``width`` bits (8: RAW)."""
        return self._weights(count, [width] * width_entries(self.config))

    def mixed_weights(self, count: int) -> bytes:
        """Ring words whose chunks need bits of their own, 0 to 8."""
        cover("mixed")
        return self._weights(count, self.env.np_rng.integers(
            0, 9, width_entries(self.config)).tolist())

    def sparse_weights(self, count: int) -> bytes:
        """Ring words of which some are of zeros, in a block with a map where there is room."""
        zeros = self.env.np_rng.random(count) < self.env.rng.choice([0.2, 0.5, 0.9])
        return self._weights(count, self.env.np_rng.integers(
            0, 9, width_entries(self.config)).tolist(), zeros)

    def mode_weights(self, count: int, widths: Sequence[int] = range(9)) -> bytes:
        """Ring words whose groups of 8 need bits of their own, four of the ``widths``, in a MODES
        block where the config has such."""
        if "modes" not in self.config.weight_formats:
            return self.mixed_weights(count)
        rng = self.env.np_rng
        table = sorted(rng.choice(list(widths), 4, replace=False).tolist())
        groups = np.zeros((count * self.config.tile_bytes // MODE_GROUP, MODE_GROUP), np.int8)
        for group, width in zip(groups, rng.choice(table, len(groups)), strict=True):
            if width:
                group[...] = rng.integers(-1 << width - 1, 1 << width - 1, MODE_GROUP)
        words = groups.reshape(count, self.config.tile_bytes)
        data = encode_block(words, PackedBlock(0, count, Format.MODES, tuple(table)), self.config)
        cover("modes")
        for width in table:
            cover(f"mode_{width}")
        self._expect_chunks(words, np.zeros(count, np.bool_))
        return data

    def coded_weights(self, count: int) -> bytes:
        """A codebook and two blocks of codes, of which the low bits count, where the config has
        codebooks; both formats where it has modes."""
        config, rng = self.config, self.env.np_rng
        if not config.codebook_entries:
            return self.mixed_weights(count)
        book = rng.integers(-128, 128, config.codebook_entries).astype(np.int8)
        data = encode_codebook(book, config)
        for part in (count, 1):
            widths = rng.integers(0, RAW_WIDTH, width_entries(config)).tolist()
            chunks = self._chunks(part, widths)
            chunks[rng.random(part) < 0.3] = 0
            kind = Format.PACKED
            if "modes" in config.weight_formats and rng.random() < 0.5:
                kind, widths = Format.MODES, [0, 2, int(rng.integers(3, 8)), RAW_WIDTH]
            block = encode_block(chunks.reshape(part, -1),
                                 PackedBlock(0, part, kind, tuple(widths)), config, CODES)
            header = read_header(block[:config.read_bytes])
            cover(f"codes_{kind.name.lower()}")
            if has_map(header):
                cover("codes_map")
            zeros = self._are_zeros(header)
            weights = look_up(chunks, book)
            weights[zeros] = 0
            self._expect_chunks(weights, zeros)
            data += block
        return data

    def _weights(self, count: int, widths: Sequence[int],
                 zeros: np.ndarray | None = None) -> bytes:
        config = self.config
        chunks = self._chunks(count, widths)
        if zeros is not None:
            chunks[zeros] = 0
        packed = "packed" in config.weight_formats and min(widths) < 8
        data = encode_weights(chunks, config, ("raw", "packed") if packed else ("raw",))
        header = HEADER.decode(data[:HEADER.size])
        if header["format"] == Format.PACKED:
            for width in widths_of(header)[:len(widths)]:
                cover(f"packed_{width}")
            if header["arg"]:
                cover("map")
        else:
            cover("raw")
        self._expect_chunks(chunks, np.concatenate([
            self._are_zeros(header) for header, _ in decode_headers(data, config)]))
        return data

    def _chunks(self, count: int, widths: Sequence[int]) -> np.ndarray:
        """Weights [count, chunks, read_bytes] of which the chunks of each entry need its width."""
        config, rng = self.config, self.env.np_rng
        size = config.read_bytes
        chunks = np.zeros((count, config.tile_bytes // size, size), np.int8)
        for entry, width in enumerate(widths):
            if width:
                limit = 1 << width >> 1
                own = chunks[:, entry::len(widths)]
                own[...] = rng.integers(-limit, limit, own.shape)
                own[..., rng.integers(size)] = -limit
        return chunks

    def parameters(self, words: int, shared: bool, short: bool = False) -> bytes:
        """Parameter words, the last lanes of which may have no channel."""
        env, lanes = self.env, self.config.requant_lanes
        channels = words * lanes - env.rng.randrange(lanes)
        bias = env.np_rng.integers(-2**31, 2**31, channels) >> (9 if short else 0)
        multiplier = env.np_rng.integers(0, 2**31, 1 if shared else channels)
        multiplier &= -16 if short else -1
        shift = env.np_rng.integers(0, 64, 1 if shared else channels)
        data = encode_parameters(bias, multiplier, shift, channels, 1, self.config)
        is_shared = data[0] & 15 == Format.PARAMETERS_SHARED
        cover("shared" if is_shared else "short" if data[0] >> 4 else "parameters")
        records = []
        for lane in range(words * lanes):
            real = lane < channels
            at = lane % len(multiplier)
            records.append({
                "bias": int(bias[lane]) if real else 0,
                "multiplier": int(multiplier[at]) if real or is_shared else 0,
                "shift": int(shift[at]) if real or is_shared else 0, "zeros": 0})
        self._expect_records(records)
        return data

    def table(self) -> bytes:
        """One table of one bank, or both where they may come together, each in its turn."""
        banks, both = self.config.table_banks, self.config.pairs_tables
        kind, bank = divmod(self.tables % ((2 + both) * banks), banks)
        self.tables += 1
        numbers = (0, 1) if kind == 2 else (kind,)
        values = self.env.np_rng.integers(-2**31, 2**31, (len(numbers), 256))
        cover("both_tables" if kind == 2 else "table")
        self._expect_entries(numbers[0], bank, values)
        return encode_tables(dict(zip(numbers, values, strict=True)), bank, self.config)

    def step_list(self) -> bytes:
        """Any words of a step list, where the config has such."""
        if not self.config.step_entries:
            return self.parameters(1, True)
        words = self.env.np_rng.integers(0, 1 << 32, self.env.rng.randint(1, 20), np.uint32)
        cover("list")
        self.listed += words.tolist()
        return encode_step_words(words, self.config)

    def random_block(self) -> bytes:
        """A block of any format."""
        rng = self.env.rng
        kind = rng.randrange(16)
        if kind >= 14:
            return self.step_list()
        if kind == 0:
            return self.table()
        if kind == 1:
            cover("empty_block")
            header = rng.choice([Format.RAW, Format.PARAMETERS, Format.PARAMETERS_SHARED])
            return bytes([header]).ljust(self.config.read_bytes, b"\0")
        if kind <= 4:
            return self.parameters(rng.randint(1, 9), rng.random() < 0.5, rng.random() < 0.5)
        if kind == 5:
            return self.sparse_weights(rng.choice([rng.randint(1, 9), rng.randint(60, 70)]))
        if kind == 6:
            return self.mixed_weights(rng.randint(1, 9))
        if kind >= 12:
            return self.coded_weights(rng.randint(1, 9))
        if kind >= 10:
            return self.mode_weights(rng.randint(1, 9))
        return self.weights(rng.randint(1, 9), rng.randrange(9))

    def hostile(self, blocks: int) -> tuple[bytes, bool]:
        """A stream of random blocks behind headers of which some are illegal, and whether it ends
        with such a one. It ends, too, where a long payload would have to follow. Expected is what
        comes before, as the host's parser has it."""
        config, rng = self.config, self.env.rng
        size, data, codebook = config.read_bytes, b"", b""
        for _ in range(blocks):
            header = bytearray(rng.randbytes(HEADER.size))
            header[0] = rng.randrange(len(Format) + 1) | rng.choice([0, 0, 0, 1, 2, 4, 8, 15]) << 4
            header[1], header[2] = rng.choice([0, 1, 1, 2, 3]), rng.choice([0] * 9 + [1])
            if rng.random() < 0.8:  # most widths are legal
                header[3:7] = bytes(rng.randrange(9) | rng.randrange(9) << 4 for _ in range(4))
            block = (bytes(header) + rng.randbytes(8))[:size].ljust(size, b"\0")
            try:
                behind = rng.randbytes(size * LONG)
                *_, (fields, place) = itertools.islice(
                    decode_headers(codebook + block + behind, config), 1 + bool(codebook))
            except ProgramError as error:
                if "cut short" in str(error):
                    break
                cover("hostile")
                return data + block + rng.randbytes(size * rng.randrange(9)), True
            payload = behind[:-(-len(place) // size) * size]
            decoded = decode_stream(codebook + block + payload, config)[-1]
            if decoded.buffer == Buffer.CODEBOOK:
                codebook = block + payload
            else:
                self._expect(decoded, fields)
            data += block + payload
        return data, False

    def _expect(self, block: StreamBlock, header: dict[str, int]) -> None:
        """The outputs of a block of the host's parser."""
        if block.buffer == Buffer.WEIGHTS:
            self._expect_chunks(block.values, self._are_zeros(header))
        elif block.buffer == Buffer.RECORDS:
            self._expect_records([
                {"bias": int(r["bias"]), "multiplier": int(r["multiplier"]),
                 "shift": int(r["shift"]), "zeros": 0} for r in block.values.reshape(-1)])
        elif block.buffer == Buffer.STEPS:
            self.listed += block.values.tolist()
        else:
            number, *_ = block.tables
            self._expect_entries(number & 1, number >> 1, np.stack([*block.tables.values()]))

    def _are_zeros(self, header: dict[str, int]) -> np.ndarray:
        """For each word of a block whether it comes as a whole."""
        if header["format"] == Format.PACKED:
            return words_of_zeros(header, self.config)
        return np.zeros(header["count"], np.bool_)

    def _expect_chunks(self, weights: np.ndarray, zeros: np.ndarray) -> None:
        """Chunks of words, in which a word of zeros is one where the block says so."""
        size = self.config.decoded_bytes
        for word, is_zero in zip(weights.reshape(-1, self.config.tile_bytes), zeros, strict=True):
            chunks = [0] if is_zero else [int.from_bytes(chunk.tobytes(), "little")
                                          for chunk in word.reshape(-1, size)]
            self.chunks += [{"weights": chunk, "whole": int(is_zero)} for chunk in chunks]

    def _expect_records(self, records: list[dict[str, int]]) -> None:
        at_once = self.config.shared_records
        self.records += [records[i:i + at_once] for i in range(0, len(records), at_once)]

    def _expect_entries(self, table: int, bank: int, values: np.ndarray) -> None:
        """Those of one table or, from ``table`` 0 on, of both."""
        self.entries += [{"table": table, "bank": bank, "both": len(values) - 1, "index": i,
                          "values": [int(v[0]), int(v[-1])]} for i, v in enumerate(values.T)]

    def region(self, blocks: int, repeat: int = 1) -> bytes:
        """Random blocks, expected ``repeat`` times over."""
        outputs: tuple[list[Any], ...] = (
            self.chunks, self.records, self.entries, self.listed)
        before = [len(output) for output in outputs]
        data = b"".join(self.random_block() for _ in range(blocks))
        for output, first in zip(outputs, before, strict=True):
            output += output[first:] * (repeat - 1)
        return data
