"""Issues the reads and steps of DENSE with patch: bytes of a kernel packed before they are used."""

from amaranth import *
from amaranth.lib.wiring import Component

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.steps.issuer import StepIssuer
from kaniwa.hw.steps.patch_gather import SHARED, PatchGather
from kaniwa.hw.steps.patch_walker import PatchWalker
from kaniwa.hw.steps.signatures import array_controller_signature

__all__ = ["PatchController"]


class PatchController(Component):
    """Gathers patches into the patch buffer and has the array use them, both at once.

    A step of the array a cycle, unless its word is not gathered, its ring word missing, or the last
    one of a block has no result slot; a read a cycle likewise (``PatchGather``). So a pixel takes
    as many cycles as it has reads or steps, the more of them. A step comes 3 cycles after the read
    that completes its word at the earliest, a read 2 cycles after the step that makes room for it.

    One ``issue`` carries a read, a step or both. A cycle without a step counts as ``stall_load``
    where its bytes are missing and the next read waits for ``loaded``; where they are on their way
    there is no cause. Ports: ``array_controller_signature``.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__(dict(array_controller_signature(config).members))

    def elaborate(self, platform):
        m = Module()
        m.submodules.gather = gather = PatchGather(self._config)
        m.submodules.walker = walker = PatchWalker(self._config)
        for name in SHARED:
            ours, its = getattr(self, name), getattr(gather, name)
            output = name in ("line_read", "line_position", "free", "free_lane")
            m.d.comb += ours.eq(its) if output else its.eq(ours)

        m.submodules.issuer = issuer = StepIssuer(walker.step.shape())
        step, issue = issuer.here, issuer.issuing.issue
        walking = Signal()
        m.d.comb += [
            walker.start.eq(self.start),
            walker.fields.eq(self.fields),
            walker.ring_base.eq(self.ring_base),
            # The last step is held back until the reads need the fields no more.
            walker.advance.eq(walking & issuer.i.ready
                              & ~(walker.step.instruction_end & gather.active)),
            issuer.i.valid.eq(walker.advance),
            issuer.i.payload.eq(walker.step),
            self.leaving.eq(walker.advance & walker.step.instruction_end),
            self.ring_end.eq(walker.ring_end),
        ]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(self.leaving):
            m.d.sync += walking.eq(0)

        # One cycle more, and the bytes of a complete word are in the patch buffer in time.
        complete = Signal.like(gather.complete)
        m.d.sync += complete.eq(gather.complete)

        def passed(count, word):
            # 1 <= count - word <= size, for what was written is not ahead by more.
            return ~(count + ~word)[len(word) - 1]

        m.d.comb += issuer.look_up(
            lambda place: passed(complete, place.patch_word),
            lambda place: passed(self.ring_written, place.word), step.last)
        used_word = Signal.like(gather.used_word, init=~0)
        with m.If(issue & step.uses_up):
            m.d.sync += used_word.eq(step.patch_word)
        own, side = issuer.issuing, self.issuing
        m.d.comb += [
            gather.used_word.eq(used_word),
            gather.turn.eq(side.turn),
            own.turn.eq(side.turn),
            own.slot_ok.eq(side.slot_ok),
            *(getattr(side, name).eq(getattr(own, name))
              for name in ("pending", "take_slot", "stall_weights", "stall_result")),
            side.issue.eq(gather.issue | issue),
            side.stall_load.eq(gather.lacks_load & ~(own.pending & issuer.data_ok)),
            self.ring.read.eq(issue),
            self.ring.word.eq(step.word),
            self.ring.release.eq(issue & step.release),
            self.ring.count.eq(step.count),
            self.step.mode.eq(Mode.DENSE),
            self.step.row_valid.eq(gather.read.row_valid),
            self.step.offset.eq(gather.read.offset),
            self.step.row_bytes.eq(self.fields.ifm_row_bytes),
            self.step.pad_value.eq(self.fields.pad_value),
            self.step.gather.eq(gather.issue),
            self.step.gather_position.eq(gather.read.position),
            self.step.gather_last.eq(gather.read.last),
            self.step.compute.eq(issue),
            self.step.patch.eq(1),
            self.step.patch_word.eq(step.patch_word),
            self.step.weight_zero_point.eq(step.weight_zero_point),
            self.step.first.eq(step.first),
            self.step.last.eq(step.last),
        ]
        return m
