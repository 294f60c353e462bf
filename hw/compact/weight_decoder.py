"""Fetches the weight stream and takes it apart, byte by byte but for raw weights."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import instruction_ports, reader_port, word_bits
from kaniwa.hw.interfaces import parameter_layout
from kaniwa.isa import Format
from kaniwa.isa.formats import RECORD_BYTES, TABLE_ENTRIES, VALUE_BYTES

__all__ = ["CompactWeightDecoder"]


class CompactWeightDecoder(Component):
    """Reads an instruction's parameters once, then its weights weight_repeat times.

    ``chunk`` (a word of memory) goes to the weight ring with ``chunk_valid`` and ``chunk_ready``;
    a ``record`` to the parameters with ``record_valid``, in the order of the stream from
    ``begin`` on; with ``entry_valid`` its bias is the next entry of ``table``, the first of each
    block being entry 0. Throughput: a word of weights for each response of memory and one cycle,
    a byte of anything else a cycle.
    ``error``: a block of an unknown format or with an argument that the format does not have; it
    stays, and the unit stops, until reset.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **instruction_ports(config),
            "memory": Out(reader_port(config)),
            "data": In(8 * config.read_bytes),
            "chunk": Out(8 * config.read_bytes),
            "chunk_valid": Out(1),
            "chunk_ready": In(1),
            "record": Out(parameter_layout()),
            "record_valid": Out(1),
            "entry_valid": Out(1),
            "table": Out(1),
            "active": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fields, starts, size = self.fields, self.starts, self._config.read_bytes
        word = Signal(word_bits(self._config), reset_less=True)
        left = Signal(len(fields.weight_bytes), reset_less=True)   # words of the pass
        passes = Signal(len(starts.weight_repeat.value), reset_less=True)   # over weights, to come
        pass_done = Signal()

        # The word in work, from its next byte on.
        current = Signal(8 * size, reset_less=True)
        valid = Signal()
        place = Signal(exact_log2(size))    # of that byte
        drop = Signal()    # the word is used up
        step = Signal()    # a byte is
        # Headers, records and values come in from the top: once a header is in, all but its first
        # three bytes are where a record has multiplier and shift.
        record = Signal(8 * RECORD_BYTES, reset_less=True)
        whole = Signal()   # all of the record moves, or only the bias
        m.d.comb += [
            self.memory.request.eq(self.active & ~valid & (left != 0)),
            self.memory.word.eq(word),
            self.chunk.eq(current),
            Value.cast(self.record).eq(record),
            pass_done.eq(self.active & ~valid & (left == 0)),
        ]
        with m.If(self.memory.response):
            m.d.sync += [word.eq(word + 1), left.eq(left - 1), valid.eq(1), current.eq(self.data)]
        with m.If(step):
            bias = 8 * VALUE_BYTES
            m.d.sync += [
                current.eq(current[8:]),
                place.eq(place + 1),
                record[:bias].eq(
                    Cat(record[8:bias], Mux(whole, record[bias:bias + 8], current[:8]))),
            ]
            with m.If(whole):
                m.d.sync += record[bias:].eq(Cat(record[bias + 8:], current[:8]))
        with m.If(drop | (step & place.all())):
            m.d.sync += [valid.eq(0), place.eq(0)]

        count = Signal(16, reset_less=True)      # items to come, after this one
        inside = Signal(range(RECORD_BYTES), reset_less=True)   # bytes of this item so far
        half = Signal(range(self._config.tile_bytes // size))   # chunks of this ring word so far
        entry = Signal(range(TABLE_ENTRIES), reset_less=True)
        is_table, is_own = Signal(reset_less=True), Signal(reset_less=True)
        item_done = Signal()
        m.d.comb += [
            whole.eq(is_own),
            self.record_valid.eq(item_done & ~is_table),
            self.entry_valid.eq(item_done & is_table),
        ]
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [step.eq(valid), whole.eq(1)]
                with m.If(step & place.all()):
                    m.next = "FORMAT"
            with m.State("FORMAT"):
                self._read_header(m, record[8:], is_table, is_own)
                m.d.sync += [count.eq(record[16:32] - 1), inside.eq(0), half.eq(0), entry.eq(0)]
            with m.State("CHUNKS"):
                m.d.comb += self.chunk_valid.eq(valid)
                with m.If(valid & self.chunk_ready):
                    m.d.comb += drop.eq(1)
                    m.d.sync += half.eq(half + 1)
                    with m.If(half == self._config.tile_bytes // size - 1):
                        m.d.sync += [half.eq(0), count.eq(count - 1)]
                        with m.If(count == 0):
                            m.next = "HEADER"
            with m.State("BYTES"):
                m.d.comb += step.eq(valid)
                with m.If(valid):
                    m.d.sync += inside.eq(inside + 1)
                    with m.If(inside == Mux(is_own, RECORD_BYTES - 1, VALUE_BYTES - 1)):
                        m.next = "ITEM"
            with m.State("ITEM"):
                m.d.comb += item_done.eq(1)
                m.d.sync += [inside.eq(0), entry.eq(entry + 1)]
                m.next = "BYTES"
                with m.If(~is_table | entry.all()):
                    m.d.sync += count.eq(count - 1)
                    with m.If(count == 0):
                        m.d.comb += drop.eq(1)   # what is left of a word fills it up
                        m.next = "HEADER"
            with m.State("ERROR"):
                m.d.comb += self.error.eq(1)

        again = fields.weight_bytes.any() & passes.any()
        with m.If(pass_done):
            m.d.sync += [
                word.eq(fields.weight_address),
                left.eq(fields.weight_bytes),
                passes.eq(passes - 1),
                self.active.eq(again),
            ]
        with m.If(self.begin):
            m.d.sync += self.active.eq(1)
        for register, first in ((word, starts.parameter_address), (left, starts.parameter_bytes),
                                (passes, starts.weight_repeat)):
            with m.If(first.valid):
                m.d.sync += register.eq(first.value)
        return m

    def _read_header(self, m, header, is_table, is_own):
        """Go on with a block as its header says; 0 items: with the next header."""
        kind, argument, count = header[:4], header[4:8], header[8:24]
        m.d.sync += [
            is_table.eq(kind == Format.TABLE),
            is_own.eq(kind == Format.PARAMETERS),
            self.table.eq(argument[0]),
        ]
        m.next = "ERROR"
        with m.Switch(kind):
            with m.Case(Format.RAW):
                with m.If(argument == 0):
                    m.next = "CHUNKS"
            with m.Case(Format.PARAMETERS, Format.PARAMETERS_SHARED):
                with m.If(argument == 0):
                    m.next = "BYTES"
            with m.Case(Format.TABLE):
                with m.If((argument[1:] == 0) & (count == 1)):
                    m.next = "BYTES"
        # An empty block of MODES, which no host writes, is stepped over, too.
        with m.If((count == 0) & (kind != Format.TABLE) & (argument == 0)
                  & (kind != Format.PACKED) & (kind < Format.CODEBOOK)):
            m.next = "HEADER"
