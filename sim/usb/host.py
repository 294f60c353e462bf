"""A host of USB: enumeration, control transfers, and a serial port over two bulk endpoints.

Methods are generators of steps on the line, so that one host serves a bench and a whole board:
who runs them does each step, and sends back what the device answered.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from kaniwa.sim.usb.line import Pid, data_packet, handshake, payload_of, pid_of, token

__all__ = ["Exchange", "Faults", "Idle", "Reset", "Serial", "Steps", "Stalled", "UsbHost"]

T = TypeVar("T")
RESET_BITS = 400             # LUNA sees a reset behind 25 us; real hosts take 10 ms
MOST_TRIES = 2000            # of a transaction that gets NAK or no answer
NAK_BITS = 40                # until the host asks again
FRAME_TRANSACTIONS = 16      # between two SOF
BULK = 2
DEVICE, CONFIGURATION, STRING, ENDPOINT, QUALIFIER = 1, 2, 3, 5, 6     # descriptors [9.4]
GET_DESCRIPTOR, SET_ADDRESS, SET_CONFIGURATION, CLEAR_FEATURE = 6, 5, 9, 1
SET_LINE_CODING, SET_CONTROL_LINE_STATE = 0x20, 0x22
TO_DEVICE, TO_HOST, CLASS_OF_INTERFACE, OF_ENDPOINT = 0x00, 0x80, 0x21, 0x02


@dataclass(frozen=True)
class Exchange:
    """Send packets; then take the device's answer, if one is ``awaited``: bytes, or None."""

    packets: tuple[bytes, ...]
    awaited: bool = True


@dataclass(frozen=True)
class Idle:
    """Leave the line alone for so many bits."""

    bits: int


@dataclass(frozen=True)
class Reset:
    """Pull the line to SE0 for so many bits."""

    bits: int = RESET_BITS


Steps = Generator[Exchange | Idle | Reset, bytes | None, T]


class Stalled(AssertionError):
    """The device does not know a request."""


@dataclass(frozen=True)
class Faults:
    """Chances a transaction.

    ``token``, ``data`` and ``ack``: a packet of the host gets there with one bit wrong, or without
    its end. ``answer``: one of the device does not get to the host. ``pause``: the host does
    nothing for a while. ``other``: it is busy with another device of the bus.
    """

    token: float = 0.0
    data: float = 0.0
    ack: float = 0.0
    answer: float = 0.0
    pause: float = 0.0
    other: float = 0.0


