"""From accumulators to bytes in device memory, one result at a time."""

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


class CompactPost(Component):
    """Bias, requantization, table or ADD with an operand from memory, store.

    A result takes the requantizer's cycles and 7 more, one more with a table; an ADD twice the
    requantizer's cycles and 13 more; and one for each in which memory does not take the byte.
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
        m.submodules.requantizer = requantizer = CompactRequantizer(config)
        m.submodules.store = store = CompactResultAddress(config)
        m.submodules.operands = operands = CompactResultAddress(config)
        walkers = (store, operands)
        m.d.comb += [
            store.first.eq(self.starts.ofm_address.value),
            store.first_valid.eq(self.starts.ofm_address.valid),
            store.row_pitch.eq(fields.ofm_row_pitch),
            store.pixel_pitch.eq(fields.ofm_pixel_pitch),
            operands.first.eq(self.starts.operand_address.value),
            operands.first_valid.eq(self.starts.operand_address.valid),
            operands.row_pitch.eq(fields.operand_row_pitch),
            operands.pixel_pitch.eq(fields.operand_pixel_pitch),
            *(walker.begin.eq(self.begin) for walker in walkers),
        ]

        begins = Signal()    # a result
        written = Signal()   # its byte, in memory
        second = Signal(reset_less=True)   # the sum is requantized
        value = Signal(signed(32), reset_less=True)
        result, pixel_end = self._results(m, begins, walkers, written)
        record = self._records(m, written, pixel_end)
        wanted, read_table, is_operand = Signal(), Signal(), Signal()
        operand = self._operand(m, operands, wanted)
        entry = self._tables(m, read_table, is_operand,
                             Mux(is_operand, operand, requantizer.result))

        m.d.comb += [
            requantizer.value.eq(value),
            requantizer.multiplier.eq(Mux(second, fields.add_multiplier, record.multiplier)),
            requantizer.shift.eq(Mux(second, fields.add_shift, record.shift)),
            requantizer.settings.rounding.eq(
                Mux(second, fields.add_rounding, fields.rounding)),
            requantizer.settings.zero_point.eq(
                Mux(second, fields.add_zero_point, fields.zero_point)),
            requantizer.settings.low.eq(Mux(second, fields.add_min, fields.act_min)),
            requantizer.settings.high.eq(Mux(second, fields.add_max, fields.act_max)),
            self.write.address.eq(store.address),
            self.write.byte.eq(Mux(fields.table, entry, requantizer.result)),
            written.eq(self.write.valid & self.write.ready),
        ]
        term = Signal(signed(32))   # what is added to the value
        add = Signal()
        m.d.comb += term.eq(record.bias)
        with m.If(add):
            m.d.sync += value.eq(value + term)
        with m.FSM():
            with m.State("RESULT"):
                m.d.sync += [value.eq(result), second.eq(0)]
                with m.If(begins):
                    m.next = "BIAS"
            with m.State("BIAS"):
                m.d.comb += add.eq(1)
                m.next = "START"
            with m.State("START"):
                m.d.comb += [requantizer.start.eq(1), wanted.eq(fields.add & ~second)]
                m.next = "REQUANTIZE"
            with m.State("REQUANTIZE"):
                with m.If(requantizer.done):
                    m.d.comb += read_table.eq(1)
                    m.d.sync += value.eq(0)
                    m.next = "STORE"
                    with m.If(fields.table):
                        m.next = "TABLE"
                    with m.If(fields.add & ~second):
                        m.next = "OPERAND"
            with m.State("OPERAND"):
                # The entry of the result; once the operand is there, that of it too.
                m.d.comb += [term.eq(entry), is_operand.eq(1)]
                with m.If(~self.operand.request):
                    m.d.comb += [add.eq(1), read_table.eq(1)]
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += [term.eq(entry), add.eq(1)]
                m.d.sync += second.eq(1)
                m.next = "START"
            with m.State("TABLE"):
                m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += self.write.valid.eq(1)
                with m.If(self.write.ready):
                    m.next = "RESULT"
        return m

    def _results(self, m, begins, walkers, written):
        """Results wait here, the next one in front; returns that."""
        lanes = self._config.out_lanes
        fields = self.fields
        waiting = Signal(data.ArrayLayout(signed(32), lanes), reset_less=True)
        full = Signal()
        lane = Signal(len(fields.block_width), init=1)   # from 1 on
        block, column, row = (Signal(len(fields[name]), init=1, name=f"{name}_now")
                              for name in ("blocks", "ofm_columns", "ofm_rows"))
        free = Signal(init=1)    # no result is in work
        block_end = lane == Mux(block == fields.blocks, fields.last_width, fields.block_width)
        pixel_end = block_end & (block == fields.blocks)
        row_end = pixel_end & (column == fields.ofm_columns)
        end = row_end & (row == fields.ofm_rows)
        m.d.comb += [
            begins.eq(full & free & self.active),
            self.taken.eq(begins & block_end),
        ]
        with m.If(self.results_valid):
            m.d.sync += [waiting.eq(self.results), full.eq(1)]
        with m.If(begins):
            m.d.sync += [
                Cat(waiting).eq(Cat(*waiting[1:], C(0, 32))),
                free.eq(0),
                full.eq(~block_end),
            ]
        # The place in the loops is that of the result in work, until its byte is written.
        for walker in walkers:
            m.d.comb += [
                walker.next_channel.eq(written & ~pixel_end),
                walker.next_pixel.eq(written & pixel_end & ~row_end),
                walker.next_row.eq(written & row_end),
            ]
        with m.If(written):
            m.d.sync += [free.eq(1), lane.eq(lane + 1)]
            with m.If(block_end):
                m.d.sync += [lane.eq(1), block.eq(block + 1)]
            with m.If(pixel_end):
                m.d.sync += [block.eq(1), column.eq(column + 1)]
            with m.If(row_end):
                m.d.sync += [column.eq(1), row.eq(row + 1)]
            with m.If(end):
                m.d.sync += [row.eq(1), self.active.eq(0)]
        with m.If(self.begin):
            m.d.sync += self.active.eq(1)
        return waiting[0], pixel_end

    def _records(self, m, written, pixel_end):
        """The memory of records; returns that of the result in work."""
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
        with m.If(written):
            m.d.sync += index.eq(index + 1)
        with m.If(self.begin | (written & pixel_end)):
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
