"""From accumulators to bytes in device memory, one result behind the other."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import instruction_ports, reader_port, writer_port
from kaniwa.hw.compact.requantizer import CompactRequantizer
from kaniwa.hw.compact.result_address import CompactResultAddress
from kaniwa.hw.interfaces import parameter_layout, result_layout
from kaniwa.hw.parts.unchecked_read import unchecked_memory
from kaniwa.isa.formats import TABLE_ENTRIES

__all__ = ["CompactPost"]

# What comes behind a result: a channel of the same pixel, another pixel, another row, nothing.
CHANNEL, PIXEL, ROW, END = range(4)


def tag_layout() -> data.StructLayout:
    """What goes with a value: whether it is ``second``, a sum, and what comes ``behind`` it."""
    return data.StructLayout({"second": 1, "behind": 2})


class CompactPost(Component):
    """Bias, requantization, table or ADD with an operand from memory, store.

    A result takes the requantizer's requant_cycles + 1; an ADD twice that and one. Of an ADD the
    first value of a result goes into the requantizer before the sum of the result before it, but
    only that far ahead; so the operand has the time of two values to come.
    ``taken``: the last of the ``results`` is in work, so the next ones may come from the next
    cycle on. ``active``: from ``begin`` until the instruction's last byte is in memory.

    Records are written in the order of channels from ``begin`` on, entries of a table from 0 on;
    both before the results that need them.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **instruction_ports(config),
            "results": In(result_layout(config)),
            "results_valid": In(1),
            "taken": Out(1),
            "record": In(parameter_layout()),
            "record_valid": In(1),
            "entry_valid": In(1),
            "table": In(1),
            "operand": Out(reader_port(config)),
            "data": In(8 * config.read_bytes),
            "write": Out(writer_port(config)),
            "active": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config, fields = self._config, self.fields
        m.submodules.requantizer = requantizer = CompactRequantizer(config, tag_layout())
        m.submodules.store = store = CompactResultAddress(config)
        m.submodules.operands = operands = CompactResultAddress(config)
        m.d.comb += [
            store.first.eq(self.starts.ofm_address.value),
            store.first_valid.eq(self.starts.ofm_address.valid),
            store.row_pitch.eq(fields.ofm_row_pitch),
            store.pixel_pitch.eq(fields.ofm_pixel_pitch),
            operands.first.eq(self.starts.operand_address.value),
            operands.first_valid.eq(self.starts.operand_address.valid),
            operands.row_pitch.eq(fields.operand_row_pitch),
            operands.pixel_pitch.eq(fields.operand_pixel_pitch),
            store.begin.eq(self.begin),
            operands.begin.eq(self.begin),
        ]

        first = Signal()     # a result goes into the requantizer
        result, waiting, behind = self._results(m, first)
        record = self._records(m, first, behind)
        wanted, read_table, is_operand = Signal(), Signal(), Signal()
        operand = self._operand(m, operands, wanted)
        entry = self._tables(m, read_table, is_operand,
                             Mux(is_operand, operand, requantizer.result))

        pending = Signal()          # the table's entry of a first value is there, for its sum
        pending_behind = Signal(2, reset_less=True)
        ahead = Signal(2)           # first values without a sum so far
        sums = Signal()             # the entry goes into the requantizer,
        adding = Signal()           # and in the next cycle the operand's
        is_first = Signal()         # what would go into the requantizer
        m.d.comb += [
            is_first.eq(waiting & ~ahead[1] & ~adding),
            first.eq(is_first & requantizer.ready),
            sums.eq(pending & ~self.operand.request & ~is_first & ~adding & requantizer.ready),
            is_operand.eq(sums),
            requantizer.take.eq(is_first | sums | adding),
            requantizer.start.eq(is_first | adding),
            requantizer.start_tag.second.eq(adding),
            requantizer.start_tag.behind.eq(Mux(adding, pending_behind, behind)),
            requantizer.value.eq(Mux(is_first, result, Mux(adding, requantizer.kept, 0))
                                 + Mux(is_first, record.bias, entry)),
            requantizer.multiplier.eq(Mux(adding, fields.add_multiplier, record.multiplier)),
            requantizer.shift.eq(Mux(adding, fields.add_shift, record.shift)),
            requantizer.rounding.eq(Mux(adding, fields.add_rounding, fields.rounding)),
        ]
        m.d.sync += [adding.eq(sums), ahead.eq(ahead + (first & fields.add) - adding)]
        with m.If(adding):
            m.d.sync += pending.eq(0)
        _walk(m, operands, self.operand.response, pending_behind)

        self._settings(m, requantizer)
        lookup = self._finish(m, requantizer, store, entry, pending)
        m.d.comb += [read_table.eq(lookup | sums), wanted.eq(lookup & fields.add)]
        with m.If(wanted):
            m.d.sync += [pending.eq(1), pending_behind.eq(requantizer.tag.behind)]
        return m

    def _settings(self, m, requantizer):
        """Of the value that is rounded, and of the one that is clamped."""
        fields, settings = self.fields, requantizer.settings
        rounds, clamps = requantizer.finishing.second, requantizer.tag.second
        m.d.comb += [
            settings.rounding.eq(Mux(rounds, fields.add_rounding, fields.rounding)),
            settings.zero_point.eq(Mux(rounds, fields.add_zero_point, fields.zero_point)),
            settings.low.eq(Mux(clamps, fields.add_min, fields.act_min)),
            settings.high.eq(Mux(clamps, fields.add_max, fields.act_max)),
        ]

    def _finish(self, m, requantizer, store, entry, pending):
        """What comes out of the requantizer goes to memory, or waits as the entry of a table;
        returns when that is looked up."""
        fields, tag = self.fields, requantizer.tag
        lookup = Signal()
        written = Signal()
        m.d.comb += [
            self.write.address.eq(store.address),
            self.write.byte.eq(Mux(fields.table, entry, requantizer.result)),
            written.eq(self.write.valid & self.write.ready),
        ]
        with m.FSM():
            with m.State("FREE"):
                m.d.comb += requantizer.free.eq(1)
                with m.If(requantizer.finish):
                    m.next = "CLAMP"
            with m.State("CLAMP"):
                m.next = "STORE"
                with m.If(fields.table | (fields.add & ~tag.second)):
                    m.next = "LOOKUP"
            with m.State("LOOKUP"):
                with m.If(~pending):
                    m.d.comb += lookup.eq(1)
                    m.next = "FREE"
                    with m.If(fields.table):
                        m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.write.valid.eq(1)
                with m.If(self.write.ready):
                    m.next = "FREE"
        _walk(m, store, written, tag.behind)
        with m.If(written & (tag.behind == END)):
            m.d.sync += self.active.eq(0)
        with m.If(self.begin):
            m.d.sync += self.active.eq(1)
        return lookup

    def _results(self, m, first):
        """Results wait here, the next one in front; returns it, whether there is one, and what
        comes behind it."""
        lanes = self._config.out_lanes
        fields = self.fields
        waiting = Signal(data.ArrayLayout(signed(32), lanes), reset_less=True)
        full = Signal()
        lane = Signal(len(fields.block_width), init=1)   # from 1 on
        block, column, row = (Signal(len(fields[name]), init=1, name=f"{name}_now")
                              for name in ("blocks", "ofm_columns", "ofm_rows"))
        block_end = lane == Mux(block == fields.blocks, fields.last_width, fields.block_width)
        pixel_end = block_end & (block == fields.blocks)
        row_end = pixel_end & (column == fields.ofm_columns)
        end = row_end & (row == fields.ofm_rows)
        m.d.comb += self.taken.eq(first & block_end)
        with m.If(self.results_valid):
            m.d.sync += [waiting.eq(self.results), full.eq(1)]
        with m.If(first):
            m.d.sync += [
                Cat(waiting).eq(Cat(*waiting[1:], C(0, 32))),
                full.eq(~block_end),
                lane.eq(lane + 1),
            ]
            with m.If(block_end):
                m.d.sync += [lane.eq(1), block.eq(block + 1)]
            with m.If(pixel_end):
                m.d.sync += [block.eq(1), column.eq(column + 1)]
            with m.If(row_end):
                m.d.sync += [column.eq(1), row.eq(row + 1)]
            with m.If(end):
                m.d.sync += row.eq(1)
        return waiting[0], full, Cat(end | (pixel_end & ~row_end), row_end)

    def _records(self, m, first, behind):
        """The memory of records; returns that of the next result."""
        depth = self._config.parameter_words
        index = Signal(range(depth))
        written_index = Signal(range(depth))
        write, read = unchecked_memory(
            m, "records", unsigned(len(Value.cast(self.record))), depth)
        m.d.comb += [
            write.addr.eq(written_index),
            write.data.eq(self.record),
            write.en.eq(self.record_valid),
            read.addr.eq(index),
            read.en.eq(1),
        ]
        with m.If(self.record_valid):
            m.d.sync += written_index.eq(written_index + 1)
        with m.If(first):
            m.d.sync += index.eq(index + 1)
        with m.If(self.begin | (first & behind.any())):
            m.d.sync += index.eq(0)
        with m.If(self.begin):
            m.d.sync += written_index.eq(0)
        return data.View(parameter_layout(), read.data)

    def _operand(self, m, operands, wanted):
        """Fetches the operand's byte when it is ``wanted``; ``operand.request`` is 0 after that."""
        low = exact_log2(self._config.read_bytes)
        byte = Signal(8, reset_less=True)
        with m.If(wanted):
            m.d.sync += self.operand.request.eq(1)
        with m.If(self.operand.response):
            m.d.sync += [self.operand.request.eq(0),
                         byte.eq(self.data.word_select(operands.address[:low], 8))]
        m.d.comb += self.operand.word.eq(operands.address[low:])
        return byte

    def _tables(self, m, read_enable, number, value):
        """The two tables in one memory; returns the entry of a value, a cycle later."""
        write, read = unchecked_memory(m, "tables", signed(32), 2 * TABLE_ENTRIES)
        index = Signal(8)
        with m.If(self.entry_valid):
            m.d.sync += index.eq(index + 1)
        with m.If(self.begin):
            m.d.sync += index.eq(0)
        m.d.comb += [
            write.addr.eq(Cat(index, self.table)),
            write.data.eq(self.record.bias),
            write.en.eq(self.entry_valid),
            read.addr.eq(Cat(value[:7], ~value[7], number)),
            read.en.eq(read_enable),
        ]
        return read.data


def _walk(m, walker, move, behind):
    """Go to what comes ``behind``, with ``move``."""
    m.d.comb += [
        walker.next_channel.eq(move & (behind == CHANNEL)),
        walker.next_pixel.eq(move & (behind == PIXEL)),
        walker.next_row.eq(move & (behind >= ROW)),
    ]
