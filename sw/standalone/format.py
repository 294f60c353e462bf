"""Format of the image that a board loads from its flash at power-up, and how far it came.

Host and gateware are made from this module. An image is a header, a body of requests of the link
back to back, and a CRC-32 (zlib's) of all before, low byte first.

    magic 8 | digest of the config 8 | bytes of the body 4 | address of the scores 4 |
    number of scores 1 | zero 3

Numbers have the low byte first. A request is as in ``kaniwa.driver.frames``, without sequence
number, stuffing and CRC of its own. Only WRITE and REGISTER occur.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

__all__ = ["BOOT", "BOOT_ABLE", "BOOT_IN_TURN", "BOOT_KEY", "BOOT_KEY_BIT", "CRC_BYTES",
           "HEADER_BYTES", "MAGIC", "MOST_SCORES", "MOST_SLOTS", "FlashState", "Header",
           "config_digest"]

MAGIC = b"kaniwa\0\1"      # the last byte is the version of this format
HEADER_BYTES = 28
CRC_BYTES = 4
MOST_SCORES = 240          # of a class: one READ of the link has them all

# A flash may have several bitstreams, each in a slot with an image of its own. The register BOOT,
# beside those of the core, reads as 0 in devices without slots. Else it tells the device's own slot
# with the bits below, and starts another slot where that is written with the key above it.
MOST_SLOTS = 4
BOOT = 31              # index of the register
BOOT_ABLE = 1 << 7
BOOT_IN_TURN = 1 << 6  # whatever slot is written, the one behind the own slot follows
BOOT_KEY = 0xB007
BOOT_KEY_BIT = 16

_HEADER = struct.Struct("<8s8sIIB3s")
_ZERO = bytes(3)


class FlashState(enum.IntEnum):
    """How far a device came with the image in its flash; 3 bits of the link's features."""

    ABSENT = 0         # the bitstream has no loader
    LOADING = 1        # checking the image, or loading it
    LOADED = 2
    EMPTY = 3          # there is no image: the magic differs
    DAMAGED = 4        # CRC or length are wrong, or the flash does not answer
    OTHER_CONFIG = 5   # the image is for another config than the device's


@dataclass(frozen=True)
class Header:
    """The fields of a header. ``length``: bytes of the body. No class is shown of 0 scores.

    Scores are int8; a tensor of uint8 lies in device memory as that, less 128.
    """

    digest: bytes
    length: int
    address: int
    count: int

    def to_bytes(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(MAGIC, self.digest, self.length, self.address, self.count, _ZERO)

    @classmethod
    def from_bytes(cls, data: bytes) -> Header:
        """The header in ``data``, which begins with the magic; ValueError for fields that no
        header has."""
        _, digest, length, address, count, zero = _HEADER.unpack_from(data)
        if zero != _ZERO or count > MOST_SCORES:
            raise ValueError("no legal header")
        return cls(digest, length, address, count)


def config_digest(config_hash: str) -> bytes:
    """A config's hash as it is in a header, and in the registers CONFIG_HASH_LOW and _HIGH."""
    return int(config_hash, 16).to_bytes(8, "little")
