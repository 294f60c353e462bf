"""The compact core's loops over rows, pixels, blocks and taps."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import instruction_ports
from kaniwa.hw.compact.load import line_count_bits
from kaniwa.hw.compact.rows import CompactRows
from kaniwa.hw.parts.loop_counters import LOOPS, LoopCounters
from kaniwa.isa import FIELDS

__all__ = ["CompactArray", "tap_layout"]


def tap_layout() -> data.StructLayout:
    """Use of a step's 4 bytes: byte j is ``real`` or padding; ``dense``: by all lanes,
    else lane m uses byte m, in ``column``. The results leave with ``last``.
    """
    return data.StructLayout({
        "real": unsigned(4), "dense": unsigned(1), "column": unsigned(2), "last": unsigned(1),
    })


class CompactArray(Component):
    """Walks the loops of an instruction from ``begin`` on, a step a cycle.

    A step waits until its input row is among the ``rows_loaded`` (or ``load_active`` is 0 and it
    is not), until there is its ring word, and the last one of a block until ``slot_free``. Rows
    apart by more than one take a cycle for each. After the last step of a block comes a cycle
    without one.
    ``issue``: in this cycle the step's bytes and ring word are read; ``tap`` goes with them.
    ``freed``: the line of the output row's first input row; those before it are used up.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **instruction_ports(config),
            "rows_loaded": In(config.count_bits),
            "load_active": In(1),
            "freed": Out(line_count_bits(config)),
            "word_written": In(1),         # the ring has got a word
            "word_room": Out(1),           # the ring may get one
            "word_written_index": Out(exact_log2(config.ring_words)),
            "slot_free": In(1),
            "issue": Out(1),
            "read_position": Out(exact_log2(config.line_bytes)),
            "word_index": Out(exact_log2(config.ring_words)),
            "tap": Out(tap_layout()),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self.fields
        dense = ~fields.mode
        m.submodules.rows = rows = CompactRows(self._config)
        active = Signal()
        pause = Signal()   # after a block: the accumulators are cleared
        available = Signal()   # the ring word
        ends = self._count(m)
        chunk_end, segment_end, block_end, pixel_end, row_end, end = ends
        last = block_end
        m.d.comb += [
            rows.begin.eq(self.begin),
            rows.fields.eq(fields),
            rows.starts.eq(self.starts),
            rows.rows_loaded.eq(self.rows_loaded),
            rows.load_active.eq(self.load_active),
            rows.next_row.eq(self.issue & segment_end & ~block_end),
            rows.restart.eq(self.issue & block_end & ~row_end),
            rows.next_output_row.eq(self.issue & row_end),
            self.freed.eq(rows.top_line),
            self.issue.eq(active & ~pause & rows.ready & available & (self.slot_free | ~last)),
            self.tap.dense.eq(dense),
            self.tap.last.eq(last),
        ]
        m.d.sync += pause.eq(self.issue & last)
        with m.If(self.issue):
            m.d.sync += active.eq(~end)
        with m.If(self.begin):
            m.d.sync += active.eq(1)

        offset = self._offset(m, dense, ends)
        self._mask(m, offset, rows.real)
        m.d.comb += self.read_position.eq(Cat(rows.shift, rows.line) + offset)
        self._words(m, dense, ends, available)
        return m

    def _count(self, m):
        """The loops' counters; for each loop whether this step ends it and all inside it."""
        limits = {name: self._config.field_limit(name, FIELDS[name].high) for name in LOOPS}
        m.submodules.counters = counters = LoopCounters(limits=limits, ahead=False)
        m.d.comb += [
            counters.start.eq(self.begin),
            counters.advance.eq(self.issue),
            *(counters.counts[name].eq(self.fields[name]) for name in LOOPS),
        ]
        return counters.ends

    def _offset(self, m, dense, ends):
        """The step's offset in its row: x * pixel_step - pad_left + s * segment_step + c * 4, and
        b * block_width unless dense; one adder forms it from what it was at an earlier step."""
        fields = self.fields
        chunk_end, segment_end, block_end, pixel_end, row_end, _ = ends
        shape = signed(len(fields.pixel_step) + 1)
        offset = Signal(shape, reset_less=True)
        kept = Signal(shape, reset_less=True)    # of the segment; of the block unless dense
        pixel = Signal(shape, reset_less=True)
        base, step = Signal(shape), Signal(shape)
        not_negative = Cat(fields.pad_left_bytes, C(0, 1)).as_signed()
        # ~x is -x - 1: one more is added below.
        with m.If(self.begin | row_end):
            m.d.comb += [base.eq(0), step.eq(~not_negative)]
        with m.Elif(pixel_end):
            m.d.comb += [base.eq(pixel), step.eq(fields.pixel_step)]
        with m.Elif(block_end):
            m.d.comb += [base.eq(Mux(dense, pixel, kept)),
                         step.eq(Mux(dense, 0, fields.block_width))]
        with m.Elif(segment_end):
            m.d.comb += [base.eq(Mux(dense, pixel, kept)), step.eq(0)]
        with m.Elif(chunk_end):
            m.d.comb += [base.eq(Mux(dense, kept, offset)), step.eq(fields.segment_step)]
        with m.Else():
            m.d.comb += [base.eq(offset), step.eq(self._config.dot_width)]
        following = Signal(shape)
        m.d.comb += following.eq(base + step + (self.begin | row_end))
        with m.If(self.begin | self.issue):
            m.d.sync += offset.eq(following)
            with m.If(self.begin | Mux(dense, chunk_end, block_end)):
                m.d.sync += kept.eq(following)
            with m.If(self.begin | pixel_end):
                m.d.sync += pixel.eq(following)
        return offset

    def _mask(self, m, offset, row_real):
        """Mark the bytes that lie in the row."""
        behind = Signal(offset.shape())   # the row's end; negative: not behind
        m.d.comb += behind.eq(offset - self.fields.ifm_row_bytes)
        for j in range(4):
            # offset + j >= 0, and behind + j < 0
            right = ~offset[-1] | (offset[2:].all() & (offset[:2] + j)[2])
            left = behind[-1] & ~(behind[2:].all() & (behind[:2] + j)[2])
            m.d.comb += self.tap.real[j].eq(row_real & right & left)

    def _words(self, m, dense, ends, available):
        """Ring words: written and used so far; without weights_stream each pixel begins anew."""
        _, _, block_end, pixel_end, _, _ = ends
        bits = exact_log2(self._config.ring_words)
        written, used = Signal(bits + 1), Signal(bits + 1)
        column = Signal(2)
        with m.If(self.word_written):
            m.d.sync += written.eq(written + 1)
        with m.If(self.issue):
            m.d.sync += column.eq(Mux(block_end, 0, column + 1))
            with m.If(dense | block_end | column.all()):
                m.d.sync += used.eq(used + 1)
            with m.If(pixel_end & ~self.fields.weights_stream):
                m.d.sync += used.eq(0)
        with m.If(self.begin):
            m.d.sync += [written.eq(0), used.eq(0), column.eq(0)]
        m.d.comb += [
            available.eq(written != used),
            self.word_room.eq((written ^ used) != 1 << bits),
            self.word_written_index.eq(written[:bits]),
            self.word_index.eq(used),
            self.tap.column.eq(column),
        ]
