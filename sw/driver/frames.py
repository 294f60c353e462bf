"""Frames of the link between host and device: operations, layout, stuffing and checks.

Host, Python model of the device and ``docs/link.md`` are made from this module;
``hw/link/link.py`` is the same in gateware. A request is COBS-stuffed, so that the device unstuffs
byte by byte. A reply is stuffed backwards (the codes count back to the zero before), so that the
device stuffs byte by byte and needs no buffer; the host unstuffs from the end. Both end with a
zero byte.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from kaniwa.errors import ConfigError

__all__ = ["LINK_VERSION", "PAYLOAD_BYTES", "SEQUENCES", "SESSIONS", "REGISTERS", "LINK_REGISTERS",
           "HAS_OUTSIDE", "SERVES_RUNS", "FLASH_STATE", "FLASH_STATES", "Operation",
           "OPERATIONS", "Flag", "Request", "Reply", "Splitter", "MOST_CORES", "CORE_BIT",
           "INDEX_CORE_BIT", "FURTHER_CORES", "OUTSIDE_WAITS", "check_cores",
           "link_registers", "encode_request", "decode_request", "encode_reply", "decode_reply"]

LINK_VERSION = 1
SEQUENCES = 64            # sequence numbers are modulo this
FRAME_BYTES = 254         # of an unstuffed frame: what one run of COBS holds
REQUEST_HEADER = 6        # operation and sequence, word, count
REPLY_HEADER = 2          # session and flags, expected
SESSIONS = 16             # 0 is that of a device after its reset
WORD_BYTES = 4
CRC_BYTES = 4
PAYLOAD_BYTES = FRAME_BYTES - REPLY_HEADER - WORD_BYTES - CRC_BYTES   # of a READ, and of a WRITE

# In a READ's address, bit 30 without bit 31 selects registers, 4 bytes each.
REGISTERS = 1 << 30
# Of the link itself, 8 bytes: version, payload bytes, buffer bytes (2), pace in bytes a second (3),
# features.
LINK_REGISTERS = REGISTERS + 0x200
SERVES_RUNS = 1           # of the buffer bytes, an even number: memory may be used during a run
HAS_OUTSIDE = 1           # of the features: there is memory at addresses with bit 31
FLASH_STATE = 1           # of the features from this bit on: the FlashState of kaniwa.standalone
FLASH_STATES = 8
FURTHER_CORES = 4         # of the features from this bit on: the number of cores, less 1
OUTSIDE_WAITS = 7         # bit of the features: outside memory is not calibrated, or cannot be

# Several cores: which one is in bits 24 to 27 of an address, and in a register's index of REGISTER.
MOST_CORES = 8
CORE_BIT = 24
INDEX_CORE_BIT = 5


class Operation(enum.IntEnum):
    """Bits 6 and 7 of a request's first byte; bits 0 to 5 are its sequence number."""

    OPEN = 0
    WRITE = 1
    READ = 2
    REGISTER = 3


# operation -> (meaning of word, meaning of count, what the device does)
OPERATIONS: dict[Operation, tuple[str, str, str]] = {
    Operation.OPEN: (
        "0", "session, 1..15",
        "takes the session, expects sequence number 0 next; in order whatever its own number is"),
    Operation.WRITE: (
        "address", "bytes of data that follow", "writes device memory"),
    Operation.READ: (
        "address", "bytes wanted", "replies with device memory or registers; not numbered itself"),
    Operation.REGISTER: (
        "value", "index of the register", "writes a register; a run is started this way"),
}


class Flag(enum.IntFlag):
    """Bits 0 to 3 of a reply's first byte; bits 4 to 7 are the session."""

    DATA = 1      # an answer to a READ: its address and the data follow
    GAP = 2       # since the last reply: a request ahead of the expected number was left out
    GARBLED = 4   # since the last reply: a frame with a wrong CRC, or too long, was left out
    BUSY = 8      # the READ or WRITE was left out: device memory belongs to a run


@dataclass(frozen=True)
class Request:
    """A frame to the device, but for its sequence number."""

    operation: Operation
    word: int
    count: int
    data: bytes = b""

    @property
    def numbered(self) -> bool:
        """True for a request that the device counts: it is done once, and only in its turn."""
        return self.operation in (Operation.WRITE, Operation.REGISTER)

    @property
    def stored_bytes(self) -> int:
        """Bytes it takes in the device's buffer."""
        return REQUEST_HEADER + len(self.data) + CRC_BYTES

    @property
    def reply_bytes(self) -> int:
        """Bytes on the line of the longest reply to it."""
        data = WORD_BYTES + self.count if self.operation == Operation.READ else 0
        return REPLY_HEADER + data + CRC_BYTES + 2


@dataclass(frozen=True)
class Reply:
    """A frame from the device. ``expected``: the number of the next request that it will do.

    ``address`` and ``data`` belong to an answer to a READ.
    """

    flags: Flag
    expected: int
    session: int
    address: int | None = None
    data: bytes = b""


