"""Sends the groups of an instruction through the lanes of the vector unit, one every two cycles."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from kaniwa.hw.units.vector.decode import (
    compares,
    decoded_layout,
    instruction_layout,
    is_scalar,
)
from kaniwa.hw.units.vector.lane import (
    LIMB,
    TAP,
    combine_layout,
    operand_layout,
    product_layout,
    write_layout,
)
from kaniwa.units.vector.isa import (
    BLOCK_WORDS,
    SCALAR_BLOCK,
    TAPS,
    WORDS,
    Addend,
    Factor,
    Function,
    Shift,
)

__all__ = ["VectorIssue", "GAP"]

# Slots of two cycles from the read of a group until its results may be read.
GAP = 7


class VectorIssue(Component):
    """Takes an instruction with ``begin``, in a cycle with ``slot`` = 1, while ``room`` is 1.

    ``count`` groups of it, its ``decoded`` form and the lanes that count in the last group
    (``last_mask``) come along. A group leaves each slot of two cycles; ``begin`` in the slot of the
    last group lets the next instruction follow at once, though not behind a table's last group, but
    for another table's; nor one that takes A behind a table that needs what is held. ``room``: the
    groups of the one before have left, and the first ones of the last that writes registers are
    written when they are read; with ``conflict``, all are. ``quiet``: everything is written.
    ``pause`` (of a store): no other group leaves in this slot; ``store_next``: one does, beside the
    first. ``store_group`` holds for two cycles as the result of a store's group is there,
    ``write``'s cycles.

    A lane's stages are those of ``VectorLane``: what chooses in a stage is kept here for all.
    """

    def __init__(self, lanes: int):
        self._lanes = lanes
        super().__init__({
            "slot": Out(1),
            "begin": In(1), "instruction": In(instruction_layout()), "count": In(range(65)),
            "decoded": In(decoded_layout()), "conflict": In(1), "last_mask": In(lanes),
            "room": Out(1), "quiet": Out(1),
            "pause": In(1), "store_next": Out(1), "store_group": Out(1),
            "take": Out(1), "pick": Out(1), "lookup_offset": Out(1),
            "address": Out(range(WORDS)), "lookup": Out(1), "lookup_wide": Out(1),
            "lookup_block": Out(2),
            "operand": Out(operand_layout()), "product": Out(product_layout()),
            "combine": Out(combine_layout()), "write": Out(write_layout(lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        phase = Signal()
        m.d.sync += phase.eq(~phase)
        m.d.comb += self.slot.eq(~phase)

        current = Signal(instruction_layout(), reset_less=True)
        kind = Signal(decoded_layout(), reset_less=True)
        last_mask = Signal(self._lanes, reset_less=True)
        group = Signal(range(64), reset_less=True)
        target = Signal(range(BLOCK_WORDS), reset_less=True)   # the word of what is folded
        left = Signal(range(65))       # groups after this one
        more = Signal()                # of them there are some
        active = Signal()              # a group leaves in this slot
        first = Signal()
        gap, drain = Signal(range(GAP + 1)), Signal(range(GAP + 2))
        gap_over, drained = Signal(init=1), Signal(init=1)   # each is 0
        next_one = more & ~(self.pause & kind.store)
        m.d.comb += [
            self.room.eq(~more & gap_over & (drained | ~self.conflict)
                         & (~(active & kind.table)
                            | (self.decoded.table & (self.decoded.held | ~kind.held)))),
            self.quiet.eq(~active & drained),
            self.store_next.eq(next_one & kind.store & ~phase),
        ]
        instruction, decoded = self.instruction, self.decoded
        with m.If(~phase):
            m.d.sync += [active.eq(self.begin | next_one), first.eq(self.begin)]
            with m.If(self.begin):
                m.d.sync += [
                    current.eq(instruction), kind.eq(decoded),
                    last_mask.eq(self.last_mask), left.eq(self.count - 1),
                    group.eq(Mux(decoded.hold, instruction.immediate[:5], 0)),
                    target.eq(Mux(decoded.constant, 0, instruction.immediate[:5])),
                    more.eq(self.count != 1),
                ]
            with m.Elif(next_one):
                m.d.sync += [group.eq(group + 1), left.eq(left - 1), more.eq(left != 1)]
            # Results of a table come a slot later.
            with m.If(self.begin & decoded.writes):
                m.d.sync += [gap.eq(Mux(decoded.table, GAP, GAP - 1)), gap_over.eq(0)]
            with m.Elif(~gap_over):
                m.d.sync += [gap.eq(gap - 1), gap_over.eq(gap == 1)]
            with m.If(Mux(self.begin, decoded.writes, more & kind.writes)):
                m.d.sync += [drain.eq(Mux(Mux(self.begin, decoded.table, kind.table),
                                          GAP, GAP - 1)),
                             drained.eq(0)]
            with m.Elif(~drained):
                m.d.sync += [drain.eq(drain - 1), drained.eq(drain == 1)]
        # What the multiplier takes, in cycles 3 and 4 of a group.
        takes, picks = Signal(), Signal()
        with m.If(~phase):
            m.d.sync += [takes.eq(active & ~kind.held), self.take.eq(takes),
                         picks.eq(active & kind.hold), self.pick.eq(picks)]

        # Reads: A is addressed from phase 1, B from phase 0.
        across = kind.across
        here = Mux(across, 0, group[:5])
        m.d.comb += self.address.eq(self._word(Mux(phase, current.a, current.b), here))
        self._stages(m, phase, current, kind, active, first, ~more, last_mask, group, target)
        return m

    def _word(self, register, group):
        """The word of a group of a register."""
        scalar = is_scalar(register)
        assert SCALAR_BLOCK == 24
        return Cat(Mux(scalar, register[:3], group), Mux(scalar, 0, register[:3]), register[3:])

    def _stages(self, m, phase, current, kind, active, first, last, last_mask, group, target):
        """Data that accompany a group, a slot in each stage."""
        token = Signal(data.StructLayout({
            "factor": unsigned(3), "addend": unsigned(2), "word": unsigned(1),
            "immediate": unsigned(32), "store": unsigned(1),
            "product": product_layout(),
            "combine": combine_layout(), "write": write_layout(self._lanes),
        }))
        # The function of a store is the width, and what is added.
        function = current.function & (~kind.store).replicate(3)
        compared = compares(function)
        adds = function == Function.ADD
        table, across, folded = kind.table, kind.across, kind.folded
        m.d.comb += [
            token.word.eq(table & kind.held), token.store.eq(active & kind.store),
            token.factor.eq(current.factor), token.addend.eq(current.addend),
            token.immediate.eq(current.immediate),
            token.product.invert.eq(current.negate ^ compared),
            token.product.round.eq(adds),
            token.product.carry.eq(adds & current.negate),
            token.combine.fold.eq(folded & ~first),
            token.combine.across.eq(across),
            token.combine.add.eq(adds),
            token.combine.less.eq(function == Function.LESS),
            token.combine.least.eq(function == Function.MINIMUM),
            token.combine.most.eq(function == Function.MAXIMUM),
            token.combine.zeros.eq(function == Function.LEADING_ZEROS),
            token.combine.other.eq(Cat(function == Function.AND,
                                       function == Function.OR)),
            token.write.valid.eq(active & kind.writes & (last | ~folded)),
            token.write.mask.eq(last_mask | (~(current.tail & last)).replicate(self._lanes)),
            token.write.select.eq(function == Function.SELECT),
            token.write.word.eq(self._word(current.d, Mux(folded, target, group[:5]))),
        ]
        with m.Switch(current.shift):
            for shift in Shift:
                with m.Case(shift):
                    m.d.comb += [
                        token.product.tap.eq(TAP.index(TAPS[shift])),
                        token.product.up.eq(shift.name.startswith("UP")),
                        token.product.away.eq(shift.name.startswith("AWAY")),
                    ]
        # The word of a table is read from the address that A gives, two cycles after B's time.
        looking = Signal()
        wide, block = Signal(reset_less=True), Signal(2, reset_less=True)
        moved = Signal(reset_less=True)
        late = Signal.like(token, reset_less=True)
        stage = Signal.like(token, reset_less=True)
        with m.If(~phase):
            m.d.sync += [
                looking.eq(active & table), late.eq(token),
                stage.eq(Mux(looking, late, token)),
                stage.write.valid.eq(Mux(looking, late.write.valid,
                                         token.write.valid & ~table)),
                wide.eq(current.factor == Factor.TABLE_512), block.eq(current.b[3:]),
                moved.eq(kind.held),
            ]
        m.d.comb += [self.lookup.eq(looking & ~phase), self.lookup_wide.eq(wide),
                     self.lookup_block.eq(block), self.lookup_offset.eq(moved)]
        self._operand(m, phase, stage)
        for name, slots in (("product", 3), ("combine", 5), ("write", 6), ("store", 6)):
            value = stage[name]
            for number in range(slots):
                later = Signal.like(value, name=f"{name}_{number}",
                                    reset_less=name not in ("write", "store"))
                with m.If(~phase):
                    m.d.sync += later.eq(value)
                value = later
            m.d.comb += getattr(self, name if name != "store" else "store_group").eq(value)

    def _operand(self, m, phase, stage):
        """Choice of factor and addend, in the cycles after ``stage``; ``limb`` in turn."""
        operand = self.operand
        factor, immediate = stage.factor, stage.immediate
        # The low limb is used in phase 1, and is here in the cycle before.
        high = Cat(immediate[LIMB:], immediate[-1])
        late_high = Signal(LIMB + 1, reset_less=True)
        constant = factor == Factor.IMMEDIATE
        given = Signal.like(operand.limb, reset_less=True)
        m.d.sync += given.eq(late_high)
        m.d.comb += operand.limb.eq(given)
        with m.If(~phase):
            m.d.sync += [
                given.eq(Mux(constant, immediate[:LIMB], factor == Factor.ONE)),
                late_high.eq(Mux(constant, high, 0)),
                operand.own.eq((factor == Factor.B) | stage.word),
                operand.power.eq((factor == Factor.LEFT) | (factor == Factor.RIGHT)),
                operand.right.eq(factor == Factor.RIGHT),
                operand.addend.eq(stage.addend == Addend.B),
                operand.constant.eq(Mux(stage.addend == Addend.IMMEDIATE, immediate, 0)),
            ]
