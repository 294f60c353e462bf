"""What DDR3 chips need between power-up and the first access, and the calibration of reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import *
from amaranth.lib.wiring import Component, Out

from kaniwa.errors import ConfigError
from kaniwa.hw.ddr3.lane_choice import CHANGES, LaneChoice
from kaniwa.hw.ddr3.signatures import BEATS, PHASES, Command, Control, Ddr3Shape, start_signature

__all__ = ["ON", "TRIALS", "Ddr3Start", "StartStep", "trial_steps"]

TRIALS = 8               # bursts for each setting
# Cycles of a change of settings that are left as each part of it begins. A lane is held while its
# settings change. Then all are held, so that their strobes go on together.
HELD, CHANGED, FREE, ALL_HELD = 16, 12, 8, 4
ON = Control.CKE | Control.ODT | Control.RESET_N
NOISE_BITS, NOISE_TAPS = 32, 0xA3000000    # x^32 + x^30 + x^26 + x^25 + 1, of the largest period
ROTATION = 5             # of the noise, from a word of a burst to the next
READ = 2                 # of the steps of a trial


@dataclass(frozen=True)
class StartStep:
    """Levels ``control``, a ``command`` with ``bank`` and ``address``, or 0 for none, and at least
    so many ``cycles`` to the next step. ``phase``: the clock of the cycle that it is in."""

    control: Control
    command: Command
    bank: int
    address: int
    cycles: int
    phase: int = 0


def trial_steps(settle: int, refresh: int, read_phase: int,
                write_phase: int) -> tuple[StartStep, ...]:
    """Those of a burst that is written and read back, of ``settle`` cycles each, and a refresh."""
    commands = ((Command.of_row(), settle, 0), (Command.of_write(), settle, write_phase),
                (Command.of_read(), settle, read_phase), (Command.of_precharge(), settle, 0),
                (Command.of_refresh(), refresh, 0))
    return tuple(StartStep(ON, command, 0, 0, cycles, phase) for command, cycles, phase in commands)


class Ddr3Start(Component):
    """Does ``steps``, finds the settings of each lane, and gives the chips to the controller.

    A lane is tried in each setting of ``LaneChoice`` with TRIALS bursts of noise, which are written
    and read back. It gets the choice, and in the end all lanes are tried once more. Each trial has
    a refresh. Then ``done`` is 1; or ``failed`` where a lane has no setting, or the last trials are
    wrong, and the chips are held in reset. Both are flip-flops, and stay.

    ``settle``: cycles of a command of a trial, in which the words of a read come; ``refresh``: of a
    refresh. ``read_phase`` and ``write_phase``: clocks of a cycle in which the PHY takes these
    commands. Raises ConfigError for other phases than there are.
    """

    def __init__(self, shape: Ddr3Shape, steps: Sequence[StartStep], *, settle: int, refresh: int,
                 read_phase: int, write_phase: int):
        for name, phase in (("read_phase", read_phase), ("write_phase", write_phase)):
            if not 0 <= phase < PHASES:
                raise ConfigError(f"{name} must be 0..{PHASES - 1}, not {phase}")
        self._shape = shape
        self._first = len(steps)
        self._steps = (*steps, *trial_steps(settle, refresh, read_phase, write_phase))
        super().__init__({"pins": Out(start_signature(shape)), "done": Out(1), "failed": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.choice = choice = LaneChoice()
        pins, first, last = self.pins, self._first, len(self._steps) - 1
        index = Signal(range(last + 1))
        wait = Signal(range(max(HELD, *(step.cycles for step in self._steps)) + 1))
        trial = Signal(range(TRIALS))
        lane = Signal(self._shape.lanes, init=1)    # the one that is calibrated, or all
        all_lanes, is_wrong = Signal(), Signal()
        issue, cycles = self._give_step(m, index)
        differs = self._compare(m)
        changes = [getattr(pins, name) for name in CHANGES]

        m.d.comb += choice.good.eq(~is_wrong)
        m.d.sync += [pins.issue.eq(0), pins.burst_clear.eq(0), wait.eq(wait - (wait != 0)),
                     Cat(changes).eq(0)]
        with m.FSM():
            with m.State("ISSUE"):
                m.d.sync += [pins.issue.eq(issue), pins.burst_clear.eq(index == first + READ),
                             wait.eq(cycles)]
                m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(wait == 0):
                    m.d.sync += index.eq(index + 1)
                    m.next = "ISSUE"
                    with m.If(index == first - 1):
                        m.next = "LANE"
                    with m.If((index == first + READ) & (differs & lane).any()):
                        m.d.sync += is_wrong.eq(1)
                    with m.If(index == last):
                        m.d.sync += [index.eq(first), trial.eq(trial + 1)]
                        with m.If(trial == TRIALS - 1):
                            m.next = "JUDGE"
            with m.State("LANE"):
                m.d.comb += choice.begin.eq(1)
                m.next = "ADJUST"
            with m.State("JUDGE"):
                m.d.sync += is_wrong.eq(0)
                m.d.comb += choice.tried.eq(~all_lanes)
                m.next = "ADJUST"
                with m.If(all_lanes):
                    m.d.sync += [self.done.eq(~is_wrong), self.failed.eq(is_wrong)]
                    m.next = "END"
            with m.State("ADJUST"):
                m.d.sync += [pins.lane.eq(lane), wait.eq(HELD)]
                m.next = "CHANGE"
            with m.State("CHANGE"):
                with m.If(wait == CHANGED):
                    m.d.sync += Cat(changes).eq(choice.change)
                with m.If(wait == FREE):
                    m.d.sync += pins.lane.eq(0)
                with m.If(wait == ALL_HELD):
                    m.d.sync += pins.lane.eq(~0)
                with m.If(wait == 0):
                    m.d.sync += pins.lane.eq(0)
                    m.next = "ISSUE"
                    with m.If(choice.scanned):
                        m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.next = "ADJUST"
                with m.If(choice.none):
                    m.d.sync += self.failed.eq(1)
                    m.next = "END"
                with m.Elif(~choice.settled):
                    m.d.comb += choice.apply.eq(1)
                with m.Elif(lane[-1]):
                    m.d.sync += [all_lanes.eq(1), lane.eq(~0)]
                    m.next = "ISSUE"
                with m.Else():
                    m.d.sync += lane.eq(lane << 1)
                    m.next = "LANE"
            with m.State("END"):
                m.d.sync += pins.control.eq(Mux(self.done, Control.HARDWARE, Control(0)))
        return m

    def _give_step(self, m, index):
        """Levels and fields of a step's command; clocks in which it is issued, and cycles."""
        pins = self.pins
        issue, cycles = Signal(PHASES), Signal(range(max(step.cycles for step in self._steps) + 1))
        with m.Switch(index):
            for number, step in enumerate(self._steps):
                with m.Case(number):
                    m.d.sync += [pins.command.eq(step.command), pins.bank.eq(step.bank),
                                 pins.address.eq(step.address), pins.control.eq(step.control)]
                    m.d.comb += [issue.eq(1 << step.phase if step.command else 0),
                                 cycles.eq(step.cycles)]
        return issue, cycles

    def _compare(self, m):
        """By lane, whether the burst that was read is not the one that was written.

        It is new with each trial. Its words are the noise rotated: one that is late differs.
        """
        pins, lanes = self.pins, self._shape.lanes
        noise = Signal(NOISE_BITS, init=1)
        with m.If(pins.issue.any() & (pins.command == Command.of_row())):
            m.d.sync += noise.eq((noise >> 1) ^ Mux(noise[0], NOISE_TAPS, 0))
        m.d.comb += pins.written.eq(Cat(noise.rotate_left(ROTATION * beat)[:8 * lanes]
                                        for beat in range(BEATS)))
        differs = Signal(lanes)
        for lane in range(lanes):
            places = [lanes * beat + lane for beat in range(BEATS)]
            m.d.sync += differs[lane].eq(
                Cat(pins.read.word_select(at, 8) != pins.written.word_select(at, 8)
                    for at in places).any() | ~pins.burst_seen[lane])
        return differs
