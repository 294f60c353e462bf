"""Writes of outside memory over AXI4, and which reads have to wait for them."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.bus.registers import fault
from kaniwa.hw.bus.signatures import axi4
from kaniwa.hw.interfaces import write_port
from kaniwa.hw.parts.stream_buffer import StreamBuffer

__all__ = ["AxiWriter"]


class AxiWriter(Component):
    """Each write of the core is a burst of one beat, or of those that its word has.

    Up to ``writes`` are on their way; each is from the cycle after it was accepted until its
    response (B). AXI orders no read behind a write before that, so a read of ``probe``, the number
    of a word of read_bytes, has to wait while it ``meets`` one of them.
    Throughput: a write a cycle, or one in as many cycles as it has beats. Latency: 2 cycles.
    ``writing`` is 1 until a cycle after the last response, when its ``fault`` has been told.
    """

    def __init__(self, config: AcceleratorConfig, *, address_bits: int, data_bits: int,
                 writes: int):
        self._config = config
        self._data_bits = data_bits
        self._writes = writes
        self._word_bits = 31 - exact_log2(config.read_bytes)
        bus = axi4(address_bits, data_bits).members.items()
        super().__init__({
            "base": In(address_bits),
            "write": In(write_port(config)),
            "probe": In(self._word_bits),
            "meets": Out(1),
            "writing": Out(1),
            "fault": Out(fault()),
            **{name: member for name, member in bus if name.startswith(("aw", "w", "b"))},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = StreamBuffer(self.write.request.payload.shape())
        request, room = self.write.request, Signal()
        m.d.comb += [
            buffer.i.valid.eq(request.valid & room),
            buffer.i.payload.eq(request.payload),
            request.ready.eq(buffer.i.ready & room),
        ]
        self._remember(m, request.valid & request.ready, request.payload.address, room)
        self._send(m, buffer.o)
        return m

    def _remember(self, m, accepted, address, room):
        """The addresses of the writes on their way, a ring: responses come in order."""
        low = exact_log2(self._config.write_bytes)
        block = max(exact_log2(self._config.read_bytes), low)
        slots = [Signal(31 - low, name=f"address_{n}", reset_less=True)
                 for n in range(self._writes)]
        taken = Signal(self._writes)
        first, last = Signal(range(self._writes)), Signal(range(self._writes))
        responds = self.bvalid & self.bready
        written = Array(slots)[first]
        for number, slot in enumerate(slots):
            with m.If(responds & (first == number)):
                m.d.sync += taken[number].eq(0)
            with m.If(accepted & (last == number)):
                m.d.sync += [taken[number].eq(1), slot.eq(address[low:31])]
        for pointer, moves in ((first, responds), (last, accepted)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == self._writes - 1, 0, pointer + 1))
        some = Signal()
        m.d.sync += some.eq(taken.any())
        probe = self.probe[block - exact_log2(self._config.read_bytes):]
        m.d.comb += [
            room.eq(~taken.bit_select(last, 1)),
            self.writing.eq(taken.any() | some),
            self.meets.eq(Cat(taken[number] & (slot[block - low:] == probe)
                              for number, slot in enumerate(slots)).any()),
        ]
        m.d.sync += [
            self.fault.valid.eq(responds & self.bresp[1]),
            self.fault.code.eq(self.bresp),
            self.fault.address.eq(Cat(C(0, low), written, C(1, 1))),
        ]
        m.d.comb += self.fault.write.eq(1)

    def _send(self, m, write):
        """Address and data channels; the next write begins when both are free."""
        write_bytes, beat_bytes = self._config.write_bytes, self._data_bits // 8
        beats = max(1, write_bytes // beat_bytes)
        more = Signal(range(beats))   # beats behind the one that is shown
        rest = Signal(8 * write_bytes, reset_less=True)
        rest_mask = Signal(write_bytes, reset_less=True)
        free = ((~self.awvalid | self.awready)
                & (~self.wvalid | (self.wready & (more == 0))))
        takes = write.valid & free
        m.d.comb += [
            write.ready.eq(free),
            self.awlen.eq(beats - 1),
            self.awsize.eq(exact_log2(beat_bytes)),
        ]
        low = exact_log2(max(write_bytes, beat_bytes))
        offset = Cat(C(0, low), write.payload.address[low:31])
        with m.If(self.awready):
            m.d.sync += self.awvalid.eq(0)
        with m.If(takes):
            m.d.sync += [self.awvalid.eq(1), self.awaddr.eq(self.base + offset)]

        lanes = max(1, beat_bytes // write_bytes)   # words of write_bytes that a beat has
        lane = write.payload.address[exact_log2(write_bytes):][:exact_log2(lanes)]
        strobe = write.payload.mask
        if lanes > 1:
            strobe = Cat(Mux(lane == number, write.payload.mask, 0) for number in range(lanes))
        with m.If(self.wready):
            m.d.sync += [
                self.wvalid.eq(more != 0), self.wlast.eq(more == 1), more.eq(more - (more != 0)),
                self.wdata.eq(rest), self.wstrb.eq(rest_mask),
                rest.eq(rest >> self._data_bits), rest_mask.eq(rest_mask >> beat_bytes),
            ]
        with m.If(takes):
            m.d.sync += [
                self.wvalid.eq(1), self.wlast.eq(beats == 1), more.eq(beats - 1),
                self.wdata.eq(write.payload.data.replicate(lanes)), self.wstrb.eq(strobe),
                rest.eq(write.payload.data >> self._data_bits),
                rest_mask.eq(write.payload.mask >> beat_bytes),
            ]
