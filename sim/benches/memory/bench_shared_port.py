"""Memory shared by core and host: who gets it, whose a word is that comes, and who waits how long.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.hw.memory.system import READS_IN_FLIGHT
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start

KINDS = ("read", "write")
ONE_CHANNEL = "nano"


def _duts() -> list[Dut]:
    from kaniwa.hw.memory.shared_port import SharedPort

    return [Dut(name, SharedPort(PRESETS[name], one_channel=name == ONE_CHANNEL),
                config=PRESETS[name]) for name in (ONE_CHANNEL, "base")]


BENCH = Bench("shared_port", _duts, required=[
    *(f"{who}_{what}" for who in ("core", "host") for what in (*KINDS, "response")),
    "core_waits", "core_waits_beside", "behind_a_stuck_core", "words_ahead", "many_words_ahead",
    *(f"{words}_words_ahead" for words in range(5)), "core_alone"])


class World:
    """Requests that stay until they are taken, and a memory that answers in order.

    With ``stall`` memory is not always ready, unless it has one channel, and its words come late.
    Of the host there is one access at a time, of the core any number of reads that it may have.
    """

    def __init__(self, env: Env, stall: float, ask: float) -> None:
        self.env, self.stall, self.ask = env, stall, ask
        self.one_channel = env.dut_name == ONE_CHANNEL
        self.always_ready = self.one_channel or not stall
        self.bits = {kind: len(getattr(env.dut, f"{kind}__request__payload")) for kind in KINDS}
        self.word_bits = len(env.dut.read__response__payload)
        self.core: dict[str, int | None] = dict.fromkeys(KINDS)
        self.host: tuple[str, int] | None = None
        self.awaits_word = False
        self.under_way: deque[tuple[str, int, int]] = deque()     # who, word, cycle that is due
        self.stuck: dict[str, int | None] = dict.fromkeys(KINDS)   # what memory has seen
        self.cycle = self.asked = self.chances = 0
        self.host_went = False

    def draw(self) -> None:
        """New requests."""
        rng = self.env.rng
        in_flight = sum(who == "core" for who, *_ in self.under_way)
        for kind in rng.sample(KINDS, 2):
            other = self.core["write" if kind == "read" else "read"]
            if self.core[kind] is None and rng.random() < 0.8 and not (
                    kind == "read" and in_flight == READS_IN_FLIGHT) and not (
                    self.one_channel and other is not None):
                self.core[kind] = rng.getrandbits(self.bits[kind])
        if self.host is None and not self.awaits_word and rng.random() < self.ask:
            kind = rng.choice(KINDS)
            self.host = kind, rng.getrandbits(self.bits[kind])
            self.asked, self.chances = self.cycle, 0

    def drive(self) -> tuple[dict[str, int], tuple[str, int] | None]:
        """Set the inputs; gives what is ready and the word that comes."""
        env, rng = self.env, self.env.rng
        ready = {kind: int(self.always_ready or rng.random() >= self.stall) for kind in KINDS}
        due = None
        if self.under_way and self.under_way[0][2] <= self.cycle and rng.random() >= self.stall / 2:
            who, word, _ = self.under_way.popleft()
            due = who, word
        for kind in KINDS:
            core = self.core[kind]
            host = self.host[1] if self.host and self.host[0] == kind else None
            for who, payload in (("core", core), ("host", host)):
                env.set(f"{who}_{kind}__request__valid", payload is not None)
                env.set(f"{who}_{kind}__request__payload", payload or 0)
            env.set(f"{kind}__request__ready", ready[kind])
        env.set("read__response__valid", due is not None)
        env.set("read__response__payload", due[1] if due else rng.getrandbits(self.word_bits))
        return ready, due

    def check_word(self, due: tuple[str, int] | None) -> None:
        """A word goes to whoever asked, and to nobody else."""
        for who in ("core", "host"):
            expected = due is not None and due[0] == who
            check(self.env.get(f"{who}_read__response__valid"), int(expected), f"word to {who}")
            if expected and due:
                check(self.env.get(f"{who}_read__response__payload"), due[1], "word")
                cover(f"{who}_response")
                self.awaits_word &= who == "core"

    def check_kind(self, kind: str, ready: int) -> int:
        """A port: what memory sees, and who is told that it is taken; gives the accesses made."""
        env = self.env
        core, host = self.core[kind], None
        if self.host and self.host[0] == kind:
            host = self.host[1]
        seen = env.get(f"{kind}__request__valid")
        payload = env.get(f"{kind}__request__payload")
        core_taken = core is not None and env.get(f"core_{kind}__request__ready")
        host_taken = host is not None and env.get(f"host_{kind}__request__ready")
        if self.stuck[kind] is not None:
            check((seen, payload), (1, self.stuck[kind]), "a request that memory has seen")
        self.stuck[kind] = payload if seen and not ready else None
        check(core_taken + host_taken, seen & ready, f"{kind}s taken")
        if host_taken:
            check(payload, host, f"{kind} of the host")
            self._take_host(kind)
        if core_taken:
            check(payload, core, f"{kind} of the core")
            self._take_core(kind)
        if host is not None and ready and not host_taken:
            self.chances += 1
            check(self.chances, 1, "times that memory could have taken what the host waits for")
        if self.host is None and not self.host_went:
            check(seen, int(core is not None), "a core that is alone")
            cover("core_alone")
        if core is not None and ready and not core_taken:
            cover("core_waits" if host_taken else "core_waits_beside")
            check(self.host_went, True, "the core waits for an access of the host")
        return core_taken + host_taken

    def _take_host(self, kind: str) -> None:
        ahead = len(self.under_way)
        self.host, self.host_went = None, True
        cover(f"host_{kind}")
        if self.always_ready:
            check(self.cycle - self.asked, 1, "cycles that the host waits")
        elif self.cycle - self.asked > 1:
            cover("behind_a_stuck_core")
        if kind == "read":
            self.awaits_word = True
            self._answer("host")
            cover(f"{ahead}_words_ahead" if ahead < 5 else "words_ahead")
            if ahead >= READS_IN_FLIGHT - 1:
                cover("many_words_ahead")

    def _take_core(self, kind: str) -> None:
        self.core[kind] = None
        cover(f"core_{kind}")
        if kind == "read":
            self._answer("core")

    def _answer(self, who: str) -> None:
        rng = self.env.rng
        late = 1
        if self.stall:
            late += rng.choice([0, 1, 2, 3, 5, 120] if rng.random() < 0.3 else [0, 3])
        before = self.under_way[-1][2] if self.under_way else 0
        due = max(before, self.cycle + late)
        self.under_way.append((who, rng.getrandbits(self.word_bits), due))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5], ask=[0.0, 0.1, 1.0])
async def accesses_in_order(dut: Any, stall: float, ask: float) -> None:
    env = await start(dut, BENCH)
    world = World(env, stall, ask)
    for world.cycle in range(4000):
        world.draw()
        ready, due = world.drive()
        await env.cycles(1)
        went, world.host_went = world.host_went, False
        world.check_word(due)
        ports = sorted(KINDS, key=lambda kind: not (world.host and world.host[0] == kind))
        accesses = sum(world.check_kind(kind, ready[kind]) for kind in ports)
        if world.one_channel:
            check(accesses <= 1, True, "accesses in a cycle")
        if went and world.always_ready:
            check(world.host_went, False, "the core has the cycle behind an access of the host")
