"""Results to device memory."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.beat_walker import BeatWalker, set_walk
from kaniwa.hw.interfaces import beat_layout, unit_layout, write_port

__all__ = ["StoreDma"]


class StoreDma(wiring.Component):
    """Combine beats of results into masked words and write them; tell readers how far it got.

    Throughput: one beat a cycle, one cycle more for one that crosses into a second word and does
    not continue the word before; two idle cycles between instructions. Latency: 2 cycles from the
    beat that completes a word to its write request.
    ``retired`` counts instructions whose last word was accepted, ``retire`` is 1 in the cycle in
    which it first shows a new count, with that instruction's tag in ``retire_tag``. ``watermark``
    (from an instruction with ``store_in_order``) is the address below which all its results are
    accepted; it is valid from the first accepted word that moves it to the last. COLUMN moves it
    with the last block of a row, and at the row's end. ``stalled`` is 1 in the cycle after one in
    which a beat was held back.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("store"))),
            "i": In(stream.Signature(beat_layout(config))),
            "memory": Out(write_port(config)),
            "retired": Out(16),
            "retire": Out(1),
            "retire_tag": Out(10),
            "watermark": Out(32),
            "watermark_valid": Out(1),
            "stalled": Out(1),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        width = self._config.write_bytes
        low = exact_log2(width)
        owner_layout = data.StructLayout({
            "tag": unsigned(10), "in_order": unsigned(1), "last": unsigned(1)})
        word_layout = data.StructLayout({
            "word": unsigned(32 - low),
            "data": unsigned(8 * width),
            "mask": unsigned(width),
            "owner": owner_layout,
        })

        m.submodules.walker = walker = BeatWalker(self._config, width)
        new = self.i_instruction.payload
        tag = Signal(10, reset_less=True)
        in_order = Signal(reset_less=True)
        m.d.comb += [
            self.i_instruction.ready.eq(walker.i.ready),
            walker.i.valid.eq(self.i_instruction.valid),
            *set_walk(walker.i.payload, new, "ofm"),
        ]
        with m.If(self.i_instruction.valid & self.i_instruction.ready):
            m.d.sync += [tag.eq(new.tag), in_order.eq(new.store_in_order)]

        # Cycle 1: rotate the beat to its place in the word, or in two.
        placed = Signal()
        placed_beat = Signal(word_layout, reset_less=True)
        placed_offset = Signal(low, reset_less=True)
        placed_high = Signal(self._config.requant_lanes - 1, reset_less=True)  # mask, second word
        placed_ascending = Signal(reset_less=True)
        placed_first = Signal(reset_less=True)  # of its row
        placed_same = Signal(reset_less=True)   # begins in the word where the one before ended
        cross = Signal(reset_less=True)
        fills = Signal(reset_less=True)  # up to the end of a word
        completes = Signal(reset_less=True)   # a word: crosses, fills it or is the last one
        consumed = Signal()
        next_word = (placed_beat.word + 1)[:32 - low]

        beat = walker.o.payload
        offset = beat.address[:low]
        rotated, size = Value.cast(self.i.payload.values), self._config.requant_lanes
        for bit in range(low):  # the small distances first: so far only ``size`` bytes are in use
            padded = Cat(rotated, C(0, 8 * (width - size)))
            size = min(width, size + (1 << bit))
            rotated = Mux(offset[bit], padded.rotate_left(8 << bit)[:8 * size], padded[:8 * size])
        lanes = Cat(beat.count > lane for lane in range(self._config.requant_lanes))
        mask = Signal(width + len(placed_high))
        end = offset + beat.count

        may_place = ~placed | consumed
        accepted = self.i.valid & self.i.ready
        m.d.comb += [
            mask.eq(lanes << offset),
            self.i.ready.eq(may_place & walker.o.valid),
            walker.o.ready.eq(may_place & self.i.valid),
        ]
        m.d.sync += self.stalled.eq(self.i.valid & ~self.i.ready)
        with m.If(accepted):
            m.d.sync += [
                placed.eq(1),
                placed_beat.word.eq(beat.address[low:]),
                placed_beat.data.eq(rotated),
                placed_beat.mask.eq(mask[:width]),
                placed_beat.owner.tag.eq(tag),
                placed_beat.owner.in_order.eq(in_order),
                placed_beat.owner.last.eq(beat.last),
                placed_offset.eq(offset),
                placed_high.eq(mask[width:]),
                placed_ascending.eq(beat.ascending),
                placed_first.eq(beat.row_first),
                placed_same.eq(beat.same_word),
                cross.eq(beat.crosses),
                fills.eq(end == width),
                completes.eq((end >= width) | beat.last),
            ]
        with m.Elif(consumed):
            m.d.sync += placed.eq(0)

        # Cycle 2: combine it with the word held from the beats before. A word that is done takes
        # no more bytes.
        held = Signal()
        held_word = Signal(word_layout, reset_less=True)
        done = Signal(reset_less=True)

        out = Signal()
        out_word = Signal(word_layout, reset_less=True)
        out_end = Signal(32, reset_less=True)  # the address the results have got to with this word
        out_reaches = Signal(reset_less=True)  # they have got to one
        out_free = Signal()
        written = self.memory.request.valid & self.memory.request.ready
        m.d.comb += [
            out_free.eq(~out | written),
            self.memory.request.valid.eq(out),
            self.memory.request.payload.address.eq(Cat(C(0, low), out_word.word)),
            self.memory.request.payload.data.eq(out_word.data),
            self.memory.request.payload.mask.eq(out_word.mask),
        ]
        with m.If(written):
            m.d.sync += out.eq(0)

        joins = held & ~done & placed_same   # the word held is that of the beat before
        joined = Signal(word_layout)
        m.d.comb += [
            joined.eq(placed_beat),
            joined.data.eq(Cat(
                Mux(placed_beat.mask[k], placed_beat.data.word_select(k, 8),
                    held_word.data.word_select(k, 8)) for k in range(width))),
            joined.mask.eq(placed_beat.mask | Mux(joins, held_word.mask, 0)),
            joined.owner.last.eq(placed_beat.owner.last & ~cross),
        ]
        placed_start = Cat(placed_offset, placed_beat.word)  # all below is there, if ``reaches``
        reaches = placed_ascending | placed_first

        with m.If(placed & (~held | joins)):
            with m.If(completes):
                m.d.comb += consumed.eq(out_free)
                with m.If(out_free):
                    m.d.sync += [
                        out.eq(1),
                        out_word.eq(joined),
                        out_end.eq(Mux(placed_ascending, Cat(C(0, low), next_word), placed_start)),
                        out_reaches.eq(reaches),
                        held.eq(cross),
                        held_word.eq(placed_beat),
                        held_word.word.eq(next_word),
                        held_word.mask.eq(placed_high),
                        done.eq(placed_beat.owner.last),
                    ]
            with m.Else():
                m.d.comb += consumed.eq(1)
                m.d.sync += [held.eq(1), held_word.eq(joined), done.eq(0)]
        with m.Elif(held & (placed | done) & out_free):
            m.d.comb += consumed.eq(placed & ~cross)
            m.d.sync += [
                out.eq(1),
                out_word.eq(held_word),
                # Without a beat placed, the one before it filled or ended the held word.
                out_end.eq(Mux(placed | ~placed_ascending, placed_start,
                               Cat(C(0, low), (held_word.word + 1)[:32 - low]))),
                out_reaches.eq(reaches),
                held.eq(consumed),
                held_word.eq(placed_beat),
                done.eq(fills | placed_beat.owner.last),
            ]

        # Cycle 3: the memory takes it.
        m.d.sync += self.retire.eq(written & out_word.owner.last)
        with m.If(written):
            with m.If(out_reaches):
                m.d.sync += [
                    self.watermark.eq(out_end),
                    self.watermark_valid.eq(out_word.owner.in_order & ~out_word.owner.last),
                ]
            m.d.sync += [
                self.retired.eq(self.retired + out_word.owner.last),
                self.retire_tag.eq(out_word.owner.tag),
            ]
        m.d.comb += self.idle.eq(walker.i.ready & ~placed & ~held & ~out)
        return m
