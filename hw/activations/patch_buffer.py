"""Ring of gathered bytes: written at any byte, read word by word."""

from amaranth import *
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import gather_layout
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["PatchBuffer"]


class PatchBuffer(Component):
    """``patch_bytes`` bytes; up to N bytes are written at any position, words of N bytes read.

    One read and one write a cycle. Bytes 0 to ``last`` of a write go to ``position`` and those
    after it, around the end of the ring. ``o_data`` has word ``read_index`` of ``latency`` = 3
    cycles before, like bytes from the line buffer. The word is looked up in the cycle before
    that: a read sees the writes up to one cycle after it.

    A word that is written in the cycle in which it is looked up gives either value: the
    controller reads a word when it is complete, and has it written again when it is used up.
    """

    latency = 3

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._words = config.patch_bytes // config.dot_width
        super().__init__({
            "i": In(stream.Signature(gather_layout(config), always_ready=True)),
            "read_index": In(range(self._words)),
            "o_data": Out(data.ArrayLayout(signed(8), config.dot_width)),
        })

    def elaborate(self, platform):
        m = Module()
        width = self._config.dot_width
        write = self.i.payload
        byte_bits = exact_log2(width)
        first_lane, first_word = write.position[:byte_bits], write.position[byte_bits:]
        next_word = Signal(range(self._words))
        m.d.comb += next_word.eq(first_word + 1)   # wraps from the last word to the first

        # Byte and write enable go around together, up by the first byte's lane.
        lanes = [Cat(write.data[j], self.i.valid & (write.last >= j)) for j in range(width)]
        for bit in range(byte_bits):
            turned = Signal(data.ArrayLayout(9, width), name=f"turned_{bit}")
            m.d.comb += [
                turned[j].eq(Mux(first_lane[bit], lanes[(j - (1 << bit)) % width], lanes[j]))
                for j in range(width)]
            lanes = turned

        index = self.read_index
        for _ in range(self.latency - 1):
            following = Signal.like(index, reset_less=True)
            m.d.sync += following.eq(index)
            index = following
        for lane in range(width):
            # Nothing depends on what a collision reads, so no logic is spent on it.
            ram = memory.Memory(shape=unsigned(8), depth=self._words, init=[],
                                attrs={"no_rw_check": 1})
            m.submodules[f"lane_{lane}"] = ram
            write_port, read_port = ram.write_port(), UncheckedRead.of(m, ram)
            m.d.comb += [
                write_port.addr.eq(Mux(lane < first_lane, next_word, first_word)),
                write_port.data.eq(lanes[lane][:8]),
                write_port.en.eq(lanes[lane][8]),
                read_port.en.eq(1),
                read_port.addr.eq(index),
                self.o_data[lane].eq(read_port.data),
            ]
        return m
