"""Activations from device memory into the compact core's line buffer."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import address_bits, instruction_ports, reader_port, word_bits

__all__ = ["CompactLoad", "line_bits", "line_count_bits"]


def line_bits(config: AcceleratorConfig) -> int:
    """Bits of the number of a line, a word of read_bytes, in the line buffer."""
    return exact_log2(config.line_bytes // config.read_bytes)


def line_count_bits(config: AcceleratorConfig) -> int:
    """Bits of a count of lines since ``begin``: differences of two have a sign."""
    return line_bits(config) + 2


class CompactLoad(Component):
    """Load input rows as aligned words into the line buffer's ring, as far ahead as it has room.

    A row begins ``line_pitch`` lines after the one before, the first one at line 0, and is loaded
    once all its lines are at most a whole buffer past ``freed``. ``rows`` are loaded so far; all of
    them where ``active`` is 0. Throughput: a word for each response of memory.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **instruction_ports(config),
            "memory": Out(reader_port(config)),
            "freed": In(line_count_bits(config)),
            "write": Out(1),   # of the memory's data, in the cycle of a response
            "write_line": Out(line_bits(config)),
            "rows": Out(config.count_bits),
            "active": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, fields = self._config, self.fields
        low = exact_log2(config.read_bytes)
        row_address = Signal(address_bits(config), reset_less=True)
        last_byte = Signal(address_bits(config))
        word = Signal(word_bits(config), reset_less=True)
        row_line = Signal(line_count_bits(config))
        row_end = Signal(line_count_bits(config))
        line = Signal(line_bits(config))
        room = Signal(line_count_bits(config))
        next_row = Signal(address_bits(config))
        first = self.starts.ifm_address
        m.d.comb += [
            last_byte.eq(row_address + fields.ifm_row_bytes - 1),
            row_end.eq(row_line + fields.line_pitch),
            room.eq(self.freed + (1 << line_bits(config)) - row_end),
            next_row.eq(Mux(first.valid, first.value, row_address + fields.ifm_pitch)),
            self.memory.request.eq(self.active & ~room[-1]),
            self.memory.word.eq(word),
            self.write.eq(self.memory.response),
            self.write_line.eq(line),
        ]
        row_done = self.memory.response & (word == last_byte[low:])
        with m.If(self.memory.response):
            m.d.sync += [word.eq(word + 1), line.eq(line + 1)]
        with m.If(row_done):
            m.d.sync += [
                self.rows.eq(self.rows + 1),
                self.active.eq(self.rows != fields.ifm_rows - 1),
                row_line.eq(row_end),
                line.eq(row_end),
            ]
        with m.If(first.valid | row_done):
            m.d.sync += [row_address.eq(next_row), word.eq(next_row[low:])]
        with m.If(self.begin):
            m.d.sync += [self.active.eq(1), self.rows.eq(0), row_line.eq(0), line.eq(0)]
        return m
