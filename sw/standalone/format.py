"""Format of the image that a board loads from its flash at power-up, and how far it came.

Host and gateware are made from this module. An image is a header, a body of requests of the link
back to back, and a CRC-32 (zlib's) of all before, low byte first.

    magic 8 | digest of the config 8 | bytes of the body 4 | address of the scores 4 |
    number of scores 1 | kind of score 1 | zero 2

Numbers have the low byte first. A request is as in ``kaniwa.driver.frames``, without sequence
number, stuffing and CRC of its own. Only WRITE and REGISTER occur.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

__all__ = ["CRC_BYTES", "HEADER_BYTES", "MAGIC", "MOST_SCORES", "FlashState", "Header",
           "ScoreKind", "config_digest"]

MAGIC = b"kaniwa\0\1"      # the last byte is the version of this format
HEADER_BYTES = 28
CRC_BYTES = 4
MOST_SCORES = 240          # of a class: one READ of the link has them all
_HEADER = struct.Struct("<8s8sIIBBH")


class FlashState(enum.IntEnum):
    """How far a device came with the image in its flash; 3 bits of the link's features."""

    ABSENT = 0         # the bitstream has no loader
    LOADING = 1        # checking the image, or loading it
    LOADED = 2
    EMPTY = 3          # there is no image: the magic differs
    DAMAGED = 4        # CRC or length are wrong, or the flash does not answer
    OTHER_CONFIG = 5   # the image is for another config than the device's


class ScoreKind(enum.IntEnum):
    """How scores are compared. The host writes INT8: device memory has uint8 as int8, less 128."""

    INT8 = 0
    UINT8 = 1


@dataclass(frozen=True)
class Header:
    """The fields of a header. ``length``: bytes of the body. No class is shown of 0 scores."""

    digest: bytes
    length: int
    address: int
    count: int
    kind: ScoreKind = ScoreKind.INT8

    def to_bytes(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(MAGIC, self.digest, self.length, self.address, self.count, self.kind,
                            0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """The header in ``data``, which begins with the magic; ValueError for fields that no
        header has."""
        _, digest, length, address, count, kind, zero = _HEADER.unpack_from(data)
        if zero or count > MOST_SCORES:
            raise ValueError("no legal header")
        return cls(digest, length, address, count, ScoreKind(kind))


def config_digest(config_hash: str) -> bytes:
    """A config's hash as it is in a header, and in the registers CONFIG_HASH_LOW and _HIGH."""
    return int(config_hash, 16).to_bytes(8, "little")
