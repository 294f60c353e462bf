"""The vector unit's control: instructions one after the other, loops, addresses, lengths."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from kaniwa.hw.units.vector.decode import decode_instruction, decoded_layout, instruction_layout
from kaniwa.hw.units.vector.load import EVERYWHERE, ROWS
from kaniwa.units.vector.isa import (
    BLOCK_WORDS,
    CONTROL_REGISTERS,
    SCALAR_BLOCK,
    STORE_INSTRUCTIONS,
    Control,
    Opcode,
    piece_of,
)

__all__ = ["VectorControl"]


class VectorControl(Component):
    """Runs the instructions that ``fetched`` brings while ``run`` is 1.

    ``take`` and ``jump`` as in ``VectorFetch``. COMPUTE goes to ``VectorIssue`` as soon as that has
    room, and so does STORE, when the store before is done. LOAD waits until all results are written
    and stored, and the next instruction until it is done. A control instruction takes five cycles,
    NEXT and one that jumps six, while groups of the one before may still leave. ``finished``: END,
    with everything written and stored; ``fault``: an illegal instruction or length. Each is 1 for a
    cycle. ``pitch`` and ``back``: between rows, without the bits within a piece;
    they change as LOAD begins.
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
            "decoded": Out(decoded_layout()), "conflict": Out(1), "last_mask": Out(lanes),
            # Of loads and stores.
            "address": Out(32), "pitch": Out(signed(32)), "back": Out(signed(32)),
            "last": Out(range(lanes + 1), init=1),
            "load_kind": Out(3), "load_count": Out(7), "load_start": Out(1),
            "load_place": Out(10), "load_busy": In(1),
            "store_start": Out(1), "store_busy": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        fetched = Signal(instruction_layout())
        ready = Signal()
        instruction = self.instruction
        decoded = self.decoded
        m.d.comb += fetched.eq(self.fetched)
        found = decode_instruction(m, fetched)

        # The length, and the groups of the instruction.
        groups = Signal(6, init=1)
        last_mask = Signal(lanes, init=1)
        low = exact_log2(piece_of(lanes))
        whole = (found.single & ~found.folded).replicate(6)
        count = Mux(found.hold, 1, Mux(found.across, lanes, (groups & ~whole) | (whole & 1)))
        pieces = Cat(C(0, low), (count + (1 << low) - 1)[low:])     # of rows: whole ones
        conflict = self._conflict(m, fetched, found)
        m.d.sync += [
            ready.eq(self.fetched_valid & self.run & ~self.take & ~self.jump),
            instruction.eq(fetched), decoded.eq(found),
            self.count.eq(Mux(found.rows, pieces, count)), self.conflict.eq(conflict),
        ]

        registers, value, write_register = self._registers(m, fetched, instruction)
        is_next = (instruction.opcode == Opcode.CONTROL) & (instruction.function == Control.NEXT)
        is_control = instruction.opcode == Opcode.CONTROL
        is_length = is_control & (instruction.function == Control.LENGTH)
        # What is added to the control register, or to nothing, known as the instruction is.
        step_by = Signal(32, reset_less=True)
        m.d.sync += step_by.eq(
            (fetched.immediate & ~(found.store & found.constant).replicate(32))
            | ((fetched.opcode == Opcode.CONTROL) & (
                fetched.function == Control.NEXT)).replicate(32))
        total = Signal(32, reset_less=True)
        not_zero, bad_length = Signal(reset_less=True), Signal(reset_less=True)
        new_groups, new_last = instruction.immediate[:6], instruction.immediate[8:16]
        m.d.comb += [
            self.last_mask.eq(last_mask),
            self.target.eq(instruction.immediate),
            self.address.eq(value),
            self.load_kind.eq(Mux(decoded.rows, ROWS, Mux(
                instruction.reduce[1], EVERYWHERE, instruction.function))),
            self.load_count.eq(Mux(decoded.rows, self.count >> low, self.count)),
            self.load_place.eq(Mux(
                decoded.single, SCALAR_BLOCK * BLOCK_WORDS + instruction.d[:3],
                instruction.d * BLOCK_WORDS)),
        ]
        computes = (instruction.opcode == Opcode.COMPUTE) | decoded.store
        quiet = self.quiet & ~self.store_busy
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.begin.eq(ready & self.slot & computes & ~decoded.bad & self.room
                                          & ~(decoded.store & self.store_busy))
                with m.If(ready & decoded.bad):
                    m.d.comb += [self.fault.eq(1), self.take.eq(1)]
                with m.Elif(ready & computes):
                    m.d.comb += [self.take.eq(self.begin & ~decoded.store),
                                 self.store_start.eq(self.begin & decoded.store)]
                    with m.If(self.store_start):
                        m.next = "ADD"
                with m.Elif(ready & (~decoded.alone | quiet)):
                    m.next = "ADD"
            with m.State("ADD"):
                m.d.sync += [
                    total.eq(value + step_by),
                    bad_length.eq((new_groups == 0) | (new_groups > BLOCK_WORDS)
                                  | (new_last == 0) | (new_last > lanes)),
                ]
                m.d.comb += self.load_start.eq(instruction.opcode == Opcode.LOAD)
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += not_zero.eq(total.any())
                m.d.comb += write_register.eq(
                    ~is_control | (instruction.function == Control.SET)
                    | (instruction.function == Control.ADD) | is_next)
                m.next = "WAIT"
                with m.If(instruction.opcode == Opcode.LOAD):
                    m.next = "LOAD"
                with m.Elif(is_next):
                    m.next = "NEXT"
                with m.Else():
                    m.d.comb += [
                        self.take.eq(1),
                        self.finished.eq(is_control & (instruction.function == Control.END)),
                        self.fault.eq(is_length & bad_length)]
                    with m.If(is_length):
                        m.d.sync += [groups.eq(new_groups), self.last.eq(new_last)]
                        m.d.sync += [last_mask[n].eq(n < new_last) for n in range(lanes)]
                    for kind, step in ((Control.PITCH, self.pitch), (Control.BACK, self.back)):
                        with m.If(is_control & (instruction.function == kind)):
                            m.d.sync += step.eq(Cat(C(0, low), instruction.immediate[low:]))
            with m.State("NEXT"):
                m.d.comb += [self.jump.eq(not_zero), self.take.eq(1)]
                m.next = "WAIT"
            with m.State("LOAD"):
                with m.If(~self.load_busy):
                    m.d.comb += self.take.eq(1)
                    m.next = "WAIT"
        m.d.comb += [registers.addr.eq(Mux(decoded.store, instruction.d, instruction.b)),
                     registers.data.eq(total), registers.en.eq(write_register)]
        return m

    def _conflict(self, m, fetched, found):
        """True where all results must be written before the instruction reads: it reads what the
        last one that writes folds, its table, or any word (HOLD) of what that makes."""
        d, folded = Signal(5, reset_less=True), Signal(reset_less=True)
        with m.If(self.begin & self.decoded.writes):
            m.d.sync += [d.eq(self.instruction.d), folded.eq(self.decoded.folded)]
        in_table = found.table & Mux(fetched.factor[0], ~d[4], d[3:] == fetched.b[3:])
        return in_table | ((folded | found.hold) & ((d == fetched.a) | (d == fetched.b)))

    def _registers(self, m, fetched, instruction):
        """Write port of the control registers; the one that an instruction names, for SET 0."""
        m.submodules.registers = registers = Memory(shape=unsigned(32), depth=CONTROL_REGISTERS,
                                                    init=[])
        read = registers.read_port(domain="comb")
        value = Signal(32, reset_less=True)
        m.d.comb += read.addr.eq(Mux(fetched.opcode == Opcode.STORE, fetched.d, fetched.b))
        is_set = (fetched.opcode == Opcode.CONTROL) & (fetched.function == Control.SET)
        m.d.sync += value.eq(read.data & (~is_set).replicate(32))
        return registers.write_port(), value, Signal(name="write_register")
