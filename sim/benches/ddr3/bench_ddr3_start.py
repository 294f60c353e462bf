"""Start and calibration of DDR3: the order and the distances of commands, and the choice made.

Chips and PHY are a model: a lane gives right words where its settings are among its ``good`` ones.
"""

from __future__ import annotations

import itertools
from typing import Any

import cocotb

from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start

DELAYS, SLIPS, TRIALS, CHANGE = 8, 4, 8, 18      # the last one in cycles
SETTINGS = tuple(itertools.product(range(SLIPS), range(DELAYS)))
SETTLE, REFRESH, SLACK = 12, 15, 2               # SLACK: cycles of a step beside its own
# Chips side by side: lanes, address pins, phases of reads and writes.
KINDS = {"word": (2, 15, 0, 1), "byte": (1, 13, 1, 0), "wide": (4, 14, 0, 0)}
POWERS = (32, 30, 26, 25)     # of the noise's polynomial
# Levels and commands as LiteDRAM's registers have them.
CKE, ODT, RESET_N = 2, 4, 8
MODE, ZQ = 0b1111, 0b0011
TRIAL = {"row": 0b1001, "write": 0b10111, "read": 0b100101, "close": 0b1011, "refresh": 0b1101}
# (levels, command, bank, address, cycles)
STEPS = ((0, 0, 0, 0, 40), (ODT | RESET_N, 0, 0, 0, 60), (CKE | ODT | RESET_N, 0, 0, 0, 9),
         (CKE | ODT | RESET_N, MODE, 2, 0x200, 8), (CKE | ODT | RESET_N, MODE, 1, 6, 8),
         (CKE | ODT | RESET_N, MODE, 0, 0x320, 8), (CKE | ODT | RESET_N, ZQ, 0, 0x400, 70))


def _duts() -> list[Dut]:
    from kaniwa.hw.ddr3.signatures import Command, Control, Ddr3Shape
    from kaniwa.hw.ddr3.start import Ddr3Start, StartStep

    steps = [StartStep(Control(levels), Command(command), *others)
             for levels, command, *others in STEPS]
    return [Dut(name, Ddr3Start(Ddr3Shape(lanes, pins), steps, settle=SETTLE, refresh=REFRESH,
                                read_phase=read, write_phase=write))
            for name, (lanes, pins, read, write) in KINDS.items()]


BENCH = Bench("ddr3_start", _duts, required=[
    "single", "all", "at_start", "at_end", "in_middle", "tie", "over_two_slips", "no_strobe",
    "late_word", "none", "wrong_at_the_end", "last_lane_alone", "ended",
    *(f"slip_{slip}" for slip in range(SLIPS))])

Good = set[tuple[int, int]]


def choice(good: Good) -> tuple[int, int] | None:
    """The slip and the delay that a lane is to get: by what is said of them, not how it is done."""
    rows = [(slip, first, last) for slip in range(SLIPS) for first in range(DELAYS)
            for last in range(first, DELAYS)
            if all((slip, delay) in good for delay in range(first, last + 1))]
    if not rows:
        return None
    most = max(last - first for _, first, last in rows)
    slip, first, last = next(row for row in rows if row[2] - row[1] == most)
    return slip, first + (last - first + 1) // 2


