"""Device memory behind a block's memory ports, for benches: random waits, latency and contents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import Mode
from kaniwa.sim.harness.bench import Env, Input
from kaniwa.sim.harness.payload import codec

__all__ = ["random_address", "ReadServer", "WriteServer", "TestMemory", "Producer", "Stalls",
           "odd", "config_of", "beats_in_order"]

Stalls = tuple[float, tuple[int, int]]  # stall and latency of a read server


def odd(**changes: Any) -> AcceleratorConfig:
    """A config with M, N and R out of proportion and buffers so small that they wrap often."""
    small: dict[str, Any] = {
        "out_lanes": 12, "dot_width": 8, "requant_lanes": 4, "read_bytes": 8, "write_bytes": 8,
        "ring_bytes": 256, "line_bytes": 256, "parameter_records": 16, "memory_bytes": 4096,
        "instruction_queue": 1, "result_slots": 2, "name": "odd"}
    return AcceleratorConfig(**{**small, **changes})


def random_address(env: Env) -> int:
    """An address anywhere in either side of memory with 2^28 bytes to follow."""
    return env.rng.choice([0, 1 << 31]) + env.rng.randrange((1 << 31) - (1 << 28))


def config_of(env: Env) -> AcceleratorConfig:
    """The config of a device under test that has one."""
    assert env.config is not None
    return env.config


def beats_in_order(f: dict[str, int], tensor: str, lanes: int) -> Iterator[tuple[int, int, bool]]:
    """Address and length of each beat of an instruction's ``tensor`` (ofm or operand).

    The third item: no byte of the tensor below the beat's end comes later.
    """
    by_block = f["mode"] == Mode.COLUMN
    outer, inner = f["ofm_columns"], f["blocks"]
    if by_block:
        outer, inner = inner, outer
    for y in range(f["ofm_rows"]):
        for first in range(outer):
            for second in range(inner):
                b, x = (first, second) if by_block else (second, first)
                last = b == f["blocks"] - 1
                width = f["last_width"] if last else f["block_width"]
                address = (f[f"{tensor}_address"] + y * f[f"{tensor}_row_pitch"]
                           + x * f[f"{tensor}_pixel_pitch"] + b * f["block_width"])
                for i in range(0, width, lanes):
                    yield address + i, min(lanes, width - i), last or not by_block


class TestMemory:
    """Bytes that are random until written; reads and writes of aligned words."""

    __test__ = False

    def __init__(self, env: Env) -> None:
        self._rng = env.rng
        self.bytes: dict[int, int] = {}

    def __getitem__(self, address: int) -> int:
        return self.bytes.setdefault(address, self._rng.randrange(256))

    def __setitem__(self, address: int, value: int) -> None:
        self.bytes[address] = value

    def word(self, address: int, size: int) -> int:
        """The word of ``size`` bytes at ``address``, low byte first."""
        return int.from_bytes(bytes(self[address + i] for i in range(size)), "little")

    def write(self, address: int, data: int, mask: int, size: int) -> None:
        """Write the bytes that ``mask`` selects."""
        for i in range(size):
            if mask >> i & 1:
                self[address + i] = data >> 8 * i & 255


class ReadServer:
    """Answers a read port; a word is read when its request is accepted.

    ``stall`` is the chance that a request has to wait in a cycle and that a due response does;
    ``latency`` the cycles from request to response, or a range of them. ``addresses`` and
    ``cycles`` log the requests.
    """

    def __init__(self, env: Env, prefix: str, read: Callable[[int], int], stall: float = 0.0,
                 latency: tuple[int, int] = (1, 1)) -> None:
        import cocotb

        self.env, self.prefix, self.read = env, prefix, read
        self.stall, self.latency = stall, latency
        self.addresses: list[int] = []
        self.cycles: list[int] = []
        self.in_flight: deque[tuple[int, int]] = deque()
        self.most_in_flight = 0
        cocotb.start_soon(self._run())

    def _port(self, name: str) -> Any:
        return getattr(self.env.dut, f"{self.prefix}__{name}")

    async def _run(self) -> None:
        edge, rng, env = self.env.edge, self.env.rng, self.env
        valid, address = self._port("request__valid"), self._port("request__payload")
        ready, response_valid, response = (Input(self._port(name)) for name in (
            "request__ready", "response__valid", "response__payload"))
        held: int | None = None
        now = 0
        while True:
            open_ = not self.stall or rng.random() >= self.stall
            ready.set(int(open_))
            await edge
            now += 1
            asked = int(address.value) if valid.value else None
            assert held is None or held == asked, f"{self.prefix}: request changed while waiting"
            held = None if open_ else asked
            if open_ and asked is not None:
                self.addresses.append(asked)
                self.cycles.append(env.cycle)
                due = now - 1 + rng.randint(*self.latency)
                self.in_flight.append((due, self.read(asked)))
                self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
            if (self.in_flight and self.in_flight[0][0] <= now
                    and not (self.stall and rng.random() < self.stall)):
                response.set(self.in_flight.popleft()[1])
                response_valid.set(1)
            else:
                response_valid.set(0)


class WriteServer:
    """Takes a write port's words: ``items`` and ``cycles`` log them, ``write`` is called with each.

    ``observe`` is called at every clock edge, before what is accepted at that edge is written.
    """

    def __init__(self, env: Env, prefix: str, layout: Any,
                 write: Callable[[dict[str, int]], None] | None = None, stall: float = 0.0,
                 observe: Callable[[], None] | None = None) -> None:
        import cocotb

        self.env, self.prefix, self.write, self.stall = env, prefix, write, stall
        self.observe = observe
        self._unpack = codec(layout)[1]
        self.items: list[dict[str, int]] = []
        self.cycles: list[int] = []
        self._task = cocotb.start_soon(self._run())

    async def wait(self, count: int, timeout: int = 100000) -> None:
        """Wait until ``count`` words have been taken in all, and one cycle more."""
        for _ in range(timeout):
            if self._task.done():
                self._task.result()
            if len(self.items) >= count:
                await self.env.cycles(2)
                return
            await self.env.cycles(1)
        raise AssertionError(f"{self.prefix}: {len(self.items)} of {count} words")

    async def _run(self) -> None:
        edge, rng, env = self.env.edge, self.env.rng, self.env
        valid, payload, ready_port = (getattr(env.dut, f"{self.prefix}__request__{n}")
                                      for n in ("valid", "payload", "ready"))
        ready = Input(ready_port)
        held: int | None = None
        while True:
            open_ = not self.stall or rng.random() >= self.stall
            ready.set(int(open_))
            await edge
            if self.observe is not None:
                self.observe()
            bits = int(payload.value) if valid.value else None
            assert held is None or held == bits, f"{self.prefix}: write changed while waiting"
            held = None if open_ else bits
            if open_ and bits is not None:
                item = self._unpack(bits)
                self.items.append(item)
                self.cycles.append(env.cycle)
                if self.write is not None:
                    self.write(item)


class Producer:
    """Plays the store unit to a reader's dependency inputs: writes tensors and reports progress.

    Tensor by tensor: one that is in order is written upwards with the watermark behind it, another
    is written when it retires, with the watermark invalid and random. ``pace`` is the chance of
    progress in a cycle. ``final`` holds what the tensors' bytes become; ``first`` is the index of
    the instruction that stores the first tensor.
    """

    def __init__(self, env: Env, memory: TestMemory, pace: float, first: int) -> None:
        self.env, self.memory, self.pace, self.first = env, memory, pace, first
        self.final: dict[int, int] = {}
        self._tensors: list[tuple[int, int, bool]] = []

    def add(self, start: int, end: int, in_order: bool) -> None:
        """Append the tensor of bytes start..end-1."""
        self._tensors.append((start, end, in_order))
        for address in range(start, end):
            self.final[address] = self.env.rng.randrange(256)

    def tensor_bytes(self) -> list[int]:
        """The addresses of all tensors' bytes."""
        return [a for start, end, _ in self._tensors for a in range(start, end)]

    def begin(self) -> None:
        """Write the tensors in the background."""
        import cocotb

        cocotb.start_soon(self._run())

    def _fill(self, start: int, end: int) -> None:
        for address in range(start, end):
            self.memory[address] = self.final[address]

    async def _run(self) -> None:
        env, rng, shown = self.env, self.env.rng, self.first
        for number, (start, end, in_order) in enumerate(self._tensors, self.first):
            at = start
            while at < end:
                await env.cycles(1)
                env.set("progress__retired", number)
                env.set("progress__retire", number != shown)
                shown = number
                known = in_order and at > start
                env.set("progress__watermark_valid", int(known))
                env.set("progress__watermark", at if known else rng.getrandbits(32))
                if rng.random() < self.pace:
                    step = rng.choice([1, 3, 8, 16, 40]) if in_order else end - start
                    self._fill(at, min(at + step, end))
                    at = min(at + step, end)
            await env.cycles(1)
        env.set("progress__retired", self.first + len(self._tensors))
        env.set("progress__retire", 1)
        env.set("progress__watermark_valid", 0)
        await env.cycles(1)
        env.set("progress__retire", 0)
