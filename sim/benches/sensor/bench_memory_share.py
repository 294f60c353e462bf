"""Memory shared by the sensor ports and others: who gets it, and whose a word is that comes."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Dut, check, cover, start
from kaniwa.sim.worlds.memory_ports import config_of

SIDES = ("others", "sensor")


def _duts() -> list[Dut]:
    from kaniwa.hw.sensor.share import MemoryShare

    return [Dut(name, MemoryShare(PRESETS[name]), config=PRESETS[name])
            for name in ("nano", "small")]


BENCH = Bench("memory_share", _duts, required=[
    *(f"{who}_{what}" for who in SIDES for what in ("read", "write", "response")),
    "others_wait", "sensor_waits_for_others", "sensor_waits_while_busy", "response_while_busy"])


@cocotb.test()
async def accesses_in_order(dut: Any) -> None:
    """Random requests that stay until they are taken; memory answers as on-chip memory does."""
    env = await start(dut, BENCH)
    rng, late = env.rng, config_of(env).memory_latency
    pending: dict[str, tuple[str, int] | None] = dict.fromkeys(SIDES)
    under_way: deque[tuple[str, int] | None] = deque([None] * late)
    waited = 0
    busy = False
    for port in ("read", "write"):
        env.set(f"{port}__request__ready", 1)
    for _ in range(1500):
        busy = busy != (rng.random() < 0.1)
        env.set("busy", busy)
        for who in SIDES:
            if pending[who] is None and rng.random() < 0.6:
                pending[who] = rng.choice(("read", "write")), rng.getrandbits(30)
            kind, payload = pending[who] or ("", 0)
            for port in ("read", "write"):
                env.set(f"{who}_{port}__request__valid", kind == port)
                env.set(f"{who}_{port}__request__payload", payload if kind == port else 0)
        due = under_way.popleft()
        env.set("read__response__valid", due is not None)
        env.set("read__response__payload", due[1] if due else rng.getrandbits(30))
        await env.cycles(1)
        for who in SIDES:
            expected = due is not None and due[0] == who
            check(env.get(f"{who}_read__response__valid"), int(expected), f"response to {who}")
            if expected and due:
                check(env.get(f"{who}_read__response__payload"), due[1], "word")
                cover(f"{who}_response")
                if who == "sensor" and busy:
                    cover("response_while_busy")
        taken = [who for who in SIDES if pending[who] is not None
                 and env.get(f"{who}_{(pending[who] or ('', 0))[0]}__request__ready")]
        check(len(taken) <= 1, True, "accesses in a cycle")
        if busy:
            check("sensor" in taken, False, "the sensor while others are busy")
            if pending["sensor"]:
                cover("sensor_waits_while_busy")
        if pending["others"] and "others" not in taken:
            check(busy, False, "others wait while busy")
            waited += 1
            check(waited, 1, "cycles that others wait")
            cover("others_wait")
        else:
            waited = 0
        if pending["sensor"] and taken == ["others"] and not busy:
            cover("sensor_waits_for_others")
        under_way.append(None)
        for port in ("read", "write"):
            sent = [who for who in taken if (pending[who] or ("", 0))[0] == port]
            check(env.get(f"{port}__request__valid"), len(sent), f"{port} of memory")
            for who in sent:
                payload = (pending[who] or ("", 0))[1]
                check(env.get(f"{port}__request__payload"), payload, f"{port} by {who}")
                cover(f"{who}_{port}")
                if port == "read":
                    under_way[-1] = who, rng.getrandbits(30)
                pending[who] = None