class UsbHost:
    """One device at a host. ``counts``: what happened, by name; also of each fault.

    AssertionErrors tell what the device did wrong.
    """

    def __init__(self, seed: int = 0, faults: Faults | None = None) -> None:
        self.rng = random.Random(seed)
        self.faults = faults or Faults()
        self.counts: Counter[str] = Counter()
        self.address = 0
        self._transactions = self._frame = 0
        self.toggles: dict[int, int] = {}    # of each endpoint, with its direction in bit 7

    def transaction(self, pid: Pid, endpoint: int, payload: bytes = b"") -> Steps[bytes | None]:
        """One try of SETUP, OUT or IN. What IN got; b"" for OUT that was taken; None if neither.

        A packet that has come already is not given again. Stalled tells STALL.
        """
        yield from self._between()
        fault = self._draw()
        first = self._maybe_damaged(token(pid, self.address, endpoint), fault == "token")
        key = endpoint | (pid == Pid.IN) << 7
        toggle = self.toggles.get(key, 0)
        if pid == Pid.IN:
            return (yield from self._in(first, key, toggle, fault))
        sent = data_packet((Pid.DATA0, Pid.DATA1)[toggle], payload)
        answer = yield Exchange((first, self._maybe_damaged(sent, fault == "data")))
        if fault in ("token", "data"):
            assert answer is None, f"an answer to a damaged packet: {answer!r}"
        if answer is None:
            self._count("unanswered")
            assert fault in ("token", "data"), f"no answer to {pid.name}"
            return None
        answered = pid_of(answer)
        assert len(answer) == 1, f"an answer to {pid.name}: {answer.hex()}"
        if answered == Pid.STALL:
            raise Stalled
        if answered == Pid.NAK:
            assert pid != Pid.SETUP, "NAK for SETUP"
            self._count("nak_out")
            return None
        assert answered == Pid.ACK, f"an answer to {pid.name}: {answered.name}"
        if fault == "answer":
            self._count("lost_ack")
            return None
        self.toggles[key] = toggle ^ 1
        return b""

    def _in(self, first: bytes, key: int, toggle: int, fault: str) -> Steps[bytes | None]:
        answer = yield Exchange((first,))
        if answer is None:
            assert fault == "token", "no answer to IN"
            self._count("unanswered")
            return None
        assert fault != "token", "an answer to a damaged token"
        answered = pid_of(answer)
        if answered == Pid.STALL:
            raise Stalled
        if answered == Pid.NAK:
            self._count("nak_in")
            return None
        payload = payload_of(answer)
        assert answered in (Pid.DATA0, Pid.DATA1), f"an answer to IN: {answered.name}"
        if fault == "answer":
            self._count("lost_data")
            return None
        yield Exchange((self._maybe_damaged(handshake(Pid.ACK), fault == "ack"),), awaited=False)
        if answered != (Pid.DATA0, Pid.DATA1)[toggle]:
            self._count("repeated_data")
            return None
        self.toggles[key] = toggle ^ 1
        return payload

    def until_done(self, pid: Pid, endpoint: int, payload: bytes = b"") -> Steps[bytes]:
        """A transaction that is repeated until it is done."""
        for _ in range(MOST_TRIES):
            got = yield from self.transaction(pid, endpoint, payload)
            if got is not None:
                return got
            yield Idle(NAK_BITS)
        raise AssertionError(f"{pid.name} at endpoint {endpoint} was not done")

    def control(self, kind: int, request: int, value: int, index: int,
                data: bytes | int = b"") -> Steps[bytes]:
        """A control transfer [8.5.3]: ``data`` to the device, or how many bytes from it."""
        length = data if isinstance(data, int) else len(data)
        self.toggles[0] = 0
        setup = bytes([kind, request, value & 255, value >> 8, index & 255, index >> 8,
                       length & 255, length >> 8])
        yield from self.until_done(Pid.SETUP, 0, setup)
        self.toggles[0] = self.toggles[0x80] = 1
        got = b""
        if isinstance(data, int):
            while len(got) < length:
                part = yield from self.until_done(Pid.IN, 0)
                got += part
                if len(part) < 64:
                    break
            self.toggles[0] = 1
            yield from self.until_done(Pid.OUT, 0)
            return got
        if data:
            yield from self.until_done(Pid.OUT, 0, data)
        self.toggles[0x80] = 1
        status = yield from self.until_done(Pid.IN, 0)
        assert status == b"", f"a status of {status.hex()}"
        return got

    def descriptor(self, kind: int, number: int = 0, length: int = 255) -> Steps[bytes]:
        """A descriptor of the device; Stalled where it has none."""
        language = 0x409 if kind == STRING and number else 0
        return (yield from self.control(TO_HOST, GET_DESCRIPTOR, kind << 8 | number, language,
                                        length))

    def reset(self) -> Steps[None]:
        """A reset of the bus: the device is at address 0 again."""
        yield Reset()
        yield Idle(40)
        self.address = 0
        self.toggles.clear()

    def enumerate(self, address: int = 5) -> Steps[Serial]:
        """Find out what the device is, as Linux does, and open its serial port."""
        yield from self.reset()
        head = yield from self.descriptor(DEVICE, 0, 64)
        assert head[:2] == bytes([18, DEVICE]) and head[7] == 64, head.hex()
        yield from self.reset()
        yield from self.control(TO_DEVICE, SET_ADDRESS, address, 0)
        self.address = address
        device = yield from self.descriptor(DEVICE, 0, 18)
        try:
            yield from self.descriptor(QUALIFIER, 0, 10)
            raise AssertionError("a device that says it is of high speed")
        except Stalled:
            self._count("stall")
        short = yield from self.descriptor(CONFIGURATION, 0, 9)
        assert len(short) == 9, short.hex()
        whole = yield from self.descriptor(CONFIGURATION, 0, short[2] | short[3] << 8)
        names = []
        for at in (14, 15):
            text = yield from self.descriptor(STRING, device[at])
            assert text[:2] == bytes([len(text), STRING]), text.hex()
            names.append(text[2:].decode("utf-16-le"))
        assert device[16] == 0, "a serial number"
        yield from self.control(TO_DEVICE, SET_CONFIGURATION, whole[5], 0)
        self.toggles = {0: 0}
        yield from self.control(CLASS_OF_INTERFACE, SET_LINE_CODING, 0, 0,
                                (3_000_000).to_bytes(4, "little") + bytes([0, 0, 8]))
        yield from self.control(CLASS_OF_INTERFACE, SET_CONTROL_LINE_STATE, 3, 0)
        ins, outs = ([number for number, bulk in _endpoints(whole) if bulk and number >> 7 == way]
                     for way in (1, 0))
        self._count("enumerated")
        return Serial(self, outs[0], ins[0] & 15, device, whole, names)

    def _between(self) -> Steps[None]:
        """What a host does between transactions: a SOF now and then, and pauses."""
        self._transactions += 1
        if self._transactions % FRAME_TRANSACTIONS == 0:
            self._frame = self._frame + 1 & 0x7FF
            yield Exchange((token(Pid.SOF, self._frame & 0x7F, self._frame >> 7),), awaited=False)
        if self.rng.random() < self.faults.pause:
            self._count("pause")
            yield Idle(self.rng.randrange(1, 2000))
        if self.rng.random() < self.faults.other:
            yield from self.ask_other(self.rng.choice((Pid.OUT, Pid.IN)))

    def ask_other(self, pid: Pid) -> Steps[None]:
        """A transaction of another device, whose answers do not come by here."""
        self._count(f"other_{pid.name}")
        address = self.rng.choice([n for n in range(1, 128) if n != self.address])
        yield Exchange((token(pid, address, self.rng.randrange(16)),), awaited=False)
        if pid == Pid.OUT:
            data = self.rng.choice((Pid.DATA0, Pid.DATA1))
            answer = yield Exchange((data_packet(data, self.rng.randbytes(8)),))
            assert answer is None, f"an answer to what is for another device: {answer!r}"
        else:
            yield Idle(60)
            yield Exchange((handshake(Pid.ACK),), awaited=False)

    def _draw(self) -> str:
        for name in ("token", "data", "ack", "answer"):
            if self.rng.random() < getattr(self.faults, name):
                return name
        return ""

    def _maybe_damaged(self, packet: bytes, damaged: bool) -> bytes:
        if not damaged:
            return packet
        if len(packet) > 1 and self.rng.random() < 0.3:
            self._count(f"cut_{pid_of(packet).name}")
            return packet[:self.rng.randrange(1, len(packet))]
        self._count(f"damaged_{pid_of(packet).name}")
        at = self.rng.randrange(8 * len(packet))
        whole = int.from_bytes(packet, "little") ^ 1 << at
        return whole.to_bytes(len(packet), "little")

    def _count(self, name: str) -> None:
        self.counts[name] += 1


