"""Writes the words of frames into the input tensor."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import write_port
from kaniwa.hw.sensor.layouts import frame_word_layout, place_bits, size_bits

__all__ = ["TensorFill"]


class TensorFill(Component):
    """Writes a frame to ``length`` bytes from ``address`` on, while ``fill`` is 1.

    ``filled`` is 1 in the cycle in which the frame's last word is written. A frame that turns out
    ``bad`` is left, and the next one begins at ``address`` again. Bytes beside the tensor are not
    written. Throughput: a word a cycle. Latency: none. Settings change only while this block is
    reset, and ``fill`` becomes 0 in the cycle behind ``filled``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "words": In(stream.Signature(frame_word_layout(config))),
            "address": In(size_bits(config)),
            "length": In(size_bits(config)),
            "fill": In(1),
            "filled": Out(1),
            "write": Out(write_port(config)),
        })

    def elaborate(self, platform):
        m = Module()
        write_bytes = self._config.write_bytes
        low = exact_log2(write_bytes)
        every = (1 << write_bytes) - 1
        # Bytes of the tensor in its first and in its last word
        first_mask, last_mask = (Signal(write_bytes, reset_less=True) for _ in range(2))
        end = (self.address + self.length)[:low]
        m.d.sync += [
            first_mask.eq(every << self.address[:low]),
            last_mask.eq(Mux(end == 0, every, (1 << end) - 1)),
        ]
        begins = Signal(init=1)
        following = Signal(place_bits(self._config, write_bytes), reset_less=True)
        place = Mux(begins, self.address[low:], following)
        entry, request = self.words.payload, self.write.request
        goes = self.words.valid & self.fill
        written = request.valid & request.ready
        m.d.comb += [
            request.valid.eq(goes & ~entry.bad),
            request.payload.address.eq(Cat(C(0, low), place)),
            request.payload.data.eq(entry.word),
            request.payload.mask.eq(Mux(begins, first_mask, every)
                                    & Mux(entry.last, last_mask, every)),
            self.words.ready.eq(self.fill & (entry.bad | request.ready)),
            self.filled.eq(written & entry.last),
        ]
        with m.If(goes & entry.bad):
            m.d.sync += begins.eq(1)
        with m.Elif(written):
            m.d.sync += [begins.eq(entry.last), following.eq(place + 1)]
        return m
