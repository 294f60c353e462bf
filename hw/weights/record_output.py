"""Puts the items of the weight stream into the outputs they are for."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import chunk_layout, parameter_layout
from kaniwa.hw.results.elementwise import table_layout
from kaniwa.hw.weights.codebook import codes_layout, entry_layout
from kaniwa.hw.weights.items import (
    BYTES,
    UNITS,
    block_layout,
    grain,
    has_modes,
    list_words,
    window_layout,
)
from kaniwa.isa.formats import RECORD_BYTES, SHORT_RECORD

__all__ = ["RecordOutput"]


class RecordOutput(Component):
    """Makes chunks, parameter records, entries of tables and words of lists of the items in their
    windows.

    Latency: 1 cycle. Throughput: an item a cycle. Records of their own come in parts; one register
    serves all outputs of values. Outputs as in ``WeightDecoder``; with codebooks weights may be
    codes, and ``o_entry`` has a weight of the codebook. That comes when no chunk waits, for such a
    chunk would be of the codebook before.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._has_codes = config.codebook_entries > 0
        weights = codes_layout(config) if self._has_codes else chunk_layout(config)
        super().__init__({
            "i": In(stream.Signature(window_layout(config))),
            "block": In(block_layout(config)),
            "o_weights": Out(stream.Signature(weights)),
            "o_parameters": Out(stream.Signature(
                data.ArrayLayout(parameter_layout(), config.shared_records))),
            "o_table": Out(stream.Signature(table_layout())),
            **({"o_entry": Out(entry_layout(config))} if self._has_codes else {}),
            **({"o_list": Out(list_words())} if config.step_entries else {}),
        })

    def elaborate(self, platform):
        m = Module()
        own, shared = self._config.own_records, self._config.shared_records
        window, block = self.i, self.block
        weights_taken = Signal()
        value_taken = Signal()
        value_free = Signal()  # one register serves both outputs of values
        at_once, no_record = block.is_shared | block.is_table, block.is_table
        free = ((~self.o_parameters.valid | self.o_parameters.ready)
                & (~self.o_table.valid | self.o_table.ready))
        if self._config.step_entries:      # the words of lists are in the first lane's bias
            at_once, no_record = at_once | block.is_list, block.is_table | block.is_list
            free &= ~self.o_list.valid | self.o_list.ready
            m.d.comb += self.o_list.payload.eq(self.o_parameters.payload[0].bias)
            with m.If(value_free):
                m.d.sync += self.o_list.valid.eq(value_taken & block.is_list)
        part = window.payload.number[:exact_log2(shared // own)]   # own records come in parts
        stored = window.payload.bytes
        if has_modes(self._config):
            stored = Cat(stored, window.payload.others, window.payload.more)
        values = stored >> Cat(
            C(0, exact_log2(8 * grain(self._config))), window.payload.offset)
        entry = self.o_table.payload
        is_value, taken = ~block.is_weights, weights_taken | value_taken
        if self._has_codes:
            is_value &= ~block.is_codebook
            taken |= self._take_entry(m, window, block, values)
        m.d.comb += [
            *(entry.values[number].eq(self.o_parameters.payload[number % shared].bias)
              for number in range(2)),
            weights_taken.eq(window.valid & block.is_weights
                             & (~self.o_weights.valid | self.o_weights.ready)),
            value_free.eq(free),
            value_taken.eq(window.valid & is_value & value_free),
            window.ready.eq(taken),
        ]
        with m.If(weights_taken):
            m.d.sync += self.o_weights.valid.eq(1)
            self._extract(m, window.payload, block)
        with m.Elif(self.o_weights.ready):
            m.d.sync += self.o_weights.valid.eq(0)
        with m.If(value_free):
            m.d.sync += [
                self.o_parameters.valid.eq(value_taken & ~no_record
                                           & (block.is_shared | (part == shared // own - 1))),
                self.o_table.valid.eq(value_taken & block.is_table),
            ]
        with m.If(value_taken):
            self._take_records(m, values, at_once, part, block)
            m.d.sync += [
                Cat(entry.table, entry.bank, entry.both).eq(block.table),
                entry.index.eq(window.payload.number),
            ]
        return m

    def _take_entry(self, m, window, block, values):
        """A weight of a codebook; returns whether it is taken."""
        entry, taken = self.o_entry, Signal(name="entry_taken")
        m.d.comb += taken.eq(window.valid & block.is_codebook
                             & (~self.o_weights.valid | self.o_weights.ready))
        m.d.sync += [entry.valid.eq(taken), entry.weight.eq(values[:8]),
                     entry.code.eq(window.payload.number)]
        return taken

    def _take_records(self, m, values, all_at_once, part, block):
        """Records of their own, whole or short, into the lanes of their ``part``, or shared ones
        into all.

        An entry of one table is in the first two lanes: the one that is for its table is known.
        """
        own, scale, short = self._config.own_records, block.scale, SHORT_RECORD
        for lane, record in enumerate(self.o_parameters.payload):
            bias, place = values.word_select(lane, 32), lane % own
            if lane == 1:
                bias = Mux(block.is_table & ~block.table[2], values[:32], bias)
            whole = values.word_select(place, 8 * RECORD_BYTES)
            fewer = values.word_select(place, 8 * short.bytes)
            with m.If(all_at_once | (part == lane // own)):
                m.d.sync += [
                    record.bias.eq(Mux(all_at_once, bias, Mux(
                        block.is_short, fewer[:short.bias].as_signed(), whole[:32]))),
                    Cat(record.multiplier, record.shift).eq(Mux(all_at_once, scale, Mux(
                        block.is_short, Cat(C(0, short.dropped), fewer[short.bias:]),
                        whole[32:]))),
                    record.zeros.eq(0),
                ]

    def _extract(self, m, window, block):
        """The weights of the window's groups, or codes."""
        groups = (window.bytes[:8 * self._config.plane_weights], *window.others)
        given = self.o_weights.payload
        if self._has_codes:
            m.d.sync += given.is_coded.eq(block.is_coded & ~window.whole)
            given = given.chunk
        m.d.sync += [
            given.weights.eq(Cat(self._group(m, group, width)
                                 for group, width in zip(groups, window.widths, strict=True))),
            given.whole.eq(window.whole),
        ]

    def _group(self, m, group, width):
        """Weights that are bytes, or planes of which the top one is the sign."""
        size = self._config.plane_weights
        if "packed" not in self._config.weight_formats:
            return group
        planes = [group.word_select(p, size) for p in range(UNITS)]
        signs = Signal(size)
        with m.Switch(width):
            for bits in range(1, UNITS + 1):
                with m.Case(bits):
                    m.d.comb += signs.eq(planes[bits - 1])
        # In front of the top plane its weights' signs; a width of 0 has neither.
        filled = [Mux(width > bit, plane, signs) for bit, plane in enumerate(planes)]
        return Mux(width == BYTES, group, Cat(
            plane[weight] for weight in range(size) for plane in filled))
