"""A board's start from flash and its classes, at the link, against models of both."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from kaniwa.config import PRESETS
from kaniwa.driver.frames import (
    LINK_REGISTERS,
    REGISTERS,
    Operation,
    Request,
    encode_request,
)
from kaniwa.isa import Register, Status
from kaniwa.sim.benches.link.link_world import PACE, SIZE, Device, group
from kaniwa.sim.benches.standalone.image_bytes import (
    Scores,
    body_of,
    image_bytes,
    random_requests,
    state_of,
)
from kaniwa.sim.board.flash_model import FlashChip
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.standalone.format import FlashState

ADDRESS, WAIT = 0x20_0000, 16
HALVES = {"nano": 1, "base": 2}     # cycles of half a clock of the flash
CHECKS = 12                          # cycles between clocks of the flash and the state told


def _duts() -> list[Dut]:
    from amaranth.lib.wiring import Component, Out, connect, flipped

    from kaniwa.hw.link.link import Link
    from kaniwa.hw.standalone.standalone import Standalone

    class Board(Component):
        """Link and start from flash, as they are on a board."""

        def __init__(self, name: str) -> None:
            config = PRESETS[name]
            self.link = Link(config, pace=PACE, outside=name == "base", local=True)
            self.start = Standalone(config, ADDRESS, wait_cycles=WAIT, half_cycles=HALVES[name])
            own = ("rx", "local")
            ports = {port: member for port, member in self.link.signature.members.items()
                     if port not in own}
            pins = {port: member for port, member in self.start.signature.members.items()
                    if port not in (*own, "line", "busy")}
            super().__init__({**ports, **pins, "rx": self.start.signature.members["line"]})

        def elaborate(self, platform: Any) -> Any:
            from amaranth import Module

            m = Module()
            m.submodules.link, m.submodules.start = link, starts = self.link, self.start
            connect(m, starts.local, link.local)
            connect(m, starts.rx, link.rx)
            connect(m, flipped(self.rx), starts.line)
            connect(m, link.tx, flipped(self.tx))
            for port in ("read", "write"):
                connect(m, getattr(link, port), flipped(getattr(self, port)))
            m.d.comb += [link.busy.eq(self.busy), starts.busy.eq(self.busy)]
            for block in (link, starts):
                for port, member in block.signature.members.items():
                    if not member.is_port or port == "busy":
                        continue
                    here, there = getattr(self, port), getattr(block, port)
                    m.d.comb += here.eq(there) if member.flow == Out else there.eq(here)
            return m

    return [Dut(name, Board(name), config=PRESETS[name]) for name in HALVES]


BENCH = Bench("standalone", _duts, long=("base",), required=[
    *(f"state_{state.name.lower()}" for state in FlashState if state > FlashState.LOADING),
    "flipped", "cut", "too_long", "other_in_second_pass", "not_whole", "not_allowed", "no_body",
    "dropped", "class", "tie", "several_hundred", "no_scores", "refused",
    "beside_the_line", "line_waits", "in_time", "not_well"])


class World:
    """The DUT with memory, registers, line and flash."""

    def __init__(self, env: Env, flash: bytes | bytearray, stall: float = 0.0) -> None:
        self.env, self.rng = env, env.rng
        self.device = Device(env, stall, stall)
        half = HALVES[env.dut_name]
        self.flash = FlashChip(flash, ADDRESS, rest=WAIT, half=half, late=2 * half - 2,
                               noise=env.rng)
        self.outside = env.dut_name == "base"
        self.ended = 0     # cycle in which the state was told
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env = self.env
        while True:
            await env.cycles(1)
            env.set("cipo", self.flash.cycle(env.get("cs"), env.get("sck"), env.get("copi")))
            if not self.ended and env.get("state") != FlashState.LOADING:
                self.ended = env.cycle

    async def start(self, traffic: bool = False) -> FlashState:
        """Wait until it has started; with ``traffic`` a host talks in vain until it loads."""
        driver, monitor = self.device.driver, self.device.monitor
        while not self.ended:
            if traffic and len(self.flash.reads) < 2 and not driver.pending:
                driver.send(b"\0" + encode_request(Request(Operation.OPEN, 0, 3), 0)
                            + self.rng.randbytes(50))
                cover("dropped")
            await self.env.cycles(1)
        await self.env.cycles(30)
        # The first byte of a line ends what may have come before it.
        check(bytes(monitor.items), bytes(1), "bytes to the line while it loaded")
        state = FlashState(self.env.get("state"))
        cover(f"state_{state.name.lower()}")
        self.device.model.flash = state
        return state

    def play(self, requests: list[Request]) -> None:
        """Have the model's core as it should be behind these requests."""
        core = self.device.wanted[0]
        for request in requests:
            if request.operation == Operation.REGISTER:
                core.write_register(request.count, request.word)
            elif request.operation == Operation.WRITE:
                for i, value in enumerate(request.data):
                    core.write(request.word + i, value)

    async def talk(self) -> None:
        """The link does all that it does without a start from flash."""
        device = self.device
        await device.both(b"\0")
        await device.both(b"\0" + encode_request(Request(Operation.OPEN, 0, 7), 0))
        await device.both(encode_request(Request(Operation.READ, LINK_REGISTERS, 8), 0))
        for _ in range(2):
            await device.both(group(device, self.rng))


