"""Tables after the requantizer, and the way back of the sums and products."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, Signature, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import beat_layout
from kaniwa.hw.multiplier.plain import PlainMultiplier
from kaniwa.hw.results.beat_splitter import post_tag_layout
from kaniwa.hw.results.elementwise import Elementwise, table_layout
from kaniwa.hw.results.operand_queue import OperandQueue
from kaniwa.hw.results.requantizer import requantized_layout
from kaniwa.isa import FACTOR_BITS

__all__ = ["SumLoop", "NoLoop", "IN_FLIGHT"]

# Beats in the pipeline at once, at most: one in each of its 10 + 1 places, rounded up.
IN_FLIGHT = 16


def loop_ports(config: AcceleratorConfig) -> dict:
    """Ports of what stands between the requantizer and ``o`` (``SumLoop``, ``NoLoop``)."""
    lanes, tag = config.requant_lanes, post_tag_layout(config)
    return {
        "i": In(stream.Signature(requantized_layout(config, tag))),
        "i_operand": In(stream.Signature(beat_layout(config))),
        "i_table": In(stream.Signature(table_layout())),
        "o": Out(stream.Signature(beat_layout(config))),
        "last": Out(1),
        "sums": Out(Signature({
            "valid": Out(1),
            "values": Out(data.ArrayLayout(signed(32), lanes)),
            **({"products": Out(data.ArrayLayout(signed(2 * FACTOR_BITS), lanes))}
               if config.elementwise_multiply else {}),
            "tag": Out(tag),
        })),
        "beat_add": In(1),
        "next_add": In(1),
        "taken": In(1),
        "may_go": Out(1, init=1),
        "allowed": Out(1, init=1),
        "in_loop": Out(1),
    }


class SumLoop(Component):
    """Maps requantized beats by their table; sends an ADD's round again as ``sums``.

    ``sums`` come a cycle after their beat has left the tables, and are taken at once: a sum goes
    before new beats. With MUL, ``products`` go in place of the sums:
    |product| <= 2^(2 * FACTOR_BITS - 2). ``in_loop``: sums on their first way are still to come.

    A new beat may go while ``may_go`` and ``allowed`` are 1: no sum comes, and the operand of the
    beat is there. ``may_go`` is a flip-flop, for hundreds hang on it; ``allowed`` is the same of an
    operand that is known too late for it. ``beat_add``: the beat offered is of an ADD, ``next_add``
    that of the next cycle; ``taken``: the one offered goes. ``last``: ``o`` is an instruction's
    last beat.
    """

    def __init__(self, config: AcceleratorConfig, multiplier=PlainMultiplier):
        self._config = config
        self._multiplier = multiplier
        super().__init__(loop_ports(config))

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.elementwise = elementwise = Elementwise(config, post_tag_layout(config))
        connect(m, flipped(self.i_table), elementwise.i_table)
        mapped = elementwise.o
        comes_round = mapped.valid & mapped.payload.tag.add
        m.d.comb += [
            elementwise.i.valid.eq(self.i.valid),
            self.i.ready.eq(elementwise.i.ready),
            elementwise.i.payload.values.eq(self.i.payload.values),
            *(elementwise.i.payload[name].eq(self.i.payload.tag[name])
              for name in ("add", "table", "bank")),
            elementwise.i.payload.tag.eq(self.i.payload.tag),
            self.o.valid.eq(mapped.valid & ~mapped.payload.tag.add),
            self.o.payload.values.eq(mapped.payload.values),
            self.o.payload.count.eq(mapped.payload.tag.count),
            self.last.eq(mapped.payload.tag.last),
            # A sum never waits, so the loop cannot block itself: the pipeline moves while a sum
            # is at its end, as its operands were there before it started.
            mapped.ready.eq(mapped.payload.tag.add | self.o.ready),
        ]
        self._form_sums(m, mapped.payload, comes_round)
        self._admit(m, elementwise.i_operand, comes_round)
        return m

    def _form_sums(self, m, mapped, comes_round):
        """Sums and products of the entries that both tables gave."""
        # The entries have a register of their own: the way from a memory through an adder or a
        # multiplier is too long for a cycle. A sum has 32 bits: whoever fills the tables keeps it
        # within them.
        entries = Signal.like(mapped.entries, reset_less=True)
        tag = Signal.like(mapped.tag, reset_less=True)
        m.d.sync += [
            self.sums.valid.eq(comes_round),
            tag.eq(mapped.tag),
            entries.eq(mapped.entries),
        ]
        m.d.comb += self.sums.tag.eq(tag)
        m.d.comb += [total.eq(first + second)
                     for total, (first, second) in zip(self.sums.values, entries, strict=True)]
        if self._config.elementwise_multiply:
            m.d.comb += [
                product.eq(self._multiplier.narrow(
                    m, *(entry[:FACTOR_BITS].as_signed() for entry in pair)))
                for product, pair in zip(self.sums.products, entries, strict=True)]

    def _admit(self, m, operand, comes_round):
        """Admit a beat: sums go first, and an ADD waits for its operand."""
        in_loop = Signal(range(IN_FLIGHT))  # sums on their first way
        claimed = self.taken & self.beat_add
        m.d.sync += in_loop.eq(in_loop + claimed - self.sums.valid)
        with m.If(claimed ^ self.sums.valid):
            m.d.sync += self.in_loop.eq(claimed | (in_loop != 1))   # some are: in_loop != 0
        if self._config.requant_cycles > 1:
            m.d.comb += [
                operand.payload.eq(self.i_operand.payload.values),
                operand.valid.eq(self.i_operand.valid),
                self.i_operand.ready.eq(operand.ready),
                self.allowed.eq(~self.beat_add | (self.i_operand.valid & ~self.in_loop)),
            ]
            m.d.sync += self.may_go.eq(~comes_round)
        else:
            m.submodules.operands = operands = OperandQueue(self._config)
            connect(m, operands.o, operand)
            m.d.comb += [
                operands.i.payload.eq(self.i_operand.payload.values),
                operands.i.valid.eq(self.i_operand.valid),
                self.i_operand.ready.eq(operands.i.ready),
                operands.claim.eq(claimed),
            ]
            m.d.sync += self.may_go.eq(~comes_round & (~self.next_add | operands.following))


class NoLoop(Component):
    """Stands in for ``SumLoop`` where there are no tables: beats go by, and no sum ever comes."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__(loop_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.i_table.ready.eq(1),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready),
            self.o.payload.values.eq(self.i.payload.values),
            self.o.payload.count.eq(self.i.payload.tag.count),
            self.last.eq(self.i.payload.tag.last),
        ]
        return m
