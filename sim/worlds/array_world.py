"""The blocks around the array's controllers, for their benches, and what must come out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.isa.step_lists import pack_steps
from kaniwa.sim.harness.bench import Bench, Driver, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.array_loops import Loops, drawn_steps, random_instruction
from kaniwa.sim.worlds.array_step import Step
from kaniwa.sim.worlds.column_loops import meets_corner
from kaniwa.sim.worlds.patch_loops import PatchStep, random_patches
from kaniwa.sim.worlds.patch_part import PatchPart

__all__ = ["BINS", "COLUMN_BINS", "PATCH_BINS", "PLAIN_BINS", "POOL_BINS", "PACES", "Mix", "Pace",
           "World", "check_idle", "run"]

CAUSES = ("issued", "stall_load", "stall_weights", "stall_result")
RING_DELAY = 2    # cycles from a step to its ring read
SEEN_AFTER = 2    # cycles from an input to the decision's outputs

MOST_IDLE = 16    # cycles between instructions, by contract
USUAL_IDLE = 4    # at most, where the next instruction is set up in time
LISTED_IDLE = 9   # and it and the one before have lists

# Coverage bins: of all modes, of patches, of COLUMN, of the others, of MAX_POOL's pairs.
BINS = (*CAUSES[1:], "padding above", "padding below", "stride 2", "one step", "one pixel a row",
        "kept", "ring wraps", "line buffer wraps", "position wraps", "block words above 1",
        "slots run out")
PATCH_BINS = ("patch", *(f"patch: {cause}" for cause in CAUSES[1:]))
COLUMN_BINS = ("COLUMN", "sliding", "window of one row", "many phases", "many groups",
               "columns skipped", "column left of the row", "column right of the row",
               "windows met twice", "windows of phases", "wide windows of phases",
               "corner", "rows within a word")
PLAIN_BINS = ("DENSE", "DEPTHWISE", "MAX_POOL", "padding left", "padding right",
              "row wholly in padding", "dilated rows", "segments", "streamed",
              "streamed depthwise", "pair", "listed", "listed again", "listed and streamed",
              "list of one step")
POOL_BINS = ("pair of one step", "pair of two steps", "pair of nine steps", "block without a pair",
             "narrow blocks", "one slot for a pair", "result behind a pair")


@dataclass
class Pace:
    """Speed of the surroundings: chance of progress in a cycle; 1: as fast as allowed."""

    load: float
    weights: float
    slots: float
    instructions: float


@dataclass(frozen=True)
class Mix:
    """Kinds of random instructions: a part ``patches`` with patch, of the others ``columns`` in
    COLUMN mode, and of DENSE ones ``lists`` with a list."""

    columns: float = 0.0
    patches: float = 0.0
    lists: float = 0.4


# Slow surroundings: the loader, the weight stream, requantization, and all of them.
PACES = (Pace(0.3, 1, 1, 1), Pace(1, 0.3, 1, 1), Pace(1, 1, 0.2, 1), Pace(0.4, 0.5, 0.4, 0.03))


class World:
    """The blocks around the controller: loader, ring and slots, and what must come out."""

    def __init__(self, env: Env, fields: list[dict[str, int]], pace: Pace) -> None:
        from kaniwa.hw.interfaces import step_layout, unit_layout

        assert env.config is not None
        self.env, self.config, self.pace, self.fields = env, env.config, pace, fields
        loops = Loops(env.config)
        self.steps: list[Step | PatchStep] = []
        self.load_positions: list[int] = []
        self.patch_part = PatchPart(self)
        for f in fields:
            _cover_fields(self.config, f)
            self.load_positions += loops.load_positions(f)
            self.steps += self.patch_part.patches.follow(loops, f) if f["patch"] else loops.run(f)
        self.all_words = loops.word
        layout = unit_layout("array", env.config)
        self.instructions = Driver(env, "i_instruction", layout, stall=1 - pace.instructions)
        self.instructions.send({name: value for name, value in f.items() if name in layout.members}
                               for f in fields)
        if self.config.step_entries:
            self.lists = Driver(env, "i_list", 32, stall=1 - pace.weights)
            self.lists.send(int(word) for f in fields if f["listed"]
                            for word in pack_steps(drawn_steps(f)))
        layout = step_layout(env.config)
        self.unpack_step = codec(layout)[1]
        self.without_patch = {name: 0 for name in layout.members
                              if name.startswith(("patch", "gather"))}
        self.position_mask = (1 << len(env.dut.level__loaded)) - 1
        self.next = 0                      # step expected next
        self.loaded, self.written = [0, 0], [0, 0]   # by cycle, from the two before the first
        self.freed = self.released = 0
        self.free_slots = [env.config.result_slots] * 2
        self.taken: list[int] = []         # cycles in which slots were taken
        self.paired = -2                   # when a pair's first one was
        self.reads: list[Step | PatchStep | None] = [None] * RING_DELAY
        self.gap = 0                       # idle cycles before the next step
        self.gaps: dict[int, int] = {}     # and before each instruction
        self.issue_cycles: list[int] = []
        self.cycle = 0

    async def run(self, timeout: int = 200000) -> None:
        """Until all steps were issued and everything was given back."""
        while self.next < len(self.steps) or any(self.reads):
            assert self.cycle < timeout, f"stuck at step {self.next} of {len(self.steps)}"
            await self._one_cycle()
        check(self.released, self.all_words, "ring words released")
        check(self.freed, self.steps[-1].frees, "rows freed")
        for _ in range(5):
            await self._one_cycle()
            check(self.env.get("idle"), 1, "idle at the end")

    async def _one_cycle(self) -> None:
        self._drive()
        accepted = self.instructions.sent   # before the coming edge
        await self.env.cycles(1)
        seen = [cause for cause in CAUSES if self.env.get(f"events__{cause}")]
        step = self.steps[self.next] if self.next < len(self.steps) else None
        if isinstance(step, PatchStep):
            step = self.patch_part.cycle(step, seen)
        else:
            step = self._check_cause(step, seen)
            self._check_step(step)
            check(self.env.get("level__freed"), self.freed & self.position_mask, "freed")
        if step:
            self.next += 1
            self.issue_cycles.append(self.cycle)
            if step.last:
                self._take_slots(isinstance(step, Step) and step.pair)
        self._check_ring(step)
        if step and step.frees is not None:
            self.freed = step.frees    # seen in the cycle after the step
        if self.env.get("idle"):
            left = self.next < len(self.steps) and self.steps[self.next].instruction < accepted
            assert not left, f"idle before step {self.next}"
        self.cycle += 1

    def _drive(self) -> None:
        """The inputs of this cycle, from what came out until the last one."""
        env, rng, pace, config = self.env, self.env.rng, self.pace, self.config
        loaded = self.loaded[-1]
        while (self.load_positions and rng.random() < pace.load
               and self.load_positions[0] <= self.freed + config.line_bytes):
            loaded = self.load_positions.pop(0)
            if pace.load < 1:
                break
        written = self.written[-1]
        room = min(self.released + config.ring_words, self.all_words)
        if written < room and rng.random() < pace.weights:
            written = room if pace.weights == 1 else written + 1
        returned = bool(self.taken) and rng.random() < pace.slots
        if returned:
            self.taken.pop(0)
        self.loaded.append(loaded)
        self.written.append(written)
        self.free_slots.append(self.free_slots[-1] + returned)
        env.set("level__loaded", loaded)
        env.set("ring__written", written)
        env.set("slot_returned", returned)
        if loaded > self.position_mask:
            cover("position wraps")
        if written > 2 * config.ring_words:
            cover("ring wraps")

    def _check_cause(self, step: Step | None, seen: list[str]) -> Step | None:
        """Why this cycle went by, with ``step`` coming next; the step issued in it, if any."""
        if step and not step.compute and self.env.get("o_step__valid"):
            seen.append("issued")   # but not counted as such
        if not seen:
            assert step is None or self.next == 0 or self.steps[self.next - 1].ends, (
                f"idle before step {self.next}, cycle {self.cycle}")
            self.gap += 1
            return None
        assert step is not None, f"{seen} after the last step"
        if step.needs > self.loaded[-1 - SEEN_AFTER]:
            expected = "stall_load"
        elif step.word is not None and step.word >= self.written[-1 - SEEN_AFTER]:
            expected = "stall_weights"
        elif step.last and self.cycle - 1 == self.paired:
            expected = "stall_result"    # the second slot of a pair is taken
            cover("result behind a pair")
        elif step.last and self.free_slots[-1 - SEEN_AFTER] <= int(step.pair):
            expected = "stall_result"
            cover("one slot for a pair" if self.free_slots[-1 - SEEN_AFTER] else "slots run out")
        else:
            expected = "issued"
        check(seen, [expected], f"what cycle {self.cycle} went by for, step {self.next}")
        self.gaps.setdefault(step.instruction, self.gap)
        self.gap = 0
        if expected != "issued":
            cover(expected)
            return None
        return step

    def _check_step(self, step: Step | None) -> None:
        env, name = self.env, f"step {self.next}"
        check(env.get("o_step__valid"), int(step is not None), f"valid in cycle {self.cycle}")
        columns = bool(step and step.positions and len(step.positions) > 1)
        reads = step is not None and step.row_valid and not columns
        check(env.get("line__enable"), int(reads), f"line_read, {name}")
        if self.config.column_window[0] > 1:
            check(env.get("line__column_enable"), int(columns), f"column_read, {name}")
        check(env.get("slot_taken"),
              int(step is not None and step.last or self.cycle - 1 == self.paired),
              f"slot_taken, {name}")
        if step is None:
            return
        f = step.fields
        got = self.unpack_step(env.get("o_step__payload"))
        check([got], [dict.fromkeys(got, 0) | {   # what other modes use is 0
            "mode": f["mode"], "row_valid": int(step.row_valid), "offset": step.offset,
            "row_bytes": f["ifm_row_bytes"], "pad_value": f["pad_value"], "column": step.column,
            "single_row": f["single_row"] if step.positions else 0, "rows": step.rows,
            "preset": int(step.preset), "compute": int(step.compute), "again": int(step.again),
            **({"pair": int(step.pair)} if self.config.pool_blocks > 1 else {}),
            **({"own": int(bool(step.positions) and f["phase_windows"]), "phase": step.phase,
                "corner": int(step.phase and meets_corner(self.config, f))}
               if self.config.phase_windows else {}),
            "weight_zero_point": f["weight_zero_point"],
            "first": int(step.first), "last": int(step.last), **self.without_patch}], name)
        if columns and step.positions and not step.again:
            bits = len(env.dut.level__loaded)
            positions = env.get("line__column_positions")
            count = range(len(step.positions))
            check([positions >> bits * row & self.position_mask for row in count],
                  [position & self.position_mask for position in step.positions], f"rows, {name}")
        elif step.row_valid:
            check(env.get("line__position"),
                  (step.row_start + step.offset) & self.position_mask, f"position, {name}")
        for position in step.real:   # what counts is there: already loaded, not yet freed
            assert self.freed <= position < self.loaded[-2], f"{name} reads byte {position}"
            if position >= self.config.line_bytes:
                cover("line buffer wraps")
        _cover_step(step, self.config.dot_width)

    def _take_slots(self, pair: bool) -> None:
        """The slots of a step, each given back later: of a pair both."""
        if pair:
            self.paired = self.cycle
        self.taken += [self.cycle] * (1 + pair)
        for back in (-1, -2):    # the controller saw it taken when it issued the step
            self.free_slots[back] -= 1 + pair
        assert self.free_slots[-1] >= 0, f"no slot in cycle {self.cycle}"

    def _check_ring(self, step: Step | PatchStep | None) -> None:
        """The ring's read RING_DELAY cycles after the step, and the release with it."""
        env = self.env
        self.reads.append(step)
        step = self.reads.pop(0)
        reads = step is not None and step.word is not None
        check(env.get("ring__enable"), int(reads), f"ring_read in cycle {self.cycle}")
        if reads:
            assert step is not None and step.word is not None
            check(env.get("ring__index"), step.word % self.config.ring_words, "ring_index")
            assert self.released <= step.word < self.written[-1], f"ring word {step.word}"
        releases = step.releases if step else 0
        check(env.get("ring__release"), int(releases > 0), f"ring_release in cycle {self.cycle}")
        if releases:
            check(env.get("ring__release_count"), releases, "ring_release_count")
            self.released += releases


