"""The switch and what is around it, for the bench of the patch controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Env, check, cover
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.patch_loops import Byte, Gather, Patches, PatchStep

__all__ = ["Pace", "PatchWorld"]

READ_STAGES = 4     # cycles from an instruction's start until its first read may be issued
STEP_STAGES = 2     # and its first step
WRITTEN_AFTER = 3   # cycles from a read to a step that may use its bytes
NEVER = 1 << 60


@dataclass
class Pace:
    """Speed of the surroundings: chance of progress in a cycle; 1: as fast as allowed."""

    load: float = 1
    weights: float = 1
    slots: float = 1
    turn: float = 1         # chance that an instruction follows at once, and that its turn comes


class PatchWorld:
    """Runs instructions on a controller and checks each cycle of it."""

    def __init__(self, env: Env, fields: list[dict[str, int]], pace: Pace) -> None:
        from kaniwa.hw.interfaces import (
            line_lane_bits,
            products_layout,
            ring_use_layout,
            step_layout,
            unit_layout,
        )

        assert env.config is not None
        config = env.config
        self.env, self.config, self.pace, self.fields = env, config, pace, fields
        self.size = config.patch_bytes // config.dot_width
        self.lane = 1 << line_lane_bits(config)
        self.pack_fields = codec(unit_layout("array", config))[0]
        self.pack_products = codec(products_layout(config))[0]
        self.unpack_step = codec(step_layout(config))[1]
        self.unpack_ring = codec(ring_use_layout(config))[1]
        self.lanes = 1 << len(env.dut.free_lane)
        self.positions = self.lanes * self.lane
        self.patches = Patches(config)
        self.reads_end: list[int] = []         # reads and steps up to the end of each instruction
        self.steps_end: list[int] = []
        self.base: list[tuple[int, int]] = []  # first line position and ring word of each
        for f in fields:
            self.base.append((self.patches.base, self.patches.word))
            self.patches.add(f)
            self.reads_end.append(len(self.patches.reads))
            self.steps_end.append(len(self.patches.steps))
        self.base.append((self.patches.base, self.patches.word))
        self.cycle = 0
        self.busy = False                      # the fields of the last one started are in use
        self.turn = False
        self.next_read = self.next_step = 0
        self.loaded, self.written = [0, 0], [0, 0]  # by cycle
        self.used, self.gathered = [-1, -1], [0] * WRITTEN_AFTER
        self.load_positions = self.patches.load_positions
        self.freed = self.released = 0
        self.due: int | None = None            # rows to be freed as soon as it is our turn
        self.slots = config.result_slots
        self.ring: list[tuple[Byte, int] | None] = [None] * config.patch_bytes
        self.read_cycles: list[int] = []
        self.step_cycles: list[int] = []
        self.start_cycles: list[int] = []
        self.lacking: list[int] = []           # cycles in which a row or a ring word was missing
        self.left = -1                         # cycle in which the fields were used last

    @property
    def read(self) -> Gather | None:
        """The read to be issued next."""
        reads = self.patches.reads
        return reads[self.next_read] if self.next_read < len(reads) else None

    @property
    def step(self) -> PatchStep | None:
        """The step to be issued next."""
        steps = self.patches.steps
        return steps[self.next_step] if self.next_step < len(steps) else None

    @property
    def read_comes(self) -> int:
        """Cycle from which on that read waits to be issued."""
        read = self.read
        if read is None or read.instruction >= len(self.start_cycles):
            return NEVER
        return max([self.start_cycles[read.instruction] + READ_STAGES,
                    *(at + 1 for at in self.read_cycles[-1:])])

    @property
    def step_comes(self) -> int:
        """Cycle from which on that step waits; an instruction's last one comes after its reads."""
        step = self.step
        if step is None or step.instruction >= len(self.start_cycles):
            return NEVER
        comes = max([self.start_cycles[step.instruction] + STEP_STAGES,
                     *(at + 1 for at in self.step_cycles[-1:])])
        if not step.ends:
            return comes
        end = self.reads_end[step.instruction]
        return NEVER if self.next_read < end else max(comes, self.read_cycles[end - 1] + 2)

    async def run(self, timeout: int = 100000) -> None:
        """Until all steps were issued and everything was given back."""
        quiet = 0
        while quiet < 6:
            assert self.cycle < timeout, f"stuck at step {self.next_step}, read {self.next_read}"
            await self._one_cycle()
            quiet = quiet + 1 if self.step is None else 0
        check(self.released, self.patches.word, "ring words released")
        check(self.freed, self.patches.base, "rows freed")

    async def _one_cycle(self) -> None:
        self._instruction()
        self._surroundings()
        slot_ok = self.slots > 0
        self.env.set("issuing__slot_ok", slot_ok)
        await self.env.cycles(1)
        read, step = self.read, self.step
        reads = read is not None and self._reads(read)
        steps = step is not None and self._steps(step, slot_ok, reads)
        self._check_issue(read if reads else None, step if steps else None)
        self._check_free()
        self.used.append(self.used[-1])
        self.gathered.append(self.gathered[-1])
        if reads and read:
            self._gather(read)
        if steps and step:
            self._compute(step)
        self._check_leaving()
        self.cycle += 1

    def _instruction(self) -> None:
        """Start, fields and turn, as from the switch."""
        env, rng = self.env, self.env.rng
        number = len(self.start_cycles)
        start = not self.busy and number < len(self.fields) and rng.random() < self.pace.turn
        if self.turn and not self.busy and self.step_comes > self.cycle:
            self.turn = rng.random() < self.pace.turn    # else another controller runs
        elif not self.turn:
            self.turn = self.busy and rng.random() < self.pace.turn
            if not self.turn and self.read_comes < self.cycle:
                cover("waits for its turn")
        env.set("issuing__turn", self.turn)
        env.set("start", start)
        if start:
            if self.left == self.cycle - 1:
                cover("back to back")
            self.busy = True
            self.start_cycles.append(self.cycle)
            env.set("fields", self.pack_fields(self.fields[number]))
            env.set("products", self.pack_products(self._products(self.fields[number])))
            env.set("line_base", self.base[number][0] // self.lane)
            env.set("ring_base", self.base[number][1])
        else:
            env.set("line_base", self.base[number][0] // self.lane)
            env.set("ring_base", rng.getrandbits(16))
            env.set("products", rng.getrandbits(64))
            if not self.busy:
                env.set("fields", rng.getrandbits(len(env.dut.fields)))

    def _products(self, f: dict[str, int]) -> dict[str, int]:
        counts = {"dilation": f["dilation_rows"], "stride": f["stride_rows"],
                  "pad": f["pad_top"], "input": f["ifm_rows"]}
        lanes = {f"{name}_lanes": count * f["line_pitch"] // self.lane
                 for name, count in counts.items()}
        return lanes | {f"{name}_shift": count * f["ifm_pitch"]
                        for name, count in counts.items() if name != "input"}

    def _surroundings(self) -> None:
        env, rng, pace, config = self.env, self.env.rng, self.pace, self.config
        loaded, written = self.loaded[-1], self.written[-1]
        while (self.load_positions and rng.random() < pace.load
               and self.load_positions[0] <= self.freed + config.line_bytes):
            loaded = self.load_positions.pop(0)
            if pace.load < 1:
                # Byte by byte, more finely than a loader does it.
                there = max(self.loaded[-1], loaded - config.line_bytes)
                part = rng.randint(1, config.read_bytes // 2)
                if loaded > there + part:
                    self.load_positions.insert(0, loaded)
                    loaded = there + part
                break
        room = min(self.released + config.ring_words, self.patches.word)
        if written < room and rng.random() < pace.weights:
            written = room if pace.weights == 1 else written + 1
        if self.slots < config.result_slots and rng.random() < pace.slots:
            self.slots += 1
        self.loaded.append(loaded)
        self.written.append(written)
        env.set("loaded", loaded)
        env.set("ring_written", written)

    def _reads(self, read: Gather) -> bool:
        """True where a read is issued in this cycle."""
        self.load_lacks = False
        if self.cycle < self.read_comes or not self.turn:
            return False
        if read.needs > self.loaded[-2]:
            self.load_lacks = True
            return False
        if read.last_word - self.used[-2] > self.size:
            cover("patch buffer full")
            return False
        return True

    def _steps(self, step: PatchStep, slot_ok: bool, reads: bool) -> bool:
        """True where a step is issued in this cycle; checks why not."""
        at_hand = self.cycle >= self.step_comes
        gathered = at_hand and self.gathered[-WRITTEN_AFTER] > step.patch_word
        expected = ""
        if self.turn and gathered:
            if step.word >= self.written[-2]:
                expected = "stall_weights"
            elif step.last and not slot_ok:
                expected = "stall_result"
        elif self.turn and self.load_lacks:
            expected = "stall_load"
        for cause in ("stall_load", "stall_weights", "stall_result"):
            check(self.env.get(f"issuing__{cause}"), int(cause == expected),
                  f"{cause} in cycle {self.cycle}")
        if self.load_lacks or expected == "stall_weights":
            self.lacking.append(self.cycle)
        if expected:
            cover(expected)
            if reads:
                cover(f"gathers during {expected}")
        check(self.env.get("issuing__pending"), int(at_hand), f"pending in cycle {self.cycle}")
        return bool(self.turn and gathered and not expected)

    def _check_issue(self, read: Gather | None, step: PatchStep | None) -> None:
        env, where = self.env, f"cycle {self.cycle}"
        check(env.get("issuing__issue"), int(bool(read or step)), f"issue, {where}")
        check(env.get("issuing__take_slot"), int(bool(step and step.last)), f"take_slot, {where}")
        check(env.get("line_read"), int(bool(read and read.row_valid)), f"line_read, {where}")
        payload = self.unpack_step(env.get("step"))
        check(payload["gather"], int(read is not None), f"gather, {where}")
        check(payload["compute"], int(step is not None), f"compute, {where}")
        check(payload["mode"], Mode.DENSE, "mode")
        check(payload["patch"], 1, "patch")
        if read:
            f, name = read.fields, f"read {self.next_read}"
            check([{key: payload[key] for key in (
                "row_valid", "offset", "row_bytes", "pad_value", "gather_last")}], [{
                    "row_valid": int(read.row_valid), "offset": read.offset,
                    "row_bytes": f["ifm_row_bytes"], "pad_value": f["pad_value"],
                    "gather_last": len(read.bytes) - 1}], name)
            if read.row_valid:
                check(env.get("line_position"),
                      (read.row_start + read.offset) % self.positions, f"position, {name}")
            for position in read.real:
                assert self.freed <= position < self.loaded[-2], f"{name} reads byte {position}"
            for j, byte in enumerate(read.bytes):
                self.ring[(payload["gather_position"] + j) % len(self.ring)] = byte, self.cycle
            if payload["gather_position"] + len(read.bytes) > len(self.ring):
                cover("patch across the ring's end")
        if step:
            name = f"step {self.next_step}"
            check([payload[key] for key in ("first", "last", "weight_zero_point")],
                  [step.first, step.last, step.fields["weight_zero_point"]], name)
            first = payload["patch_word"] * self.config.dot_width
            for j, byte in enumerate(step.bytes):
                there = self.ring[first + j]
                check([there[0] if there else None], [byte], f"byte {j} of {name}")
                assert there and there[1] + WRITTEN_AFTER <= self.cycle, f"{name} comes too early"
            use = self.unpack_ring(env.get("ring"))
            check(use["read"], 1, f"ring read, {name}")
            check(use["word"], step.word % self.config.ring_words, f"ring word, {name}")
            check(use["release"], int(step.releases > 0), f"ring release, {name}")
            if step.releases:
                check(use["count"], step.releases, f"ring words given back, {name}")
            assert self.released <= step.word < self.written[-2], f"ring word of {name}"
        elif read:
            use = self.unpack_ring(env.get("ring"))
            check([use["read"], use["release"]], [0, 0], f"ring use of read {self.next_read}")

    def _gather(self, read: Gather) -> None:
        self.read_cycles.append(self.cycle)
        self.next_read += 1
        self.gathered[-1] = read.complete
        if self.next_read in self.reads_end:
            self.due = read.line_end
        _cover_read(read)

    def _compute(self, step: PatchStep) -> None:
        self.step_cycles.append(self.cycle)
        self.next_step += 1
        self.slots -= step.last
        self.released += step.releases
        if step.last_block:
            self.used[-1] = step.patch_word
        if step.patch_word >= 2 * self.size:
            cover("patch words wrap")
        if step.word >= 2 * self.config.ring_words:
            cover("ring wraps")

    def _check_leaving(self) -> None:
        """The fields are used last once all reads and all steps but two have been issued."""
        number = len(self.start_cycles) - 1
        leaving = False
        if self.busy:
            third = self.steps_end[number] - 2   # steps before the last two
            end = self.reads_end[number]
            leaving = (self.next_step >= third and self.next_read >= end and self.cycle == 1 + max(
                [self.read_cycles[end - 1], *self.step_cycles[:max(third, 0)][-1:]]))
        check(self.env.get("leaving"), int(leaving), f"leaving in cycle {self.cycle}")
        if leaving:
            end = self.base[number + 1][1]
            check(self.env.get("ring_end"), end % (2 * self.config.ring_words), "ring_end")
            self.busy, self.left = False, self.cycle

    def _check_free(self) -> None:
        """Rows are freed as a row's first read is at hand, and after the last read."""
        env, read = self.env, self.read
        if read and read.row_first and self.read_comes == self.cycle and read.row >= 0:
            rows = min(read.row, read.fields["ifm_rows"])
            self.due = read.line_end - (read.fields["ifm_rows"] - rows) * read.fields["line_pitch"]
        free = self.due is not None and self.turn
        check(env.get("free"), int(free), f"free in cycle {self.cycle}")
        if free and self.due is not None:
            check(env.get("free_lane"), self.due // self.lane % self.lanes, "free_lane")
            self.freed = max(self.freed, self.due)
            self.due = None


def _cover_read(read: Gather) -> None:
    f = read.fields
    end = read.offset + len(read.bytes)
    if not read.row_valid:
        cover("padding above" if read.row < 0 else "padding below")
    elif read.offset < 0:
        cover("padding left")
    elif end > f["ifm_row_bytes"]:
        cover("padding right")
    if f["chunks"] > 1:
        cover("chunks")


def cycles_of_pixel(f: dict[str, int]) -> tuple[int, int]:
    """Reads and steps of a pixel."""
    return f["kernel_rows"] * f["chunks"], f["blocks"] * f["steps"]


def cover_fields(f: dict[str, int], config: Any) -> None:
    """Bins of an instruction's shape."""
    reads, steps = cycles_of_pixel(f)
    cover("streamed" if f["weights_stream"] else "kept")
    cover("one block" if f["blocks"] == 1 else "many blocks")
    cover("gather-bound" if reads > steps else "compute-bound")
    for name, hit in (
            ("partial word", f["kernel_rows"] * f["segment_bytes"] % config.dot_width),
            ("whole words", f["kernel_rows"] * f["segment_bytes"] % config.dot_width == 0),
            ("largest patch", f["kernel_rows"] * f["segment_bytes"] * 2 == config.patch_bytes),
            ("stride 2", f["stride_rows"] == 2), ("dilated rows", f["dilation_rows"] > 1),
            ("one step", f["ofm_rows"] * f["ofm_columns"] * steps == 1)):
        if hit:
            cover(name)