def _cycles(env: Env, body: int) -> int:
    """From the reset until a body of so many bytes has been played."""
    half = HALVES[env.dut_name]
    return (WAIT + 1 + 64 * half) + 2 * (WAIT + 1 + 64 * half + 16 * half * (28 + body + 4))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4], traffic=[False, True])
async def loads_what_is_in_flash(dut: Any, stall: float, traffic: bool) -> None:
    env = await start(dut, BENCH)
    requests = random_requests(env.rng, SIZE, 0 if stall and traffic else 9,
                               outside=env.dut_name == "base")
    body = body_of(requests)
    world = World(env, image_bytes(env.config.hash, body), stall)
    if not body:
        cover("no_body")
    check(await world.start(traffic), FlashState.LOADED, "state")
    check(world.flash.reads, [ADDRESS] * 2, "reads of the flash")
    assert world.flash.clocks >= 24
    if not stall:
        least = _cycles(env, len(body))
        assert least <= world.ended <= least + CHECKS + 10, (least, world.ended)
        cover("in_time")
    world.play(requests)
    await world.talk()
    await env.cycles(200)
    assert not env.get("cs") and not env.get("valid")


def _damaged(env: Env, kind: str, image: bytes) -> bytes:
    """What is in flash instead of an image; a length that takes too long to read is left out."""
    rng, data = env.rng, bytearray(image)
    if kind == "flipped":
        cover(kind)
        at = rng.choice([rng.randrange(8, 16), rng.randrange(20, len(image))])
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "magic":
        data[rng.randrange(8)] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        cover(kind)
        del data[rng.randrange(20, len(image)):]
    elif kind == "too_long":
        cover(kind)
        data[19] = 1 << rng.randrange(8)
    elif kind == "length":
        data[16] ^= 1 << rng.randrange(8)
    elif kind == "blank":
        data = bytearray()
    elif kind == "zero":
        data = bytearray(100)
    elif kind == "other_config":
        return image_bytes(rng.randbytes(8).hex(), image[28:-4])
    return bytes(data)


@cocotb.test()
@cocotb.parametrize(kind=["flipped", "magic", "cut", "too_long", "length", "blank", "zero",
                          "other_config"], again=[False, True])
