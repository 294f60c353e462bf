"""Reads the headers of the weight stream's blocks, and finds the items of each."""

from itertools import accumulate

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Format
from kaniwa.hw.weights.fetch import fetched_layout
from kaniwa.hw.weights.items import (
    BYTES,
    UNITS,
    block_layout,
    groups,
    has_modes,
    header_layout,
    item_layout,
    own_step,
    starts_layout,
    unit_bytes,
    widths_layout,
)
from kaniwa.hw.weights.mode_ahead import ModeAhead
from kaniwa.isa.formats import (
    FORMATS,
    MAP_WORDS,
    TABLE_BOTH,
    WIDTH_BITS,
    WIDTHS,
    has_maps,
    width_entries,
)
from kaniwa.isa.modes import AHEAD, MODES

__all__ = ["BlockReader"]


class BlockReader(Component):
    """Takes the words of the stream, header by header; an item a cycle while ``o`` has room.

    ``o.valid`` is only 1 with ``o.ready``, which is a flip-flop. ``block`` is that of the item. A
    header is taken only with ``o.ready`` too. A table waits for ``post_done``; ``error`` stops the
    unit (``WeightDecoder``). ``idle``: the last block is done, and no word is here.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(fetched_layout(config))),
            "post_done": In(16),
            "o": Out(stream.Signature(item_layout(config))),
            "block": Out(block_layout(config)),
            "error": Out(1),
            "idle": Out(1),
        })
        # The block in work. ``step``: bytes of the item after this; an item is chunks, an entry, or
        # records.
        size, chunks = config.read_bytes, config.weight_chunks
        widest = max(config.decoded_bytes + has_modes(config), own_step(config))
        numbers = self.o.payload.number.shape()
        self._is_weights, self._is_table, self._is_shared, self._is_short = (
            Signal(name=name) for name in ("is_weights", "is_table", "is_shared", "is_short"))
        # Facts of codes, and whether there was a codebook since reset.
        self._has_codes = config.codebook_entries > 0
        self._is_codebook, self._is_coded, self._has_codebook = (
            Signal(name=name) for name in ("is_codebook", "is_coded", "has_codebook"))
        self._has_lists = config.step_entries > 0
        self._is_list = Signal(name="is_list")
        # PACKED: the widths of this item's chunks and of those behind them, in a circle.
        self._entries = width_entries(config)
        self._is_packed = Signal(name="is_packed")
        self._is_alone = FORMATS[Format.PACKED].items(config) == 1    # an item, in its word
        self._widths = Signal(data.ArrayLayout(WIDTH_BITS, self._entries), reset_less=True,
                              name="widths")
        self._is_zero = Signal(name="is_zero")                   # all of width 0
        # A bit for the word in work and each one behind it: a word of zeros is one item. The last
        # bit stands for all words behind it.
        self._map = Signal(MAP_WORDS if has_maps(config) else 3, reset_less=True, name="map")
        self._whole = Signal(name="whole")
        self._now = Signal(widths_layout(config), reset_less=True, name="now")
        # Where the item's groups begin, and how far from its first byte those of the next one do.
        self._starts = Signal(starts_layout(config), reset_less=True, name="starts")
        self._next_starts = Signal.like(self._starts, reset_less=True, name="next_starts")
        self._table = Signal(3, reset_less=True, name="table")
        self._scale = Signal(37, reset_less=True, name="scale")
        self._step = Signal(range(widest + 1), reset_less=True, name="step")
        self._count = Signal(16, reset_less=True, name="count")
        self._item = Signal(numbers, reset_less=True, name="item")
        self._last_item = Signal(numbers, reset_less=True, name="last_item")
        # What an item ends is looked up with the one before, so that only flip-flops decide.
        self._item_last = Signal(reset_less=True, name="item_last")   # item == last_item
        self._count_one = Signal(reset_less=True, name="count_one")
        self._modes = ModeAhead(config) if has_modes(config) else None
        self._is_modes = Signal(name="is_modes")
        # The next item begins at byte ``position`` of the first word held, and may end in the word
        # after the last one, at the input. Each but the first word held has one before it.
        self._held = [Signal(8 * size, reset_less=True, name=f"held_{n}") for n in range(chunks)]
        self._held_valid = [Signal(name=f"held_valid_{n}") for n in range(chunks)]
        self._position = Signal(range(size), name="position")
        self._end = Signal(range(size + widest), reset_less=True, name="end")   # position + step
        self._needs = Signal(chunks, reset_less=True, name="needs")   # words after the first one

    def elaborate(self, platform):
        m = Module()
        end, first_valid = self._end, self._held_valid[0]
        end_word, end_byte = end[len(self._position):], end[:len(self._position)]
        is_last, complete = Signal(), Signal()
        # Words that end with this item, from the first one held on. The last of them may be the one
        # at the input.
        passed = Signal(range(len(self._held) + 2))
        left = Signal.like(passed)   # words that end in this cycle, with an item or a header
        next_end = Signal.like(self._end, name="next_end")
        block, item = self.block, self.o.payload
        m.d.comb += [
            is_last.eq(self._item_last & self._count_one),
            complete.eq(self._is_zero | Cat(
                first_valid, *(valid | ~need for valid, need in zip(
                    [*self._held_valid[1:], self.i.valid], self._needs, strict=True))).all()),
            next_end.eq(end_byte + self._step),
            passed.eq(end_word + (is_last & end_byte.any())),
            item.words.eq(Cat(*self._held, self.i.payload.word)),
            item.position.eq(self._position),
            item.starts.eq(self._starts),
            item.number.eq(self._item),
            item.widths.eq(self._now),
            item.whole.eq(self._whole),
            block.is_weights.eq(self._is_weights),
            block.is_table.eq(self._is_table),
            block.is_shared.eq(self._is_shared),
            block.is_short.eq(self._is_short),
            block.table.eq(self._table),
            block.scale.eq(self._scale),
        ]
        if self._has_codes:
            m.d.comb += [block.is_codebook.eq(self._is_codebook), block.is_coded.eq(self._is_coded)]
        if self._has_lists:
            m.d.comb += block.is_list.eq(self._is_list)
        self._hold(m, left)
        if self._modes:
            self._connect_modes(m)
        may_load = Signal()
        m.d.sync += may_load.eq(0)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += self.idle.eq(~first_valid)
                with m.If(first_valid & self.o.ready):
                    m.d.comb += left.eq(1)
                    self._begin_block(m)
            with m.State("TABLE"):
                m.d.sync += may_load.eq((self.post_done - self.i.payload.instruction + 1)[15] == 0)
                with m.If(may_load):
                    m.next = "ITEMS"
            if self._modes:
                with m.State("FILL"):
                    self._fill(m)
            with m.State("ITEMS"):
                m.d.comb += self.o.valid.eq(self.o.ready & complete)
                with m.If(self.o.valid):
                    m.d.comb += left.eq(passed)
                self._next_item(m, end_byte, next_end, is_last)
            with m.State("ERROR"):
                m.d.comb += self.error.eq(1)
        return m

    def _hold(self, m, left):
        """Let go of the first ``left`` words, and take the one at the input if there is room."""
        held, valid, count = self._held, self._held_valid, len(self._held)
        m.d.comb += self.i.ready.eq(~valid[-1] | left.any())
        for n in range(count):
            with m.Switch(left):
                for gone in range(count + 2):
                    with m.Case(gone):
                        there = valid[n + gone] if n + gone < count else C(0)
                        # The word at the input comes behind those that stay. Where it is let go of
                        # with all that are held, none comes.
                        before = valid[n + gone - 1] if 0 < n and n + gone - 1 < count else C(
                            n == 0 and gone <= count)
                        m.d.sync += valid[n].eq(there | (self.i.valid & before))
                        stays = held[n + gone] if n + gone < count else self.i.payload.word
                        m.d.sync += held[n].eq(Mux(there, stays, self.i.payload.word))

    def _next_item(self, m, end_byte, next_end, is_last):
        """Go to the next item of the block as one is taken, or to the next block."""
        next_last, next_whole = Signal(), Signal()
        m.d.comb += [next_last.eq(self._item + 1 == self._last_item),
                     next_whole.eq(self._item_last & self._map[1])]
        with m.If(self.o.valid):
            m.d.sync += [
                self._position.eq(end_byte), self._end.eq(next_end),
                self._needs.eq(self._words_after(next_end)),
                self._item.eq(self._item + 1),
                self._item_last.eq(next_last),
                self._whole.eq(next_whole),
            ]
            unit = end_byte[exact_log2(unit_bytes(self._config)):]
            m.d.sync += self._set(self._starts, [unit + units for units in self._next_starts])
            with m.If(self._is_packed):
                self._next_widths(m, next_last, next_whole)
            if self._modes:
                with m.If(self._is_modes):
                    self._take_modes(m)
            with m.If(self._item_last):
                m.d.sync += [self._item.eq(0),
                             self._item_last.eq(next_whole | (self._last_item == 0)),
                             self._map.eq(self._map.as_signed() >> 1),
                             self._count.eq(self._count - 1),
                             self._count_one.eq(self._count == 2)]
            with m.If(is_last):
                m.next = "HEADER"

    def _words_after(self, end):
        """For each word after the first one whether an item that ends at byte ``end`` needs it."""
        return Cat(end > self._config.read_bytes * (n + 1) for n in range(len(self._held)))

    def _connect_modes(self, m):
        """What looks the widths of MODES up, and the byte of modes of the item that is taken."""
        m.submodules.modes = ahead = self._modes
        m.d.comb += [
            ahead.modes.eq(self._held[0].word_select(self._position, 8)),
            ahead.table.eq(self._header_widths()[:WIDTH_BITS * MODES]),
            ahead.first.eq(self._held[0][64:64 + 8 * AHEAD]),
        ]

    def _take_modes(self, m):
        """Turn to the next item of a MODES block."""
        ahead = self._modes
        m.d.comb += ahead.advance.eq(1)
        m.d.sync += [self._now.eq(ahead.after), self._next_starts.eq(ahead.starts),
                     self._step.eq(ahead.bytes)]

    def _fill(self, m):
        """Look the widths of the first items up, and go to the first one."""
        filled = Signal(2)
        m.d.comb += self._modes.filling.eq(1)
        self._take_modes(m)
        m.d.sync += [filled.eq(Mux(filled == 2, 0, filled + 1)), self._starts.eq(self._next_starts),
                     self._end.eq(self._step), self._needs.eq(self._words_after(self._step))]
        with m.If(filled == 2):
            m.next = "ITEMS"

    def _next_widths(self, m, next_last, next_whole):
        """Turn the circle of widths on by an item's chunks; a word of zeros leaves it as it is."""
        widths, entries, chunks = self._widths, self._entries, self._config.weight_chunks
        now, following, later = (Cat(self._of_item(widths, n)) for n in range(3))
        after = Signal(now.shape())   # the widths of the item after this one, and of the one behind
        behind = Signal(now.shape())
        behind_whole = Signal()
        with m.If(self._whole):
            m.d.comb += [after.eq(now), behind.eq(following)]
        with m.Else():
            m.d.comb += [after.eq(following), behind.eq(later)]
            m.d.sync += [widths[entry].eq(widths[(entry + chunks) % entries])
                         for entry in range(entries)]
        with m.If(next_whole):
            m.d.comb += behind.eq(after)
        m.d.comb += behind_whole.eq(Mux(
            self._item_last, (next_whole | self._is_alone) & self._map[2],
            next_last & self._map[1]))
        m.d.sync += [
            self._now.eq(Mux(next_whole, 0, Cat(self._by_group(after)))),
            self._is_zero.eq(next_whole | ~after.any()),
            self._step.eq(Mux(behind_whole, 0, self._bytes(behind))),
            *self._set(self._next_starts, self._before(behind)),
        ]

    def _by_group(self, widths):
        """Of the chunks' ``widths`` those of their groups."""
        config = self._config
        return [widths.word_select(chunk, WIDTH_BITS) for chunk in range(config.weight_chunks)
                for _ in range(config.read_bytes // config.plane_weights)]

    def _before(self, widths):
        """Units of an item before each of its groups that has a start."""
        before = [C(0, 1), *accumulate(self._by_group(widths))][:groups(self._config)]
        return before[len(before) - len(self._starts):]

    def _set(self, starts, units):
        return [start.eq(value) for start, value in zip(starts, units, strict=True)]

    def _bytes(self, widths):
        """Of an item whose chunks have such widths."""
        return sum(widths.word_select(chunk, WIDTH_BITS)
                   for chunk in range(self._config.weight_chunks)) * (
                       self._config.read_bytes // UNITS)

    def _of_item(self, widths, later):
        """Of a circle of widths those of the chunks of the item that is so many ``later``."""
        chunks = self._config.weight_chunks
        return [widths[(later * chunks + n) % self._entries] for n in range(chunks)]

    def _begin_block(self, m):
        """Take a header's settings over and go to its items, or stop."""
        config = self._config
        header = data.View(header_layout(), self._held[0][:64])
        widths = data.View(self._widths.shape(), self._header_widths()[
            :WIDTH_BITS * self._entries])

        def items(kind, bytes_each=None, bytes_next=None):
            """The items of a word of a block, of ``bytes_each`` bytes where that varies, or the
            second one of ``bytes_next``."""
            number = FORMATS[kind].items(config)
            if bytes_each is None:
                bytes_each = FORMATS[kind].step(config)
            return [self._step.eq(bytes_each if bytes_next is None else bytes_next),
                    self._end.eq(bytes_each),
                    self._needs.eq(self._words_after(bytes_each)), self._last_item.eq(number - 1),
                    self._item_last.eq(number == 1)]

        m.d.sync += [
            self._count.eq(header.count),
            self._count_one.eq(header.count == 1),
            self._item.eq(0),
            self._position.eq(0),
            self._table.eq(header.arg),
            self._scale.eq(Cat(header.multiplier, header.shift)),
            self._is_weights.eq(0),
            self._is_table.eq(0),
            self._is_shared.eq(0),
            self._is_packed.eq(0),
            *([self._is_modes.eq(0)] if self._modes else []),
            *([self._is_codebook.eq(0), self._is_coded.eq(header.arg[1])]
              if self._has_codes else []),
            *([self._is_list.eq(0)] if self._has_lists else []),
            self._is_zero.eq(0),
            self._map.eq(0),
            self._whole.eq(0),
            self._widths.eq(widths),
            *(setting for starts in (self._starts, self._next_starts)
              for setting in self._set(starts, self._before(C(0x88, 8)))),   # bytes
        ]
        first, second = (Cat(self._of_item(widths, later)) for later in (0, 1))
        # Words without bytes: those of the map. Where all widths are 0, sums of them are 0, too.
        mapped, zeros = Signal.like(self._map), Signal.like(self._map)
        if has_maps(config):
            m.d.comb += mapped.eq(Mux(header.arg[0], self._held[0][64:], 0))
        m.d.comb += zeros.eq(mapped | (~Cat(widths).any()).replicate(len(zeros)))
        with m.If(header.count != 0):
            m.next = "ITEMS"
        self._read_format(m, header, {
            Format.RAW: [self._is_weights.eq(1),
                         *(now.eq(BYTES) for now in self._now), *items(Format.RAW)],
            Format.PACKED: [self._is_weights.eq(1), self._is_packed.eq(1), self._map.eq(zeros),
                            self._whole.eq(zeros[0]),
                            self._now.eq(Mux(mapped[0], 0, Cat(self._by_group(first)))),
                            *self._set(self._starts, self._before(first)),
                            *self._set(self._next_starts, self._before(
                                Mux(mapped[0], first, second))),
                            self._is_zero.eq(mapped[0] | ~first.any()),
                            *items(Format.PACKED, Mux(mapped[0], 0, self._bytes(first)),
                                   self._second_bytes(mapped, first, second)),
                            self._item_last.eq(zeros[0] | self._is_alone)],
            Format.PARAMETERS: [self._is_short.eq(header.arg[0]), *items(
                Format.PARAMETERS, Mux(header.arg[0], *(
                    FORMATS[Format.PARAMETERS].step(config, arg) for arg in (1, 0))))],
            Format.PARAMETERS_SHARED: [
                self._is_shared.eq(1), *items(Format.PARAMETERS_SHARED)],
            Format.TABLE: [self._is_table.eq(1), *items(
                Format.TABLE, Mux(header.arg[2], *(
                    FORMATS[Format.TABLE].step(config, arg) for arg in (TABLE_BOTH, 0)))
                if config.pairs_tables else None)],
            **({Format.MODES: [
                self._is_weights.eq(1), self._is_modes.eq(1),
                self._last_item.eq(FORMATS[Format.MODES].items(config) - 1),
                self._item_last.eq(FORMATS[Format.MODES].items(config) == 1),
            ]} if self._modes else {}),
            **({Format.CODEBOOK: [
                self._is_codebook.eq(1), *items(Format.CODEBOOK),
            ]} if self._has_codes else {}),
            **({Format.STEPS: [
                self._is_list.eq(1), *items(Format.STEPS),
            ]} if self._has_lists else {}),
        })

    def _header_widths(self):
        """The widths in the header that is held."""
        header = data.View(header_layout(), self._held[0][:64])
        return Cat(header.multiplier, header.shift)

    def _second_bytes(self, mapped, first, second):
        """Of a PACKED block's second item; the first word may be one of zeros, and the next one."""
        if self._is_alone:
            return Mux(mapped[1], 0, self._bytes(Mux(mapped[0], first, second)))
        return Mux(mapped[0], Mux(mapped[1], 0, self._bytes(first)), self._bytes(second))

    def _is_wide(self, header):
        """For each width of a PACKED block whether it is above 8."""
        widths = Cat(header.multiplier, header.shift[0])
        return Cat((width[3] & width[:3].any())
                   for width in (widths.word_select(entry, WIDTH_BITS) for entry in range(WIDTHS)))

    def _is_bad_argument(self, argument, free):
        """Whether a block of weights may not have the argument; its ``free`` lowest bits do not
        matter. Bit 1 says that the weights are codes, of a codebook that came before."""
        if not self._has_codes:
            return argument[free:].any()
        others = Cat(argument[free:1], argument[2:])
        return others.any() | (argument[1] & ~self._has_codebook)

    def _read_format(self, m, header, formats):
        """Take a known header's settings over, or stop."""
        bad = Signal()
        with m.Switch(header.format):
            for number, settings in formats.items():
                with m.Case(number):
                    if number == Format.PACKED:
                        if "packed" not in self._config.weight_formats:
                            m.d.comb += bad.eq(1)
                            continue
                        too_long = header.arg[0] & (header.count > MAP_WORDS)
                        if not has_maps(self._config):
                            too_long = header.arg[0]
                        m.d.comb += bad.eq(self._is_bad_argument(header.arg, 1) | too_long
                                           | self._is_wide(header).any())
                    elif number == Format.TABLE:
                        both = header.arg[2] & (header.arg[0] | (not self._config.pairs_tables))
                        m.d.comb += bad.eq(header.arg[3] | both | (header.count != 1))
                        m.next = "TABLE"
                    elif number == Format.PARAMETERS:
                        m.d.comb += bad.eq(header.arg[1:].any())
                    elif number == Format.MODES:
                        m.d.comb += [bad.eq(self._is_bad_argument(header.arg, 0)
                                            | self._is_wide(header).any()),
                                     self._modes.begin.eq(1)]
                        with m.If(header.count != 0):
                            m.next = "FILL"
                    elif number == Format.CODEBOOK:
                        m.d.comb += bad.eq(header.arg.any() | (header.count != 1))
                        m.d.sync += self._has_codebook.eq(1)
                    else:
                        m.d.comb += bad.eq(header.arg != 0)
                    m.d.sync += settings
            with m.Default():
                m.d.comb += bad.eq(1)
        with m.If(bad):
            m.next = "ERROR"
