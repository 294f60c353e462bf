"""MODES blocks of a weight stream: groups of 8 weights, of which each has one of four widths.

An item, the weights that leave the decoder together, is a byte of modes and the planes of its four
groups. The modes of an item come four items before it, those of the first four behind the header:
so the decoder knows where the planes of an item begin before it takes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kaniwa.config import MODE_GROUP, MODE_WEIGHTS

__all__ = ["AHEAD", "FILL", "GROUPS", "MODES", "MODE_BITS", "group_widths", "item_bytes",
           "modes_of", "needed_bits", "pack_modes", "unpack_modes"]

MODES = 4           # widths of a block
MODE_BITS = 2
GROUPS = MODE_WEIGHTS // MODE_GROUP     # of an item
AHEAD = 4           # items that an item's modes come before it
FILL = 3            # cycles of the decoder from a header until the first item's widths are known
_ALL_PLANES = 8

Bytes = npt.NDArray[np.uint8]


def group_widths(weights: npt.NDArray[np.int8]) -> Bytes:
    """The bits of two's complement that each group needs, 0 for zeros: shape [..., groups] of
    weights [..., 8 * groups]."""
    return needed_bits(weights.reshape(*weights.shape[:-1], -1, MODE_GROUP), -1)


def needed_bits(weights: npt.NDArray[np.int8], axes: int | tuple[int, ...]) -> Bytes:
    """The bits of two's complement that all weights along ``axes`` fit, 0 where all are zeros."""
    magnitudes = (weights ^ (weights >> 7)).max(axis=axes)   # v for v >= 0, -v - 1 for v < 0
    return np.where(weights.any(axis=axes), _BITS[magnitudes], 0).astype(np.uint8)


_BITS = np.array([magnitude.bit_length() + 1 for magnitude in range(128)], np.uint8)


def modes_of(words: npt.NDArray[np.int8], widths: Sequence[int]) -> Bytes:
    """The byte of modes of each item of ring words [words, tile_bytes]: for each group the first
    one of the four ``widths``, which rise, that its weights fit."""
    needed = group_widths(words.reshape(-1, MODE_WEIGHTS))
    modes = np.searchsorted(np.asarray(widths[:MODES]), needed).astype(np.uint8)
    return np.asarray((modes << MODE_BITS * np.arange(GROUPS, dtype=np.uint8)).sum(
        axis=1, dtype=np.uint8))


def pack_modes(words: npt.NDArray[np.int8], widths: Sequence[int]) -> bytes:
    """The payload of a block: of each item the modes of the item that is ``AHEAD``, 0 where there
    is none, and the planes of its groups, the lowest bits first."""
    modes = modes_of(words, widths)
    groups = words.view(np.uint8).reshape(-1, GROUPS, 1, MODE_GROUP)
    planes = np.packbits(groups >> np.arange(_ALL_PLANES, dtype=np.uint8)[:, None] & 1,
                         axis=-1, bitorder="little")[..., 0]
    stored = np.arange(_ALL_PLANES) < _widths_by_group(modes, widths)[..., None]
    later = np.pad(modes, (0, AHEAD))[AHEAD:]
    values = np.concatenate([later[:, None], planes.reshape(len(modes), -1)], axis=1)
    kept = np.concatenate([np.ones((len(modes), 1), np.bool_),
                           stored.reshape(len(modes), -1)], axis=1)
    return values[kept].tobytes()


def item_bytes(count: int, first: int, widths: Sequence[int], payload: bytes | memoryview,
               ) -> list[int]:
    """Bytes of each of ``count`` items, of which ``first`` has the modes of the first four, the
    lowest byte for item 0.

    A ``payload`` that is too short gives sizes of which the sum is larger than it.
    """
    by_modes = [1 + sum(widths[modes >> MODE_BITS * group & MODES - 1] for group in range(GROUPS))
                for modes in range(256)]
    modes = [first >> 8 * item & 255 for item in range(AHEAD)]
    sizes: list[int] = []
    position, end = 0, len(payload)
    for item in range(count):
        if position >= end:
            return sizes + [1] * (count - item)
        modes.append(payload[position])
        sizes.append(by_modes[modes[item]])
        position += sizes[-1]
    return sizes


def unpack_modes(count: int, first: int, widths: Sequence[int], payload: Bytes,
                 ) -> npt.NDArray[np.int8]:
    """The weights [count, 32] of ``count`` items; arguments as of ``item_bytes``."""
    sizes = np.array(item_bytes(count, first, widths, payload.data), np.int64)
    starts = np.cumsum(sizes) - sizes
    modes = np.concatenate([
        np.frombuffer(int(first).to_bytes(8, "little"), np.uint8)[:AHEAD], payload[starts]])
    of_group = _widths_by_group(modes[:count], widths).astype(np.int64)
    begins = starts[:, None] + 1 + of_group.cumsum(axis=1) - of_group
    values = np.zeros((count, GROUPS, MODE_GROUP), np.uint8)
    for bit in range(_ALL_PLANES):   # the top plane is the sign, and fills the rest
        plane = begins + np.minimum(bit, np.maximum(of_group - 1, 0))
        bits = np.unpackbits(payload[np.minimum(plane, len(payload) - 1)][..., None], axis=-1,
                             bitorder="little")
        values |= np.where(of_group[..., None] > 0, bits << np.uint8(bit), 0).astype(np.uint8)
    return values.reshape(count, MODE_WEIGHTS).view(np.int8)


def _widths_by_group(modes: Bytes, widths: Sequence[int]) -> Bytes:
    """[items, groups] of the bytes of modes."""
    number = modes[:, None] >> MODE_BITS * np.arange(GROUPS, dtype=np.uint8) & MODES - 1
    return np.asarray(widths[:MODES], np.uint8)[number]
