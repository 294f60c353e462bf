"""Reads the weight streams of the instructions ahead of the decoder."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, unit_layout
from kaniwa.hw.unchecked_read import UncheckedRead

__all__ = ["WeightFetch", "fetched_layout"]

DEPTH = 16  # words requested and not yet passed on: a word a cycle up to a latency of 12


def fetched_layout(config: AcceleratorConfig) -> data.StructLayout:
    """A word of the stream, and the number of its instruction (from 0 after reset)."""
    return data.StructLayout({"word": unsigned(8 * config.read_bytes), "instruction": unsigned(16)})


class WeightFetch(wiring.Component):
    """Reads each instruction's parameters once, then its weights weight_repeat times.

    Throughput: a word a cycle, without a gap between repeats; one cycle between instructions, two
    before one without parameters.
    A word is passed on two cycles after its response.
    An instruction with nothing to read is accepted once all words before it were passed on.
    ``o.payload.instruction`` keeps its value until the next word. ``idle``: nothing to be read or
    passed on.
    """

    def __init__(self, config: AcceleratorConfig):
        self._read_bytes = config.read_bytes
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("weights"))),
            "memory": Out(read_port(config)),
            "o": Out(stream.Signature(fetched_layout(config))),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        shift = (self._read_bytes - 1).bit_length()  # addresses and lengths below count words
        fields = self.i_instruction.payload
        parameter_words = fields.parameter_bytes[shift:]
        weight_words = fields.weight_bytes[shift:]
        nothing = Signal()

        pending = Signal()  # words remain to be requested
        skip = Signal()     # there are no parameters: turn to the weights
        first = Signal()    # the next request is the first of its instruction
        room = Signal(init=1)
        address = Signal(32 - shift, reset_less=True)
        remaining = Signal(24 - shift, reset_less=True)
        repeats = Signal(32, reset_less=True)  # passes over the weights yet to begin
        again_address = Signal(32 - shift, reset_less=True)
        again_words = Signal(24 - shift, reset_less=True)

        accepted = self.i_instruction.valid & self.i_instruction.ready
        requested = self.memory.request.valid & self.memory.request.ready
        drained = Signal()
        m.d.comb += [
            nothing.eq(~(parameter_words.any() | weight_words.any())),
            self.i_instruction.ready.eq(~pending & (drained | ~nothing)),
            self.memory.request.valid.eq(pending & room & ~skip),
            self.memory.request.payload.eq(Cat(C(0, shift), address)),
        ]
        with m.If(requested):
            m.d.sync += [address.eq(address + 1), remaining.eq(remaining - 1), first.eq(0)]
        with m.If(pending & (skip | (requested & (remaining == 1)))):
            m.d.sync += [
                skip.eq(0),
                address.eq(again_address),
                remaining.eq(again_words),
                repeats.eq(repeats - 1),
                pending.eq(repeats != 0),
            ]
        # Whether there is anything to read is found out late. What follows from it is ``pending``
        # alone, and that an instruction is accepted; while nothing is pending all else is free.
        with m.If(self.i_instruction.valid & ~pending):
            m.d.sync += [
                pending.eq(~nothing),
                skip.eq(~parameter_words.any()),
                first.eq(1),
                address.eq(fields.parameter_address[shift:]),
                remaining.eq(parameter_words),
                repeats.eq(Mux(weight_words.any(), fields.weight_repeat, 0)),
                again_address.eq(fields.weight_address[shift:]),
                again_words.eq(weight_words),
            ]

        # Responses cannot be held back, so a request reserves the room for its response. A word is
        # read only after it was written, so a collision's result does not matter.
        m.submodules.words = words = Memory(
            shape=unsigned(8 * self._read_bytes), depth=DEPTH, init=[], attrs={"no_rw_check": 1})
        write, read = words.write_port(), UncheckedRead.of(m, words)
        begins = Signal(DEPTH)  # for each word: it is the first of its instruction
        request_index = Signal(range(DEPTH))
        write_index = Signal(range(2 * DEPTH))
        read_index = Signal(range(2 * DEPTH))
        reserved = Signal(range(DEPTH + 1))
        reserved_next = Signal(range(DEPTH + 1))
        instruction = Signal(16, init=0xFFFF)
        advance = Signal()
        m.d.comb += [
            write.addr.eq(write_index[:-1]),
            write.data.eq(self.memory.response.payload),
            write.en.eq(self.memory.response.valid),
            advance.eq((read_index != write_index) & (~self.o.valid | self.o.ready)),
            read.addr.eq(read_index[:-1]),
            read.en.eq(advance),
            self.o.payload.word.eq(read.data),
            self.o.payload.instruction.eq(instruction),
            reserved_next.eq(reserved + requested - advance),
            drained.eq((reserved == 0) & ~self.o.valid),
            self.idle.eq(drained & ~pending),
        ]
        m.d.sync += [
            reserved.eq(reserved_next),
            room.eq(reserved_next != DEPTH),
        ]
        with m.If(requested):
            m.d.sync += [
                begins.bit_select(request_index, 1).eq(first),
                request_index.eq(request_index + 1),
            ]
        with m.If(write.en):
            m.d.sync += write_index.eq(write_index + 1)
        with m.If(advance):
            m.d.sync += [read_index.eq(read_index + 1), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If((accepted & nothing) | (advance & begins.bit_select(read_index[:-1], 1))):
            m.d.sync += instruction.eq(instruction + 1)
        return m
