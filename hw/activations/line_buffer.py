"""Ring of input rows from which dot_width bytes are read at any position."""

from amaranth import *
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import line_position_bits
from kaniwa.hw.parts.unchecked_read import UncheckedRead
from kaniwa.hw.signatures import line_reader

__all__ = ["LineBuffer"]


class LineBuffer(Component):
    """``line_bytes`` bytes; N are read at any position, read_bytes written at that of any lane.

    One read and one write a cycle. ``o_data`` has the bytes ``latency`` = 3 cycles after
    ``read.enable`` and keeps them until those of the next read: memory, a register right behind it
    (block RAM takes most of a cycle), rotator.
    A line of line_width bytes lies in lanes of min(N, 8) bytes, each with its own address: the
    lanes below the first byte are read in the next line. N + a lane never exceed a line.

    Instead of one read of N bytes, ``read.column_enable`` reads a lane each at several positions,
    all of whole lanes and all in different lanes of the lines; they come in ``o_columns`` as late.
    It changes ``o_data``, as a read changes ``o_columns``.

    A read of bytes that are written in the same cycle gives either value: read only what was
    written in an earlier cycle.
    """

    latency = 3

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._columns = config.column_window[0] if config.depthwise else 1
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({
                "position": unsigned(line_position_bits(config)),
                "data": unsigned(8 * config.read_bytes),
            }), always_ready=True)),
            "read": In(line_reader(config)),
            "o_data": Out(data.ArrayLayout(signed(8), config.dot_width)),
            **({"o_columns": Out(data.ArrayLayout(
                data.ArrayLayout(signed(8), config.lane_bytes), self._columns))}
               if self._columns > 1 else {}),
        })

    @property
    def has_columns(self) -> bool:
        """``o_columns`` is there."""
        return self._columns > 1

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.line_width
        lane_bytes = config.lane_bytes
        lanes = width // lane_bytes
        depth = config.line_bytes // width
        offset_bits, lane_bits = exact_log2(width), exact_log2(lane_bytes)
        line_end = exact_log2(config.line_bytes)   # a position above this bit wraps in the ring

        read_line = self.read.position[offset_bits:line_end]
        read_lane = self.read.position[lane_bits:offset_bits]
        next_line = Signal(range(depth))
        m.d.comb += next_line.eq(read_line + 1)    # wraps from the last line to the first
        offset_1 = Signal(offset_bits, reset_less=True)
        offset = Signal(offset_bits, reset_less=True)
        with m.If(self.read.enable):
            m.d.sync += offset_1.eq(self.read.position)
        m.d.sync += offset.eq(offset_1)

        # A write covers word_lanes lanes, from any one on: of every word_lanes lanes one, in the
        # same word of them as the first lane or in the next one, around the end of the ring.
        write = self.i.payload
        word_lanes = config.read_bytes // lane_bytes
        word_bits = exact_log2(config.read_bytes)
        first_lane = write.position[lane_bits:word_bits]
        first_word = write.position[word_bits:line_end]
        words = [Signal.like(first_word, name=f"word_{place}") for place in range(word_lanes)]
        m.d.comb += [
            *(word.eq(first_word + (first_lane > place)) for place, word in enumerate(words[:-1])),
            words[-1].eq(first_word),
        ]
        rotated_word = Signal(len(write.data))
        m.d.comb += rotated_word.eq(write.data)
        with m.Switch(first_lane):
            for first in range(1, word_lanes):
                with m.Case(first):
                    m.d.comb += rotated_word.eq(write.data.rotate_left(8 * lane_bytes * first))

        group_bits = offset_bits - word_bits   # of the words of a line
        line = Signal(data.ArrayLayout(unsigned(8 * lane_bytes), lanes), reset_less=True)
        for lane in range(lanes):
            # Nothing depends on what a collision reads, so no logic is spent on it.
            ram = memory.Memory(shape=unsigned(8 * lane_bytes), depth=depth, init=[],
                                attrs={"no_rw_check": 1})
            m.submodules[f"lane_{lane}"] = ram
            write_port, read_port = ram.write_port(), UncheckedRead.of(m, ram)
            place = lane % word_lanes
            word = words[place]
            m.d.comb += [
                write_port.addr.eq(word[group_bits:]),
                write_port.data.eq(rotated_word.word_select(place, 8 * lane_bytes)),
                write_port.en.eq(self.i.valid & (word[:group_bits] == lane // word_lanes)),
                read_port.addr.eq(Mux(read_lane > lane, next_line, read_line)),
                read_port.en.eq(self.read.enable),
            ]
            m.d.sync += line[lane].eq(read_port.data)
            if self._columns > 1:
                m.d.comb += read_port.en.eq(self.read.enable | self.read.column_enable)
                with m.If(self.read.column_enable):
                    m.d.comb += read_port.addr.eq(self._column_line(lane, lane_bits, offset_bits,
                                                                    line_end))
        if self._columns > 1:
            self._select_columns(m, line, lane_bits, offset_bits)

        # Rotate by the highest bit of the offset first: ever fewer bytes remain of interest.
        read_bytes = [line.as_value().word_select(j, 8) for j in range(width)]
        for bit in reversed(range(offset_bits)):
            count = config.dot_width + (1 << bit) - 1
            read_bytes = [Mux(offset[bit], read_bytes[(j + (1 << bit)) % len(read_bytes)],
                              read_bytes[j]) for j in range(count)]
        rotated = Signal.like(self.o_data, reset_less=True)
        m.d.sync += rotated.eq(Cat(read_bytes))
        m.d.comb += self.o_data.eq(rotated)
        return m

    def _column_line(self, lane, lane_bits, offset_bits, line_end):
        """The line from which a lane is read for the one position that lies in it."""
        lines = Const(0, 1)
        for position in self.read.column_positions:
            here = position[lane_bits:offset_bits] == lane
            lines |= position[offset_bits:line_end] & here.replicate(line_end - offset_bits)
        return lines

    def _select_columns(self, m, line, lane_bits, offset_bits):
        """The lanes in the order of the positions."""
        selected = Signal.like(self.o_columns, reset_less=True)
        for index, position in enumerate(self.read.column_positions):
            lane_1 = Signal(offset_bits - lane_bits, name=f"column_lane_1_{index}", reset_less=True)
            lane_2 = Signal.like(lane_1, name=f"column_lane_2_{index}")
            with m.If(self.read.column_enable):
                m.d.sync += lane_1.eq(position[lane_bits:])
            m.d.sync += [lane_2.eq(lane_1), Value.cast(selected[index]).eq(line[lane_2])]
        m.d.comb += self.o_columns.eq(selected)