@dataclass(frozen=True)
class Serial:
    """The serial port of an enumerated device. ``names``: of its maker and of itself."""

    host: UsbHost
    out: int
    into: int
    device: bytes
    configuration: bytes
    names: list[str]

    def write(self, data: bytes) -> Steps[None]:
        """Send bytes, in packets of up to 64; waits until they are taken."""
        for at in range(0, len(data), 64):
            yield from self.host.until_done(Pid.OUT, self.out, data[at:at + 64])

    def offer(self, data: bytes) -> Steps[bool]:
        """Try to send a packet once; whether it was taken."""
        return (yield from self.host.transaction(Pid.OUT, self.out, data)) is not None

    def poll(self) -> Steps[bytes]:
        """Ask for bytes once; b"" if there are none."""
        return (yield from self.host.transaction(Pid.IN, self.into)) or b""

    def clear_halt(self) -> Steps[None]:
        """CLEAR_FEATURE of both endpoints, which begin with DATA0 again."""
        for key in (self.out, self.into | 0x80):
            yield from self.host.control(OF_ENDPOINT, CLEAR_FEATURE, 0, key)
            self.host.toggles[key] = 0


def _endpoints(configuration: bytes) -> list[tuple[int, bool]]:
    """Addresses of endpoints, and whether they are bulk ones of 64 bytes."""
    found = []
    at = 0
    while at < len(configuration):
        size, kind = configuration[at], configuration[at + 1]
        assert size and at + size <= len(configuration), "a descriptor that does not end"
        if kind == ENDPOINT:
            _, _, number, attributes, low, high, _ = configuration[at:at + size]
            found.append((number, attributes & 3 == BULK and low | high << 8 == 64))
        at += size
    return found
