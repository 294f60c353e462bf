"""Replies of UDP and answers of ARP, as frames to the PHY."""

from amaranth import *
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.driver.datagrams.format import REPLY_HEAD
from kaniwa.hw.ethernet.frame import (
    FCS_BYTES,
    GAP_BYTES,
    IPV4_HEAD,
    LEAST_BYTES,
    PEER_BYTES,
    PREAMBLE,
    PREAMBLE_BYTES,
    START,
    UDP_HEAD,
    Peer,
    Source,
    arp_reply,
    fcs_step,
    gmii,
    sum_of_given,
    udp_reply,
)
from kaniwa.hw.ethernet.reply_buffer import MOST_FRAMES
from kaniwa.hw.ethernet.request_receiver import BANKS

__all__ = ["FrameSender"]

SUM_STEPS = 8   # a read, four bytes of an address, a length, and the carries of two sums


class Kind(enum.IntEnum, shape=3):
    """What a byte on its way is: of the frame's head (``Source``), of the reply, or of the FCS."""

    NONE = 0
    GIVEN, PEER, FIELD = Source.GIVEN, Source.PEER, Source.FIELD
    REPLY = 4
    FCS = 5


def _byte_layout():
    """``value``: the byte, or a place in what is kept of the peer. ``around``: not in the frame."""
    return data.StructLayout({"kind": Kind, "value": 8, "around": 1})


