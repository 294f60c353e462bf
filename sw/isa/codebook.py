"""Codebooks of a weight stream: a few weights, and the codes that stand for them.

A code is a weight as PACKED and MODES blocks store it, of as few bits as it needs; its low bits say
which one of the codebook's weights is meant. A word of zeros that is left out has no codes. Weight
sharing makes layers of so few different weights: Han et al., "Deep compression", ICLR 2016.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Codebook", "codebook_of", "look_up"]

Int8 = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Codebook:
    """``weights``, int8 [entries], and for each of the 256 int8 weights its code; only those of
    ``weights`` have one."""

    weights: Int8
    codes: Int8

    def encode(self, weights: Int8) -> Int8:
        """The codes of ``weights``, of any shape."""
        return np.asarray(self.codes[weights.view(np.uint8)])


def codebook_of(words: Int8, entries: int) -> Codebook | None:
    """The codebook of int8 ``words`` [words, weights], or None where it would need more entries.

    ``entries`` is a power of two. The more often a weight occurs, the fewer bits its code has.
    Words whose codes are all 0 are left out, so code 0 is weight 0, or where there is none the
    rarest weight, unless a word has no other.
    """
    counts = np.bincount(words.view(np.uint8).ravel(), minlength=256)
    has_zeros = counts[0] > 0
    counts[0] = 0
    used = int(np.count_nonzero(counts))
    often = np.argsort(-counts, kind="stable")[:used].astype(np.uint8).view(np.int8)
    own = _short_codes(entries)[1:]
    if used and not has_zeros and not (words == often[-1]).all(axis=1).any():
        own = np.append(own[:used - 1], np.int8(0))
    if used > len(own):
        return None
    own = own[:used]
    book, codes = np.zeros(entries, np.int8), np.zeros(256, np.int8)
    book[own & entries - 1] = often
    codes[often.view(np.uint8)] = own
    return Codebook(book, codes)


def look_up(codes: Int8, book: Int8) -> Int8:
    """The weights that ``codes`` of any shape stand for."""
    return np.asarray(book[codes.view(np.uint8) & len(book) - 1])


def _short_codes(entries: int) -> Int8:
    """All codes, int8, those of the fewest bits of two's complement first."""
    codes = np.arange(-entries // 2, entries // 2)
    magnitudes = np.where(codes < 0, -codes - 1, codes)
    return codes[np.lexsort((codes < 0, magnitudes))].astype(np.int8)
