"""Instructions with patch among others: what the bench of the array's switch expects of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kaniwa.config import AcceleratorConfig
from kaniwa.sim.harness.bench import Env, check, cover
from kaniwa.sim.worlds.patch_loops import Byte, Patches, PatchStep

__all__ = ["PatchPart"]

WRITTEN_AFTER = 3   # cycles from a read to a step that may use its bytes


class Surroundings(Protocol):
    """The blocks around the array's controllers, as far as patches concern them.

    ``loaded``, ``written`` and ``free_slots`` have an entry a cycle, ``gaps`` one an instruction.
    """

    env: Env
    config: AcceleratorConfig
    unpack_step: Callable[[int], dict[str, int]]
    position_mask: int
    cycle: int
    next: int
    freed: int
    loaded: list[int]
    written: list[int]
    free_slots: list[int]
    paired: int
    gap: int
    gaps: dict[int, int]


class PatchPart:
    """Checks order, bytes and positions of reads and steps; their cycles only so far as they must.

    When exactly they come is the matter of the bench of the patch controller.
    """

    def __init__(self, world: Surroundings) -> None:
        self.world = world
        self.patches = Patches(world.config)
        self.next_read = 0
        self.ring: list[tuple[Byte, int] | None] = [None] * world.config.patch_bytes

    def cycle(self, step: PatchStep, seen: list[str]) -> PatchStep | None:
        """One cycle in which ``step`` comes next, with the causes seen; the step, if issued."""
        world, env = self.world, self.world.env
        assert len(seen) <= 1, f"{seen} in cycle {world.cycle}"
        valid = env.get("o_step__valid")
        payload = world.unpack_step(env.get("o_step__payload"))
        gathers, computes = valid and payload["gather"], valid and payload["compute"]
        check(bool(computes), seen == ["issued"], f"issued in cycle {world.cycle}")
        check(env.get("slot_taken"),
              int(bool(computes and step.last) or world.cycle - 1 == world.paired), "slot_taken")
        self._free()
        if seen and not computes:
            self._check_stall(step, seen[0])
        if world.config.column_window[0] > 1:
            check(env.get("line__column_enable"), 0, f"column_read in cycle {world.cycle}")
        if not gathers:
            check(env.get("line__enable"), 0, f"line_read in cycle {world.cycle}")
        # The step first: it cannot use what is gathered with it.
        if computes:
            check([payload["mode"], payload["patch"]], [0, 1], "mode and patch")
            self._compute(step, payload)
        if seen == ["stall_load"] or gathers:
            world.gaps.setdefault(self.patches.reads[self.next_read].instruction, world.gap)
        if gathers:
            self._gather(payload)
        world.gap = 0 if valid or seen else world.gap + 1
        return step if computes else None

    def _free(self) -> None:
        """Takes over what was given back: no more than what is read from now on allows."""
        world = self.world
        world.freed += (world.env.get("level__freed") - world.freed) & world.position_mask

    def _check_stall(self, step: PatchStep, cause: str) -> None:
        world = self.world
        before = -1 - 2   # the cycle in which it was looked up
        if cause == "stall_load":
            assert self.patches.reads[self.next_read].needs > world.loaded[before], "loaded is ok"
        elif cause == "stall_weights":
            assert step.word >= world.written[before], "the ring word is there"
        else:
            assert step.last and not world.free_slots[before], "a slot is free"
        cover(f"patch: {cause}")

    def _gather(self, payload: dict[str, int]) -> None:
        world, env = self.world, self.world.env
        read, name = self.patches.reads[self.next_read], f"read {self.next_read}"
        f = read.fields
        self.next_read += 1
        check([{key: payload[key] for key in (
            "row_valid", "offset", "row_bytes", "pad_value", "gather_last")}], [{
                "row_valid": int(read.row_valid), "offset": read.offset,
                "row_bytes": f["ifm_row_bytes"], "pad_value": f["pad_value"],
                "gather_last": len(read.bytes) - 1}], name)
        check(env.get("line__enable"), int(read.row_valid), f"line_read, {name}")
        if read.row_valid:
            check(env.get("line__position"),
                  (read.row_start + read.offset) & world.position_mask, f"position, {name}")
        for position in read.real:
            assert world.freed <= position < world.loaded[-2], f"{name} reads byte {position}"
        for j, byte in enumerate(read.bytes):
            self.ring[(payload["gather_position"] + j) % len(self.ring)] = byte, world.cycle

    def _compute(self, step: PatchStep, payload: dict[str, int]) -> None:
        world, name = self.world, f"step {self.world.next}"
        check([payload[key] for key in ("first", "last", "weight_zero_point")],
              [step.first, step.last, step.fields["weight_zero_point"]], name)
        first = payload["patch_word"] * world.config.dot_width
        for j, byte in enumerate(step.bytes):
            there = self.ring[first + j]
            check([there[0] if there else None], [byte], f"byte {j} of {name}")
            assert there and there[1] + WRITTEN_AFTER <= world.cycle, f"{name} comes too early"
        cover("patch")
