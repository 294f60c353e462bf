"""Lists of an instruction's steps: which chunks of its segments meet weights.

A list is words of 4 bytes: the number of its steps, then two steps a word, the first one in the low
half. A step has the number of its chunk in its segment, and a bit where it is the last one of the
segment. Each segment of each block has a step at least.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ProgramError

__all__ = ["CHUNK_BITS", "LIST_WORD_BYTES", "STEP_BITS", "list_words", "most_steps", "pack_steps",
           "ring_words", "unpack_steps"]

Steps = npt.NDArray[np.bool_]    # [blocks, segments of all kernel rows, chunks]

LIST_WORD_BYTES = 4
STEP_BITS = 16
CHUNK_BITS = 14     # of a step; the bit above says that the segment ends with it
STEPS_A_WORD = 8 * LIST_WORD_BYTES // STEP_BITS


def list_words(count: int) -> int:
    """Words of a list of ``count`` steps."""
    return 1 + -(-count // STEPS_A_WORD)


def ring_words(config: AcceleratorConfig) -> int:
    """Words of lists that the device holds."""
    return config.step_entries // STEPS_A_WORD


def most_steps(config: AcceleratorConfig) -> int:
    """Steps of the longest list that the device holds: its first word is their number."""
    return max(0, ring_words(config) - 1) * STEPS_A_WORD


def pack_steps(steps: Steps) -> npt.NDArray[np.uint32]:
    """The words of the list of ``steps``; each segment has one at least."""
    assert steps.any(axis=2).all()
    blocks, segments, chunks = np.nonzero(steps)
    ends = np.diff(blocks * steps.shape[1] + segments, append=-1) != 0
    halves = np.zeros(STEPS_A_WORD * list_words(len(chunks)), "<u2")
    halves[0] = len(chunks)
    halves[STEPS_A_WORD:][:len(chunks)] = chunks | ends << CHUNK_BITS
    return halves.view("<u4")


def unpack_steps(words: npt.NDArray[np.uint32], shape: tuple[int, int, int]) -> Steps:
    """The steps [blocks, segments, chunks] of a list.

    Raises ProgramError where it is of another length, of other segments, or names a chunk that
    its segment lacks, twice, or out of order.
    """
    halves = np.ascontiguousarray(words, "<u4").view("<u2")
    count = int(words[0]) if len(words) else 0
    if len(words) != list_words(count):
        raise ProgramError(f"step list: {count} steps are {list_words(count)} words, not "
                           f"{len(words)}")
    entries = halves[STEPS_A_WORD:][:count].astype(np.int64)
    chunks, ends = entries & (1 << CHUNK_BITS) - 1, entries >> CHUNK_BITS
    blocks, segments, most = shape
    if (ends > 1).any() or ends.sum() != blocks * segments or not ends[-1:].all():
        raise ProgramError(f"step list: {int((ends == 1).sum())} segments end in it, the "
                           f"instruction has {blocks * segments}")
    segment = np.cumsum(ends) - ends
    if (chunks >= most).any() or (np.diff(segment * most + chunks) <= 0).any():
        raise ProgramError("step list: the chunks of a segment must be in order, each once, and "
                           f"below {most}")
    steps = np.zeros((blocks * segments, most), np.bool_)
    steps[segment, chunks] = True
    return steps.reshape(shape)
