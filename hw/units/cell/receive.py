"""Tells apart what comes from memory for a sequence of a recurrent cell."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.units.cell.fields import fields_layout, row_words
from kaniwa.hw.units.cell.operands import INPUT_PLACES, STEP_PLACES
from kaniwa.units.cell.isa import MOST_CELLS

__all__ = ["CellReceive"]


class CellReceive(Component):
    """Follows ``CellFetch`` from ``start`` on, word by word, while ``run`` is 1.

    Of the word in this cycle (``valid``): ``load``, with ``hidden`` and ``load_place``, for
    ``CellOperands``; ``states``: it is of cell states; else it is ``bias``, ``first`` or ``last``
    of a frame (``weights``) and meets the operands at ``place``, with ``of_hidden``. The hidden
    states of a step are in one half of theirs, ``half``, and the next ones go to the other one.
    """

    def __init__(self):
        super().__init__({
            "start": In(1), "run": In(1), "fields": In(fields_layout()), "valid": In(1),
            "load": Out(1), "hidden": Out(1), "load_place": Out(range(INPUT_PLACES)),
            "states": Out(1), "weights": Out(1), "bias": Out(1), "first": Out(1), "last": Out(1),
            "of_hidden": Out(1), "place": Out(range(INPUT_PLACES)), "half": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        f = self.fields
        left = Signal(range(2048), reset_less=True)
        frames = Signal(range(MOST_CELLS + 1), reset_less=True)
        fresh = Signal(reset_less=True)
        begin = Signal(2, reset_less=True)      # where the input begins in its first word
        place = Signal(range(INPUT_PLACES), reset_less=True)
        input_frame, hidden_frame = f.input_words + 1, (f.cells + 3) >> 2
        of_half = Cat(C(0, STEP_PLACES.bit_length() - 1), self.half)
        assert STEP_PLACES == 1 << STEP_PLACES.bit_length() - 1
        sums = Signal()                         # in place of inputs
        m.d.sync += sums.eq(f.input_words == 0)
        following = Signal(2)                   # and that of the next step
        m.d.comb += following.eq(begin + f.input_pitch[2:4])
        m.d.comb += [self.load_place.eq(place), self.place.eq(place), self.first.eq(fresh),
                     self.last.eq(left == 1)]
        with m.If(self.valid):
            m.d.sync += [left.eq(left - 1), place.eq(place + 1)]
        ends = self.valid & (left == 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [left.eq((f.cells + 15) >> 4), self.half.eq(0), place.eq(0),
                             begin.eq(f.input_address[2:4])]
                with m.If(self.start):
                    m.next = "HIDDEN"
            with m.State("HIDDEN"):
                m.d.comb += [self.load.eq(self.valid), self.hidden.eq(1)]
                with m.If(ends):
                    m.d.sync += left.eq((f.cells + 7) >> 3)
                    m.next = "CELLS"
            with m.State("CELLS"):
                m.d.comb += self.states.eq(self.valid)
                with m.If(ends):
                    m.d.sync += [left.eq(row_words(f, begin)), place.eq(0)]
                    m.next = "INPUT"
                    with m.If(sums):
                        m.d.sync += [left.eq(1), frames.eq(f.cells), fresh.eq(1)]
                        m.next = "INPUT_FRAMES"
            with m.State("INPUT"):
                m.d.comb += self.load.eq(self.valid)
                with m.If(ends):
                    m.d.sync += [left.eq(input_frame), frames.eq(f.cells), fresh.eq(1),
                                 place.eq(begin)]
                    m.next = "INPUT_FRAMES"
                with m.Elif(~self.run):
                    m.next = "IDLE"
            with m.State("INPUT_FRAMES"):
                m.d.comb += [self.weights.eq(self.valid), self.bias.eq(fresh)]
                with m.If(self.valid):
                    m.d.sync += fresh.eq(left == 1)
                    with m.If(fresh):
                        m.d.sync += place.eq(place)
                with m.If(ends):
                    m.d.sync += [frames.eq(frames - 1), left.eq(input_frame),
                                 place.eq(begin)]
                    with m.If(frames == 1):
                        m.d.sync += [frames.eq(f.cells), left.eq(hidden_frame), place.eq(of_half)]
                        m.next = "HIDDEN_FRAMES"
                with m.Elif(~self.run):
                    m.next = "IDLE"
            with m.State("HIDDEN_FRAMES"):
                m.d.comb += [self.weights.eq(self.valid), self.of_hidden.eq(1)]
                with m.If(self.valid):
                    m.d.sync += fresh.eq(left == 1)
                with m.If(ends):
                    m.d.sync += [frames.eq(frames - 1), left.eq(hidden_frame), place.eq(of_half)]
                    with m.If(frames == 1):
                        m.d.sync += [left.eq(row_words(f, following)), place.eq(0),
                                     begin.eq(following), self.half.eq(~self.half)]
                        m.next = "INPUT"
                        with m.If(sums):
                            m.d.sync += [left.eq(1), frames.eq(f.cells), fresh.eq(1)]
                            m.next = "INPUT_FRAMES"
        return m
