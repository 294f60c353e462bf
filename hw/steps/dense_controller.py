"""Issues the steps of DENSE, DEPTHWISE and MAX_POOL: loops, stalls, what is given back when."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, connect, flipped
from amaranth.utils import exact_log2

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.enums import Mode
from kaniwa.hw.interfaces import line_position_bits
from kaniwa.hw.steps.dense_walker import DenseWalker, dense_step_layout
from kaniwa.hw.steps.issuer import StepIssuer
from kaniwa.hw.steps.row_release import RowRelease
from kaniwa.hw.steps.signatures import array_controller_signature, pool_pairs
from kaniwa.hw.steps.step_list import listed_port
from kaniwa.hw.steps.window_reach import WindowReach

__all__ = ["DenseController"]


class DenseController(Component):
    """Walks the loops of an instruction and issues a step a cycle unless something is missing.

    No idle cycle between steps, blocks, pixels and rows. A step waits for ``loaded`` to pass the
    end of its pixel's window in its own row, for its ring word to be among the ``ring_written``,
    and the last one of a block for a free result slot. Each is seen one cycle after it comes. A
    step reads the line buffer if its row is valid. Ports: ``array_controller_signature`` and
    ``pool_pairs``. The last step of two blocks waits for two slots: for ``two_slots_ok`` in place
    of ``slot_ok``. An instruction with ``listed`` starts when its first ``listed`` step is there;
    the walker waits for each further one.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            **array_controller_signature(config).members,
            **pool_pairs(config),
            **({"two_slots_ok": In(1)} if config.pool_blocks > 1 else {}),
            **listed_port(config),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = DenseWalker(self._config)
        m.submodules.issuer = issuer = StepIssuer(self._waiting_layout())
        walking = Signal()    # the walker is at a step
        goes = walking        # and the one behind it is known
        if self._config.step_entries:
            connect(m, flipped(self.listed), walker.listed)
            goes = walking & (~self.fields.listed | self.listed.valid
                              | walker.step.instruction_end)
        m.d.comb += [
            walker.start.eq(self.start),
            walker.advance.eq(goes & issuer.i.ready),
            walker.fields.eq(self.fields),
            walker.products.eq(self.products),
            walker.line_base.eq(self.line_base),
            walker.ring_base.eq(self.ring_base),
        ]
        if self._config.pool_blocks > 1:
            m.d.comb += [walker.pairs.eq(self.pairs), walker.odd.eq(self.odd)]
        with m.If(self.start):
            m.d.sync += walking.eq(1)
        with m.Elif(walker.advance):
            m.d.sync += walking.eq(~walker.step.instruction_end)
        self._locate(m, walker, goes, issuer)
        self._look_up(m, issuer)
        self._issue(m, issuer)
        self._release(m, issuer)
        return m

    def _waiting_layout(self) -> data.StructLayout:
        """A step that waits, with all that the array needs of its instruction."""
        config = self._config
        position = line_position_bits(config)
        return data.StructLayout({
            "step": dense_step_layout(config), "needed": position, "needs_load": 1,
            "line_position": position, "mode": Mode, "weights_stream": 1, "pad_value": signed(8),
            "weight_zero_point": signed(8), "row_bytes": self.step.row_bytes.shape(),
            "held": range(2 * config.ring_words), "line_end": self.line_base.shape(),
        })

    def _locate(self, m, walker, goes, issuer):
        """Stages 1 and 2, from the walker to where a step waits: the bytes that it needs."""
        walked, advance = walker.step, issuer.i.ready
        m.submodules.reach = reach = WindowReach(self._config)
        m.d.comb += [
            reach.advance.eq(advance),
            reach.row_valid.eq(walked.row_valid),
            reach.row_lane.eq(walked.row_lane),
            reach.row_shift.eq(walker.row_shift),
            reach.pixel_offset.eq(walker.pixel_offset),
            reach.window_span.eq(self.fields.window_span),
            reach.ifm_row_bytes.eq(self.fields.ifm_row_bytes),
        ]
        valid_1, step_1 = Signal(), Signal.like(walked, reset_less=True)
        valid_2, step_2 = Signal(), Signal.like(walked, reset_less=True)
        with m.If(advance):
            m.d.sync += [
                valid_1.eq(goes), step_1.eq(walked), valid_2.eq(valid_1), step_2.eq(step_1),
            ]
            if self._config.step_entries:
                m.d.sync += step_2.offset.eq(step_1.offset + (
                    step_1.chunk << exact_log2(self._config.dot_width)))
        m.d.comb += [
            self.leaving.eq(valid_2 & step_2.instruction_end & advance),
            self.ring_end.eq(walked.word),
        ]
        arriving, fields = issuer.i.payload, self.fields
        m.d.comb += [
            issuer.i.valid.eq(valid_2),
            arriving.step.eq(step_2),
            arriving.needed.eq(reach.needed),
            arriving.needs_load.eq(reach.needs_load),
            arriving.line_position.eq(reach.row_start + step_2.offset),
            arriving.mode.eq(fields.mode),
            arriving.weights_stream.eq(fields.weights_stream),
            arriving.pad_value.eq(fields.pad_value),
            arriving.weight_zero_point.eq(fields.weight_zero_point),
            arriving.row_bytes.eq(fields.ifm_row_bytes),
            arriving.held.eq(walker.held),
            arriving.line_end.eq(self.line_base),
        ]

    def _look_up(self, m, issuer):
        """Look up a step's needs: bytes in the line buffer, a ring word, a result slot."""
        def loaded(place):
            return ~place.needs_load | ~(self.loaded - place.needed)[len(place.needed) - 1]

        def written(place):
            # 1 <= ring_written - word <= ring_words, for what was written is not ahead by more.
            word = place.step.word
            return (~(self.ring_written + ~word)[len(word) - 1]
                    | (place.mode == Mode.MAX_POOL))

        m.d.comb += issuer.look_up(loaded, written, issuer.here.step.last)

    def _issue(self, m, issuer):
        """The waiting step, its read, and its use of the weight ring."""
        connect(m, issuer.issuing, flipped(self.issuing))
        here, step_3 = issuer.here, issuer.here.step
        if self._config.pool_blocks > 1:
            m.d.comb += self.step.pair.eq(step_3.pair)
            with m.If(step_3.pair):
                m.d.comb += issuer.issuing.slot_ok.eq(self.two_slots_ok)
        uses_weights = here.mode != Mode.MAX_POOL
        m.d.comb += [
            self.line_read.eq(issuer.issuing.issue & step_3.row_valid),
            self.line_position.eq(here.line_position),
            self.step.mode.eq(here.mode),
            self.step.row_bytes.eq(here.row_bytes),
            self.step.pad_value.eq(here.pad_value),
            self.step.weight_zero_point.eq(here.weight_zero_point),
            *(self.step[name].eq(step_3[name])
              for name in ("row_valid", "offset", "column", "first", "last")),
            self.step.compute.eq(1),
            self.ring.read.eq(uses_weights),
            self.ring.word.eq(step_3.word),
            self.ring.release.eq(uses_weights & Mux(
                here.weights_stream, step_3.word_end, step_3.instruction_end)),
            self.ring.count.eq(Mux(here.weights_stream, 1, here.held)),
        ]

    def _release(self, m, issuer):
        """Input rows that are used up."""
        here, step_3 = issuer.here, issuer.here.step
        m.submodules.release = release = RowRelease(self._config)
        m.d.comb += [
            release.moves.eq(issuer.moves),
            release.first.eq(step_3.row_first),
            release.above.eq(~step_3.row_valid & ~step_3.row_below),
            release.below.eq(step_3.row_below),
            release.row_lane.eq(step_3.row_lane),
            release.line_end.eq(here.line_end),
            release.ended.eq(issuer.issuing.issue & step_3.instruction_end),
            release.turn.eq(self.issuing.turn),
            self.free.eq(release.free),
            self.free_lane.eq(release.free_lane),
        ]