class FrameSender(wiring.Component):
    """Sends what waits: an answer where somebody ``asked`` for the MAC, else the datagram of
    ``size`` bytes in ``bank``, of two of ``bank_bytes``, where one is ``ready``, to ``peer``.

    ``using`` is the bank of the peer of the reply on its way. ``last`` goes into a reply as it is
    when the reply begins. ``told`` and ``gone`` are 1 for a cycle when an answer's or a reply's
    bytes are on their way. ``address`` and ``byte`` are those of ``ReplyBuffer``,
    ``peer_place`` and ``peer_byte`` those of ``RequestReceiver``.
    Throughput: a byte a cycle, with GAP_BYTES between two frames. Latency: the preamble begins 14
    cycles after a datagram is ready.
    """

    def __init__(self, mac: int, address: int, port: int, bank_bytes: int):
        self._bank_bytes = bank_bytes
        self._udp, self._arp = udp_reply(mac, address, port), arp_reply(mac, address)
        self._sum = sum_of_given(address)
        super().__init__({
            "sent": Out(gmii()),
            "last": In(32),
            "peer": In(range(BANKS)),
            "using": Out(range(BANKS)),
            "asked": In(1),
            "asker": In(range(BANKS)),
            "told": Out(1),
            "ready": In(1),
            "size": In(range(MOST_FRAMES + 1)),
            "bank": In(1),
            "gone": Out(1),
            "address": Out(range(2 * bank_bytes)),
            "byte": In(8),
            "peer_place": Out(range(BANKS * PEER_BYTES)),
            "peer_byte": In(8),
        })

    def elaborate(self, platform):
        m = Module()
        is_arp, number = Signal(), Signal(32)
        at = Signal(range(len(self._udp)))      # in what is sent at present
        left = Signal.like(self.size, reset_less=True)      # bytes of the reply
        padding = Signal(range(LEAST_BYTES), reset_less=True)
        given = Signal(_byte_layout())          # what the byte of this cycle is made of
        start, loading = Signal(), Signal()
        offset = Signal(exact_log2(self._bank_bytes))       # in the reply
        m.d.comb += self.address.eq(Cat(offset, self.bank))
        m.d.sync += at.eq(at + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [at.eq(0), is_arp.eq(self.asked), left.eq(self.size), offset.eq(0),
                             padding.eq(LEAST_BYTES - len(self._arp))]
                with m.If(self.asked):
                    m.next = "PREAMBLE"
                with m.Elif(self.ready):
                    m.d.comb += start.eq(1)
                    m.d.sync += [self.using.eq(self.peer), number.eq(number + 1)]
                    room = LEAST_BYTES - len(self._udp)
                    m.d.sync += padding.eq(Mux(self.size < room, room - self.size, 0))
                    m.next = "SUM"
            with m.State("SUM"):
                with m.If(at == SUM_STEPS):
                    m.d.comb += loading.eq(1)
                    self._go_on(m, at, "PREAMBLE")
            with m.State("PREAMBLE"):
                m.d.comb += [given.kind.eq(Kind.GIVEN), given.around.eq(1),
                             given.value.eq(PREAMBLE)]
                with m.If(at == PREAMBLE_BYTES - 1):
                    m.d.comb += given.value.eq(START)
                    self._go_on(m, at, "HEAD")
            with m.State("HEAD"):
                self._choose(m, given, at, is_arp)
                with m.If(at == Mux(is_arp, len(self._arp), len(self._udp)) - 1):
                    with m.If(~is_arp & (left != 0)):
                        self._go_on(m, at, "REPLY")
                    with m.Else():
                        self._go_on(m, at, "PADDING")
            with m.State("REPLY"):
                m.d.comb += given.kind.eq(Kind.REPLY)
                m.d.sync += [offset.eq(offset + 1), left.eq(left - 1)]
                with m.If(left == 1):
                    with m.If(padding != 0):
                        self._go_on(m, at, "PADDING")
                    with m.Else():
                        self._go_on(m, at, "FCS")
            with m.State("PADDING"):   # of zeros
                m.d.comb += given.kind.eq(Kind.GIVEN)
                m.d.sync += padding.eq(padding - 1)
                with m.If(padding == 1):
                    self._go_on(m, at, "FCS")
            with m.State("FCS"):
                m.d.comb += given.kind.eq(Kind.FCS)
                with m.If(at == FCS_BYTES - 1):
                    m.d.comb += [self.told.eq(is_arp), self.gone.eq(~is_arp)]
                    self._go_on(m, at, "GAP")
            with m.State("GAP"):
                with m.If(at == GAP_BYTES - 1):
                    m.next = "IDLE"

        chosen, fetched = Signal(_byte_layout()), Signal(_byte_layout())
        of_address, reply = Signal(range(PEER_BYTES)), Signal(8, reset_less=True)
        m.d.sync += [chosen.eq(given), fetched.eq(chosen), reply.eq(self.byte)]
        m.d.comb += [
            of_address.eq(Peer.ADDRESS + at[:2]),
            # Before the frame the peer's address is read, for the sum.
            self.peer_place.eq(Mux(
                chosen.kind == Kind.NONE, Cat(of_address, self.using),
                Cat(chosen.value[:4], Mux(is_arp, self.asker, self.using)))),
        ]
        fields = self._fields(m, start, loading, at, number, fetched.kind == Kind.FIELD)
        self._send(m, fetched, fields[:8], reply)
        return m

    def _go_on(self, m, at, state):
        m.d.sync += at.eq(0)
        m.next = state

    def _choose(self, m, given, at, is_arp):
        """What the byte ``at`` of the head is made of."""
        for arp, sources in ((0, self._udp), (1, self._arp)):
            with m.If(is_arp == arp), m.Switch(at):
                for place, (source, value) in enumerate(sources):
                    with m.Case(place):
                        m.d.comb += [given.kind.eq(source), given.value.eq(value)]

    def _fields(self, m, start, loading, at, number, taken):
        """The fields of a reply, the next byte lowest. The checksum is summed before the frame."""
        summed, total, length = Signal(17), Signal(16), Signal(16)
        m.d.sync += [length.eq(self.size + (UDP_HEAD + REPLY_HEAD)),
                     total.eq(self.size + (IPV4_HEAD + UDP_HEAD + REPLY_HEAD))]
        word = Signal(16)
        with m.Switch(at):
            for step in range(4):    # a byte comes a cycle after its place; the upper one is first
                with m.Case(step + 1):
                    m.d.comb += word.eq(self.peer_byte << 8 * (1 - step % 2))
            with m.Case(5):
                m.d.comb += word.eq(total)
        # The carry of the sum before comes in behind the lowest bit, in the same adder.
        carried = Cat(C(1, 1), summed[:16]) + Cat(summed[16], word)
        m.d.sync += summed.eq(Mux(start, self._sum, carried[1:]))
        fields = Signal(8 * 14, reset_less=True)
        swapped = [Cat(value[8:], value[:8]) for value in (total, ~summed[:16], length)]
        with m.If(loading):
            m.d.sync += fields.eq(Cat(*swapped, number, self.last))
        with m.Elif(taken):
            m.d.sync += fields.eq(fields >> 8)
        return fields

    def _send(self, m, fetched, field, reply):
        """Two registers behind what was read: the byte, and the byte or the FCS on its way out."""
        byte = Signal(8, reset_less=True)
        valid, in_frame, is_fcs = Signal(), Signal(), Signal()
        m.d.sync += [
            valid.eq(fetched.kind != Kind.NONE), is_fcs.eq(fetched.kind == Kind.FCS),
            in_frame.eq(~fetched.around), byte.eq(fetched.value),
        ]
        for kind, value in ((Kind.PEER, self.peer_byte), (Kind.FIELD, field),
                            (Kind.REPLY, reply)):
            with m.If(fetched.kind == kind):
                m.d.sync += byte.eq(value)
        inverse = Signal(32)
        m.d.sync += [self.sent.valid.eq(valid), self.sent.data.eq(byte)]
        with m.If(~valid | ~in_frame):
            m.d.sync += inverse.eq(0)
        with m.Elif(is_fcs):
            m.d.sync += [self.sent.data.eq(inverse), inverse.eq(inverse >> 8)]
        with m.Else():
            m.d.sync += inverse.eq(fcs_step(inverse, byte))
