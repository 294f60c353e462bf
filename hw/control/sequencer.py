"""Reads the program, checks each instruction and hands it to the units."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, unit_layout, vector_command_layout
from kaniwa.hw.memory.system import READERS
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS, ErrorCode, Field, Mode, Opcode
from kaniwa.units.cell.isa import DESCRIPTOR_BYTES
from kaniwa.units.vector.isa import STORE_INSTRUCTIONS, VECTOR_BYTES

__all__ = ["Sequencer"]

# Fields that must be multiples of read_bytes.
ALIGNED = ("parameter_address", "parameter_bytes", "weight_address", "weight_bytes")


class Sequencer(Component):
    """Fetches the instructions from ``program_address`` on and offers each to all units.

    The next instruction is fetched and checked while the units' queues take the present one, so
    a queue with room gets an instruction every ceil(108 / read_bytes) + 5 cycles and those of the
    memory's latency.
    ``done`` and ``error`` stay until reset. ``error_instruction`` is the index of the instruction
    that is illegal, or that the unit at fault worked on.
    ``start`` counts once after reset; ``program_address`` is a multiple of read_bytes and stable.

    With vector_unit, a VECTOR instruction (with cell_unit a CELL, too; ``vector_cell`` is 1 then)
    waits as END does, and goes to ``o_vector`` in the cycle after ``vector_active`` has become 1;
    that stays until ``vector_idle`` is 1 again. Then ``vector_retire`` is 1 for a cycle with the
    instruction's tag, and the next one is fetched.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "start": In(1),
            "program_address": In(32),
            "memory": Out(read_port(config)),
            **{f"o_{unit}": Out(stream.Signature(unit_layout(unit))) for unit in UNITS},
            "retired": In(16),
            "units_idle": In(len(UNITS)),
            "begun": In(len(UNITS)),   # the units that take an instruction in this cycle; none is
                                       # found wrong in the next one
            "bad_format": In(1),
            "address_error": In(1),
            "address_client": In(3),   # as MemorySystem's error_client
            "done": Out(1),
            "error": Out(1),
            "error_code": Out(4),
            "error_instruction": Out(16),
            **(self._vector_ports() if config.vector_unit else {}),
            **({"vector_cell": Out(1)} if config.cell_unit else {}),
        })

    @staticmethod
    def _vector_ports():
        return {
            "o_vector": Out(stream.Signature(vector_command_layout())),
            "vector_idle": In(1),
            "vector_error": In(1),
            "vector_active": Out(1),
            "vector_retire": Out(1),
            "vector_tag": Out(10),
        }

    def elaborate(self, platform):
        m = Module()
        word_bytes = self._config.read_bytes
        used_bytes = 4 * (1 + max(field.word for field in FIELDS.values()))
        word_count = -(-used_bytes // word_bytes)

        # Words are shifted in, the first one down to the lowest bits.
        bits = Signal(8 * word_bytes * word_count, reset_less=True)
        fields = {}
        for field in FIELDS.values():
            value = bits[32 * field.word + field.lsb:][:field.width]
            fields[field.name] = value.as_signed() if field.signed else value
        aligned = exact_log2(word_bytes)
        for unit in UNITS:
            payload = getattr(self, f"o_{unit}").payload
            for name in payload.shape().members:
                value = fields[name]
                if name in ALIGNED:   # an offered instruction has zeros there
                    value = Cat(C(0, aligned), value[aligned:])
                m.d.comb += getattr(payload, name).eq(value)

        request, response = self.memory.request, self.memory.response
        to_request = Signal(range(word_count + 1))
        to_receive = Signal(range(word_count + 1))
        with m.If(request.valid & request.ready):
            m.d.sync += [
                to_request.eq(to_request - 1),
                request.valid.eq(to_request != 1),
                request.payload.eq(request.payload + Mux(
                    to_request == 1, INSTRUCTION_BYTES - (word_count - 1) * word_bytes,
                    word_bytes)),
            ]
        with m.If(response.valid):
            m.d.sync += [
                to_receive.eq(to_receive - 1),
                bits.eq(Cat(bits[8 * word_bytes:], response.payload)),
            ]

        fetch = [
            request.valid.eq(1), to_request.eq(word_count), to_receive.eq(word_count),
        ]
        issued = Signal(16)
        current = {}   # index of the instruction that a unit works on
        begun = Signal.like(self.begun)
        m.d.sync += begun.eq(self.begun)
        for unit in ("load", "weights", "operand"):
            current[unit] = Signal(16, name=f"{unit}_current", init=0xFFFF)
            m.d.sync += current[unit].eq(current[unit] + begun[list(UNITS).index(unit)])
        illegal_opcode = Signal()
        illegal_field = Signal()
        m.d.sync += [
            illegal_opcode.eq(fields["opcode"] > self._last_opcode()),
            illegal_field.eq(Cat(self._illegal(fields)).any()),
        ]
        pending = Signal(len(UNITS))   # units that have not taken the instruction yet
        taken = Signal(len(UNITS))
        for index, unit in enumerate(UNITS):
            offer = getattr(self, f"o_{unit}")
            m.d.comb += [offer.valid.eq(pending[index]), taken[index].eq(offer.ready)]

        settled = (self.retired == issued) & self.units_idle.all()
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.start):
                    m.d.sync += [request.payload.eq(self.program_address), *fetch]
                    m.next = "FETCH"
            with m.State("FETCH"):
                with m.If(response.valid & (to_receive == 1)):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                with m.If(illegal_opcode):
                    m.next = "ILLEGAL"
                with m.Elif(fields["opcode"] == Opcode.END):
                    m.next = "END"
                if self._config.vector_unit:
                    with m.Elif(self._runs_alone(fields["opcode"])):
                        m.next = "SETTLE"
                with m.Elif(illegal_field):
                    m.next = "ILLEGAL"
                with m.Else():
                    m.d.sync += pending.eq(~0)
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.sync += pending.eq(pending & ~taken)
                with m.If(~(pending & ~taken).any()):
                    m.d.sync += [issued.eq(issued + 1), *fetch]
                    m.next = "FETCH"
            with m.State("END"):
                with m.If(settled):
                    m.d.sync += self.done.eq(1)
                    m.next = "DONE"
            with m.State("DONE"):
                pass
            with m.State("ILLEGAL"):
                with m.If(~self.error):
                    m.d.sync += [
                        self.error.eq(1),
                        self.error_code.eq(Mux(illegal_opcode, ErrorCode.ILLEGAL_OPCODE,
                                               ErrorCode.ILLEGAL_FIELD)),
                        self.error_instruction.eq(issued),
                    ]

            if self._config.vector_unit:
                self._vector_states(m, fields, settled, issued, current, fetch)

        culprit = {"commands": issued, "operand": current["operand"],
                   "activations": current["load"], "weights": current["weights"]}
        with m.If(~self.error & self.address_error):
            m.d.sync += [self.error.eq(1), self.error_code.eq(ErrorCode.ADDRESS),
                         self.error_instruction.eq(self.retired)]
            with m.Switch(self.address_client):
                for client, name in enumerate(READERS):
                    with m.Case(client):
                        m.d.sync += self.error_instruction.eq(culprit[name])
        with m.Elif(~self.error & self.bad_format):
            m.d.sync += [self.error.eq(1), self.error_code.eq(ErrorCode.BAD_FORMAT),
                         self.error_instruction.eq(current["weights"])]
        return m

    def _last_opcode(self):
        """The highest one that the config has."""
        if self._config.cell_unit:
            return Opcode.CELL
        return Opcode.VECTOR if self._config.vector_unit else Opcode.LAYER

    def _runs_alone(self, opcode):
        """Whether it is a VECTOR or a CELL."""
        alone = opcode == Opcode.VECTOR
        return alone | (opcode == Opcode.CELL) if self._config.cell_unit else alone

    def _vector_states(self, m, fields, settled, issued, current, fetch):
        """VECTOR, CELL: wait until nothing else runs, run the unit, retire."""
        command = self.o_vector.payload
        aligned, whole = exact_log2(self._config.read_bytes), exact_log2(VECTOR_BYTES)
        address, size, entry = (
            fields[name] for name in ("parameter_address", "parameter_bytes", "block_words"))
        illegal = Signal()   # of what follows from flip-flops at least two cycles old
        wrong = (address[:aligned].any() | size[:max(aligned, whole)].any()
                 | ((size >> whole) + entry > STORE_INSTRUCTIONS) | (entry >= STORE_INSTRUCTIONS))
        if self._config.cell_unit:
            m.d.comb += self.vector_cell.eq(fields["opcode"] == Opcode.CELL)
            wrong = Mux(self.vector_cell,
                        address[:aligned].any() | (size != DESCRIPTOR_BYTES), wrong)
        m.d.sync += illegal.eq(wrong)
        m.d.comb += [
            command.address.eq(address), command.count.eq(size[whole:]), command.entry.eq(entry),
            self.vector_tag.eq(fields["tag"]),
        ]
        with m.State("SETTLE"):
            with m.If(illegal):
                m.next = "ILLEGAL"
            with m.Elif(settled):
                m.d.sync += [self.vector_active.eq(1), *(index.eq(issued)
                                                         for index in current.values())]
                m.next = "GIVE"
        with m.State("GIVE"):
            m.d.comb += self.o_vector.valid.eq(1)
            with m.If(self.o_vector.ready):
                m.next = "VECTOR"
        with m.State("VECTOR"):
            with m.If(self.vector_idle):
                m.d.sync += self.vector_active.eq(0)
                with m.If(self.vector_error):
                    m.d.sync += [self.error.eq(1), self.error_code.eq(ErrorCode.VECTOR),
                                 self.error_instruction.eq(issued)]
                    m.next = "DONE"
                with m.Else():
                    m.d.sync += [issued.eq(issued + 1), *fetch]
                    m.d.comb += self.vector_retire.eq(1)
                    m.next = "FETCH"

    def _illegal(self, fields):
        """Conditions under which a LAYER instruction is refused."""
        config = self._config
        for field in FIELDS.values():
            if field.name != "opcode":
                # What is a width at most is said below, more narrowly.
                yield from _outside_range(field, fields[field.name],
                                          high=field.name not in ("block_width", "last_width"))
        mode, width = fields["mode"], fields["block_width"]
        yield width > config.out_lanes
        if config.depthwise_lanes < config.out_lanes:
            yield (mode != Mode.DENSE) & (width > config.depthwise_lanes)
        if not config.depthwise:
            yield mode == Mode.COLUMN
        elif config.column_lanes < config.depthwise_lanes:
            yield (mode == Mode.COLUMN) & (width > config.column_lanes)
        yield fields["last_width"] > width
        yield fields["line_pitch"][:exact_log2(config.lane_bytes)].any()
        for name in ALIGNED:
            yield fields[name][:exact_log2(config.read_bytes)].any()
        if config.patch_bytes:
            patch_steps = config.patch_bytes // config.dot_width // 2
            yield fields["patch"] & ((mode != Mode.DENSE) | (fields["steps"] > patch_steps))
        else:
            yield fields["patch"]
        if not config.elementwise:
            yield fields["add"] | fields["table"]
        yield fields["add"] & fields["table"]
        yield fields["multiply"] & (~fields["add"] if config.elementwise_multiply else 1)
        if not config.max_pool:
            yield mode == Mode.MAX_POOL


def _outside_range(field: Field, value, high: bool):
    """Comparators for the limits that are narrower than the field's width."""
    smallest = -(1 << field.width - 1) if field.signed else 0
    largest = smallest + (1 << field.width) - 1
    if field.low == 1 and not field.signed:
        yield value == 0
    elif field.low == 0 and field.signed:
        yield value[-1]
    elif field.low > smallest:
        yield value < field.low
    if high and field.high < largest:
        yield value > field.high
