"""The device's end of the link over UDP in Python, and a network between it and hosts.

It is made from the tables of ``docs/link.md`` and shares no code with the host's end.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import deque
from types import TracebackType
from typing import Self

from kaniwa.sim.board.datagram_faults import Datagram, FaultyPath
from kaniwa.sim.board.link_model import LinkModel

__all__ = ["DatagramModel", "ModelNetwork", "ModelSocket", "UdpBoard"]

LONGEST = 1472
CEILING = 2 ** 32


class DatagramModel:
    """Takes request datagrams for ``link`` and gives the replies.

    ``taken``: number of the last one taken; ``sent``: of the last reply. Answers go in datagrams
    of one frame to as many as fit, drawn from ``seed``.
    """

    def __init__(self, link: LinkModel, seed: int = 0) -> None:
        self.link = link
        self.taken = self.sent = 0
        self._rng = random.Random(seed)

    def reset(self) -> None:
        """As after power-up or a reset of the device."""
        self.taken = self.sent = 0
        self.link.reset()

    def receive(self, datagram: bytes) -> list[bytes]:
        """The replies to a datagram that comes to the device's port."""
        if not 4 <= len(datagram) <= LONGEST:
            return []
        (number,), frames = struct.unpack("<I", datagram[:4]), datagram[4:]
        if not 1 <= (number - self.taken) % CEILING <= 2 ** 31 - 1:
            return [self._reply(b"")]
        self.taken = number
        answers = self.link.receive(frames)
        if not answers:
            return [] if frames else [self._reply(b"")]
        return [self._reply(part) for part in self._grouped(answers)]

    def _reply(self, frames: bytes) -> bytes:
        self.sent = (self.sent + 1) % CEILING
        return struct.pack("<II", self.sent, self.taken) + frames

    def _grouped(self, answers: bytes) -> list[bytes]:
        frames = [part + b"\0" for part in answers.split(b"\0")[:-1]]
        parts = [b""]
        while frames:
            most = LONGEST - 8 if self._rng.random() < 0.5 else 0
            while frames and (not parts[-1] or len(parts[-1] + frames[0]) <= most):
                parts[-1] += frames.pop(0)
            parts.append(b"")
        return parts[:-1]


class ModelNetwork:
    """Hosts and ``device`` in this process, on its own clock; ``there`` and ``back`` are the ways.

    A byte takes 1 / ``pace`` seconds, and waiting no time but on this clock.
    """

    def __init__(self, device: DatagramModel, there: FaultyPath | None = None,
                 back: FaultyPath | None = None, pace: float = 300_000.0) -> None:
        self.device = device
        self.clock = 0.0
        self._pace = pace
        self.there, self.back = there or FaultyPath(), back or FaultyPath()
        self.inboxes: dict[object, deque[bytes]] = {}

    def socket(self, address: object = "host") -> ModelSocket:
        """A host's socket; what was on its way to an earlier one of this address reaches it."""
        self.inboxes[address] = deque()
        return ModelSocket(self, address)

    def send(self, address: object, content: bytes) -> None:
        """Bring a datagram of the host at ``address`` to the device, and what it answers back."""
        self.clock += len(content) / self._pace
        for request in self.there.pass_on(Datagram(address, content)):
            for answer in self.device.receive(request.content):
                for reply in self.back.pass_on(Datagram(request.address, answer)):
                    self.inboxes[reply.address].append(reply.content)

    def receive(self, address: object, seconds: float) -> bytes | None:
        """The next datagram to ``address``, or None once ``seconds`` are over."""
        if not self.inboxes[address]:
            self.clock += seconds
            return None
        content = self.inboxes[address].popleft()
        self.clock += len(content) / self._pace
        return content


class ModelSocket:
    """What a host has of a ``ModelNetwork``: the ``Datagrams`` of a transport."""

    def __init__(self, network: ModelNetwork, address: object) -> None:
        self.name = "model"
        self._network, self._address = network, address

    def send(self, datagram: bytes) -> None:
        self._network.send(self._address, datagram)

    def receive(self, seconds: float) -> bytes | None:
        return self._network.receive(self._address, seconds)

    def now(self) -> float:
        return self._network.clock

    def fileno(self) -> int:
        raise OSError

    def close(self) -> None:
        """Nothing to give up."""


class UdpBoard:
    """``device`` behind a UDP port of this machine, from a thread of its own, for a ``with``.

    ``name`` is the device's for ``kaniwa.open``. ``lock`` guards the device.
    """

    def __init__(self, device: DatagramModel, there: FaultyPath | None = None,
                 back: FaultyPath | None = None) -> None:
        self.device = device
        self.lock = threading.Lock()
        self.there, self.back = there or FaultyPath(), back or FaultyPath()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.name = f"udp:127.0.0.1:{self.port}"
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._ended = True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            content, address = self._socket.recvfrom(2048)
            if self._ended:
                return
            with self.lock:
                replies = [reply for request in self.there.pass_on(Datagram(address, content))
                           for answer in self.device.receive(request.content)
                           for reply in self.back.pass_on(Datagram(request.address, answer))]
            for reply in replies:
                self._socket.sendto(reply.content, reply.address)
