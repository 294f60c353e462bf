"""Reads the program and runs its instructions one after the other."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.compact.fields import fields_layout, held, reader_port, starts_layout, word_bits
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, ErrorCode, Mode, Opcode

__all__ = ["CompactSequencer"]


class CompactSequencer(Component):
    """Holds the fields of one instruction for all units until it is ``finished``.

    ``begin`` is a pulse: the units start with what ``fields`` says, two cycles after the last of
    the INSTRUCTION_BYTES / read_bytes words has come. ``finished`` is looked at from the second
    cycle after it on; the next instruction is read then. So an instruction waits for all before
    it, and its ``*_wait`` fields do not matter. ``starts``: the fields that units take themselves,
    of an instruction that may yet be refused.

    A bit that no legal instruction of this config has ends the run with ILLEGAL_FIELD, or with
    ADDRESS where it is one of an address. ``done`` and ``error`` stay until reset;
    ``error_instruction`` is the index of the instruction.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "program_word": In(word_bits(config)),
            "memory": Out(reader_port(config)),
            "data": In(8 * config.read_bytes),
            "fields": Out(fields_layout(config)),
            "starts": Out(starts_layout(config)),
            "begin": Out(1),
            "finished": In(1),
            "bad_format": In(1),
            "address_error": In(1),
            "retired": Out(16),
            "done": Out(1),
            "error": Out(1),
            "error_code": Out(4),
            "error_instruction": Out(16),
        })

    def elaborate(self, platform):
        m = Module()
        word = Signal(word_bits(self._config), reset_less=True)
        index = Signal(range(INSTRUCTION_BYTES // self._config.read_bytes))
        opcode = Signal(FIELDS["opcode"].width, reset_less=True)
        fields = Signal(fields_layout(self._config), reset_less=True)
        illegal, beyond = Signal(), Signal()   # of the words so far
        m.d.comb += [
            self.memory.word.eq(word),
            self.fields.eq(fields),
            self.error_instruction.eq(self.retired),
        ]
        with m.If(self.memory.response):
            m.d.sync += [word.eq(word + 1), index.eq(index + 1)]
            self._capture(m, index, opcode, fields, illegal, beyond)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += word.eq(self.program_word)
                with m.If(self.start):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.memory.request.eq(1)
                with m.If(self.memory.response & index.all()):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "BEGIN"
                with m.If(opcode > Opcode.LAYER):
                    self._stop(m, ErrorCode.ILLEGAL_OPCODE)
                with m.Elif(opcode == Opcode.END):
                    m.d.sync += self.done.eq(1)
                    m.next = "STOPPED"
                with m.Elif(illegal | Cat(self._wrong(fields)).any()):
                    self._stop(m, ErrorCode.ILLEGAL_FIELD)
                with m.Elif(beyond):
                    self._stop(m, ErrorCode.ADDRESS)
            with m.State("BEGIN"):
                m.d.comb += self.begin.eq(1)
                m.next = "STARTED"
            with m.State("STARTED"):
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.finished):
                    m.d.sync += self.retired.eq(self.retired + 1)
                    m.next = "FETCH"
            with m.State("STOPPED"):
                pass
        with m.If(~self.error & (self.address_error | self.bad_format)):
            m.d.sync += [
                self.error.eq(1),
                self.error_code.eq(Mux(self.address_error, ErrorCode.ADDRESS,
                                       ErrorCode.BAD_FORMAT)),
            ]
        return m

    def _stop(self, m, code):
        m.d.sync += [self.error.eq(1), self.error_code.eq(code)]
        m.next = "STOPPED"

    def _capture(self, m, index, opcode, fields, illegal, beyond):
        """Keep the fields of a word, and whether it has bits that are none of them."""
        config = self._config
        words = config.read_bytes // 4   # of an instruction, in a word of memory
        found_illegal, found_beyond = Signal(), Signal()
        starts = self.starts
        for name in starts.shape().members:
            field = FIELDS[name]
            lsb = 32 * (field.word % words) + field.lsb
            m.d.comb += starts[name].value.eq(
                held(config, name, self.data[lsb:lsb + field.width])[0])
        m.d.sync += [
            illegal.eq((illegal & index.any()) | found_illegal),
            beyond.eq((beyond & index.any()) | found_beyond),
        ]
        with m.Switch(index):
            for number in range(1 << len(index)):
                with m.Case(number):
                    zeros, address_zeros = [], []
                    for field in FIELDS.values():
                        if field.word // words != number:
                            continue
                        lsb = 32 * (field.word % words) + field.lsb
                        bits = self.data[lsb:lsb + field.width]
                        if field.name == "opcode":
                            m.d.sync += opcode.eq(bits)
                        elif "kept" in field.compact or "start" in field.compact:
                            value, below, above = held(config, field.name, bits)
                            if "kept" in field.compact:
                                m.d.sync += fields[field.name].eq(value)
                            else:
                                m.d.comb += starts[field.name].valid.eq(1)
                                if field.low == 1:
                                    zeros.append(value == 0)
                            zeros.append(below)
                            is_address = field.name.endswith("_address")
                            (address_zeros if is_address else zeros).append(above)
                        elif "unused" not in field.compact:
                            zeros.append(bits)
                    m.d.comb += [found_illegal.eq(Cat(zeros).any()),
                                 found_beyond.eq(Cat(address_zeros).any())]

    def _wrong(self, fields):
        """Conditions on the kept bits under which a LAYER instruction is refused."""
        for name in fields.shape().members:
            if FIELDS[name].low == 1:
                yield fields[name] == 0
        limit = self._config.out_lanes
        yield fields.block_width > limit
        yield (fields.mode == Mode.DEPTHWISE) & (
            fields.block_width > self._config.depthwise_lanes)
        yield fields.last_width > fields.block_width
        yield fields.add & fields.table
