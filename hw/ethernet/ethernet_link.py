"""The link's frames in datagrams of UDP, between the core's clock and that of an Ethernet PHY."""

from ipaddress import IPv4Address

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from kaniwa.driver.datagrams.format import MOST_BYTES, PORT, is_of_one_device
from kaniwa.errors import ConfigError
from kaniwa.hw.ethernet.frame import gmii
from kaniwa.hw.ethernet.frame_sender import FrameSender
from kaniwa.hw.ethernet.reply_buffer import LEAST_BANK, ReplyBuffer
from kaniwa.hw.ethernet.request_receiver import RequestReceiver

__all__ = ["EthernetLink"]

CROSSING = 16       # bytes between the two clocks, each way
GROUP_BIT = 40      # of a MAC: it is that of a group


class EthernetLink(wiring.Component):
    """Requests at ``o`` and replies at ``i`` as bytes, in ``sync``; docs/link.md has the datagrams.

    ``received`` and ``sent`` are a PHY's bytes in the domain ``ethernet``, of 125 MHz for a
    gigabit. ``mac``, ``address`` (of IPv4) and ``port`` are the device's. Requests wait in
    ``ring_bytes``, a power of two; those for which there is no room are dropped, and sent again by
    the host. Replies are gathered in two banks of ``bank_bytes``, a power of two, and go to the
    sender of the last request.
    Raises ConfigError for addresses that no device can have.
    Throughput: a byte in 3 cycles at ``o``, one a cycle at ``i``. Latency, in cycles of the line: a
    request's frames come out at most 24 after its last byte, and a reply's preamble begins at most
    160 after the reply's last byte came.
    """

    def __init__(self, mac: int, address: int, port: int = PORT, *,
                 ring_bytes: int, bank_bytes: int):
        if not 0 < mac < 1 << 48 or mac >> GROUP_BIT & 1:
            raise ConfigError(f"MAC {mac:#014x} is not one of a single device")
        if not is_of_one_device(address):
            raise ConfigError(f"{IPv4Address(address)} is not the address of a single device")
        if not 0 < port < 1 << 16:
            raise ConfigError(f"the UDP port must be 1..65535, not {port}")
        if ring_bytes & (ring_bytes - 1) or ring_bytes <= MOST_BYTES:
            raise ConfigError(f"ring_bytes must be a power of two above {MOST_BYTES}, not "
                              f"{ring_bytes}")
        if bank_bytes & (bank_bytes - 1) or bank_bytes < LEAST_BANK:
            raise ConfigError(f"bank_bytes must be a power of two of at least {LEAST_BANK}, not "
                              f"{bank_bytes}")
        self._device = mac, address, port
        self._ring_bytes, self._bank_bytes = ring_bytes, bank_bytes
        super().__init__({
            "o": Out(stream.Signature(8)),
            "i": In(stream.Signature(8)),
            "received": In(gmii()),
            "sent": Out(gmii()),
        })

    def elaborate(self, platform):
        m = Module()
        blocks = (RequestReceiver(*self._device, self._ring_bytes),
                  ReplyBuffer(self._bank_bytes), FrameSender(*self._device, self._bank_bytes))
        receiver, replies, sender = blocks
        for name, block in zip(("receiver", "replies", "sender"), blocks, strict=True):
            m.submodules[name] = DomainRenamer("ethernet")(block)
        self._cross(m, "requests", receiver.o, self.o, "ethernet", "sync")
        self._cross(m, "answers", self.i, replies.i, "sync", "ethernet")
        for name in ("data", "valid"):
            m.d.comb += [getattr(receiver.received, name).eq(getattr(self.received, name)),
                         getattr(self.sent, name).eq(getattr(sender.sent, name))]
        m.d.comb += [
            replies.answer.eq(receiver.answer), replies.heard.eq(receiver.heard),
            sender.last.eq(receiver.last), sender.peer.eq(receiver.peer),
            receiver.using.eq(sender.using),
            sender.asked.eq(receiver.asked), sender.asker.eq(receiver.asker),
            receiver.told.eq(sender.told),
            receiver.peer_place.eq(sender.peer_place), sender.peer_byte.eq(receiver.peer_byte),
            sender.ready.eq(replies.ready), sender.size.eq(replies.size),
            sender.bank.eq(replies.bank), replies.sent.eq(sender.gone),
            replies.address.eq(sender.address), sender.byte.eq(replies.byte),
        ]
        return m

    def _cross(self, m, name, source, target, source_domain, target_domain):
        """Bytes from one clock to the other."""
        m.submodules[name] = fifo = AsyncFIFOBuffered(
            width=8, depth=CROSSING, w_domain=source_domain, r_domain=target_domain)
        m.d.comb += [
            fifo.w_data.eq(source.payload), fifo.w_en.eq(source.valid), source.ready.eq(fifo.w_rdy),
            target.payload.eq(fifo.r_data), target.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(target.ready),
        ]