def _cover_fields(config: AcceleratorConfig, f: dict[str, int]) -> None:
    cover(Mode(f["mode"]).name)
    if f["mode"] != Mode.MAX_POOL:
        cover("streamed" if f["weights_stream"] else "kept")
    for name, hit in (
            ("stride 2", f["stride_rows"] == 2), ("dilated rows", f["dilation_rows"] > 1),
            ("segments", f["segments"] > 1), ("one step", f["steps"] == 1),
            ("one pixel a row", f["ofm_columns"] == 1 and f["ofm_rows"] > 1),
            ("streamed depthwise", f["mode"] == Mode.DEPTHWISE and f["weights_stream"]),
            ("block words above 1",
             f["mode"] in (Mode.DEPTHWISE, Mode.COLUMN) and f["block_words"] > 1),
            ("sliding", f["sliding"]), ("window of one row", f["single_row"]),
            ("many phases", f["phases"] > 1), ("columns skipped", f["columns_next"] > 1),
            ("windows met twice", f["mode"] == Mode.COLUMN and f["chunks"] == 2
             and not f["phase_windows"]),
            ("windows of phases", f["phase_windows"] and f["phases"] == 2),
            ("wide windows of phases", f["phase_windows"] and f["chunks"] == 2),
            ("corner", meets_corner(config, f)),
            ("listed", f["listed"]), ("list of one step", f["listed"] and f["block_words"] == 1),
            ("listed and streamed", f["listed"] and f["weights_stream"]),
            ("listed again", f["listed"] and f["ofm_rows"] * f["ofm_columns"] > 1),
            ("rows within a word", f["mode"] == Mode.COLUMN and f["ifm_address"] % 16),
            ("narrow blocks", f["mode"] == Mode.MAX_POOL and config.pool_blocks > 1
             and f["block_width"] < config.depthwise_lanes),
            ("many groups", f["mode"] == Mode.COLUMN and f["block_words"] > f["phases"])):
        if hit:
            cover(name)


