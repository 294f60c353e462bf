"""The vector unit's control: instructions one after the other, loops, addresses, lengths."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.units.vector.decode import decode_instruction, decoded_layout, instruction_layout
from kaniwa.hw.units.vector.load import EVERYWHERE
from kaniwa.units.vector.isa import (
    BLOCK_WORDS,
    CONTROL_REGISTERS,
    SCALAR_BLOCK,
    STORE_INSTRUCTIONS,
    Control,
    Opcode,
    Reduce,
    Width,
)

__all__ = ["VectorControl"]


class VectorControl(Component):
    """Runs the instructions that ``fetched`` brings while ``run`` is 1.

    ``take`` and ``jump`` as in ``VectorFetch``. COMPUTE goes to ``VectorIssue`` as soon as that has
    room; LOAD and STORE wait until all results are written, and the next instruction until they are
    done. A control instruction takes five cycles, NEXT and one that jumps six, while groups of the
    one before may still leave. ``finished``: END, with everything written; ``fault``: an illegal
    instruction or length. Each is 1 for a cycle.
    """

    def __init__(self, lanes: int):
        self._lanes = lanes
        super().__init__({
            "run": In(1), "finished": Out(1), "fault": Out(1),
            "fetched": In(64), "fetched_valid": In(1),
            "take": Out(1), "jump": Out(1), "target": Out(range(STORE_INSTRUCTIONS)),
            # Of VectorIssue.
            "slot": In(1), "room": In(1), "quiet": In(1),
            "begin": Out(1), "instruction": Out(instruction_layout()), "count": Out(range(65)),
            "table": Out(1), "fence": Out(1), "last_mask": Out(lanes),
            "show": Out(1), "group": Out(range(BLOCK_WORDS)),
            # Of loads and stores.
            "address": Out(32), "load_kind": Out(3), "load_start": Out(1),
            "load_place": Out(10), "load_busy": In(1),
            "last": Out(range(lanes + 1), init=1),
            "store_start": Out(1), "store_give": Out(1), "store_count": Out(range(lanes + 1)),
            "store_ready": In(1), "store_busy": In(1),
            "capture": Out(1), "narrow": Out(1), "byte": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        fetched = Signal(instruction_layout())
        ready = Signal()
        instruction = self.instruction
        decoded = Signal(decoded_layout(), reset_less=True)
        m.d.comb += fetched.eq(self.fetched)
        found = decode_instruction(m, fetched)

        # The length, and the groups of the instruction.
        groups = Signal(6, init=1)
        last_mask = Signal(lanes, init=1)
        folded = fetched.reduce
        count = Mux((fetched.opcode == Opcode.COMPUTE) & (folded == Reduce.LANES), lanes, Mux(
            found.single & ((fetched.opcode != Opcode.COMPUTE) | (folded == Reduce.NONE)),
            1, groups))
        m.d.sync += [
            ready.eq(self.fetched_valid & self.run & ~self.take & ~self.jump),
            instruction.eq(fetched), decoded.eq(found), self.count.eq(count),
        ]

        registers, value, write_register = self._registers(m, fetched, instruction)
        is_next = instruction.function == Control.NEXT
        is_length = instruction.function == Control.LENGTH
        is_control = instruction.opcode == Opcode.CONTROL
        # What is added to the control register, or to nothing, known as the instruction is.
        step_by = Signal(32, reset_less=True)
        m.d.sync += step_by.eq(fetched.immediate | ((fetched.opcode == Opcode.CONTROL) & (
            fetched.function == Control.NEXT)).replicate(32))
        total = Signal(32, reset_less=True)
        not_zero, bad_length = Signal(reset_less=True), Signal(reset_less=True)
        new_groups, new_last = instruction.immediate[:6], instruction.immediate[8:16]
        m.d.comb += [
            self.table.eq(decoded.table), self.fence.eq(decoded.fence),
            self.last_mask.eq(last_mask),
            self.target.eq(instruction.immediate),
            self.address.eq(value),
            self.load_kind.eq(Mux(instruction.reduce[1], EVERYWHERE, instruction.function)),
            self.load_place.eq(Mux(
                decoded.single, SCALAR_BLOCK * BLOCK_WORDS + instruction.d[:3],
                instruction.d * BLOCK_WORDS)),
            self.store_count.eq(Mux(self.group == (self.count - 1)[:5], self.last, lanes)),
            self.narrow.eq(instruction.function != Width.INT32),
            self.byte.eq(instruction.function == Width.INT8),
        ]
        step = Signal(2)
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.begin.eq(
                    ready & self.slot & (instruction.opcode == Opcode.COMPUTE) & ~decoded.bad
                    & Mux(decoded.alone, self.quiet, self.room))
                with m.If(ready & decoded.bad):
                    m.d.comb += [self.fault.eq(1), self.take.eq(1)]
                with m.Elif(ready & (instruction.opcode == Opcode.COMPUTE)):
                    m.d.comb += self.take.eq(self.begin)
                with m.Elif(ready & (~decoded.alone | self.quiet)):
                    m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    total.eq(value + step_by),
                    bad_length.eq((new_groups == 0) | (new_groups > BLOCK_WORDS)
                                  | (new_last == 0) | (new_last > lanes)),
                    self.group.eq(0), step.eq(0),
                ]
                m.d.comb += [
                    self.load_start.eq(instruction.opcode == Opcode.LOAD),
                    self.store_start.eq(instruction.opcode == Opcode.STORE),
                ]
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += not_zero.eq(total.any())
                m.d.comb += write_register.eq(
                    ~is_control | ((instruction.function != Control.END) & ~is_length))
                m.next = "WAIT"
                with m.If(instruction.opcode == Opcode.LOAD):
                    m.next = "LOAD"
                with m.Elif(instruction.opcode == Opcode.STORE):
                    m.next = "READ"
                with m.Elif(is_next):
                    m.next = "NEXT"
                with m.Else():
                    m.d.comb += [self.take.eq(1),
                                 self.finished.eq(instruction.function == Control.END),
                                 self.fault.eq(is_length & bad_length)]
                    with m.If(is_length):
                        m.d.sync += [groups.eq(new_groups), self.last.eq(new_last)]
                        m.d.sync += [last_mask[n].eq(n < new_last) for n in range(lanes)]
            with m.State("NEXT"):
                m.d.comb += [self.jump.eq(not_zero), self.take.eq(1)]
                m.next = "WAIT"
            with m.State("LOAD"):
                with m.If(~self.load_busy):
                    m.d.comb += self.take.eq(1)
                    m.next = "WAIT"
            # A group is addressed, read, and taken: three slots.
            with m.State("READ"):
                m.d.comb += self.show.eq(1)
                with m.If(self.slot):
                    with m.If(step != 2):
                        m.d.sync += step.eq(step + 1)
                    with m.Elif(self.store_ready):
                        m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [self.capture.eq(1), self.store_give.eq(1)]
                m.d.sync += [self.group.eq(self.group + 1), step.eq(0)]
                m.next = "READ"
                with m.If(self.group == (self.count - 1)[:5]):
                    m.next = "STORE"
            with m.State("STORE"):
                with m.If(~self.store_busy):
                    m.d.comb += self.take.eq(1)
                    m.next = "WAIT"
        m.d.comb += [registers.addr.eq(instruction.b), registers.data.eq(total),
                     registers.en.eq(write_register)]
        return m

    def _registers(self, m, fetched, instruction):
        """Write port of the control registers; the one that an instruction names, for SET 0."""
        m.submodules.registers = registers = Memory(shape=unsigned(32), depth=CONTROL_REGISTERS,
                                                    init=[])
        read = registers.read_port(domain="comb")
        value = Signal(32, reset_less=True)
        m.d.comb += read.addr.eq(fetched.b)
        is_set = (fetched.opcode == Opcode.CONTROL) & (fetched.function == Control.SET)
        m.d.sync += value.eq(read.data & (~is_set).replicate(32))
        return registers.write_port(), value, Signal(name="write_register")
