"""Results to device memory."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import beat_layout, unit_layout, write_port
from kaniwa.hw.results.beat_walker import BeatWalker, set_walk
from kaniwa.hw.signatures import producer_progress

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
    which a beat was held back. With units beside the array, ``vector_retire`` counts one that
    another unit has done, with the tag ``vector_tag``, while there is none here.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("store", config))),
            "i": In(stream.Signature(beat_layout(config))),
            "memory": Out(write_port(config)),
            "progress": Out(producer_progress()),
            "retire_tag": Out(10),
            "stalled": Out(1),
            "idle": Out(1),
            **({"vector_retire": In(1), "vector_tag": In(10)} if config.runs_units else {}),
        })

    def elaborate(self, platform):
        m = Module()
        width, progress = self._config.write_bytes, self.progress
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
        ends = Signal(reset_less=True)        # its word, or the second one, takes no more bytes
        completes = Signal(reset_less=True)   # a word: crosses, fills it or is the last one
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
        beat_ends = beat.fills | beat.last
        beat_completes = beat_ends | beat.crosses

        may_place = Signal()
        accepted = self.i.valid & walker.o.valid & may_place
        m.d.comb += [
            mask.eq(lanes << offset),
            self.i.ready.eq(may_place & walker.o.valid),
            walker.o.ready.eq(may_place & self.i.valid),
        ]
        m.d.sync += self.stalled.eq(self.i.valid & ~self.i.ready)
        with m.If(accepted):
            m.d.sync += [
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
                ends.eq(beat_ends),
                completes.eq(beat_completes),
            ]

        # Cycle 2: combine it with the word held from the beats before. What is to happen is looked
        # up a cycle ahead: then the way from a free output to the beats is short.
        held = Signal()
        held_word = Signal(word_layout, reset_less=True)
        open_ = Signal()     # it is held and takes more bytes
        fits = Signal()      # the beat placed goes into the word held, or none is held
        joins = Signal()     # into the word held
        evicts = Signal()    # the word held goes first: it is done, or not that of the beat
        emits = Signal()     # a word goes to the output
        gives_way = Signal(init=1)   # the place is free after this cycle
        gives_way_out = Signal()     # it is if a word goes to the output

        out = Signal()
        out_word = Signal(word_layout, reset_less=True)
        out_end = Signal(32, reset_less=True)  # the address the results have got to with this word
        out_reaches = Signal(reset_less=True)  # they have got to one
        out_free = Signal()
        written = self.memory.request.valid & self.memory.request.ready
        emitted = emits & out_free
        consumed = placed & may_place
        m.d.comb += [
            out_free.eq(~out | written),
            may_place.eq(gives_way | (gives_way_out & out_free)),
            self.memory.request.valid.eq(out),
            self.memory.request.payload.address.eq(Cat(C(0, low), out_word.word)),
            self.memory.request.payload.data.eq(out_word.data),
            self.memory.request.payload.mask.eq(out_word.mask),
        ]

        # The state of the next cycle, if the output is free and if not: that is known last.
        arrives = self.i.valid & walker.o.valid

        def following(free):
            moves = gives_way | gives_way_out if free else gives_way
            comes, leaves, emptied = moves & arrives, placed & moves, emits if free else Const(0)
            next_placed = comes | (placed & ~moves)
            next_held = Mux(leaves, ~(fits & completes & ~cross), held & ~emptied)
            next_open = Mux(leaves, ~ends, open_ & ~emptied)
            next_joins = next_placed & next_open & Mux(comes, beat.same_word, placed_same)
            next_fits = next_placed & (~next_held | next_joins)
            next_evicts = next_held & ~next_joins & (next_placed | ~next_open)
            next_completes = Mux(comes, beat_completes, completes)
            next_cross = Mux(comes, beat.crosses, cross)
            return Cat(
                next_placed, next_held, next_open, next_joins, next_fits, next_evicts,
                (next_fits & next_completes) | next_evicts,
                ~next_placed | (next_fits & ~next_completes),
                next_placed & Mux(next_fits, next_completes, ~next_cross))

        m.d.sync += Cat(
            placed, held, open_, joins, fits, evicts, emits, gives_way, gives_way_out,
        ).eq(Mux(out_free, following(free=True), following(free=False)))

        with m.If(consumed):
            m.d.sync += [
                held_word.word.eq(Mux(cross, next_word, placed_beat.word)),
                held_word.mask.eq(Mux(
                    cross, placed_high, placed_beat.mask | Mux(joins, held_word.mask, 0))),
                held_word.owner.eq(placed_beat.owner),
            ]
            for k in range(width):   # of the word that it joins, the other bytes stay
                with m.If(~joins | cross | placed_beat.mask[k]):
                    m.d.sync += held_word.data.word_select(k, 8).eq(
                        placed_beat.data.word_select(k, 8))

        placed_start = Cat(placed_offset, placed_beat.word)  # all below is there, if it ``reaches``
        # Without a beat placed, the one before it filled or ended the held word.
        ended = (held_word.word + 1)[:32 - low]
        with m.If(written):
            m.d.sync += out.eq(0)
        with m.If(emitted):
            m.d.sync += [
                out.eq(1),
                out_word.word.eq(Mux(fits, placed_beat.word, held_word.word)),
                out_word.data.eq(Cat(
                    Mux(fits & placed_beat.mask[k], placed_beat.data.word_select(k, 8),
                        held_word.data.word_select(k, 8)) for k in range(width))),
                out_word.mask.eq(Mux(fits, placed_beat.mask | Mux(joins, held_word.mask, 0),
                                     held_word.mask)),
                out_word.owner.eq(Mux(fits, placed_beat.owner, held_word.owner)),
                out_word.owner.last.eq(Mux(
                    fits, placed_beat.owner.last & ~cross, held_word.owner.last)),
                out_end.eq(Mux(
                    placed_ascending & (fits | ~placed),
                    Cat(C(0, low), Mux(fits, next_word, ended)), placed_start)),
                out_reaches.eq(placed_ascending | placed_first),
            ]

        # Cycle 3: the memory takes it.
        m.d.sync += progress.retire.eq(written & out_word.owner.last)
        with m.If(written):
            with m.If(out_reaches):
                m.d.sync += [
                    progress.watermark.eq(out_end),
                    progress.watermark_valid.eq(out_word.owner.in_order & ~out_word.owner.last),
                ]
            m.d.sync += [
                progress.retired.eq(progress.retired + out_word.owner.last),
                self.retire_tag.eq(out_word.owner.tag),
            ]
        if self._config.runs_units:
            with m.If(self.vector_retire):
                m.d.sync += [progress.retire.eq(1), progress.retired.eq(progress.retired + 1),
                             self.retire_tag.eq(self.vector_tag)]
        m.d.comb += self.idle.eq(walker.i.ready & ~placed & ~held & ~out)
        return m
