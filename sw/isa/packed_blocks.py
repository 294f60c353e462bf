"""Where the PACKED blocks of a weight stream begin and end, and how many bits each chunk has."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.isa.formats import width_entries

__all__ = ["MAX_COUNT", "RAW_WIDTH", "packed_blocks"]

MAX_COUNT = (1 << 16) - 8  # of the count field; a multiple of 8, so a split adds no padding
RAW_WIDTH = 8              # bits of a weight; RAW is treated as the widest packed format
UNITS = 8                  # of a word of memory, as which sizes are counted
HEADER = 2 * UNITS         # a header is a word, and takes a cycle of the decoder besides
ALL_SPLITS = 320           # words of which every split is tried

Widths = npt.NDArray[np.int64]
Block = tuple[int, int, tuple[int, ...]]


def packed_blocks(flat: npt.NDArray[np.int8], config: AcceleratorConfig) -> list[Block]:
    """Split ring words [words, tile_bytes] into blocks (start, end, widths).

    The blocks have the smallest total size up to ``ALL_SPLITS`` words, where a header counts
    twice. More words are halved where that saves most, as long as it saves something.
    """
    if not len(flat):
        return []
    entries = width_entries(config)
    widths = _chunk_widths(flat, entries, config.read_bytes)
    chunks = config.tile_bytes // config.read_bytes // entries   # of a word, of each entry
    blocks: list[Block] = []
    waiting = [(0, len(widths))]
    while waiting:
        start, end = waiting.pop()
        part = widths[start:end]
        if part.sum() * chunks + 2 * HEADER >= _size_of(part, chunks):
            cuts = [0, len(part)]       # no split makes up for a second header
        elif len(part) <= ALL_SPLITS:
            cuts = _best_cuts(part, chunks)
        else:
            middle = _best_cut(part, chunks)
            if middle:
                waiting += [(start + middle, end), (start, start + middle)]
                continue
            cuts = [0, len(part)]
        blocks += [(start + first, start + last, tuple(part[first:last].max(axis=0).tolist()))
                   for first, last in zip(cuts, cuts[1:], strict=False)]
    return blocks


def _chunk_widths(flat: npt.NDArray[np.int8], entries: int, read_bytes: int) -> Widths:
    """[words, entries]: the bits of two's complement that all weights of each entry fit."""
    chunks = flat.reshape(len(flat), -1, entries, read_bytes)
    magnitudes = (chunks ^ (chunks >> 7)).max(axis=(1, 3))  # v for v >= 0, -v - 1 for v < 0
    bits = np.ceil(np.log2(magnitudes.astype(np.float64) + 1)).astype(np.int64) + 1
    return np.where(chunks.any(axis=(1, 3)), bits, 0)


def _size_of(widths: Widths, chunks: int) -> int:
    """Units of one block of words, with its header, filled up to whole words of memory."""
    return int(_rounded(len(widths) * widths.max(axis=0).sum() * chunks))


def _rounded(units: npt.ArrayLike) -> Widths:
    """With a header, and up to whole words of memory."""
    return -(-np.asarray(units) // UNITS) * UNITS + HEADER


def _best_cut(widths: Widths, chunks: int) -> int:
    """Where two blocks are smallest, 0 if that saves nothing."""
    before = np.maximum.accumulate(widths, axis=0).sum(axis=1)[:-1]
    behind = np.maximum.accumulate(widths[::-1], axis=0).sum(axis=1)[-2::-1]
    counts = np.arange(1, len(widths))
    sizes = _rounded(before * counts * chunks) + _rounded(behind * counts[::-1] * chunks)
    cut = int(np.argmin(sizes))
    return cut + 1 if sizes[cut] < _size_of(widths, chunks) else 0


def _best_cuts(widths: Widths, chunks: int) -> list[int]:
    """The ends of the blocks of the smallest total size, by dynamic programming."""
    count = len(widths)
    sizes = np.full(count + 1, np.iinfo(np.int64).max)
    sizes[0] = 0
    before = np.zeros(count + 1, np.int64)
    for start in range(count):
        widest = np.maximum.accumulate(widths[start:], axis=0).sum(axis=1)
        found = sizes[start] + _rounded(
            widest * np.arange(1, count - start + 1) * chunks)
        better = found < sizes[start + 1:]
        sizes[start + 1:][better] = found[better]
        before[start + 1:][better] = start
    cuts = [count]
    while cuts[-1]:
        cuts.append(int(before[cuts[-1]]))
    return cuts[::-1]
