"""Reads the program, checks each instruction and hands it to the units."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.interfaces import read_port, unit_layout
from kaniwa.hw.memory.system import READERS
from kaniwa.hw.units.register import plugs_of, unit_command_layout
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS, ErrorCode, Field, Mode, Opcode

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

    With units beside the array (``hw/units/register.py``), the instruction of one of them waits as
    END does, and its fields go to ``o_unit`` in the cycle after ``unit_active`` has become 1; that
    stays until ``unit_idle`` is 1 again. With several units ``unit_select`` is the number of the
    one that the instruction is for. Then ``unit_retire`` is 1 for a cycle with the instruction's
    tag, and the next one is fetched.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._plugs = plugs_of(config)
        super().__init__({
            "start": In(1),
            "program_address": In(32),
            "memory": Out(read_port(config)),
            **{f"o_{unit}": Out(stream.Signature(unit_layout(unit, config))) for unit in UNITS},
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
            **(self._unit_ports() if self._plugs else {}),
        })

    def _unit_ports(self):
        return {
            "o_unit": Out(stream.Signature(unit_command_layout(self._config))),
            "unit_idle": In(1),
            "unit_error": In(1),
            "unit_active": Out(1),
            "unit_retire": Out(1),
            "unit_tag": Out(10),
            **({"unit_select": Out(range(len(self._plugs)))} if len(self._plugs) > 1 else {}),
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
            illegal_opcode.eq(self._illegal_opcode(fields["opcode"])),
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
                if self._plugs:
                    with m.Elif(Cat(fields["opcode"] == plug.command.opcode
                                    for plug in self._plugs).any()):
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

            if self._plugs:
                self._unit_states(m, fields, settled, issued, current, fetch)

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

    def _illegal_opcode(self, opcode):
        """One that neither the array nor a unit of the config has."""
        legal = {Opcode.END, Opcode.LAYER, *(plug.command.opcode for plug in self._plugs)}
        illegal = opcode > max(legal)
        for gap in sorted(set(range(max(legal))) - legal):
            illegal |= opcode == gap
        return illegal

    def _unit_states(self, m, fields, settled, issued, current, fetch):
        """Wait until nothing else runs, run the unit, retire."""
        illegal = Signal()   # of what follows from flip-flops at least two cycles old
        wrong, select = self._plugs[0].illegal(self._config, fields), 0
        for number, plug in enumerate(self._plugs[1:], 1):
            mine = fields["opcode"] == plug.command.opcode
            wrong = Mux(mine, plug.illegal(self._config, fields), wrong)
            select = Mux(mine, number, select)
        m.d.sync += illegal.eq(wrong)
        if len(self._plugs) > 1:
            m.d.comb += self.unit_select.eq(select)
        command = self.o_unit.payload
        m.d.comb += [
            *(command[name].eq(fields[name]) for name in command.shape().members),
            self.unit_tag.eq(fields["tag"]),
        ]
        with m.State("SETTLE"):
            with m.If(illegal):
                m.next = "ILLEGAL"
            with m.Elif(settled):
                m.d.sync += [self.unit_active.eq(1), *(index.eq(issued)
                                                       for index in current.values())]
                m.next = "GIVE"
        with m.State("GIVE"):
            m.d.comb += self.o_unit.valid.eq(1)
            with m.If(self.o_unit.ready):
                m.next = "UNIT"
        with m.State("UNIT"):
            with m.If(self.unit_idle):
                m.d.sync += self.unit_active.eq(0)
                with m.If(self.unit_error):
                    m.d.sync += [self.error.eq(1), self.error_code.eq(ErrorCode.VECTOR),
                                 self.error_instruction.eq(issued)]
                    m.next = "DONE"
                with m.Else():
                    m.d.sync += [issued.eq(issued + 1), *fetch]
                    m.d.comb += self.unit_retire.eq(1)
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
        yield width > config.block_lanes
        if config.depthwise_lanes < config.block_lanes:
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
