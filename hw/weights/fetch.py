"""Reads the weight streams of the instructions ahead of the decoder."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, unit_layout
from kaniwa.hw.parts.stream_buffer import StreamBuffer
from kaniwa.hw.parts.unchecked_read import UncheckedRead

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
    After an instruction with nothing to read the next one is accepted three cycles after all words
    before it were passed on.
    ``o.payload.instruction`` comes a cycle after its word, and stays until that of the next one.
    ``idle``: nothing to be read or passed on.
    """

    def __init__(self, config: AcceleratorConfig):
        self._read_bytes = config.read_bytes
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("weights", config))),
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
        empty = Signal()    # or there are none, and those before are to be passed on first
        skip = Signal()     # there are no parameters: turn to the weights
        first = Signal()    # the next request is the first of its instruction
        room = Signal(init=1)
        address = Signal(32 - shift, reset_less=True)
        remaining = Signal(24 - shift, reset_less=True)
        final = Signal(reset_less=True)        # remaining == 1
        repeats = Signal(32, reset_less=True)  # passes over the weights yet to begin
        again_address = Signal(32 - shift, reset_less=True)
        again_words = Signal(24 - shift, reset_less=True)
        again_one = Signal(reset_less=True)    # again_words == 1

        accepted = self.i_instruction.valid & self.i_instruction.ready
        # What memory grants ends in the buffer, and not in all that a request moves.
        m.submodules.requests = requests = StreamBuffer(unsigned(32))
        wiring.connect(m, requests.o, wiring.flipped(self.memory.request))
        requested = requests.i.valid & requests.i.ready
        drained, was_drained = Signal(), Signal()
        m.d.comb += [
            nothing.eq(~(parameter_words.any() | weight_words.any())),
            self.i_instruction.ready.eq(~pending & ~empty),
            requests.i.valid.eq(pending & room & ~skip),
            requests.i.payload.eq(Cat(C(0, shift), address)),
        ]
        with m.If(requested):
            m.d.sync += [address.eq(address + 1), remaining.eq(remaining - 1), first.eq(0),
                         final.eq(remaining == 2)]
        with m.If(pending & (skip | (requested & final))):
            m.d.sync += [
                skip.eq(0),
                address.eq(again_address),
                remaining.eq(again_words),
                final.eq(again_one),
                repeats.eq(repeats - 1),
                pending.eq(repeats != 0),
            ]
        m.d.sync += was_drained.eq(drained)
        ends_empty = empty & was_drained   # nothing has come since
        with m.If(ends_empty):
            m.d.sync += empty.eq(0)
        with m.If(accepted):
            m.d.sync += [
                pending.eq(~nothing),
                empty.eq(nothing),
                skip.eq(~parameter_words.any()),
                first.eq(1),
                address.eq(fields.parameter_address[shift:]),
                remaining.eq(parameter_words),
                final.eq(parameter_words == 1),
                repeats.eq(Mux(weight_words.any(), fields.weight_repeat, 0)),
                again_address.eq(fields.weight_address[shift:]),
                again_words.eq(weight_words),
                again_one.eq(weight_words == 1),
            ]
        self._pass_on(m, requested, first, ends_empty, room, drained)
        m.d.comb += self.idle.eq(drained & ~pending & ~empty)
        return m

    def _pass_on(self, m, requested, first, ends_empty, room, drained):
        """The words that come, in a memory of their own, with the numbers of their instructions."""
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
        # What has come is of another instruction: looked up a cycle later, for ``advance`` comes
        # late.
        advanced, ended_empty, began = Signal(), Signal(), Signal(reset_less=True)
        m.d.sync += [
            advanced.eq(advance),
            ended_empty.eq(ends_empty),
            began.eq(begins.bit_select(read_index[:-1], 1)),
        ]
        with m.If(ended_empty | (advanced & began)):
            m.d.sync += instruction.eq(instruction + 1)
