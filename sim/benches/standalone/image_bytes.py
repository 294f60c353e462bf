"""Images in flash, made and judged apart from the program's own maker of them."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from kaniwa.driver.frames import PAYLOAD_BYTES, Operation, Request

__all__ = ["Scores", "body_of", "image_bytes", "random_requests", "state_of"]

MAGIC = b"kaniwa\0\1"
LONGEST = 1 << 24


@dataclass(frozen=True)
class Scores:
    """Where class scores are: address and number."""

    address: int = 0
    count: int = 0


def body_of(requests: list[Request]) -> bytes:
    """Requests back to back."""
    return b"".join(bytes([request.operation << 6]) + request.word.to_bytes(4, "little")
                    + bytes([request.count]) + request.data for request in requests)


def image_bytes(config_hash: str, body: bytes, scores: Scores = Scores()) -> bytes:
    """An image as it should be."""
    image = (MAGIC + bytes.fromhex(config_hash)[::-1] + len(body).to_bytes(4, "little")
             + scores.address.to_bytes(4, "little") + bytes([scores.count, 0, 0, 0])
             + body)
    return image + zlib.crc32(image).to_bytes(4, "little")


def state_of(flash: bytes, config_hash: str) -> int:
    """The state that a device of this config should tell of what is in flash, blank behind it."""
    flash += bytes([255]) * 64
    if flash[:8] != MAGIC:
        return 3
    length = int.from_bytes(flash[16:20], "little")
    end = 28 + length
    flash += bytes([255]) * max(0, end + 4 - len(flash)) if length < LONGEST else b""
    if length >= LONGEST or zlib.crc32(flash[:end]).to_bytes(4, "little") != flash[end:end + 4]:
        return 4
    return 2 if flash[8:16] == bytes.fromhex(config_hash)[::-1] else 5


def random_requests(rng: random.Random, size: int, count: int, *, outside: bool) -> list[Request]:
    """Writes of memory and of registers."""
    requests = []
    for _ in range(count):
        if rng.random() < 0.3:
            requests.append(Request(Operation.REGISTER, rng.getrandbits(32), rng.randrange(128)))
            continue
        length = rng.choice([1, 2, 5, rng.randrange(1, PAYLOAD_BYTES + 1)])
        address = rng.randrange(size - length) + (outside * rng.getrandbits(1) << 31)
        requests.append(Request(Operation.WRITE, address, length, rng.randbytes(length)))
    return requests
