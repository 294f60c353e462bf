"""Both sides of a bus master, for its benches: the core that asks, and a memory that answers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

from kaniwa.isa.bus import BusResponse
from kaniwa.sim.harness.bench import Env, check, cover
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.memory_ports import config_of

__all__ = ["OUTSIDE", "CoreSide", "OutsideBytes", "AxiWatch", "FirstBeats", "axi_slave",
           "random_reads", "random_write"]

OUTSIDE = 1 << 31


class OutsideBytes:
    """What outside memory holds, by bus address; ``read`` and ``write`` are AxiSlave's target.

    ``codes``: responses other than OKAY, by the address of a beat, of ``grain`` bytes; a write of
    several beats has the worst. ``wait``: awaited before each beat that is read.
    """

    def __init__(self, env: Env, grain: int) -> None:
        self.env, self.grain = env, grain
        self.bytes: dict[int, int] = {}
        self.codes: dict[int, BusResponse] = {}
        self.wait: Callable[[], Any] | None = None
        self.beat_read = 0
        self.worst = BusResponse.OKAY   # of the beats of a write

    def __getitem__(self, address: int) -> int:
        return self.bytes.get(address, (address * 0x9E3779B1 >> 13) & 255)

    def code(self, address: int) -> BusResponse:
        """How an access is answered."""
        return self.codes.get(address // self.grain * self.grain, BusResponse.OKAY)

    async def read(self, address: int, length: int) -> bytes:
        """The bytes of a beat."""
        if self.wait is not None:
            await self.wait()
        self.beat_read = address
        return bytes(self[address + index] for index in range(length))

    async def write(self, address: int, data: bytes) -> None:
        """Keep bytes of a beat, unless that fails."""
        self.worst = max(self.worst, self.code(address))
        if self.code(address) < BusResponse.SLVERR:
            for index, byte in enumerate(data):
                self.bytes[address + index] = byte


def axi_slave(env: Env, memory: OutsideBytes, stall: float = 0.0, prefix: str = "bus_") -> Any:
    """cocotbext-axi's AXI4 slave on ``memory``; ``stall``: chance that a channel pauses.

    The slave itself knows two responses only, so those of ``memory.codes`` are put in here.
    """
    from cocotbext.axi import AxiBus, AxiSlave

    slave = AxiSlave(AxiBus.from_prefix(env.dut, prefix), env.dut.clk, target=memory)
    read, write = slave.read_if, slave.write_if
    send_beat, send_end = read.r_channel.send, write.b_channel.send

    def beat_with_code(item: Any) -> Any:
        item.rresp = memory.code(memory.beat_read)
        return send_beat(item)

    def end_with_code(item: Any) -> Any:
        item.bresp, memory.worst = memory.worst, BusResponse.OKAY
        return send_end(item)

    read.r_channel.send, write.b_channel.send = beat_with_code, end_with_code
    if stall:
        for channel in (read.ar_channel, read.r_channel, write.aw_channel, write.w_channel,
                        write.b_channel):
            channel.set_pause_generator(env.rng.random() < stall for _ in itertools.count())
    return slave


def random_reads(env: Env, count: int, span: int) -> list[int]:
    """Addresses of words: runs of neighbors of random length below ``span`` bytes."""
    size, rng = config_of(env).read_bytes, env.rng
    addresses: list[int] = []
    while len(addresses) < count:
        first, length = rng.randrange(span // size), rng.choice((1, 1, 2, 5, 20, 40))
        addresses += [OUTSIDE + (first + i) % (span // size) * size for i in range(length)]
    return addresses[:count]


def random_write(env: Env, span: int) -> tuple[int, int, int]:
    """A write of a random word below ``span`` bytes, of all its bytes or of some."""
    size, rng = config_of(env).write_bytes, env.rng
    mask = rng.choice(((1 << size) - 1, rng.getrandbits(size)))
    return (OUTSIDE + rng.randrange(span // size) * size, rng.getrandbits(8 * size), mask)


class CoreSide:
    """Asks for reads and writes, and checks every word that comes.

    A word must have the bytes written in the cycles before its request was accepted, or later ones.
    ``reads`` (addresses) and ``writes`` (address, data, mask) wait to be asked for, with pauses by
    chance. ``faults`` has what was told: is a write, code, address. ``words`` came in this run.
    """

    def __init__(self, env: Env, memory: OutsideBytes, base: int, stall: float = 0.0) -> None:
        import cocotb
        from amaranth.lib import data

        config = config_of(env)
        self.env, self.memory, self.base, self.stall = env, memory, base, stall
        self.read_bytes, self.write_bytes = config.read_bytes, config.write_bytes
        self.reads: deque[int] = deque()
        self.writes: deque[tuple[int, int, int]] = deque()
        self.asked: deque[tuple[int, list[int]]] = deque()   # address, versions of its bytes
        self.history: dict[int, list[int]] = {}
        self.read_cycles: list[int] = []
        self.write_cycles: list[int] = []
        self.faults: list[tuple[int, ...]] = []
        self.words = 0
        self._reading: int | None = None   # what is asked for now
        self._writing: tuple[int, int, int] | None = None
        self._pack = codec(data.StructLayout({
            "address": 32, "data": 8 * self.write_bytes, "mask": self.write_bytes}))[0]
        env.set("base", base)
        env.set("busy", 1)
        self._task = cocotb.start_soon(self._run())

    def _bytes(self, address: int) -> list[int]:
        return self.history.setdefault(
            address, [self.memory[self.base + address - OUTSIDE]])

    async def finish(self, timeout: int = 60000) -> None:
        """Wait until all has been asked for and answered."""
        for _ in range(timeout):
            if self._task.done():
                self._task.result()
            if not (self.reads or self.writes or self.asked or self._reading is not None
                    or self._writing or self.env.get("writing")):
                return
            await self.env.cycles(1)
        raise AssertionError(f"{len(self.reads)} reads and {len(self.writes)} writes not asked, "
                             f"{len(self.asked)} not answered within {timeout} cycles")

    async def end_run(self) -> None:
        """End the run, whatever is on its way, and begin another one."""
        self.reads.clear()
        self.writes.clear()
        self._reading = self._writing = None
        await self.env.cycles(3)
        self.env.set("busy", 0)
        self.asked.clear()
        await self.env.cycles(3)
        self.env.set("busy", 1)
        self.words = 0

    async def run_behind_a_hang(self, answer: Callable[[], None]) -> None:
        """End a run whose bus does not answer, begin another one, and let the bus ``answer``.

        The new run reads beyond the first 4 KiB. It gets its own words alone, and no fault of the
        run before.
        """
        await self.end_run()
        self.faults.clear()
        self.reads.extend(address + 4096 for address in random_reads(self.env, 20, 16384))
        await self.env.cycles(50)
        check([self.words, self.env.get("quiet")], [0, 0], "words before the bus answers")
        answer()
        await self.finish()
        check([self.words, *self.faults], [20], "words, and faults of the run before")
        await self.env.cycles(5)
        check(self.env.get("quiet"), 1, "quiet")

    async def _run(self) -> None:
        env, rng = self.env, self.env.rng
        while True:
            if self._reading is None and self.reads and rng.random() >= self.stall:
                self._reading = self.reads.popleft()
                env.set("read__request__payload", self._reading)
            if self._writing is None and self.writes and rng.random() >= self.stall:
                self._writing = self.writes.popleft()
                address, data, mask = self._writing
                env.set("write__request__payload",
                        self._pack({"address": address, "data": data, "mask": mask}))
            reading, writing = self._reading, self._writing
            env.set("read__request__valid", reading is not None)
            env.set("write__request__valid", writing is not None)
            await env.cycles(1)
            if env.get("read__response__valid"):
                self._take(env.get("read__response__payload"))
            if reading is not None and env.get("read__request__ready"):
                self._reading = None
                self.read_cycles.append(env.cycle)
                self.asked.append((reading, [len(self._bytes(reading + i)) - 1
                                             for i in range(self.read_bytes)]))
            if writing is not None and env.get("write__request__ready"):
                self._writing = None
                self._keep(*writing)
                self.write_cycles.append(env.cycle)
            if env.get("fault__valid"):
                self.faults.append(tuple(env.get(f"fault__{name}")
                                         for name in ("write", "code", "address")))

    def _keep(self, address: int, data: int, mask: int) -> None:
        # A beat that fails is kept nowhere.
        for index in range(self.write_bytes):
            at = address + index
            if mask >> index & 1 and self.memory.code(self.base + at - OUTSIDE) < 2:
                self._bytes(at).append(data >> 8 * index & 255)

    def _take(self, word: int) -> None:
        assert self.asked, "a word that nobody asked for"
        address, versions = self.asked.popleft()
        self.words += 1
        at = self.base + address - OUTSIDE
        if any(self.memory.code(at + index) >= 2 for index in range(self.read_bytes)):
            check(word, 0, f"word at {address:#x} that failed")
            return
        for index, version in enumerate(versions):
            byte = word >> 8 * index & 255
            allowed = self._bytes(address + index)[version:]
            assert byte in allowed, (
                f"byte {address + index:#x} is {byte}, expected one of {allowed}")
        check(True, True, "word")


class AxiWatch:
    """Watches an AXI4 master's channels: what is offered stays, and bins of what was met."""

    def __init__(self, env: Env, most_words: int) -> None:
        import cocotb

        self.env, self.most_words = env, most_words
        self.beats = 0
        self.beat_cycles: list[int] = []
        self.bursts: list[tuple[int, int, int]] = []   # cycle, address, words
        self.reads_out = self.writes_out = 0
        self.write_ends: list[int] = []
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        env = self.env
        kept: dict[str, tuple[int, ...]] = {}
        fields = {"aw": ("addr", "len", "size", "burst", "id", "cache"),
                  "w": ("data", "strb", "last"),
                  "ar": ("addr", "len", "size", "burst", "id", "cache")}
        while True:
            await env.cycles(1)
            for channel, names in fields.items():
                valid, ready = (env.get(f"bus__{channel}{name}") for name in ("valid", "ready"))
                payload = tuple(env.get(f"bus__{channel}{name}") for name in names)
                if channel in kept:
                    assert valid and payload == kept[channel], f"{channel} changed while it waited"
                    cover(f"{channel}_waits")
                kept.pop(channel, None)
                if valid and not ready:
                    kept[channel] = payload
                elif valid:
                    self._handshake(channel, payload)
            check([env.get("bus__rready"), env.get("bus__bready")], [1, 1], "ready")
            if env.get("bus__rvalid"):
                self._beat()
            elif self.reads_out:
                cover("r_waits")
            if env.get("bus__bvalid"):
                self.writes_out -= 1
                self.write_ends.append(env.cycle)
                cover(f"b_{BusResponse(env.get('bus__bresp')).name}")
            elif self.writes_out:
                cover("b_waits")

    def _beat(self) -> None:
        env = self.env
        self.beats += 1
        self.beat_cycles.append(env.cycle)
        cover(f"r_{BusResponse(env.get('bus__rresp')).name}")
        if self.writes_out:
            cover("read_beside_writes")
        self.reads_out -= env.get("bus__rlast")

    def _handshake(self, channel: str, payload: tuple[int, ...]) -> None:
        env = self.env
        if channel == "aw":
            self.writes_out += 1
            if self.writes_out > 2:
                cover("writes_outstanding")
        if channel != "ar":
            return
        self.reads_out += 1
        if self.reads_out > 2:
            cover("reads_outstanding")
        address, length, *_ = payload
        beats = 8 * config_of(env).read_bytes // len(env.dut.bus__rdata)
        words = (length + 1) // beats
        assert words * beats == length + 1 and words <= self.most_words, payload
        bytes_ = words * config_of(env).read_bytes
        if words in (1, self.most_words):
            cover("burst_1" if words == 1 else "burst_most")
        if (address + bytes_) % 4096 == 0 and words < self.most_words:
            cover("burst_ends_at_page")
        self.bursts.append((env.cycle, address, words))


class FirstBeats:
    """Awaited before each beat that is read: a burst's beats come ``latency`` cycles after it.

    ``watch`` knows the bursts; beats are read in their order.
    """

    def __init__(self, env: Env, watch: AxiWatch, beats: int, latency: int) -> None:
        self.env, self.latency = env, latency
        self._watch, self._beats = watch, beats
        self._first, self._done = len(watch.bursts), 0

    async def __call__(self) -> None:
        self._done += 1
        before = 0
        for cycle, _, words in self._watch.bursts[self._first:]:
            before += words * self._beats
            if self._done <= before:
                while self.env.cycle < cycle + self.latency:
                    await self.env.cycles(1)
                return
