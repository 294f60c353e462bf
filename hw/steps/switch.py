"""Hands the array's instructions to the controllers of their modes, and holds what these share."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import (
    line_lane_bits,
    line_position_bits,
    ring_use_layout,
    step_layout,
    unit_layout,
)
from kaniwa.hw.signatures import line_level, line_reader, ring_reader, step_events
from kaniwa.hw.steps.column_controller import ColumnController
from kaniwa.hw.steps.dense_controller import DenseController
from kaniwa.hw.steps.patch_controller import PatchController
from kaniwa.hw.steps.setup import ArraySetup
from kaniwa.hw.steps.step_list import StepList
from kaniwa.hw.weights.items import list_words

__all__ = ["ArraySwitch"]

RING_DELAY = 2   # from step to ring read: the word then meets its bytes in the window

# Outputs of a controller that go on as they are, those of its ``issuing`` first.
ISSUING = ("issue", "take_slot", "stall_load", "stall_weights", "stall_result", "pending")
SIGNALS = ("step", "ring", "line_read", "line_position", "free", "free_lane")


class ArraySwitch(Component):
    """Runs the instructions of the array in order, each on the controller of its mode.

    4 idle cycles between instructions, of one controller or of two, if the next one is set up by
    then; that takes ``ArraySetup`` some cycles from when the one before was accepted.

    A step leaves as ``o_step`` and, in the same cycle, as a read of ``line``, if it has bytes; its
    ring word is read 2 cycles later, and given back with the last read of it. ``level.freed`` moves
    in the cycle after the step that allows it. ``slot_taken`` takes a result slot,
    ``slot_returned`` gives it back; ``result_slots`` are free at reset. The last step of two blocks
    takes a second one in the cycle behind it, in which no other step takes any.

    ``level.loaded``, ``ring.written`` and ``slot_returned`` are seen one cycle after they come. In
    the order of these causes one of ``events`` is 1 in a cycle, none if there is no step;
    ``events.issued`` is in the cycle of the step.

    With ``step_entries``, ``i_list`` brings the lists of the instructions with ``listed``, each of
    which waits for the first step of its own.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "i_instruction": In(stream.Signature(unit_layout("array", config))),
            **({"i_list": In(list_words())} if config.step_entries else {}),
            "level": Out(line_level(config)),
            "line": Out(line_reader(config)),
            "ring": Out(ring_reader(config.ring_words)),
            "slot_taken": Out(1),
            "slot_returned": In(1),
            "o_step": Out(stream.Signature(step_layout(config), always_ready=True)),
            "events": Out(step_events()),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        config = self._config
        new = self.i_instruction.payload
        m.submodules.array = controller = DenseController(config)
        controllers = [controller]
        kind = Const(0, 2)   # index of the controller of the instruction offered
        if config.depthwise:
            m.submodules.column = controller = ColumnController(config)
            kind = Mux(new.mode == Mode.COLUMN, len(controllers), kind)
            controllers.append(controller)
            if config.column_window[0] > 1:
                m.d.sync += [
                    self.line.column_enable.eq(controller.column_read),
                    self.line.column_positions.eq(controller.column_positions),
                ]
        if config.patch_bytes:
            m.submodules.patch = controller = PatchController(config)
            kind = Mux(new.patch, len(controllers), kind)
            controllers.append(controller)

        current = Signal(2)   # controller of the instruction accepted last
        owner = Signal(2)     # controller whose turn it is
        leaving = Signal()
        ring_base = Signal(range(2 * config.ring_words))

        # What comes out of the controller whose turn it is.
        outputs = [{**{name: getattr(controller.issuing, name) for name in ISSUING},
                    **{name: getattr(controller, name) for name in SIGNALS}}
                   for controller in controllers]
        chosen = {name: Signal.like(signal, name=f"chosen_{name}")
                  for name, signal in outputs[0].items()}
        with m.Switch(owner):
            for index, signals in enumerate(outputs):
                with m.Case(index):
                    m.d.comb += [chosen[name].eq(signal) for name, signal in signals.items()]
        turns = Signal(len(controllers), init=1)   # decoded ``owner``
        m.d.comb += [controller.issuing.turn.eq(turn)
                     for controller, turn in zip(controllers, turns, strict=True)]
        # Only the controller of the instruction accepted last has one that may leave.
        m.d.comb += leaving.eq(Cat(controller.leaving for controller in controllers).any())
        for controller in controllers:
            with m.If(controller.leaving):
                m.d.sync += ring_base.eq(controller.ring_end)
        with m.If(~chosen["pending"]):
            m.d.sync += [owner.eq(current), turns.eq(1 << current)]
        self._accept(m, controllers, kind, current, chosen["pending"], leaving)

        slot_ok, taking = self._slots(m, chosen, controllers[0])
        for controller in controllers:
            m.d.comb += [
                controller.ring_base.eq(ring_base),
                controller.loaded.eq(self.level.loaded),
                controller.ring_written.eq(self.ring.written),
                controller.issuing.slot_ok.eq(slot_ok),
            ]
        self._outputs(m, chosen, taking)
        return m

    def _accept(self, m, controllers, kind, current, pending, leaving):
        """Instructions one by one; each is set up while the one before runs."""
        config = self._config
        m.submodules.setup = setup = ArraySetup(config)
        fields = Signal(unit_layout("array", config), reset_less=True)
        starts = Signal(len(controllers))   # the one whose instruction was accepted a cycle ago
        busy = Signal()    # its controller still looks at the fields
        accepted = Signal()
        same = Signal(init=1)   # it is that one's turn
        may_start = setup.done
        if config.step_entries:
            may_start = setup.done & self._list_is_there(m, controllers[0])
        m.d.comb += [
            setup.valid.eq(self.i_instruction.valid),
            setup.instruction.eq(self.i_instruction.payload),
            setup.taken.eq(accepted),
            # One controller at a time may be behind the one whose turn it is. Only flip-flops
            # decide, for what is accepted goes to hundreds of registers.
            accepted.eq(may_start & ~busy & same),
            self.i_instruction.ready.eq(accepted),
        ]
        m.d.sync += [
            starts.eq(Mux(accepted, 1 << kind, 0)),
            same.eq(Mux(accepted, kind == current, same | ~pending)),
        ]
        with m.If(accepted):
            m.d.sync += [busy.eq(1), fields.eq(self.i_instruction.payload), current.eq(kind)]
        with m.Elif(leaving):
            m.d.sync += busy.eq(0)
        if config.pool_blocks > 1:
            self._pairs(m, accepted, fields, controllers[0])

        line_base = Signal(line_position_bits(config) - line_lane_bits(config))
        with m.If(starts.any()):
            m.d.sync += line_base.eq(line_base + setup.products.input_lanes)
        for controller, start in zip(controllers, starts, strict=True):
            m.d.comb += [
                controller.start.eq(start),
                controller.fields.eq(fields),
                controller.products.eq(setup.products),
                controller.line_base.eq(line_base),
            ]
        waiting = Cat(controller.issuing.pending for controller in controllers).any()
        m.d.comb += self.idle.eq(~(busy | waiting | self.o_step.valid))

    def _list_is_there(self, m, dense):
        """Whether the instruction offered has no list, or its first step is there."""
        m.submodules.step_list = step_list = StepList(self._config)
        connect(m, flipped(self.i_list), step_list.i)
        connect(m, step_list.o, dense.listed)
        leaving, is_there = dense.leaving & dense.fields.listed, Signal()
        m.d.comb += step_list.leave.eq(leaving)
        m.d.sync += is_there.eq(~self.i_instruction.payload.listed
                                | (step_list.o.valid & ~leaving))
        return is_there

    def _pairs(self, m, accepted, fields, dense):
        """Blocks two by two, where MAX_POOL has blocks of all lanes: ``fields`` of such a pair.

        An instruction is offered for more than a cycle before it is accepted. So flip-flops have
        looked at it by then, and what is accepted has no gates before it.
        """
        new, lanes = self.i_instruction.payload, self._config.depthwise_lanes
        paired, pairs, odd = (Signal(reset_less=True, name=name)
                              for name in ("paired", "pairs", "odd"))
        rounds = Signal.like(new.blocks, reset_less=True)
        m.d.sync += [
            paired.eq((new.mode == Mode.MAX_POOL) & (new.block_width == lanes)),
            rounds.eq((new.blocks + 1) >> 1),
        ]
        with m.If(accepted):
            m.d.sync += [pairs.eq(paired), odd.eq(new.blocks[0])]
            with m.If(paired):
                m.d.sync += [fields.blocks.eq(rounds), fields.block_width.eq(2 * lanes)]
        m.d.comb += [dense.pairs.eq(pairs), dense.odd.eq(odd)]

    def _slots(self, m, chosen, dense):
        """Free result slots; returns whether there is one for a step in this cycle, and whether
        one is taken."""
        slots = Signal(range(self._config.result_slots + 1), init=self._config.result_slots)
        slot_ok = Signal(init=1)
        taking = chosen["take_slot"]
        if self._config.pool_blocks > 1:
            both = taking & chosen["step"].pair
            second = Signal()    # a pair's second slot is taken
            taking = taking | second
        m.d.sync += slot_ok.eq(
            self.slot_returned | ((slots != 0) & ~((slots == 1) & taking)))
        with m.If(taking & ~self.slot_returned):
            m.d.sync += slots.eq(slots - 1)
        with m.Elif(self.slot_returned & ~taking):
            m.d.sync += slots.eq(slots + 1)
        if self._config.pool_blocks > 1:
            two_ok = Signal(init=1)
            m.d.sync += [
                second.eq(both),
                two_ok.eq((slots > 2) | ((slots == 2) & (self.slot_returned | ~taking))
                          | ((slots == 1) & self.slot_returned & ~taking)),
            ]
            with m.If(both):    # the next cycle is that of the second slot
                m.d.sync += [slot_ok.eq(0), two_ok.eq(0)]
            m.d.comb += dense.two_slots_ok.eq(two_ok)
        return slot_ok, taking

    def _outputs(self, m, chosen, taking):
        step = Signal.like(self.o_step.payload, reset_less=True)
        line_position = Signal.like(self.line.position, reset_less=True)
        freed = Signal.like(chosen["free_lane"])
        m.d.sync += [
            self.o_step.valid.eq(chosen["issue"]),
            step.eq(chosen["step"]),
            self.line.enable.eq(chosen["line_read"]),
            line_position.eq(chosen["line_position"]),
            self.events.issued.eq(chosen["issue"] & chosen["step"].compute),
            self.slot_taken.eq(taking),
            *(getattr(self.events, name).eq(chosen[name])
              for name in ("stall_load", "stall_weights", "stall_result")),
        ]
        with m.If(chosen["free"]):
            m.d.sync += freed.eq(chosen["free_lane"])
        m.d.comb += [
            self.o_step.payload.eq(step),
            self.line.position.eq(line_position),
            self.level.freed.eq(Cat(Const(0, line_lane_bits(self._config)), freed)),
        ]

        ring = Signal(ring_use_layout(self._config))
        m.d.comb += [
            ring.eq(chosen["ring"]),
            ring.read.eq(chosen["issue"] & chosen["ring"].read),
            ring.release.eq(chosen["issue"] & chosen["ring"].release),
        ]
        for stage in range(1 + RING_DELAY):
            following = Signal(ring.shape(), name=f"ring_{stage}", reset_less=True)
            enables = Signal(2, name=f"ring_enables_{stage}")
            m.d.sync += [following.eq(ring), enables.eq(Cat(ring.read, ring.release))]
            ring = following
        m.d.comb += [
            self.ring.enable.eq(enables[0]), self.ring.index.eq(ring.word),
            self.ring.release.eq(enables[1]), self.ring.release_count.eq(ring.count),
        ]
