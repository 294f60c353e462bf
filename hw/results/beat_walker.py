"""The addresses of an instruction's results, beat by beat."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.parts.stream_buffer import StreamBuffer

__all__ = ["BeatWalker", "address_layout", "set_walk", "walk_layout"]


def walk_layout() -> data.StructLayout:
    """A tensor of ``rows`` x ``columns`` pixels of ``blocks`` blocks, as a beat walker takes it.

    ``by_block``: a block of all pixels of a row comes before the next block.
    """
    return data.StructLayout({
        "address": unsigned(32),
        "row_pitch": unsigned(24),
        "pixel_pitch": unsigned(16),
        "rows": unsigned(16),
        "columns": unsigned(16),
        "blocks": unsigned(12),
        "block_width": unsigned(8),
        "last_width": unsigned(8),
        "by_block": unsigned(1),
    })


def set_walk(walk, fields, tensor):
    """Assignments that make ``walk`` that of an instruction's "ofm", or of its "operand", which is
    walked like the results that it is combined with."""
    return [
        walk.address.eq(fields[f"{tensor}_address"]),
        walk.row_pitch.eq(fields[f"{tensor}_row_pitch"]),
        walk.pixel_pitch.eq(fields[f"{tensor}_pixel_pitch"]),
        walk.rows.eq(fields.ofm_rows),
        walk.columns.eq(fields.ofm_columns),
        walk.blocks.eq(fields.blocks),
        walk.block_width.eq(fields.block_width),
        walk.last_width.eq(fields.last_width),
        walk.by_block.eq(fields.mode == Mode.COLUMN),
    ]


def address_layout(config: AcceleratorConfig) -> data.StructLayout:
    """Place of a beat of ``count`` bytes; ``last``: no beat of the tensor follows.

    ``ascending``: no byte of the tensor below its end comes later. ``row_first``: none below it
    does, as it is the first one of a row. ``same_word``: it begins in the word in which the beat
    before it of this tensor ended. ``crosses``: it ends in the word behind. ``fills``: it ends
    where its word does.
    """
    return data.StructLayout({
        "address": unsigned(32),
        "count": range(config.requant_lanes + 1),
        "ascending": unsigned(1),
        "row_first": unsigned(1),
        "same_word": unsigned(1),
        "crosses": unsigned(1),
        "fills": unsigned(1),
        "last": unsigned(1),
    })


class BeatWalker(wiring.Component):
    """Walk a tensor in the order row, pixel, block, beat, or with ``by_block`` row, block, pixel,
    beat, as the array makes its results. Words of memory are taken to have ``word_bytes``.

    Throughput: one beat a cycle; two idle cycles between tensors. Latency: 2 cycles. ``o`` and
    ``i.ready`` come from flip-flops, and what takes a beat ends in the buffer of two that ``o`` is.
    A tensor is taken only after the last beat of the one before, so a caller may keep facts about
    it in registers written when it is taken; ``i.ready`` is 1 as long as there is none.
    """

    def __init__(self, config: AcceleratorConfig, word_bytes: int):
        self._lanes = config.requant_lanes
        self._word_bytes = word_bytes
        self._address_layout = address_layout(config)
        super().__init__({
            "i": In(stream.Signature(walk_layout())),
            "o": Out(stream.Signature(address_layout(config))),
        })

    def elaborate(self, platform):
        m = Module()

        active = Signal()
        address = Signal(32, reset_less=True)
        next_outer = Signal(32, reset_less=True)   # where the outer one of the two loops goes on
        next_row = Signal(32, reset_less=True)
        row_pitch = Signal(24, reset_less=True)
        pixel_pitch = Signal(16, reset_less=True)
        outer_pitch = Signal(16, reset_less=True)
        outer = Signal(16, reset_less=True)   # rounds of the loops: pixels and blocks
        inner = Signal(16, reset_less=True)
        block_width = Signal(8, reset_less=True)
        last_width = Signal(8, reset_less=True)
        by_block = Signal(reset_less=True)
        rows_after = Signal(16, reset_less=True)  # this and the next two: after the current one
        outer_after = Signal(16, reset_less=True)
        inner_after = Signal(16, reset_less=True)
        width = Signal(8, reset_less=True)   # bytes of the block from this beat on
        to_next = Signal(17, reset_less=True)   # bytes to the same block of the next pixel
        row_first = Signal(reset_less=True)

        # What a beat ends is looked up one beat ahead, so that only flip-flops decide.
        block_end = Signal(reset_less=True)    # width <= lanes
        block_narrow = Signal(reset_less=True)   # block_width <= lanes
        last_narrow = Signal(reset_less=True)
        inner_one = Signal(reset_less=True)    # inner == 1
        outer_one = Signal(reset_less=True)
        inner_two = Signal(reset_less=True)    # inner == 2
        outer_two = Signal(reset_less=True)
        inner_last = Signal(reset_less=True)   # inner_after == 0
        outer_last = Signal(reset_less=True)
        inner_next_last = Signal(reset_less=True)   # inner_after == 1
        outer_next_last = Signal(reset_less=True)
        rows_last = Signal(reset_less=True)
        inner_end = Signal(reset_less=True)    # block_end & inner_last
        row_end = Signal(reset_less=True)      # inner_end & outer_last
        m.submodules.beats = beats = StreamBuffer(self._address_layout)
        wiring.connect(m, beats.o, wiring.flipped(self.o))
        beat = beats.i.payload
        low = exact_log2(self._word_bytes)
        offset, word = address[:low], address[low:]
        same = Signal(reset_less=True)   # the beat before is one of this tensor
        last_word = Signal.like(word, reset_less=True)   # in which that one ended
        accepted = active & beats.i.ready
        m.d.comb += [
            beats.i.valid.eq(active),
            beat.address.eq(address),
            beat.count.eq(Mux(block_end, width, self._lanes)),
            beat.ascending.eq(~by_block | outer_last),
            beat.row_first.eq(row_first),
            beat.same_word.eq(same & (word == last_word)),
            beat.crosses.eq(offset + beat.count > self._word_bytes),
            beat.fills.eq(offset + beat.count == self._word_bytes),
            beat.last.eq(row_end & rows_last),
            self.i.ready.eq(~active & ~beats.o.valid),
        ]

        # The same of the next beat.
        next_inner_last = Mux(
            inner_end, inner_one, Mux(block_end, inner_next_last, inner_last))
        next_outer_last = Mux(row_end, outer_one, Mux(inner_end, outer_next_last, outer_last))

        def next_narrow(last_of_inner):
            """True where the next beat is the last one of its block. ``last_of_inner``: its pixel
            or block is the last one of the inner loop, which is known late."""
            last_block = Mux(by_block, next_outer_last, last_of_inner)   # of its pixel
            return Mux(block_end, Mux(last_block, last_narrow, block_narrow),
                       width <= 2 * self._lanes)

        last_next = Mux(by_block, next_outer_last, next_inner_last)
        with m.If(accepted):
            m.d.sync += [
                block_end.eq(next_narrow(next_inner_last)),
                inner_last.eq(next_inner_last),
                outer_last.eq(next_outer_last),
                inner_end.eq(next_inner_last & next_narrow(1)),
                row_end.eq(next_inner_last & next_outer_last
                           & Mux(block_end, last_narrow, width <= 2 * self._lanes)),
                active.eq(~beat.last),
                address.eq(address + Mux(block_end & by_block, to_next, beat.count)),
                width.eq(width - self._lanes),
                to_next.eq(to_next - self._lanes),
                row_first.eq(row_end),
                same.eq(1),
                last_word.eq(word + beat.crosses),
            ]
            with m.If(block_end):
                m.d.sync += [
                    inner_after.eq(inner_after - 1),
                    inner_next_last.eq(inner_after == 2),
                    width.eq(Mux(last_next, last_width, block_width)),
                    to_next.eq(pixel_pitch),
                ]
            with m.If(inner_end):
                m.d.sync += [
                    address.eq(Mux(row_end, next_row, next_outer)),
                    next_outer.eq(Mux(row_end, next_row, next_outer) + outer_pitch),
                    outer_after.eq(Mux(row_end, outer, outer_after) - 1),
                    outer_next_last.eq(Mux(row_end, outer_two, outer_after == 2)),
                    inner_after.eq(inner - 1),
                    inner_next_last.eq(inner_two),
                ]
            with m.If(row_end):
                m.d.sync += [
                    next_row.eq(next_row + row_pitch),
                    rows_after.eq(rows_after - 1),
                    rows_last.eq(rows_after == 1),
                ]

        with m.If(self.i.valid & self.i.ready):
            new = self.i.payload
            new_pitch = Mux(new.by_block, new.block_width, new.pixel_pitch)
            one_block, one_column = new.blocks == 1, new.columns == 1
            new_width = Mux(one_block, new.last_width, new.block_width)
            new_end = new_width <= self._lanes
            m.d.sync += [
                active.eq(1),
                row_pitch.eq(new.row_pitch),
                pixel_pitch.eq(new.pixel_pitch),
                outer_pitch.eq(new_pitch),
                by_block.eq(new.by_block),
                block_width.eq(new.block_width),
                last_width.eq(new.last_width),
                address.eq(new.address),
                next_outer.eq(new.address + new_pitch),
                next_row.eq(new.address + new.row_pitch),
                rows_after.eq(new.rows - 1),
                rows_last.eq(new.rows == 1),
                width.eq(new_width),
                block_end.eq(new_end),
                inner_end.eq(new_end & Mux(new.by_block, one_column, one_block)),
                row_end.eq(new_end & one_column & one_block),
                block_narrow.eq(new.block_width <= self._lanes),
                last_narrow.eq(new.last_width <= self._lanes),
                to_next.eq(new.pixel_pitch),
                row_first.eq(1),
                same.eq(0),
            ]
            for count, one, two, after, last, next_last, of_pixels in (
                    (outer, outer_one, outer_two, outer_after, outer_last, outer_next_last,
                     ~new.by_block),
                    (inner, inner_one, inner_two, inner_after, inner_last, inner_next_last,
                     new.by_block)):
                value = Mux(of_pixels, new.columns, new.blocks)
                m.d.sync += [count.eq(value), after.eq(value - 1),
                             one.eq(value == 1), last.eq(value == 1),
                             two.eq(value == 2), next_last.eq(value == 2)]

        return m
