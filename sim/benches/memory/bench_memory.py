"""Memory system: routing, order, arbitration, visibility of writes, errors and hold."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, Monitor, check, cover, start
from kaniwa.sim.worlds.memory_ports import (
    ReadServer,
    Stalls,
    TestMemory,
    WriteServer,
    config_of,
    odd,
)
from kaniwa.sim.worlds.serial_config import SERIAL

READERS = ("commands", "operand", "activations", "weights")
SIDES = ("local", "outside")
OUTSIDE = 1 << 31
ALIGNMENT, ROOM = 256, 2048
LOCAL_ONLY = "local_only"


def _duts() -> list[Dut]:
    from kaniwa.hw.memory.system import MemorySystem

    configs = [SERIAL, PRESETS["base"], odd(),
               odd(memory_bytes=0, name="outside_only"),
               odd(memory_bytes=3 * 4096, write_bytes=16, shared_channel=True, name="shared")]
    return [*(Dut(c.name, MemorySystem(c), config=c) for c in configs),
            Dut(LOCAL_ONLY, MemorySystem(PRESETS["small"], outside=False), config=PRESETS["small"])]


BENCH = Bench("memory", _duts, required=[
    "write_seen", "side_changed", "both_sides_at_once", "in_turn", "commands_first", "32_in_flight",
    "read_dropped", "write_dropped", "last_word", "hold", "hold_during_write", "shared_channel",
    "full_rate"])


class Rig:
    """Clients and memories at the ports; remembers the contents of every word over time."""

    def __init__(self, env: Env, stall: float = 0.0, memory_stall: float = 0.0,
                 latency: tuple[int, int] = (1, 1), drops: bool = False) -> None:
        from amaranth.hdl import unsigned

        from kaniwa.hw.interfaces import write_port

        self.env, self.size = env, config_of(env).read_bytes
        limit = config_of(env).memory_bytes
        self._outside = env.rng.randrange(OUTSIDE, 2 * OUTSIDE - ROOM, ALIGNMENT)
        self._local = env.rng.randrange(0, limit - ROOM, ALIGNMENT) if limit else OUTSIDE
        layout = write_port(config_of(env)).members["request"].signature.members["payload"].shape
        self.memory = {side: TestMemory(env) for side in SIDES}
        self.history: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        self.reads = {side: ReadServer(env, f"{side}_read", self._reader(side), memory_stall,
                                       latency) for side in SIDES}
        self.writes = {side: WriteServer(env, f"{side}_write", layout, self._writer(side),
                                         memory_stall) for side in SIDES}
        self.requests = {name: Driver(env, f"{name}__request", unsigned(32), stall)
                         for name in READERS}
        self.responses = {name: Monitor(env, f"{name}__response", unsigned(8 * self.size))
                          for name in READERS}
        self.results = Driver(env, "results__request", layout, stall)
        self.sent: dict[str, list[int]] = {name: [] for name in READERS}
        self.taken = dict.fromkeys(READERS, 0)
        self.written: list[dict[str, int]] = []
        if not drops:
            cocotb.start_soon(self._watch_idle())

    async def _watch_idle(self) -> None:
        """``idle`` says that no word is on its way and no write has been seen but not taken."""
        env, write = self.env, False
        while True:
            await env.cycles(1)
            asked = sum(bisect_left(d.cycles, env.cycle) for d in self.requests.values())
            given = sum(bisect_left(m.cycles, env.cycle) for m in self.responses.values())
            if env.get("idle"):
                check(asked, given, "words on their way when idle")
            elif not write:
                assert asked != given, "not idle without reason"
            write = bool(env.get("results__request__valid")
                         and not env.get("results__request__ready"))

    def _reader(self, side: str) -> Any:
        return lambda address: self.memory[side].word(address, self.size)

    def _writer(self, side: str) -> Any:
        width = config_of(self.env).write_bytes

        def write(item: dict[str, int]) -> None:
            memory, address = self.memory[side], item["address"]
            first = address // self.size * self.size
            words = range(first, address + width, self.size)
            for word in words:
                if not self.history[side, word]:
                    self.history[side, word].append((-1, memory.word(word, self.size)))
            memory.write(address, item["data"], item["mask"], width)
            for word in words:
                self.history[side, word].append((self.env.cycle, memory.word(word, self.size)))
        return write

    def read(self, name: str, addresses: list[int]) -> None:
        """Queue reads of a client."""
        self.sent[name] += addresses
        self.requests[name].send(addresses)

    def store(self, items: list[dict[str, int]]) -> None:
        """Queue writes."""
        self.written += items
        self.results.send(items)

    async def finish(self) -> None:
        """Wait for all clients and check every word, its order and the writes."""
        for name in READERS:
            await self.responses[name].take(len(self.sent[name]) - self.taken[name])
            self.taken[name] = len(self.sent[name])
        await self.results.drain()
        await self.env.cycles(6)
        check(self.env.get("idle"), 1, "idle")
        for name in READERS:
            self._check_reads(name)
        written = sorted((cycle, side, index) for side in SIDES
                         for index, cycle in enumerate(self.writes[side].cycles))
        check([{**self.writes[side].items[index], "side": side} for _, side, index in written],
              [{**item, "address": item["address"] % OUTSIDE, "side": self._side(item["address"])}
               for item in self.written], "writes")

    def _side(self, address: int) -> str:
        return SIDES[address >> 31]

    def _check_reads(self, name: str) -> None:
        """Each word is what memory held at some time from the request on."""
        asked, got = self.requests[name].cycles, self.responses[name]
        check(len(got.items), len(self.sent[name]), f"{name}: responses")
        for index, address in enumerate(self.sent[name]):
            side, word = self._side(address), address % OUTSIDE
            history = (self.history[side, word]
                       or [(-1, self.memory[side].word(word, self.size))])
            before = [value for cycle, value in history if cycle < asked[index]]
            later = [value for cycle, value in history if asked[index] <= cycle]
            assert got.items[index] in [before[-1], *later], f"{name}: word {index} at {address:#x}"
            if len(before) > 1 and got.items[index] == before[-1]:
                cover("write_seen")
            if index and self._side(self.sent[name][index - 1]) != side:
                cover("side_changed")
                assert asked[index] > got.cycles[index - 1], f"{name}: changed sides too early"

    def sides(self) -> list[int]:
        """An address in each memory side that this config has, with ROOM bytes to follow."""
        if self.env.dut_name == LOCAL_ONLY:
            return [self._local]
        return [self._local, self._outside] if self._local < OUTSIDE else [self._outside]


def random_write(env: Env, side: int, words: int) -> dict[str, int]:
    """A write of random bytes to one of the ``words`` words from address ``side`` on."""
    width = config_of(env).write_bytes
    return {"address": side + width * env.rng.randrange(words),
            "data": env.rng.getrandbits(8 * width), "mask": env.rng.getrandbits(width)}


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5],
                    memory=[(0.0, (1, 1)), (0.0, (2, 20)), (0.3, (1, 9)), (0.7, (1, 2))])
async def words_arrive_in_order(dut: Any, stall: float, memory: Stalls) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, stall, *memory)
    rng = env.rng
    for name in READERS:
        while len(rig.sent[name]) < 100:
            side = rng.choice(rig.sides())
            rig.read(name, [side + rig.size * rng.randrange(16)
                            for _ in range(rng.choice([1, 2, 20]))])
    rig.store([random_write(env, rng.choice(rig.sides()), 16) for _ in range(150)])
    await rig.finish()


@cocotb.test()
async def serves_commands_then_operand_then_in_turn(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env)
    expected = {}
    for side in rig.sides():
        base = {name: side + 20 * rig.size * number for number, name in enumerate(READERS)}
        for name in READERS:
            rig.read(name, [base[name] + rig.size * i for i in range(20)])
        await rig.finish()
        words = {name: [base[name] % OUTSIDE + rig.size * i for i in range(20)] for name in READERS}
        expected[SIDES[side >> 31]] = (words["commands"] + words["operand"] + [
            word for pair in zip(words["activations"], words["weights"], strict=True)
            for word in pair])
    for name, order in expected.items():
        check(rig.reads[name].addresses, order, f"{name} order")
        span = rig.reads[name].cycles[-1] - rig.reads[name].cycles[0]
        check(span, len(order) - 1, f"{name} cycles")
    cover("commands_first")
    cover("in_turn")


@cocotb.test()
async def sides_work_at_once(dut: Any) -> None:
    """Each side gives a word and takes a write a cycle; a shared channel does one or the other."""
    env = await start(dut, BENCH)
    rig = Rig(env, latency=(4, 4))
    count, width = 40, config_of(env).write_bytes
    for side, name in zip(reversed(rig.sides()), ("weights", "activations"), strict=False):
        rig.read(name, [side + rig.size * i for i in range(count)])
    local = rig.sides()[0]
    await env.cycles(10)
    rig.store([{"address": local + width * i, "data": i, "mask": 1} for i in range(10)])
    await rig.finish()
    lost = 10 if config_of(env).shared_channel and local < OUTSIDE else 0
    for side in rig.sides():
        cycles = rig.reads[SIDES[side >> 31]].cycles
        check(cycles[-1] - cycles[0], count - 1 + (lost if side == local else 0), "read cycles")
    writes = rig.writes[SIDES[local >> 31]].cycles
    check(writes[-1] - writes[0], 9, "write cycles")
    if lost:
        assert not set(writes) & set(rig.reads["local"].cycles), "read and write in one cycle"
        cover("shared_channel")
    cover("full_rate")
    if len(rig.sides()) == 2:
        cover("both_sides_at_once")


@cocotb.test()
async def a_read_takes_three_cycles(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env)
    for side in rig.sides():
        rig.read("weights", [side])
        await rig.finish()
    for asked, got in zip(rig.requests["weights"].cycles, rig.responses["weights"].cycles,
                          strict=True):
        check(got - asked, 3, "cycles from request to response")


@cocotb.test()
async def keeps_32_reads_in_flight(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, latency=(60, 60))
    side = rig.sides()[-1]
    for name in READERS:
        rig.read(name, [side + rig.size * env.rng.randrange(64) for _ in range(40)])
    await rig.finish()
    port = rig.reads[SIDES[side >> 31]]
    in_flight = [sum(at - 60 < c <= at for c in port.cycles) for at in port.cycles]
    check(max(in_flight), 32, "reads in flight")
    cover("32_in_flight")


@cocotb.test()
async def drops_what_is_beyond_memory(dut: Any) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, drops=True)
    limit, width = config_of(env).memory_bytes, config_of(env).write_bytes
    errors: list[tuple[int, int]] = []

    async def watch() -> None:
        while True:
            await env.cycles(1)
            if env.get("error"):
                errors.append((env.cycle, env.get("error_client")))

    cocotb.start_soon(watch())
    if limit:
        rig.read("operand", [limit - rig.size])
        rig.store([{"address": limit - width, "data": 1, "mask": 1}])
        await rig.finish()
        cover("last_word")
    check(errors, [], "errors")
    outside = [OUTSIDE, OUTSIDE | limit - rig.size] if env.dut_name == LOCAL_ONLY else []
    for address in (limit, limit + 4096, limit | 1 << 30, *outside):
        for number, name in enumerate(READERS):
            rig.requests[name].send([address])
            await env.cycles(6)
            check([client for _, client in errors], [number], f"clients in error at {address:#x}")
            errors.clear()
            cover("read_dropped")
        rig.results.send([{"address": address, "data": 1, "mask": 1}])
        await env.cycles(6)
        check([client for _, client in errors], [4], f"clients in error at {address:#x}")
        errors.clear()
        cover("write_dropped")
    check(len(rig.reads["local"].addresses), int(limit > 0), "reads sent")
    check(len(rig.writes["local"].items), int(limit > 0), "writes sent")
    check(env.get("idle"), 1, "idle")
    asked = len(rig.requests["weights"].cycles)
    rig.read("weights", [rig.sides()[-1] + rig.size * i for i in range(5)])
    await rig.responses["weights"].take(5)
    check(len(rig.requests["weights"].cycles) - asked, 5, "reads after a dropped one")


@cocotb.test()
@cocotb.parametrize(memory_stall=[0.0, 0.8])
async def hold_lets_only_begun_requests_pass(dut: Any, memory_stall: float) -> None:
    env = await start(dut, BENCH)
    rig = Rig(env, memory_stall=memory_stall, latency=(1, 12))
    for name in READERS:
        rig.read(name, [env.rng.choice(rig.sides()) + rig.size * env.rng.randrange(16)
                        for _ in range(60)])
    rig.store([random_write(env, env.rng.choice(rig.sides()), 16) for _ in range(60)])
    for _ in range(8):
        await env.cycles(env.rng.randint(1, 12))
        env.set("hold", 1)
        await env.cycles(1)
        taken = {name: rig.requests[name].sent for name in READERS}
        stored = rig.results.sent
        for _ in range(400):
            await env.cycles(1)
            if env.get("idle"):
                break
        check(env.get("idle"), 1, "idle on hold")
        await env.cycles(10)
        for name in READERS:
            check(rig.requests[name].sent, taken[name], f"{name}: requests taken on hold")
            check(len(rig.responses[name].items), taken[name], f"{name}: responses on hold")
        assert rig.results.sent <= stored + 1, "writes taken on hold"
        cover("hold")
        if rig.results.sent > stored:
            cover("hold_during_write")
        env.set("hold", 0)
    await rig.finish()