class Chips:
    """Lanes with their settings, a row, and what was read last."""

    def __init__(self, env: Env, good: list[Good], how: str = "noise") -> None:
        self.env, self.good, self.how = env, good, how
        self.lanes, self.pins, self.read_phase, self.write_phase = KINDS[env.dut_name]
        self.settings = [[0, 0] for _ in range(self.lanes)]
        self.stored = [bytes(8)] * self.lanes
        self.issued = list[tuple[int, int]]()      # cycles, and commands
        self.arrivals = dict[int, int]()           # bursts by the cycle in which they are there
        self.row_open = False
        self.broken_at_the_end = False             # a lane goes wrong once all were tried
        self.trials, self.noise = 0, 1
        self.together = 0     # cycles for which all lanes are held, since settings changed
        cocotb.start_soon(self._run())

    def bursts(self, word: int) -> list[bytes]:
        """Those of the lanes, of the bits of all."""
        whole = word.to_bytes(8 * self.lanes, "little")
        return [whole[lane::self.lanes] for lane in range(self.lanes)]

    async def _run(self) -> None:
        env = self.env
        seen = 0
        held = dict[int, int]()     # since when a lane is held
        while True:
            await env.cycles(1)
            lane = env.get("pins__lane")
            for number in range(self.lanes):
                if not lane >> number & 1:
                    held.pop(number, None)
                held.setdefault(number, env.cycle) if lane >> number & 1 else None
            self.together += len(held) == self.lanes
            self._change(held)
            if env.get("pins__burst_clear"):
                seen = 0
            issue = env.get("pins__issue")
            reads = issue != 0 and env.get("pins__command") == TRIAL["read"]
            check(env.get("pins__burst_clear"), reads, "the strobes seen are forgotten")
            if issue:
                assert not held, "a command while settings change"
                assert self.together > 2 or not self.trials, "lanes that do not go on together"
                self._take(issue, env.get("pins__command"))
            if env.cycle in self.arrivals:
                env.set("pins__read", self._word())
                seen = self._strobes()
            env.set("pins__burst_seen", seen)

    def _change(self, held: dict[int, int]) -> None:
        env = self.env
        for name, place, value in (("delay_reset", 1, 0), ("slip_reset", 0, 0),
                                   ("delay_next", 1, None), ("slip_next", 0, None)):
            if env.get(f"pins__{name}"):
                assert held, f"{name} of no lane"
                for number, since in held.items():
                    assert env.cycle - since >= 3, f"{name} just as the lane is held"
                    settings = self.settings[number]
                    settings[place] = settings[place] + 1 if value is None else value
                    self.together = 0
                    check(settings[place] < (SLIPS, DELAYS)[place], True, name)

    def _take(self, issue: int, command: int) -> None:
        env = self.env
        self.issued.append((env.cycle, command))
        position = len(self.issued) - 1
        own = [step for step in STEPS if step[1]]
        if position < len(own):
            levels, wanted, bank, address, _ = own[position]
            check((env.get("pins__control"), command, env.get("pins__bank"),
                   env.get("pins__address"), issue), (levels, wanted, bank, address, 1), "step")
            return
        name = list(TRIAL)[(position - len(own)) % len(TRIAL)]
        phase = {"write": self.write_phase, "read": self.read_phase}.get(name, 0)
        check((command, issue, env.get("pins__control")),
              (TRIAL[name], 1 << phase, CKE | ODT | RESET_N), name)
        if name == "row":
            self.noise = self.noise >> 1 ^ self.noise % 2 * sum(1 << power - 1 for power in POWERS)
        if name == "write":
            check(env.get("pins__written"), self._noise(), "words")
            self.stored = self.bursts(env.get("pins__written"))
        if name == "read":
            self.trials += 1
            self.arrivals[env.cycle + env.rng.randrange(4, SETTLE - 3)] = 1

    def _noise(self) -> int:
        """A burst: the noise, of 32 bits, turned to the left by 5 for each word."""
        bits, burst = 8 * self.lanes, 0
        for beat in range(8):
            by = 5 * beat % 32
            turned = self.noise << by | self.noise >> 32 - by
            burst |= turned % (1 << bits) << bits * beat
        return burst

    def _right(self, lane: int) -> bool:
        if self.broken_at_the_end and self._calibrated():
            return lane != 0
        return tuple(self.settings[lane]) in self.good[lane]

    def _calibrated(self) -> bool:
        return self.trials > TRIALS * len(SETTINGS) * self.lanes

    def _word(self) -> int:
        whole = bytearray(8 * self.lanes)
        for lane, burst in enumerate(self.stored):
            if not self._right(lane) and self.how == "late_word":
                burst = burst[1:] + burst[:1]
            elif not self._right(lane) and self.how == "noise":
                at = self.env.rng.randrange(8)
                flip = 1 << self.env.rng.randrange(8)
                burst = burst[:at] + bytes([burst[at] ^ flip]) + burst[at + 1:]
            whole[lane::self.lanes] = burst
        return int.from_bytes(whole, "little")

    def _strobes(self) -> int:
        return sum((self._right(lane) or self.how != "no_strobe") << lane
                   for lane in range(self.lanes))

    async def end(self) -> int:
        """Wait until it is done, or failed; gives the cycle."""
        limit = 100 * TRIALS * len(SETTINGS) * self.lanes * SETTLE
        while not (self.env.get("done") or self.env.get("failed")):
            await self.env.cycles(1)
            assert self.env.cycle < limit, "no end"
        return self.env.cycle