async def loads_nothing_else(dut: Any, kind: str, again: bool) -> None:
    env = await start(dut, BENCH)
    requests = random_requests(env.rng, SIZE, 3, outside=False)
    image = image_bytes(env.config.hash, body_of(requests), Scores(5, 9))
    flash = _damaged(env, kind, image)
    world = World(env, flash)
    expected = state_of(flash, env.config.hash)
    assert expected != FlashState.LOADED
    check(await world.start(), expected, f"state for {kind}")
    check(world.flash.reads, [ADDRESS], "reads of the flash")
    await world.talk()     # finds memory and registers as they were
    await env.cycles(200)
    assert not env.get("cs") and not env.get("valid") and env.get("state") == expected


@cocotb.test()
async def checks_what_it_plays(dut: Any) -> None:
    """A byte that is another one when it is read again."""
    env = await start(dut, BENCH)
    requests = random_requests(env.rng, SIZE, 4, outside=False)
    image = bytearray(image_bytes(env.config.hash, body_of(requests)))
    world = World(env, image)
    while len(world.flash.reads) < 2:
        await env.cycles(1)
    image[-1] ^= 1 << env.rng.randrange(8)
    check(await world.start(), FlashState.DAMAGED, "state")
    cover("other_in_second_pass")
    world.play(requests)
    await world.talk()


@cocotb.test()
@cocotb.parametrize(kind=["not_whole", "not_allowed"], again=[False, True])
async def gets_over_a_body_that_is_none(dut: Any, kind: str, again: bool) -> None:
    """One that ends within a request, and one with requests that no image has."""
    cover(kind)
    env = await start(dut, BENCH)
    requests = random_requests(env.rng, SIZE, 3, outside=False)
    body = body_of(requests)
    if kind == "not_whole":
        whole = Request(Operation.WRITE, 77, 9, env.rng.randbytes(9))
        kept = 3 if again else env.rng.randrange(7, 15)      # of its word, or of its data
        body += body_of([whole])[:kept]
        data = whole.data[:max(0, kept - 6)]
        requests.append(Request(Operation.WRITE, 77, len(data), data))
    else:
        others = [Request(Operation.OPEN, 0, 5), Request(Operation.READ, 3, 20),
                  Request(Operation.READ, LINK_REGISTERS, 8)]
        body = body_of(others) + body
    world = World(env, image_bytes(env.config.hash, body))
    check(await world.start(), FlashState.LOADED, "state")
    world.play(requests)
    await world.device.both(b"\0" + encode_request(Request(Operation.READ, 0, 4), 0))
    await world.talk()


class Runs:
    """Runs of a core, which leave scores in device memory."""

    def __init__(self, world: World, scores: Scores) -> None:
        self.world, self.env, self.scores = world, world.env, scores

    async def run(self, busy_cycles: int = 20, status: int = Status.DONE) -> int:
        """A run that ends with ``status``; gives the class of its scores."""
        env, rng, scores = self.env, self.env.rng, self.scores
        for core in (*self.world.device.cores, *self.world.device.wanted):
            core.busy = True
            core.registers[Register.STATUS] = status
        env.set("busy", 1)
        await env.cycles(3)
        assert not env.get("valid"), "a class within a run"
        low, high = rng.choice([(0, 256), (0, 2), (120, 136)])
        values = [rng.randrange(low, high) for _ in range(scores.count)]
        if values.count(max(values, default=0)) > 1:
            cover("tie")
        for core in (*self.world.device.cores, *self.world.device.wanted):
            for i, value in enumerate(values):
                core.write(scores.address + i, value)
        await env.cycles(busy_cycles)
        assert not env.get("valid"), "a class within a run"
        for core in (*self.world.device.cores, *self.world.device.wanted):
            core.busy = False
        env.set("busy", 0)
        return int(np.argmax(np.array(values, np.uint8).view(np.int8))) if values else 0

    async def until_valid(self, cycles: int) -> int:
        """Cycles until there is a class, at most so many."""
        for count in range(cycles):
            if self.env.get("valid"):
                return count
            await self.env.cycles(1)
        raise AssertionError(f"no class within {cycles} cycles")


