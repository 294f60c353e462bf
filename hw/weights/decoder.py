"""Takes the weight stream apart into ring chunks, parameter records and table entries."""

import math

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import chunk_layout, parameter_layout, read_port, unit_layout
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.results.elementwise import table_layout
from kaniwa.hw.weights.fetch import WeightFetch
from kaniwa.isa import Format

__all__ = ["WeightDecoder"]

RECORD_BYTES = 9
VALUE_BYTES = 4     # a bias, or an entry of a table
TABLE_ENTRIES = 256
UNITS = 8           # a word is 8 units; a chunk of w-bit weights takes w of them


def header_layout() -> data.StructLayout:
    """The first 64 bits of a block."""
    return data.StructLayout({
        "format": unsigned(4), "arg": unsigned(4), "count": unsigned(16),
        "multiplier": unsigned(31), "shift": unsigned(6), "zeros": unsigned(3),
    })


class WeightDecoder(wiring.Component):
    """Reads and decodes the blocks of the weight stream, each item to the buffer it is for.

    Throughput: a chunk of weights, an entry of a table, shared_records records of
    PARAMETERS_SHARED or own_records of PARAMETERS (less where read_bytes a cycle are not enough for
    them) a cycle; a block costs one cycle more, two if it ends within a word, three if it is a
    table. A word becomes a chunk five cycles after its response.

    A table of instruction i waits until the cycle after post_done >= i - 1 (modulo 2^16). ``error``
    (an unknown format, or an argument that the format does not have) stops the unit until reset;
    ``idle`` then stays low. ``o_parameters`` is an array of shared_records records, the lowest
    lanes of a word first; records and entries leave in the order of the stream.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("weights"))),
            "memory": Out(read_port(config)),
            "o_weights": Out(stream.Signature(chunk_layout(config))),
            "o_parameters": Out(stream.Signature(
                data.ArrayLayout(parameter_layout(), config.shared_records))),
            "o_table": Out(stream.Signature(table_layout())),
            "post_done": In(16),
            "error": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        size = config.read_bytes
        unit = size // UNITS  # bytes
        packed = "packed" in config.weight_formats

        m.submodules.fetch = fetch = WeightFetch(config)
        wiring.connect(m, wiring.flipped(self.i_instruction), fetch.i_instruction)
        wiring.connect(m, wiring.flipped(self.memory), fetch.memory)
        word = fetch.o.payload.word

        # The block in work. ``step``: bytes of an item; an item is a chunk, an entry, or records.
        chunks = config.tile_bytes // size
        shared, own = config.shared_records, config.own_records
        shared_step, own_step = shared * VALUE_BYTES, own * RECORD_BYTES
        widest = max(size, own_step)
        most_items = max(chunks, config.requant_lanes, TABLE_ENTRIES)
        is_weights, is_table, is_shared, is_zero = (Signal() for _ in range(4))
        width = Signal(3, reset_less=True)  # bits of a weight, 0 for 8
        bank_and_table = Signal(2, reset_less=True)
        scale = Signal(37, reset_less=True)
        step = Signal(range(widest + 1), reset_less=True)
        count = Signal(16, reset_less=True)
        item = Signal(range(most_items), reset_less=True)
        last_item = Signal(range(most_items), reset_less=True)
        # What an item ends is looked up with the one before, so that only flip-flops decide.
        item_last = Signal(reset_less=True)   # item == last_item
        count_one = Signal(reset_less=True)
        is_last = Signal()

        # The next item begins at byte ``position`` of ``current`` and may end in the word after
        # it, at the fetch's output. ``passed``: words that end with this item; two only where
        # records end with the second of them, or where the item is a block's last.
        current = Signal(8 * size, reset_less=True)
        current_valid = Signal()
        position = Signal(range(size))
        end = Signal(range(size + widest), reset_less=True)   # position + step
        within = Signal(reset_less=True)                      # end <= size
        end_word = end[len(position):]
        end_byte = end[:len(position)]
        complete = Signal()
        passed = Signal(2)
        shift = Signal()  # the fetch's word becomes the current one
        advance = Signal()   # the window has room: a flip-flop, for it goes far
        emit = Signal()
        ends_word = Signal()   # that the window takes an item makes room for a word
        m.d.comb += [
            is_last.eq(item_last & count_one),
            complete.eq(is_zero | (current_valid & (fetch.o.valid | within))),
            passed.eq(end_word + (is_last & end_byte.any())),
            shift.eq(~current_valid | (advance & ends_word)),
            fetch.o.ready.eq(shift),
        ]
        with m.If(shift):
            m.d.sync += [current.eq(word), current_valid.eq(fetch.o.valid & ~(emit & passed[1]))]

        # First stage: the unit in which the item begins comes down to byte 0 of ``window``. Only
        # whole words (RAW, biases) need the word's upper units, and they need them where they are.
        # ``grain``: values begin at multiples of it; ``reach``: bytes of a value from there on.
        grain = math.gcd(VALUE_BYTES, own, unit)
        reach = max(own_step, shared_step if shared_step < size else 0) + unit - grain
        moving = max(-(-reach // unit), UNITS - 1 if packed else 0)
        unit_bits = exact_log2(unit)
        m.submodules.windows = windows = StreamBuffer(data.StructLayout({
            "bytes": 8 * max(size, moving * unit), "item": 8, "offset": range(unit // grain)}))
        window, given = windows.o, windows.i.payload
        shifted = Signal(8 * unit * moving)
        m.d.comb += [
            advance.eq(windows.i.ready),
            shifted.eq(Cat(current, word) >> Cat(C(0, unit_bits + 3), position[unit_bits:])),
            windows.i.valid.eq(emit),
            given.bytes.eq(Cat(shifted, current[8 * unit * moving:])),
            given.item.eq(item),
            given.offset.eq(position[exact_log2(grain):unit_bits]),
        ]
        # A header is taken only while the buffer has room, so what waits in its second place is of
        # the block in work; its first may be of the one before.
        block = Signal(data.StructLayout({
            "is_weights": 1, "is_table": 1, "is_shared": 1, "is_zero": 1, "width": 3,
            "bank_and_table": 2, "scale": 37}), reset_less=True)   # of the first
        with m.If(~window.valid | window.ready):
            m.d.sync += block.eq(Cat(is_weights, is_table, is_shared, is_zero, width,
                                     bank_and_table, scale))

        def items(bytes_each, number):
            """A word of a block has ``number`` items of ``bytes_each`` bytes."""
            return [step.eq(bytes_each), end.eq(bytes_each), within.eq(bytes_each <= size),
                    last_item.eq(number - 1), item_last.eq(number == 1)]

        next_end = Signal.like(end)
        m.d.comb += next_end.eq(end_byte + step)
        header = data.View(header_layout(), current[:64])
        may_load = Signal()
        m.d.sync += may_load.eq(0)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [
                    ends_word.eq(1),
                    self.idle.eq(fetch.idle & ~current_valid & ~window.valid
                                 & ~self.o_weights.valid
                                 & ~self.o_parameters.valid & ~self.o_table.valid),
                ]
                with m.If(current_valid & advance):
                    m.d.sync += [
                        count.eq(header.count),
                        count_one.eq(header.count == 1),
                        item.eq(0),
                        position.eq(0),
                        bank_and_table.eq(header.arg),
                        scale.eq(Cat(header.multiplier, header.shift)),
                        is_weights.eq(0),
                        is_table.eq(0),
                        is_shared.eq(0),
                        is_zero.eq(0),
                    ]
                    with m.If(header.count != 0):
                        m.next = "ITEMS"
                    self._read_header(m, header, {
                        Format.RAW: [is_weights.eq(1), width.eq(0), *items(size, chunks)],
                        Format.PACKED: [is_weights.eq(1), width.eq(header.arg),
                                        is_zero.eq(header.arg == 0),
                                        *items(header.arg[:3] * unit, chunks)],
                        Format.PARAMETERS: items(own_step, config.requant_lanes // own),
                        Format.PARAMETERS_SHARED: [
                            is_shared.eq(1), *items(shared_step, config.requant_lanes // shared)],
                        Format.TABLE: [is_table.eq(1), *items(VALUE_BYTES, TABLE_ENTRIES)],
                    })
            with m.State("TABLE"):
                m.d.sync += may_load.eq(
                    (self.post_done - fetch.o.payload.instruction + 1)[15] == 0)
                with m.If(may_load):
                    m.next = "ITEMS"
            with m.State("ITEMS"):
                m.d.comb += [
                    emit.eq(advance & complete),
                    ends_word.eq(complete & (end_word.any() | (is_last & end_byte.any()))),
                ]
                with m.If(emit):
                    m.d.sync += [
                        position.eq(end_byte), end.eq(next_end), within.eq(next_end <= size),
                        item.eq(item + 1), item_last.eq(item + 1 == last_item),
                    ]
                    with m.If(item_last):
                        m.d.sync += [item.eq(0), item_last.eq(last_item == 0),
                                     count.eq(count - 1), count_one.eq(count == 2)]
                    with m.If(is_last):
                        m.next = "HEADER"
            with m.State("ERROR"):
                m.d.comb += self.error.eq(1)

        # Second stage: the window's item into the output it is for.
        weights_taken = Signal()
        value_taken = Signal()
        value_free = Signal()  # one register serves both outputs of values
        at_once = block.is_shared | block.is_table
        part = window.payload.item[:exact_log2(shared // own)]   # own records come in parts
        values = window.payload.bytes >> Cat(C(0, exact_log2(8 * grain)), window.payload.offset)
        entry = self.o_table.payload
        m.d.comb += [
            entry.value.eq(self.o_parameters.payload[0].bias),
            weights_taken.eq(window.valid & block.is_weights
                             & (~self.o_weights.valid | self.o_weights.ready)),
            value_free.eq((~self.o_parameters.valid | self.o_parameters.ready)
                          & (~self.o_table.valid | self.o_table.ready)),
            value_taken.eq(window.valid & ~block.is_weights & value_free),
            window.ready.eq(weights_taken | value_taken),
        ]
        with m.If(weights_taken):
            m.d.sync += self.o_weights.valid.eq(1)
            self._extract(m, window.payload.bytes, block, packed)
        with m.Elif(self.o_weights.ready):
            m.d.sync += self.o_weights.valid.eq(0)
        with m.If(value_free):
            m.d.sync += [
                self.o_parameters.valid.eq(value_taken & ~block.is_table
                                           & (block.is_shared | (part == shared // own - 1))),
                self.o_table.valid.eq(value_taken & block.is_table),
            ]
        with m.If(value_taken):
            self._take_records(m, values, at_once, part, block.scale)
            m.d.sync += [
                Cat(entry.table, entry.bank).eq(block.bank_and_table),
                entry.index.eq(window.payload.item),
            ]
        return m

    def _read_header(self, m, header, formats):
        """Take a known header's settings over, or stop."""
        bad = Signal()
        with m.Switch(header.format):
            for number, settings in formats.items():
                with m.Case(number):
                    if number == Format.PACKED:
                        if "packed" not in self._config.weight_formats:
                            m.d.comb += bad.eq(1)
                            continue
                        m.d.comb += bad.eq(header.arg[3])
                    elif number == Format.TABLE:
                        m.d.comb += bad.eq((header.arg[2:] != 0) | (header.count != 1))
                        m.next = "TABLE"
                    else:
                        m.d.comb += bad.eq(header.arg != 0)
                    m.d.sync += settings
            with m.Default():
                m.d.comb += bad.eq(1)
        with m.If(bad):
            m.next = "ERROR"

    def _take_records(self, m, values, all_at_once, part, scale):
        """Records of their own into the lanes of their ``part``, or shared ones into all."""
        own = self._config.own_records
        for lane, record in enumerate(self.o_parameters.payload):
            bias, at = values.word_select(lane, 32), lane % own * 8 * RECORD_BYTES
            with m.If(all_at_once | (part == lane // own)):
                m.d.sync += [
                    record.bias.eq(Mux(all_at_once, bias, values[at:at + 32])),
                    Cat(record.multiplier, record.shift).eq(
                        Mux(all_at_once, scale, values[at + 32:at + 8 * RECORD_BYTES])),
                    record.zeros.eq(0),
                ]

    def _extract(self, m, window, block, packed):
        """The window's weights, sign-extended from ``block.width`` bits (0: 8), as a chunk."""
        size = self._config.read_bytes
        chunk = self.o_weights.payload
        if not packed:
            m.d.sync += chunk.eq(window)
            return
        with m.Switch(block.width):
            for bits in range(8):
                with m.Case(bits):
                    taken = bits or 8
                    weights = [window[j * taken:(j + 1) * taken].as_signed() for j in range(size)]
                    m.d.sync += chunk.eq(Cat(Cat(w, w[-1].replicate(8 - taken)) for w in weights))
        with m.If(block.is_zero):
            m.d.sync += chunk.eq(0)