def _cover_step(step: Step, width: int) -> None:
    f = step.fields
    if step.again:
        return
    if step.pair:
        cover("pair")
        for count, name in ((1, "one step"), (2, "two steps"), (9, "nine steps")):
            if f["steps"] == count:
                cover(f"pair of {name}")
    elif f["mode"] == Mode.MAX_POOL and f["blocks"] > 1:
        cover("block without a pair")
    if step.positions:
        pixel = step.window_end - f["block_width"]
        if pixel < 0:
            cover("column left of the row")
        elif pixel >= f["ifm_row_bytes"]:
            cover("column right of the row")
        elif not step.rows & 1 and step.rows:
            cover("padding above")
        elif step.rows < (1 << min(len(step.positions), f["kernel_rows"])) - 1:
            cover("padding below")
    elif not step.row_valid:
        cover("padding above" if step.row_start < 0 else "padding below")
    elif step.offset < 0:
        cover("padding left")
        if step.window_end < 0:
            cover("row wholly in padding")
    elif step.window_end > f["ifm_row_bytes"]:
        cover("padding right")


async def run(dut: Any, bench: Bench, mix: Mix, pace: Pace, count: int,
              most_steps: int = 600) -> World:
    """Run random instructions."""
    env = await start(dut, bench)
    assert env.config is not None
    fields = [random_patches(env.config, env.rng, most_steps) if env.rng.random() < mix.patches
              else random_instruction(env.config, env.rng, most_steps, mix.columns, mix.lists)
              for _ in range(count)]
    if pace.instructions < 0.1:
        cover("late instruction")
    world = World(env, fields, pace)
    await world.run()
    return world


def check_idle(world: World) -> None:
    """The idle cycles between instructions are within the budget."""
    assert max(world.gaps.values()) <= MOST_IDLE, f"idle cycles {world.gaps}"
    for instruction, cycles in Counter(step.instruction for step in world.steps).items():
        if cycles > MOST_IDLE and instruction + 1 in world.gaps:
            both = all(world.fields[index]["listed"] for index in (instruction, instruction + 1))
            most = LISTED_IDLE if both else USUAL_IDLE
            assert world.gaps[instruction + 1] <= most, f"idle cycles {world.gaps}"
            cover("usual idle")
            if both:
                cover("usual idle between lists")
