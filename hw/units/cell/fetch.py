"""Data that a sequence of a recurrent cell reads of memory, in the order of their use."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.hw.units.cell.fields import fields_layout, row_words
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES, MOST_CELLS, WORD_BYTES

__all__ = ["CellFetch", "FRAMES"]

FRAMES = 8   # of weights that may be on the way: as many as their sums have room


class CellFetch(Component):
    """Requests of the descriptor (``describe``, at ``address``), and of a sequence (``start``).

    The sequence: hidden states; words of cell states, each when ``taken`` has come for the one
    before; then for each step its input and frames of weights for it, or frames of its sums; and,
    behind ``step_done`` of the step before, frames of weights for the hidden state.
    ``frame_done``: the sums of a frame have left; ``room``: results of frames for
    the hidden state have it.
    """

    def __init__(self):
        super().__init__({
            "describe": In(1), "address": In(32),
            "start": In(1), "fields": In(fields_layout()),
            "taken": In(1), "frame_done": In(1), "step_done": In(1), "room": In(1),
            "request": Out(stream.Signature(unsigned(32))),
        })

    def elaborate(self, platform):
        m = Module()
        f, word = self.fields, exact_log2(WORD_BYTES)
        request = self.request
        address = Signal(32, reset_less=True)
        left = Signal(range(2048), reset_less=True)       # words of a block or a frame
        frames = Signal(range(MOST_CELLS + 1), reset_less=True)
        steps = Signal(16, reset_less=True)
        row = Signal(32, reset_less=True)
        fresh, waits = Signal(reset_less=True), Signal()
        flying = Signal(range(FRAMES + 1))
        go, more = Signal(), Signal()
        m.d.comb += go.eq(~request.valid | request.ready)
        with m.If(go):
            m.d.sync += request.valid.eq(more)
            with m.If(more):
                m.d.sync += [request.payload.eq(Cat(C(0, word), address[word:])),
                             address.eq(address + WORD_BYTES), left.eq(left - 1)]
        begun = Signal()
        m.d.sync += flying.eq(flying + begun - self.frame_done)
        with m.If(self.step_done):
            m.d.sync += waits.eq(0)

        input_frame, hidden_frame = f.input_words + 1, (f.cells + 3) >> 2
        sums = Signal()
        m.d.sync += sums.eq(f.input_words == 0)      # stays the same in a sequence
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += steps.eq(f.steps)
                with m.If(self.describe):
                    m.d.sync += [address.eq(self.address), left.eq(DESCRIPTOR_BYTES // WORD_BYTES)]
                    m.next = "BLOCK"
                with m.Elif(self.start):
                    m.d.sync += [address.eq(f.first_hidden), left.eq((f.cells + 15) >> 4),
                                 waits.eq(0), row.eq(f.input_address)]
                    m.next = "HIDDEN"
            with m.State("BLOCK"):
                m.d.comb += more.eq(1)
                with m.If(go & (left == 1)):
                    m.next = "IDLE"
            with m.State("HIDDEN"):
                m.d.comb += more.eq(1)
                with m.If(go & (left == 1)):
                    m.d.sync += [address.eq(f.first_cell), left.eq((f.cells + 7) >> 3)]
                    m.next = "CELLS"
            with m.State("CELLS"):
                m.d.comb += more.eq(1)
                with m.If(go):
                    m.next = "TAKEN"
            with m.State("TAKEN"):
                with m.If(self.taken):
                    m.next = "CELLS"
                    with m.If(left == 0):
                        m.next = "STEP"
            with m.State("STEP"):
                with m.If(go):
                    m.d.sync += [address.eq(row), left.eq(row_words(f, row[2:4])),
                                 row.eq(row + f.input_pitch)]
                    m.next = "INPUT"
                    with m.If(sums):
                        m.d.sync += [left.eq(1), frames.eq(f.cells), fresh.eq(1)]
                        m.next = "INPUT_FRAMES"
            with m.State("INPUT"):
                m.d.comb += more.eq(1)
                with m.If(go & (left == 1)):
                    m.d.sync += [address.eq(f.weight_address), left.eq(input_frame),
                                 frames.eq(f.cells), fresh.eq(1)]
                    m.next = "INPUT_FRAMES"
            with m.State("INPUT_FRAMES"):
                m.d.comb += more.eq(~fresh | (flying != FRAMES))
                with m.If(go & more):
                    m.d.comb += begun.eq(fresh)
                    m.d.sync += fresh.eq(left == 1)
                    with m.If(left == 1):
                        m.d.sync += [frames.eq(frames - 1), left.eq(input_frame)]
                        with m.If(frames == 1):
                            m.d.sync += [frames.eq(f.cells), left.eq(hidden_frame)]
                            with m.If(sums):
                                m.d.sync += address.eq(f.weight_address)
                            m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(~waits):
                    m.next = "HIDDEN_FRAMES"
            with m.State("HIDDEN_FRAMES"):
                m.d.comb += more.eq(~fresh | ((flying != FRAMES) & self.room))
                with m.If(go & more):
                    m.d.comb += begun.eq(fresh)
                    m.d.sync += fresh.eq(left == 1)
                    with m.If(left == 1):
                        m.d.sync += [frames.eq(frames - 1), left.eq(hidden_frame)]
                        with m.If(frames == 1):
                            m.d.sync += [waits.eq(1), steps.eq(steps - 1)]
                            m.next = "STEP"
                            with m.If(steps == 1):
                                m.next = "IDLE"
        return m