def link_registers(payload_bytes: int, buffer_bytes: int, pace: int, outside: bool,
                   cores: int = 1, flash: int = 0, serves: bool = False) -> bytes:
    """The 8 bytes at LINK_REGISTERS; ``flash`` is the state of a start from flash, ``serves`` that
    memory may be used during a run."""
    features = HAS_OUTSIDE * outside | flash << FLASH_STATE | cores - 1 << FURTHER_CORES
    buffer_bytes |= SERVES_RUNS * serves
    return (bytes([LINK_VERSION, payload_bytes]) + buffer_bytes.to_bytes(2, "little")
            + pace.to_bytes(3, "little") + bytes([features]))


def check_cores(cores: int, memory_bytes: int, outside: bool) -> None:
    """Raise ConfigError unless one link can have so many cores with memory of this size each."""
    if not 1 <= cores <= MOST_CORES:
        raise ConfigError(f"cores must be 1..{MOST_CORES}, not {cores}")
    if cores > 1 and outside:
        raise ConfigError(f"{cores} cores cannot have outside memory: build for a board without, "
                          "or one core")
    if cores > 1 and not 0 < memory_bytes <= 1 << CORE_BIT:
        raise ConfigError(f"memory_bytes of {cores} cores must be 1..{1 << CORE_BIT} each, not "
                          f"{memory_bytes}: the link has no more addresses for a core")


def encode_request(request: Request, sequence: int) -> bytes:
    """The bytes on the line, with the closing zero."""
    assert len(request.data) <= PAYLOAD_BYTES
    body = (bytes([request.operation << 6 | sequence % SEQUENCES])
            + request.word.to_bytes(WORD_BYTES, "little") + bytes([request.count]) + request.data)
    return _stuff(body + _crc(body)) + b"\0"


def decode_request(frame: bytes) -> tuple[Request, int] | None:
    """The request and its sequence number; None for a damaged frame (without its zero)."""
    body = _checked(_unstuff(frame))
    if body is None or len(body) < REQUEST_HEADER:
        return None
    word = int.from_bytes(body[1:1 + WORD_BYTES], "little")
    request = Request(Operation(body[0] >> 6), word, body[5], body[REQUEST_HEADER:])
    return request, body[0] % SEQUENCES


def encode_reply(reply: Reply) -> bytes:
    """The bytes on the line, with the closing zero."""
    body = bytes([reply.session << 4 | reply.flags, reply.expected])
    if reply.address is not None:
        body += reply.address.to_bytes(WORD_BYTES, "little") + reply.data
    return _stuff_backwards(body + _crc(body)) + b"\0"


def decode_reply(frame: bytes) -> Reply | None:
    """The reply; None for a damaged frame (without its zero)."""
    body = _checked(_unstuff_backwards(frame))
    if body is None or len(body) < REPLY_HEADER:
        return None
    flags, expected, session = Flag(body[0] % 16), body[1], body[0] >> 4
    rest = body[REPLY_HEADER:]
    if Flag.DATA not in flags:
        return None if rest else Reply(flags, expected, session)
    if len(rest) <= WORD_BYTES:
        return None
    return Reply(flags, expected, session, int.from_bytes(rest[:WORD_BYTES], "little"),
                 rest[WORD_BYTES:])


class Splitter:
    """Cuts a byte stream at its zeros."""

    def __init__(self) -> None:
        self._part = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that end in ``data``, without their zeros and without empty ones.

        What no frame can be, for its length, is given out in pieces, so that it is noticed.
        """
        *ends, rest = data.split(b"\0")
        for end in ends:
            frame = bytes(self._part + end)
            self._part.clear()
            if frame:
                yield frame
        self._part += rest
        if len(self._part) > 2 * FRAME_BYTES:
            yield bytes(self._part)
            self._part.clear()


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def _checked(frame: bytes | None) -> bytes | None:
    """The frame without its CRC, if that is right."""
    if frame is None or len(frame) < CRC_BYTES or len(frame) > FRAME_BYTES:
        return None
    body = frame[:-CRC_BYTES]
    return body if frame[-CRC_BYTES:] == _crc(body) else None


def _stuff(data: bytes) -> bytes:
    """COBS of at most 254 bytes: before each zero-free part its length plus 1, zeros left out."""
    return b"".join(bytes([len(part) + 1]) + part for part in data.split(b"\0"))


def _unstuff(frame: bytes) -> bytes | None:
    parts = []
    at = 0
    while at < len(frame):
        end = at + frame[at]
        if end > len(frame):
            return None
        parts.append(frame[at + 1:end])
        at = end
    return b"\0".join(parts)


def _stuff_backwards(data: bytes) -> bytes:
    """As ``_stuff``, with each part's length plus 1 behind it."""
    return b"".join(part + bytes([len(part) + 1]) for part in data.split(b"\0"))


def _unstuff_backwards(frame: bytes) -> bytes | None:
    parts = []
    end = len(frame)
    while end > 0:
        start = end - frame[end - 1]
        if start < 0:
            return None
        parts.append(frame[start:end - 1])
        end = start
    return b"\0".join(reversed(parts))
