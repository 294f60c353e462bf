"""Outside memory over an AXI4 master port."""

from amaranth import *
from amaranth.lib.wiring import Component, Out, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.errors import ConfigError
from kaniwa.hw.bus.axi_reader import AxiReader
from kaniwa.hw.bus.axi_writer import AxiWriter
from kaniwa.hw.bus.gather import MOST_BEATS, Gather
from kaniwa.hw.bus.guard import RunGuard
from kaniwa.hw.bus.master import BURST_WORDS, READS, master_ports
from kaniwa.hw.bus.signatures import axi4
from kaniwa.hw.parts.stream_buffer import StreamBuffer

__all__ = ["AxiMaster"]


class AxiMaster(Component):
    """``master_ports``, with an AXI4 master of ``data_bits`` as ``bus``.

    Words that are asked for one after the other become bursts of up to ``burst_words``. Up to
    ``bursts`` of them, and ``reads`` words in all, are on their way; and up to ``writes`` writes.
    Throughput: a word read a cycle and a word written a cycle, or a beat where a word has several.
    Latency: 3 cycles from a request to ``arvalid``, and one for each word of its burst; 1 cycle
    from the last beat to its word; 2 cycles from a write to ``awvalid`` and ``wvalid``.
    """

    def __init__(self, config: AcceleratorConfig, *, address_bits: int, data_bits: int,
                 burst_words: int = BURST_WORDS, bursts: int = 8, reads: int = READS,
                 writes: int = 8):
        for name, value in (("bursts", bursts), ("reads", reads), ("writes", writes)):
            if not 2 <= value <= 256:
                raise ConfigError(f"{name} must be 2..256, not {value}")
        self._config = config
        self._reads = reads
        beats = 8 * config.read_bytes // data_bits
        self._burst_words = min(burst_words, MOST_BEATS // beats)
        self._bursts, self._writes = bursts, writes
        self._widths = {"address_bits": address_bits, "data_bits": data_bits}
        super().__init__(master_ports(config, axi4(**self._widths), address_bits))

    def elaborate(self, platform):
        m = Module()
        m.submodules.guard = guard = RunGuard(self._config, self._reads)
        m.submodules.gather = gather = Gather(self._config, self._burst_words)
        m.submodules.reader = reader = AxiReader(
            self._config, bursts=self._bursts, **self._widths)
        m.submodules.writer = writer = AxiWriter(
            self._config, writes=self._writes, **self._widths)
        m.submodules.words = words = StreamBuffer(gather.i.payload.shape())
        connect(m, flipped(self.read), guard.core_read)
        connect(m, flipped(self.write), guard.core_write)
        connect(m, guard.write, writer.write)
        connect(m, gather.o, reader.burst)
        connect(m, reader.word, guard.read.response)
        request = guard.read.request
        waits = words.o.valid & writer.meets
        m.d.comb += [
            words.i.valid.eq(request.valid),
            words.i.payload.eq(request.payload[exact_log2(self._config.read_bytes):]),
            request.ready.eq(words.i.ready),
            writer.probe.eq(words.o.payload),
            gather.i.valid.eq(words.o.valid & ~waits),
            gather.i.payload.eq(words.o.payload),
            words.o.ready.eq(gather.i.ready & ~waits),
            guard.busy.eq(self.busy),
            guard.writing.eq(writer.writing),
            self.writing.eq(writer.writing),
            self.quiet.eq(guard.quiet),
            reader.base.eq(self.base),
            writer.base.eq(self.base),
        ]
        for part in (reader, writer):
            for name, member in self.bus.signature.members.items():
                if name in part.signature.members:
                    outer, inner = getattr(self.bus, name), getattr(part, name)
                    m.d.comb += outer.eq(inner) if member.flow is Out else inner.eq(outer)
        m.d.comb += self.fault.valid.eq(
            (reader.fault.valid | writer.fault.valid) & ~guard.draining)
        for name in ("write", "code", "address"):
            m.d.comb += getattr(self.fault, name).eq(
                Mux(reader.fault.valid, getattr(reader.fault, name), getattr(writer.fault, name)))
        return m
