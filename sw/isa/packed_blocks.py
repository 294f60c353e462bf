"""Where the PACKED and MODES blocks of a weight stream begin and end, and the widths of each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.formats import MAP_WORDS, RAW_WIDTH, has_maps, width_entries
from kaniwa.isa.modes import FILL, MODES, group_widths, needed_bits
from kaniwa.isa.table import Format

__all__ = ["MAX_COUNT", "PackedBlock", "packed_blocks"]

MAX_COUNT = (1 << 16) - 8  # of the count field; a multiple of 8, so a split adds no padding
UNITS = 8                  # of a word of memory, as which sizes are counted
ALL_SPLITS = MAP_WORDS     # words of which every split is tried
# Of the widths of a MODES block all choices, and the bytes that each takes for a group that needs
# 0 to 8 bits; NEVER where the group does not fit.
CHOICES = np.array([*itertools.combinations(range(RAW_WIDTH + 1), MODES)])
NEVER = 1e9
_FITTING = np.stack([np.searchsorted(choice, np.arange(RAW_WIDTH + 1)) for choice in CHOICES])
GROUP_BYTES = np.where(_FITTING < MODES, np.take_along_axis(
    CHOICES, np.minimum(_FITTING, MODES - 1), axis=1), NEVER).astype(np.float32).T

Widths = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PackedBlock:
    """Words ``start`` to ``end`` - 1: as RAW, as PACKED with ``widths`` of chunks, or as MODES with
    those of its modes."""

    start: int
    end: int
    format: Format
    widths: tuple[int, ...] = ()


def packed_blocks(flat: npt.NDArray[np.int8], config: AcceleratorConfig, modes: bool = False,
                  ) -> list[PackedBlock]:
    """Split ring words [words, tile_bytes] into blocks, MODES among them if ``modes``.

    The blocks have the smallest total size up to ``ALL_SPLITS`` words, where a header may count
    twice (``_Sizes``). More words are taken in parts of so many, and neighbors of two parts become
    one block where that is not larger.
    """
    if not len(flat):
        return []
    words = _Words.of(flat, config, modes)
    sizes = _Sizes.of(config)
    cuts = _cuts(words, sizes)
    blocks: list[_Block] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        _append(blocks, _Block.of(start, end, words), sizes)
    return [block.packed(sizes) for block in blocks]


@dataclass(frozen=True, eq=False)
class _Words:
    """Of ring words the widths of their chunks [..., words, entries], and how many groups need
    each width [..., words, 9], if there are modes."""

    widths: Widths
    groups: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, flat: npt.NDArray[np.int8], config: AcceleratorConfig, modes: bool) -> _Words:
        """Those of words [words, tile_bytes]."""
        groups = None
        if modes:
            needed = group_widths(flat)
            groups = np.stack([(needed == width).sum(axis=1) for width in range(RAW_WIDTH + 1)],
                              axis=1).astype(np.float32)
        return cls(_chunk_widths(flat, width_entries(config), config.read_bytes), groups)

    def __getitem__(self, at: Any) -> _Words:
        return _Words(self.widths[at], None if self.groups is None else self.groups[at])


@dataclass(frozen=True)
class _Sizes:
    """Sizes of blocks, in units.

    A header is a word, and takes a cycle of the decoder besides. It counts twice where the decoder
    is not faster than memory, for a cycle more is as bad there as a word more. So does each cycle
    that the first weights of a MODES block come later: an array that waits for them waits as long.
    """

    chunks: int     # of a word, of each entry
    header: int
    maps: bool      # words of zeros take nothing in blocks of up to MAP_WORDS words
    items: int      # of a word; in MODES each has a byte more
    word_bytes: int     # of memory

    @classmethod
    def of(cls, config: AcceleratorConfig) -> _Sizes:
        """Those of the config's blocks."""
        return cls(config.tile_bytes // config.read_bytes // width_entries(config),
                   UNITS if config.weight_chunks > 1 else 2 * UNITS, has_maps(config),
                   config.tile_bytes // config.decoded_bytes, config.read_bytes)

    def whole(self, widths: npt.ArrayLike) -> Counts:
        """Of PACKED blocks whose words have so many bits in all: with a header, filled up to whole
        words of memory."""
        units = np.asarray(widths, np.int64) * self.chunks
        return -(-units // UNITS) * UNITS + self.header

    def of_modes(self, groups: npt.NDArray[np.float32], count: npt.ArrayLike) -> Counts:
        """Of MODES blocks [...] of ``count`` words, of which so many ``groups`` [..., 9] need 0
        to 8 bits, with the best choice of widths."""
        own = (groups @ GROUP_BYTES).min(axis=-1).astype(np.int64)
        stored = own + np.asarray(count, np.int64) * self.items
        return -(-stored // self.word_bytes) * UNITS + self.header + FILL * UNITS


@dataclass(frozen=True, eq=False)
class _Block:
    """Words ``start`` to ``end`` - 1, how many of them are not zeros (``filled``), the widths
    [entries] that they fit, and how many of their groups need each width [9]."""

    start: int
    end: int
    filled: int
    widths: Widths
    groups: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, start: int, end: int, words: _Words) -> _Block:
        """The block of a run of ``words``."""
        own = words[start:end]
        return cls(start, end, int(own.widths.any(axis=1).sum()), own.widths.max(axis=0),
                   None if own.groups is None else own.groups.sum(axis=0))

    def joined(self, behind: _Block) -> _Block:
        """This block and the one behind it."""
        groups = (None if self.groups is None or behind.groups is None
                  else self.groups + behind.groups)
        return _Block(self.start, behind.end, self.filled + behind.filled,
                      np.maximum(self.widths, behind.widths), groups)

    def sizes(self, sizes: _Sizes) -> tuple[int, int | None]:
        """In units, as PACKED, and as MODES where that is possible."""
        count = self.end - self.start
        words = self.filled if sizes.maps and count <= MAP_WORDS else count
        packed = int(sizes.whole(words * int(self.widths.sum())))
        if self.groups is None or self.filled < count:
            return packed, None
        return packed, int(sizes.of_modes(self.groups, count))

    def size(self, sizes: _Sizes) -> int:
        """In units, the smaller way."""
        return min(size for size in self.sizes(sizes) if size is not None)

    def packed(self, sizes: _Sizes) -> PackedBlock:
        """The smaller way."""
        packed, modes = self.sizes(sizes)
        if modes is None or self.groups is None or packed <= modes:
            return PackedBlock(self.start, self.end, Format.PACKED, tuple(self.widths.tolist()))
        choice = CHOICES[int((self.groups @ GROUP_BYTES).argmin())]
        return PackedBlock(self.start, self.end, Format.MODES, tuple(choice.tolist()))


def _append(blocks: list[_Block], block: _Block, sizes: _Sizes) -> None:
    """Append a block, as one with those before it as long as that is not larger."""
    while blocks:
        before = blocks[-1]
        both = before.joined(block)
        if both.size(sizes) > before.size(sizes) + block.size(sizes):
            break
        block = both
        blocks.pop()
    blocks.append(block)


def _cuts(words: _Words, sizes: _Sizes) -> list[int]:
    """The ends of the best blocks of each part, which has ALL_SPLITS words, or is the rest."""
    count = len(words.widths)
    whole = count - count % ALL_SPLITS
    parts = [words[np.arange(whole).reshape(-1, ALL_SPLITS)]]
    if whole < count:
        parts.append(words[np.arange(whole, count)[None]])
    found = [cuts for equal in parts for cuts in _best_cuts(equal, sizes)]
    return [0, *(part * ALL_SPLITS + cut for part, cuts in enumerate(found) for cut in cuts[1:])]


def _chunk_widths(flat: npt.NDArray[np.int8], entries: int, read_bytes: int) -> Widths:
    """[words, entries]: the bits of two's complement that all weights of each entry fit."""
    return needed_bits(flat.reshape(len(flat), -1, entries, read_bytes), (1, 3))


def _best_cuts(parts: _Words, sizes: _Sizes) -> list[list[int]]:
    """Of each of the ``parts`` [parts, words] the ends of the blocks of the smallest total size, by
    dynamic programming."""
    number, count, _ = parts.widths.shape
    cuts = [[0, count]] * number
    may_pay = np.flatnonzero(_least_apart(parts, sizes) < _found(parts, sizes, 0)[:, -1])
    parts = parts[may_pay]
    least = np.full((len(may_pay), count + 1), np.iinfo(np.int64).max)
    least[:, 0] = 0
    before = np.zeros(least.shape, np.int64)
    for start in range(count):
        found = least[:, start, None] + _found(parts, sizes, start)
        better = found < least[:, start + 1:]
        least[:, start + 1:] = np.where(better, found, least[:, start + 1:])
        before[:, start + 1:][better] = start
    for row, part in enumerate(may_pay):
        ends = [count]
        while ends[-1]:
            ends.append(int(before[row, ends[-1]]))
        cuts[part] = ends[::-1]
    return cuts


def _found(parts: _Words, sizes: _Sizes, start: int) -> Counts:
    """[parts, ends]: the sizes of the blocks from word ``start`` on."""
    own = parts[:, start:]
    filled = own.widths.any(axis=2)
    widest = np.maximum.accumulate(own.widths, axis=1).sum(axis=2, dtype=np.int64)
    counts = np.arange(1, filled.shape[1] + 1)
    stored = filled.cumsum(axis=1) if sizes.maps else counts
    packed = sizes.whole(widest * stored)
    if own.groups is None:
        return packed
    modes = sizes.of_modes(own.groups.cumsum(axis=1), counts)
    has_zeros = np.cumsum(~filled, axis=1) > 0
    return np.where(has_zeros, packed, np.minimum(packed, modes))


def _least_apart(parts: _Words, sizes: _Sizes) -> Counts:
    """[parts]: less than what two blocks or more may have, whatever their ends."""
    apart = parts.widths.sum(axis=(1, 2), dtype=np.int64) * sizes.chunks
    if parts.groups is not None:
        least = (parts.groups @ np.arange(RAW_WIDTH + 1, dtype=np.float32)).sum(axis=1)
        apart = np.minimum(apart, least.astype(np.int64) * UNITS // sizes.word_bytes)
    return apart + 2 * sizes.header
