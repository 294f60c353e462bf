"""The compact core's line buffer: a ring of words from which 4 bytes are read at any position."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.load import line_bits
from kaniwa.hw.parts.unchecked_read import unchecked_memory

__all__ = ["CompactLineBuffer"]


class CompactLineBuffer(Component):
    """``line_bytes`` bytes in lines of 8; ``o`` has the 4 bytes from ``read_position`` on, one
    cycle after ``read_enable``.

    The halves of the lines are in two memories: those of a read are in one line of the second
    half, and in the same or the next line of the first. One write and one read a cycle; what is
    written is read in later cycles only.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "write": In(1),
            "write_line": In(line_bits(config)),
            "write_data": In(64),
            "read_enable": In(1),
            "read_position": In(exact_log2(config.line_bytes)),
            "o": Out(data.ArrayLayout(unsigned(8), 4)),
        })

    def elaborate(self, platform):
        m = Module()
        place = Signal(3, reset_less=True)   # of the first byte, in its line
        with m.If(self.read_enable):
            m.d.sync += place.eq(self.read_position)
        line = self.read_position[3:]
        halves = []
        for number in range(2):
            write, read = unchecked_memory(
                m, f"half_{number}", unsigned(32), 1 << line_bits(self._config))
            m.d.comb += [
                write.en.eq(self.write),
                write.addr.eq(self.write_line),
                write.data.eq(self.write_data.word_select(number, 32)),
                read.en.eq(self.read_enable),
                read.addr.eq(line if number else line + self.read_position[2]),
            ]
            halves.append(read.data)

        # Byte i of a half word: of the other half where the read begins behind it.
        begin = place[:2]
        columns = [
            Mux(place[2] ^ (begin > i), halves[1].word_select(i, 8), halves[0].word_select(i, 8))
            for i in range(4)]
        # Rotated by two bytes, then by one: half the gates of a choice of four.
        for bit in (1, 0):
            turned = [Signal(8, name=f"turned_{bit}_{i}") for i in range(4)]
            m.d.comb += [byte.eq(Mux(begin[bit], columns[(i + (1 << bit)) % 4], columns[i]))
                         for i, byte in enumerate(turned)]
            columns = turned
        m.d.comb += [self.o[i].eq(byte) for i, byte in enumerate(columns)]
        return m