async def _loaded(dut: Any, scores: Scores, stall: float = 0.0) -> Runs:
    env = await start(dut, BENCH)
    requests = random_requests(env.rng, SIZE, 1, outside=False)
    world = World(env, image_bytes(env.config.hash, body_of(requests), scores), stall)
    check(await world.start(), FlashState.LOADED, "state")
    world.play(requests)
    return Runs(world, scores)


@cocotb.test()
@cocotb.parametrize(count=[1, 2, 12, 240])
async def tells_the_first_largest_score(dut: Any, count: int) -> None:
    runs = await _loaded(dut, Scores(1000 + count, count))
    env = runs.env
    for _ in range(12):
        expected = await runs.run()
        # Two requests of six bytes, a register, and of each score a read.
        latency = env.config.memory_latency
        cycles = await runs.until_valid(50 + count * (latency + 6))
        check(env.get("number"), expected, "class")
        assert cycles >= count
        cover("class")
        if count == 240:
            cover("several_hundred")
        await env.cycles(env.rng.randrange(50))
        check(env.get("number"), expected, "class, later")
        assert env.get("valid")
    check(bytes(runs.world.device.monitor.items), bytes(1), "bytes to the line")


@cocotb.test()
async def of_no_scores_there_is_no_class(dut: Any) -> None:
    runs = await _loaded(dut, Scores())
    for _ in range(3):
        await runs.run()
        for _ in range(80):
            await runs.env.cycles(1)
            assert not runs.env.get("valid") and not runs.world.device.addresses
        runs.world.device.addresses.clear()
    cover("no_scores")


@cocotb.test()
@cocotb.parametrize(status=[0, Status.ERROR, Status.ERROR | Status.DONE])
async def of_a_run_that_did_not_end_well_there_is_no_class(dut: Any, status: int) -> None:
    runs = await _loaded(dut, Scores(900, 3))
    for number in range(4):
        expected = await runs.run(status=Status.DONE if number % 2 else status)
        await runs.env.cycles(100)
        check(runs.env.get("valid"), number % 2, "whether there is a class")
        if number % 2:
            check(runs.env.get("number"), expected, "class")
    cover("not_well")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def leaves_no_trace_on_the_line(dut: Any, stall: float) -> None:
    """Classes are read between requests of the line, which finds all as without them."""
    runs = await _loaded(dut, Scores(300, 40), stall)
    env, device = runs.env, runs.world.device
    await runs.world.talk()
    for _ in range(5):      # requests wait for the scores that are read
        expected = await runs.run()
        data, before = group(device, env.rng), len(device.monitor.items)
        talk = cocotb.start_soon(device.both(data))
        while not env.get("valid"):
            await env.cycles(1)
        if device.driver.sent > 150 and len(device.monitor.items) == before:
            cover("line_waits")
        await talk
        check(env.get("number"), expected, "class")
    for _ in range(5):      # the scores wait for a request under way
        expected_sequence = device.model.expected
        data = b"".join(encode_request(Request(Operation.READ, REGISTERS + 4 * i, 9), number)
                        for i, number in enumerate([expected_sequence] * 6))
        talk = cocotb.start_soon(device.both(data))
        await env.cycles(env.rng.randrange(300, 900))
        expected = await runs.run()
        await runs.until_valid(4000)
        check(env.get("number"), expected, "class")
        await talk
        cover("beside_the_line")


@cocotb.test()
async def a_refused_read_leaves_no_class(dut: Any) -> None:
    """The next run begins as soon as the last one has ended."""
    runs = await _loaded(dut, Scores(600, 4))
    env = runs.env
    for gap in range(1, 42):
        await runs.run()
        await env.cycles(gap)
        env.set("busy", 1)
        await env.cycles(60)
        if not env.get("valid"):
            cover("refused")
        assert not env.get("valid")
        env.set("busy", 0)
        await runs.until_valid(200)
        expected = await runs.run()
        await runs.until_valid(200)
        check(env.get("number"), expected, "class of the run behind")
