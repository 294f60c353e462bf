"""Where the PACKED blocks of a weight stream begin and end, and how many bits each chunk has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.formats import MAP_WORDS, has_maps, width_entries

__all__ = ["MAX_COUNT", "packed_blocks"]

MAX_COUNT = (1 << 16) - 8  # of the count field; a multiple of 8, so a split adds no padding
UNITS = 8                  # of a word of memory, as which sizes are counted
ALL_SPLITS = MAP_WORDS     # words of which every split is tried

Widths = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Block = tuple[int, int, tuple[int, ...]]


def packed_blocks(flat: npt.NDArray[np.int8], config: AcceleratorConfig) -> list[Block]:
    """Split ring words [words, tile_bytes] into blocks (start, end, widths).

    The blocks have the smallest total size up to ``ALL_SPLITS`` words, where a header may count
    twice (``_Sizes``). More words are taken in parts of so many, and neighbors of two parts become
    one block where that is not larger.
    """
    if not len(flat):
        return []
    entries = width_entries(config)
    widths = _chunk_widths(flat, entries, config.read_bytes)
    sizes = _Sizes.of(config)
    cuts = _cuts(widths, sizes)
    blocks: list[_Block] = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        own = widths[start:end]
        _append(blocks, _Block(start, end, int(own.any(axis=1).sum()), own.max(axis=0)), sizes)
    return [(block.start, block.end, tuple(block.widths.tolist())) for block in blocks]


@dataclass(frozen=True)
class _Sizes:
    """Sizes of blocks, in units.

    A header is a word, and takes a cycle of the decoder besides. It counts twice where the decoder
    is not faster than memory, for a cycle more is as bad there as a word more.
    """

    chunks: int     # of a word, of each entry
    header: int
    maps: bool      # words of zeros take nothing in blocks of up to MAP_WORDS words

    @classmethod
    def of(cls, config: AcceleratorConfig) -> _Sizes:
        """Those of the config's blocks."""
        return cls(config.tile_bytes // config.read_bytes // width_entries(config),
                   UNITS if config.weight_chunks > 1 else 2 * UNITS, has_maps(config))

    def whole(self, widths: npt.ArrayLike) -> Counts:
        """Of blocks whose words have so many bits in all: with a header, filled up to whole words
        of memory."""
        units = np.asarray(widths, np.int64) * self.chunks
        return -(-units // UNITS) * UNITS + self.header


@dataclass(frozen=True, eq=False)
class _Block:
    """Words ``start`` to ``end`` - 1, how many of them are not zeros (``filled``), and the widths
    [entries] that they fit."""

    start: int
    end: int
    filled: int
    widths: Widths

    def size(self, sizes: _Sizes) -> int:
        """In units."""
        count = self.end - self.start
        words = self.filled if sizes.maps and count <= MAP_WORDS else count
        return int(sizes.whole(words * int(self.widths.sum())))


def _append(blocks: list[_Block], block: _Block, sizes: _Sizes) -> None:
    """Append a block, as one with those before it as long as that is not larger."""
    while blocks:
        before = blocks[-1]
        both = _Block(before.start, block.end, before.filled + block.filled,
                      np.maximum(before.widths, block.widths))
        if both.size(sizes) > before.size(sizes) + block.size(sizes):
            break
        block = both
        blocks.pop()
    blocks.append(block)


def _cuts(widths: Widths, sizes: _Sizes) -> list[int]:
    """The ends of the best blocks of each part, which has ALL_SPLITS words, or is the rest."""
    whole = len(widths) - len(widths) % ALL_SPLITS
    parts = [widths[:whole].reshape(-1, ALL_SPLITS, widths.shape[1])]
    if whole < len(widths):
        parts.append(widths[None, whole:])
    found = [cuts for equal in parts for cuts in _best_cuts(equal, sizes)]
    return [0, *(part * ALL_SPLITS + cut for part, cuts in enumerate(found) for cut in cuts[1:])]


def _chunk_widths(flat: npt.NDArray[np.int8], entries: int, read_bytes: int) -> Widths:
    """[words, entries]: the bits of two's complement that all weights of each entry fit."""
    chunks = flat.reshape(len(flat), -1, entries, read_bytes)
    magnitudes = (chunks ^ (chunks >> 7)).max(axis=(1, 3))  # v for v >= 0, -v - 1 for v < 0
    bits = np.ceil(np.log2(magnitudes.astype(np.float64) + 1)).astype(np.uint8) + 1
    return np.where(chunks.any(axis=(1, 3)), bits, 0).astype(np.uint8)


def _best_cuts(parts: Widths, sizes: _Sizes) -> list[list[int]]:
    """Of each of the ``parts`` [parts, words, entries] the ends of the blocks of the smallest total
    size, by dynamic programming."""
    number, count, _ = parts.shape
    cuts = [[0, count]] * number
    filled = np.asarray(parts.any(axis=2) if sizes.maps else np.ones(parts.shape[:2], np.bool_))
    together = sizes.whole(parts.max(axis=1).sum(axis=1, dtype=np.int64) * filled.sum(axis=1))
    apart = parts.sum(axis=(1, 2), dtype=np.int64) * sizes.chunks + 2 * sizes.header
    may_pay = np.flatnonzero(apart < together)
    parts, filled = parts[may_pay], filled[may_pay]
    least = np.full((len(parts), count + 1), np.iinfo(np.int64).max)
    least[:, 0] = 0
    before = np.zeros(least.shape, np.int64)
    for start in range(count):
        widest = np.maximum.accumulate(parts[:, start:], axis=1).sum(axis=2, dtype=np.int64)
        found = least[:, start, None] + sizes.whole(widest * filled[:, start:].cumsum(axis=1))
        better = found < least[:, start + 1:]
        least[:, start + 1:] = np.where(better, found, least[:, start + 1:])
        before[:, start + 1:][better] = start
    for row, part in enumerate(may_pay):
        ends = [count]
        while ends[-1]:
            ends.append(int(before[row, ends[-1]]))
        cuts[part] = ends[::-1]
    return cuts
