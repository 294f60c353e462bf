"""The list of an instruction's steps: holds it, and gives it again for each pixel."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.parts.ring_memory import RingMemory
from kaniwa.isa.step_lists import (
    CHUNK_BITS,
    LIST_WORD_BYTES,
    STEP_BITS,
    list_words,
    most_steps,
    ring_words,
)

__all__ = ["StepList", "listed_port", "listed_step_layout"]

WORD_BITS = 8 * LIST_WORD_BYTES
KEPT_BITS = WORD_BITS - 1     # all but the top one of a second step, which is 0


def listed_step_layout() -> data.StructLayout:
    """A step of a list: the ``chunk`` of its segment, and whether it is the last one there."""
    return data.StructLayout({"chunk": CHUNK_BITS, "segment_end": 1})


def listed_port(config: AcceleratorConfig) -> dict[str, In]:
    """The steps of a list, for a controller of DENSE: nothing where the config has no lists."""
    return {"listed": In(stream.Signature(listed_step_layout()))} if config.step_entries else {}


class StepList(Component):
    """A ring of ``step_entries`` steps in words of two; the lists come in the order of their
    instructions.

    ``o`` has the first list's steps, again and again, until ``leave``, which comes when all of them
    have been taken once or more. Then its words are given back, and the list behind it is next.
    Throughput: a word in, a step out a cycle. The first step of a list is there 4 cycles after its
    first word was counted as written, or 5 cycles after ``leave``. Of a list that is longer than
    the ring not all steps come: the watchdog ends the run.
    """

    def __init__(self, config: AcceleratorConfig):
        self._words = ring_words(config)
        self._most = most_steps(config)
        super().__init__({
            "i": In(stream.Signature(unsigned(WORD_BITS))),
            "o": Out(stream.Signature(listed_step_layout())),
            "leave": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        kept = unsigned(KEPT_BITS)
        m.submodules.words = words = RingMemory(kept, 1, self._words, kept)
        reader = words.reader
        m.d.comb += [
            words.i.valid.eq(self.i.valid),
            words.i.payload.eq(self.i.payload),
            self.i.ready.eq(words.i.ready),
        ]
        place = Signal(range(2 * self._words))       # of the next word to read, since reset
        first = Signal.like(place)                   # of the list's first step
        high = Signal()                              # the next step is the second one of its word
        count = Signal(range(self._most + 1), reset_less=True)
        left = Signal.like(count, reset_less=True)   # of this pass
        is_there = Signal()
        read, read_high = Signal(), Signal(reset_less=True)   # a step is at the memory's output
        here = data.View(listed_step_layout(), Mux(
            read_high, words.read_data[STEP_BITS:], words.read_data[:STEP_BITS])[:CHUNK_BITS + 1])
        takes, reads = Signal(), Signal()            # by the output's register; from the memory
        m.d.comb += [
            is_there.eq(reader.written != place),
            reader.index.eq(place),
            takes.eq(~self.o.valid | self.o.ready),
        ]
        with m.FSM():
            with m.State("COUNT"):
                m.d.comb += reader.enable.eq(is_there)
                with m.If(is_there):
                    m.d.sync += [place.eq(place + 1), first.eq(place + 1)]
                    m.next = "COUNTED"
            with m.State("COUNTED"):
                m.d.sync += [count.eq(words.read_data), left.eq(words.read_data), high.eq(0)]
                with m.If(~words.read_data[len(count):STEP_BITS].any()):
                    m.next = "STEPS"
            with m.State("STEPS"):
                m.d.comb += reads.eq(~read | takes)
                with m.If(reads):
                    m.d.comb += reader.enable.eq(is_there)
                    m.d.sync += [read.eq(is_there), read_high.eq(high)]
                    with m.If(is_there):
                        self._go_on(m, place, first, high, left, count)
                with m.If(takes):
                    m.d.sync += [self.o.valid.eq(read), self.o.payload.eq(here)]
                with m.If(self.leave):
                    steps_words = Signal(range(self._words + 1))
                    m.d.comb += [
                        steps_words.eq((count + 1) >> 1),
                        reader.release.eq(1),
                        reader.release_count.eq(steps_words + list_words(0)),
                    ]
                    m.d.sync += [read.eq(0), self.o.valid.eq(0), place.eq(first + steps_words)]
                    m.next = "COUNT"
        return m

    def _go_on(self, m, place, first, high, left, count):
        """To the step behind the one that is read: after the last one to the first."""
        with m.If(left == 1):
            m.d.sync += [place.eq(first), high.eq(0), left.eq(count)]
        with m.Else():
            m.d.sync += [place.eq(place + high), high.eq(~high), left.eq(left - 1)]
