"""The slave ports of the buses: their transfers as accesses of the window, one at a time."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.signatures import axi_lite, wishbone
from kaniwa.hw.bus.window import access_layout, answer_layout
from kaniwa.isa.bus import BusResponse, window_bytes

__all__ = ["AxiLiteSlave", "WishboneSlave"]


def _ports(config, bus):
    """The ports of a slave: its bus, and the way to the window."""
    address_bits = (window_bytes(config.memory_bytes) - 1).bit_length()
    bus = axi_lite(address_bits) if bus is axi_lite else wishbone(address_bits, 32)
    return {
        "bus": In(bus),
        "access": Out(stream.Signature(access_layout(config))),
        "answer": In(stream.Signature(answer_layout())),
    }


def _hold(m, valid, ready, payload):
    """A register for what a channel brings: whether it holds something, and what."""
    held, kept = Signal(), Signal(len(payload), reset_less=True)
    m.d.comb += ready.eq(~held)
    with m.If(~held):
        m.d.sync += [held.eq(valid), kept.eq(payload)]
    return held, kept


class AxiLiteSlave(Component):
    """AXI4-Lite. Reads and writes take turns where both wait; a refused access has SLVERR.

    An address or data of a write may come first. All outputs are flip-flops or their inverse.
    Latency: 1 cycle to the access, 1 cycle from its answer.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(_ports(config, axi_lite))

    def elaborate(self, platform):
        m = Module()
        bus, access = self.bus, self.access
        aw_held, write_address = _hold(m, bus.awvalid, bus.awready, bus.awaddr)
        w_held, write_data = _hold(m, bus.wvalid, bus.wready, Cat(bus.wdata, bus.wstrb))
        ar_held, read_address = _hold(m, bus.arvalid, bus.arready, bus.araddr)
        under_way, writes = Signal(), Signal()   # ``writes``: so does the access under way
        write_waits = aw_held & w_held
        write = write_waits & (~ar_held | ~writes)
        m.d.comb += [
            access.valid.eq((write_waits | ar_held) & ~under_way),
            access.payload.word.eq(Mux(write, write_address, read_address)[2:]),
            access.payload.write.eq(write),
            Cat(access.payload.data, access.payload.strobe).eq(write_data),
            self.answer.ready.eq(1),
        ]
        with m.If(access.valid & access.ready):
            m.d.sync += [under_way.eq(1), writes.eq(write)]
            with m.If(write):
                m.d.sync += [aw_held.eq(0), w_held.eq(0)]
            with m.Else():
                m.d.sync += ar_held.eq(0)
        answer = self.answer.payload
        response = Mux(answer.error, BusResponse.SLVERR, BusResponse.OKAY)
        with m.If(self.answer.valid):
            m.d.sync += [
                bus.bvalid.eq(writes), bus.rvalid.eq(~writes),
                bus.rdata.eq(Mux(answer.error, 0, answer.data)),
                bus.bresp.eq(response), bus.rresp.eq(response),
            ]
        with m.If((bus.bvalid & bus.bready) | (bus.rvalid & bus.rready)):
            m.d.sync += [bus.bvalid.eq(0), bus.rvalid.eq(0), under_way.eq(0)]
        return m


class WishboneSlave(Component):
    """Classic Wishbone: one transfer at a time, ended by a cycle of ``ack``, or ``err`` if refused.

    A master that ends its cycle early gets no end of it; the access is done all the same. Latency:
    none to the access, 1 cycle from its answer; ``ack``, ``err`` and ``dat_r`` are flip-flops.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(_ports(config, wishbone))

    def elaborate(self, platform):
        m = Module()
        bus, access, answer = self.bus, self.access, self.answer.payload
        asks = bus.cyc & bus.stb
        under_way, left = Signal(), Signal()   # ``left``: the master does not wait for it any more
        m.d.comb += [
            access.valid.eq(asks & ~under_way & ~bus.ack & ~bus.err),
            access.payload.word.eq(bus.adr),
            access.payload.write.eq(bus.we),
            access.payload.data.eq(bus.dat_w),
            access.payload.strobe.eq(bus.sel),
            self.answer.ready.eq(1),
        ]
        ends = self.answer.valid & asks & ~left
        m.d.sync += [bus.ack.eq(ends & ~answer.error), bus.err.eq(ends & answer.error)]
        with m.If(access.valid & access.ready):
            m.d.sync += [under_way.eq(1), left.eq(0)]
        with m.Elif(under_way & ~asks):
            m.d.sync += left.eq(1)
        with m.If(self.answer.valid):
            m.d.sync += [under_way.eq(0), bus.dat_r.eq(Mux(answer.error, 0, answer.data))]
        return m
