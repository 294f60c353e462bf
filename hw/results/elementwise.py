"""Elementwise: look int8 results up in tables, alone or in pairs to be added or multiplied."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.unchecked_read import UncheckedRead

__all__ = ["Elementwise", "table_layout", "elementwise_layout", "elementwise_result_layout"]


def table_layout() -> data.StructLayout:
    """An entry of a table, or one of ``both``: ``index`` is the int8 value + 128.

    Table 0 maps the accumulated result, 1 the operand of ADD or MUL; each has two banks. Table n
    takes value n.
    """
    return data.StructLayout({
        "table": unsigned(1), "bank": unsigned(1), "both": unsigned(1), "index": unsigned(8),
        "values": data.ArrayLayout(signed(32), 2),
    })


def elementwise_layout(config: AcceleratorConfig, tag=8) -> data.StructLayout:
    """A vector of values and what to do with it: ``add`` or ``table`` or neither."""
    return data.StructLayout({
        "values": data.ArrayLayout(signed(8), config.requant_lanes),
        "add": unsigned(1),
        "table": unsigned(1),
        "bank": unsigned(1),
        "tag": tag,
    })


def elementwise_result_layout(config: AcceleratorConfig, tag=8) -> data.StructLayout:
    """``values``: as they were, or mapped by ``table``.

    ``entries``, only of an ``add``: of each lane those of both tables, for whoever wants their sum,
    or the product of their lowest FACTOR_BITS bits.
    """
    lanes = config.requant_lanes
    return data.StructLayout({
        "values": data.ArrayLayout(signed(8), lanes),
        "entries": data.ArrayLayout(data.ArrayLayout(signed(32), 2), lanes),
        "tag": tag,
    })


class Elementwise(wiring.Component):
    """Map each value by table 0, or look it up there and an operand in table 1.

    Latency 1, throughput a vector a cycle; an ``add`` takes its operands from ``i_operand`` and
    waits for them. ``o.payload`` comes from the memories late in its cycle: registers are to
    follow it at once.

    Each lane has its own copy of both tables, two memories of 512 words of 32 bits. ``i_table``
    is always ready: a bank must not be written while values that use it are on their way.
    """

    def __init__(self, config: AcceleratorConfig, tag=8):
        self._lanes = config.requant_lanes
        self._tag = tag
        super().__init__({
            "i": In(stream.Signature(elementwise_layout(config, tag))),
            "i_operand": In(stream.Signature(data.ArrayLayout(signed(8), self._lanes))),
            "i_table": In(stream.Signature(table_layout())),
            "o": Out(stream.Signature(elementwise_result_layout(config, tag))),
        })

    def elaborate(self, platform):
        m = Module()

        values = Signal.like(self.i.payload.values, reset_less=True)
        mapped = Signal(reset_less=True)
        advance = Signal()
        operand_ready = ~self.i.payload.add | self.i_operand.valid
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance & operand_ready),
            self.i_operand.ready.eq(self.i.valid & self.i.payload.add & advance),
            self.i_table.ready.eq(1),
        ]

        with m.If(advance):   # what is taken over without being valid nobody looks at
            m.d.sync += [
                self.o.valid.eq(self.i.valid & operand_ready),
                values.eq(self.i.payload.values),
                mapped.eq(self.i.payload.table),
                self.o.payload.tag.eq(self.i.payload.tag),
            ]

        for lane in range(self._lanes):
            looked_up = [
                self._table(m, lane, table, index, advance)
                for table, index in enumerate((self.i.payload.values[lane],
                                               self.i_operand.payload[lane]))
            ]
            m.d.comb += [
                self.o.payload.values[lane].eq(Mux(mapped, looked_up[0][:8], values[lane])),
                *(entry.eq(value) for entry, value
                  in zip(self.o.payload.entries[lane], looked_up, strict=True)),
            ]
        return m

    def _table(self, m, lane, number, index, advance):
        """A lane's copy of table ``number``; what it holds for ``index``, a cycle later."""
        m.submodules[f"table_{number}_{lane}"] = memory = Memory(
            shape=signed(32), depth=512, init=[], attrs={"no_rw_check": 1})
        read, write = UncheckedRead.of(m, memory), memory.write_port()   # never of one bank
        entry = self.i_table.payload
        m.d.comb += [
            read.addr.eq(Cat(index[:7], ~index[7], self.i.payload.bank)),
            read.en.eq(advance),
            write.addr.eq(Cat(entry.index, entry.bank)),
            write.data.eq(entry.values[number]),
            write.en.eq(self.i_table.valid & (entry.both | (entry.table == number))),
        ]
        return read.data
