"""Frames from the PHY: requests of UDP into a ring once they are known to be right, and ARP."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from kaniwa.driver.datagrams.format import REQUEST_HEAD
from kaniwa.hw.ethernet.frame import (
    FCS_RESIDUE,
    HEAD_BYTES,
    PEER_BYTES,
    PREAMBLE,
    START,
    UDP_HEAD,
    Peer,
    arp_request,
    fcs_step,
    gmii,
    udp_request,
)
from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["BANKS", "RequestReceiver"]

BANKS = 4   # of peers: of the frame that comes, the last request, the reply on its way, and ARP
PORT_AT, LENGTH_AT = 34, 38


class RequestReceiver(wiring.Component):
    """Takes requests for ``mac``, ``address`` and ``port`` from ``received``; gives their frames.

    A frame that is damaged, cut off, no fragment-free UDP over IPv4 without options, or for
    somebody else is dropped. So is a request whose number is not ahead of ``last``, the number of
    the last one taken, and one that does not fit into what is free of ``ring_bytes`` (a power of
    two, one of them never used).
    ``answer``: for a cycle, a request came whose sender waits for a reply: it held no frames, or
    was dropped for its number. ``heard``: some request was taken or answered. ``peer`` is the bank
    with the addresses of that sender, or of the last request's; ``using`` the one that a reply on
    its way is for. ``asked``: ``asker`` is the bank of somebody who asked for the MAC, until
    ``told``. ``peer_place`` and ``peer_byte`` read the banks; the byte comes a cycle later.
    Throughput: a byte a cycle in, one in 3 cycles out. Latency: a request's frames can be read 6
    cycles after its last byte.
    """

    def __init__(self, mac: int, address: int, port: int, ring_bytes: int):
        self._udp, self._arp = udp_request(mac, address, port), arp_request(address)
        self._depth = ring_bytes
        super().__init__({
            "received": In(gmii()),
            "o": Out(stream.Signature(8)),
            "last": Out(32),
            "answer": Out(1),
            "heard": Out(1),
            "peer": Out(range(BANKS)),
            "using": In(range(BANKS)),
            "asked": Out(1),
            "asker": Out(range(BANKS)),
            "told": In(1),
            "peer_place": In(range(BANKS * PEER_BYTES)),
            "peer_byte": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        # Places of the frame's head. All that depends on one is looked up a cycle before its byte.
        byte, place, upcoming = Signal(8), Signal(6), Signal(6)
        behind_head = Signal()
        taking, starting = Signal(), Signal()
        m.d.comb += byte.eq(self.received.data)
        inverse = Signal(32, reset_less=True)
        ended = Signal(2)                        # one hot: 1 and 2 cycles after a frame's last byte
        m.d.sync += ended.eq(ended << 1)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.received.valid & (byte == START)):
                    m.d.comb += starting.eq(1)
                    m.next = "FRAME"
                with m.Elif(self.received.valid & (byte != PREAMBLE)):
                    m.next = "SKIP"
            with m.State("SKIP"):
                with m.If(~self.received.valid):
                    m.next = "IDLE"
            with m.State("FRAME"):
                m.d.comb += taking.eq(self.received.valid)
                with m.If(~self.received.valid):
                    m.d.sync += ended[0].eq(1)
                    m.next = "IDLE"
        with m.If(taking):
            m.d.sync += inverse.eq(fcs_step(inverse, byte))
        with m.If(starting):
            m.d.sync += inverse.eq(0)
        whole = Signal()
        m.d.sync += whole.eq(inverse == FCS_RESIDUE)

        with m.If(starting):
            m.d.sync += [place.eq(0), upcoming.eq(1), behind_head.eq(0)]
        with m.Elif(taking & ~behind_head):
            m.d.sync += [place.eq(upcoming), upcoming.eq(upcoming + 1),
                         behind_head.eq(upcoming == HEAD_BYTES)]
        is_udp = self._match(m, self._udp, taking & ~behind_head, starting, upcoming, byte)
        is_arp = self._match(m, self._arp, taking & ~behind_head, starting, upcoming, byte)
        bank = Signal(range(BANKS))
        self._keep_peer(m, taking & ~behind_head, upcoming, byte, bank, is_arp)
        complete, number, in_frames = self._read_datagram(m, taking, starting, place, behind_head,
                                                          byte)

        # The number's lead over the last one; it stands still long before a frame ends.
        lead, newer = Signal(32, reset_less=True), Signal()
        m.d.sync += [lead.eq(number - self.last), newer.eq((lead != 0) & ~lead[-1])]
        fits, empty, commit, drop = self._add_ring(m, taking & in_frames, byte)

        request, question = Signal(), Signal()
        m.d.sync += [
            request.eq(ended[0] & is_udp & complete),
            question.eq(ended[0] & is_arp & behind_head),
        ]
        taken, old = Signal(), Signal()
        m.d.comb += [
            taken.eq(ended[1] & request & whole & newer & fits),
            old.eq(ended[1] & request & whole & ~newer),
            commit.eq(taken), drop.eq(ended[1] & ~taken),
        ]
        m.d.sync += self.answer.eq(old | taken & empty)
        with m.If(taken):
            m.d.sync += self.last.eq(number)
        with m.If(taken | old):
            m.d.sync += [self.peer.eq(bank), self.heard.eq(1)]
        with m.If(self.told):
            m.d.sync += self.asked.eq(0)
        with m.If(ended[1] & question & whole & ~self.asked):
            m.d.sync += [self.asked.eq(1), self.asker.eq(bank)]
        self._choose_bank(m, bank, ended[1])
        return m

    def _match(self, m, wanted, taking, starting, upcoming, byte):
        """Whether all bytes so far are those ``wanted``."""
        matches = Signal()
        value, mask = Signal(8, reset_less=True), Signal(8, reset_less=True)
        with m.If(taking):
            m.d.sync += mask.eq(0)
            with m.Switch(upcoming):
                for place, (expected, bits) in sorted(wanted.items()):
                    with m.Case(place):
                        m.d.sync += [value.eq(expected), mask.eq(bits)]
        with m.If(starting):
            first, bits = wanted.get(0, (0, 0))
            m.d.sync += [matches.eq(1), value.eq(first), mask.eq(bits)]
        with m.Elif(taking & (((byte ^ value) & mask) != 0)):
            m.d.sync += matches.eq(0)
        return matches

    def _keep_peer(self, m, taking, upcoming, byte, bank, is_arp):
        """Write what answers need into the frame's bank."""
        m.submodules.peers = peers = Memory(shape=unsigned(8), depth=BANKS * PEER_BYTES, init=[])
        write, read = peers.write_port(), peers.read_port(domain="comb")
        m.d.comb += read.addr.eq(self.peer_place)
        m.d.sync += self.peer_byte.eq(read.data)
        kept, at = Signal(), Signal(range(PEER_BYTES))
        # ARP has the asker's address at 28. These places of a request hold parts of both addresses
        # of IPv4, so they are written for ARP alone.
        with m.If(taking):
            m.d.sync += kept.eq(0)
            for only, first, count, begin in ((None, 6, 6, Peer.MAC), (is_arp, 28, 4, Peer.ADDRESS),
                                              (~is_arp, 26, 4, Peer.ADDRESS),
                                              (~is_arp, PORT_AT, 2, Peer.PORT)):
                for index in range(count):
                    with m.If((upcoming == first + index) & (1 if only is None else only)):
                        m.d.sync += [kept.eq(1), at.eq(begin + index)]
        m.d.comb += [write.en.eq(kept & taking), write.addr.eq(Cat(at, bank)), write.data.eq(byte)]

    def _read_datagram(self, m, taking, starting, place, behind_head, byte):
        """Whether the datagram was there as far as its length says; its number; whether the byte
        that comes is of its frames."""
        left = Signal(16, reset_less=True)       # bytes of the datagram that have not come
        high = Signal(8, reset_less=True)
        number, bytes_left = Signal(32, reset_less=True), Signal(range(REQUEST_HEAD + 1))
        inside, more = Signal(), Signal()        # more: ``left`` is not 0
        m.d.comb += inside.eq(behind_head & more)
        m.d.sync += more.eq(left != Mux(inside & taking, 1, 0))
        with m.If(taking):
            with m.If(place == LENGTH_AT):
                m.d.sync += high.eq(byte)
            with m.If(place == LENGTH_AT + 1):
                # A length that is less than its own head's is taken for one of 64 KiB.
                m.d.sync += left.eq(Cat(byte, high) - UDP_HEAD)
            with m.If(inside):
                m.d.sync += left.eq(left - 1)
                with m.If(bytes_left != 0):
                    m.d.sync += [number.eq(Cat(number[8:], byte)), bytes_left.eq(bytes_left - 1)]
        with m.If(starting):
            m.d.sync += bytes_left.eq(REQUEST_HEAD)
        complete = behind_head & ~more & (bytes_left == 0)
        return complete, number, inside & (bytes_left == 0)

    def _add_ring(self, m, come, byte):
        """The ring. ``fits``: nothing of the frame was left out; ``empty``: nothing of it came."""
        write, read = unchecked_memory(m, "ring", unsigned(8), self._depth)
        write_at, right_to, read_at = (Signal(range(self._depth), name=name)
                                       for name in ("write_at", "right_to", "read_at"))
        fits, empty, commit, drop = Signal(init=1), Signal(), Signal(), Signal()
        following = Signal.like(write_at, init=1)   # the place behind write_at
        full = Signal()
        m.d.comb += [
            full.eq(following == read_at), empty.eq(write_at == right_to),
            write.addr.eq(write_at), write.data.eq(byte), write.en.eq(come),
        ]
        with m.If(come):
            with m.If(full):
                m.d.sync += fits.eq(0)
            with m.Else():
                m.d.sync += [write_at.eq(following), following.eq(following + 1)]
        with m.If(commit):
            m.d.sync += right_to.eq(write_at)
        with m.If(drop):
            m.d.sync += [write_at.eq(right_to), following.eq(right_to + 1), fits.eq(1)]

        fetched, coming, given = Signal(), Signal(), Signal(8, reset_less=True)
        m.d.comb += [
            read.addr.eq(read_at), read.en.eq(fetched), self.o.payload.eq(given),
            fetched.eq(~coming & ~self.o.valid & (read_at != right_to)),
        ]
        m.d.sync += [coming.eq(fetched), given.eq(read.data)]
        with m.If(fetched):
            m.d.sync += read_at.eq(read_at + 1)
        with m.If(coming):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return fits, empty, commit, drop

    def _choose_bank(self, m, bank, ended):
        """A cycle after a frame, when ``peer`` and ``asker`` stand: a bank that nobody uses."""
        choosing = Signal()
        m.d.sync += choosing.eq(ended)
        with m.If(choosing):
            for candidate in range(BANKS):
                with m.If((self.peer != candidate) & (self.using != candidate)
                          & (~self.asked | (self.asker != candidate))):
                    m.d.sync += bank.eq(candidate)