def trial_cycles() -> int:
    """Of the bursts of a setting, and of the look at them."""
    return TRIALS * (4 * (SETTLE + SLACK) + REFRESH + SLACK) + 1


async def calibrates(dut: Any, good: Any, how: str = "noise") -> None:
    """``good`` gives a lane's good settings by its source of chance."""
    env = await start(dut, BENCH)
    lanes = KINDS[env.dut_name][0]
    chips = Chips(env, [good(env.rng) for _ in range(lanes)], how)
    ended = await chips.end()
    wanted = [choice(own) for own in chips.good]
    assert all(wanted)
    check(env.get("done"), 1, "done")
    check([tuple(settings) for settings in chips.settings], wanted, "settings of the lanes")
    chosen = [(slip, delay) for own in wanted if own for slip, delay in [own]]
    changes = sum(len(SETTINGS) + 1 + slip + delay for slip, delay in chosen)
    steps = sum(cycles + SLACK for *_, cycles in STEPS)
    # A lane begins, and its choice is looked at behind each change of it.
    looks = sum(2 + slip + delay for slip, delay in chosen)
    check(ended, steps + (len(SETTINGS) * lanes + 1) * trial_cycles() + CHANGE * changes + looks,
          "cycles")
    await env.cycles(2)
    check(env.get("pins__control"), 1, "the controller has the chips")
    before = len(chips.issued)
    await env.cycles(300)
    check((len(chips.issued), env.get("done"), env.get("failed")), (before, 1, 0), "later")
    cover("ended")
    for slip, _ in chosen:
        cover(f"slip_{slip}")


def row(rng: Any, first: int, last: int) -> Good:
    """Delays of one slip."""
    slip = rng.randrange(SLIPS)
    return {(slip, delay) for delay in range(first, last + 1)}


SHAPES = {
    "single": lambda rng: row(rng, at := rng.randrange(1, 7), at),
    "all": lambda rng: set(SETTINGS),
    "at_start": lambda rng: row(rng, 0, rng.randrange(1, 5)),
    "at_end": lambda rng: row(rng, rng.randrange(3, 7), 7),
    "in_middle": lambda rng: row(rng, rng.randrange(1, 3), rng.randrange(4, 7)),
    "tie": lambda rng: {(slip, delay) for slip in (1, 3) for delay in (0, 1, 2, 5, 6, 7)},
    # The end of a slip and the beginning of the next one are no row.
    "over_two_slips": lambda rng: {(1, 6), (1, 7), (2, 0), (2, 1), (0, 2), (0, 3), (0, 4)},
    "random": lambda rng: {at for at in SETTINGS if rng.random() < 0.6} | {(3, 0)},
}


@cocotb.test()
@cocotb.parametrize(shape=list(SHAPES))
async def takes_the_middle_of_the_longest_row(dut: Any, shape: str) -> None:
    await calibrates(dut, SHAPES[shape])
    cover(shape)


@cocotb.test()
@cocotb.parametrize(how=["no_strobe", "late_word"])
async def sees_what_is_wrong(dut: Any, how: str) -> None:
    await calibrates(dut, SHAPES["in_middle"], how)
    cover(how)


async def fails(dut: Any, good: list[Good], broken: bool = False) -> None:
    env = await start(dut, BENCH)
    chips = Chips(env, good[-KINDS[env.dut_name][0]:])
    chips.broken_at_the_end = broken
    await chips.end()
    check((env.get("done"), env.get("failed")), (0, 1), "done and failed")
    before = len(chips.issued)
    await env.cycles(2)
    check(env.get("pins__control"), 0, "the chips are in reset")
    await env.cycles(300)
    check((env.get("done"), env.get("failed"), env.get("pins__control"), len(chips.issued)),
          (0, 1, 0, before), "done, failed, levels and commands, later")


@cocotb.test()
async def fails_where_a_lane_has_no_setting(dut: Any) -> None:
    await fails(dut, [set()] * 4)
    cover("none")


@cocotb.test()
async def fails_by_the_last_lane_alone(dut: Any) -> None:
    await fails(dut, [set(SETTINGS)] * 3 + [set()])
    cover("last_lane_alone")


@cocotb.test()
async def tries_all_lanes_in_the_end(dut: Any) -> None:
    await fails(dut, [set(SETTINGS)] * 4, broken=True)
    cover("wrong_at_the_end")
