"""The sequencer's surroundings in its benches: memories with programs, and the units' sides."""

from __future__ import annotations

from collections import deque
from itertools import groupby

import cocotb

from kaniwa.config import AcceleratorConfig
from kaniwa.isa import FIELDS, INSTRUCTION_BYTES, UNITS, Opcode, encode
from kaniwa.sim.harness.bench import PERIOD_NS, Env, Monitor, check, cover

__all__ = ["END", "Memory", "Setup", "SteadyMemory", "fetched_words"]

END = encode({"opcode": Opcode.END})


def fetched_words(config: AcceleratorConfig) -> int:
    """Words of memory that hold the fields of an instruction."""
    return -(-4 * (1 + max(f.word for f in FIELDS.values())) // config.read_bytes)


class Memory:
    """Answers the command reader: words in order, as fast as the memory system or slower."""

    def __init__(self, env: Env, stall: float) -> None:
        self.env, self.stall = env, stall
        self.contents: dict[int, bytes] = {}
        self.reads: list[int] = []
        cocotb.start_soon(self._run())

    def load(self, address: int, data: bytes) -> None:
        """Put a program there; bytes beyond it are random."""
        size = self.env.config.read_bytes
        data += self.env.rng.randbytes(-len(data) % size)
        for at in range(0, len(data), size):
            self.contents[(address + at) % (1 << 32)] = data[at:at + size]

    async def _run(self) -> None:
        env, rng = self.env, self.env.rng
        waiting: deque[tuple[int, int]] = deque()
        cycle = 0
        while True:
            ready = rng.random() >= self.stall
            env.set("memory__request__ready", ready)
            answer = waiting and waiting[0][0] <= cycle and rng.random() >= self.stall
            env.set("memory__response__valid", bool(answer))
            if answer:
                address = waiting.popleft()[1]
                size = env.config.read_bytes
                word = self.contents.get(address) or rng.randbytes(size)
                env.set("memory__response__payload", int.from_bytes(word, "little"))
            await env.cycles(1)
            cycle += 1
            if env.get("rst"):
                waiting.clear()
            elif ready and env.get("memory__request__valid"):
                address = env.get("memory__request__payload")
                self.reads.append(address)
                waiting.append((cycle + 1 + env.config.memory_latency, address))


class Setup:
    """The sequencer with a memory and six monitors."""

    def __init__(self, env: Env, stalls: dict[str, float], memory_stall: float) -> None:
        from kaniwa.hw.interfaces import unit_layout

        self.env = env
        self.memory = Memory(env, memory_stall)
        self.sinks = {unit: Monitor(env, f"o_{unit}", unit_layout(unit, env.config),
                                    stalls.get(unit, 0.0)) for unit in UNITS}

    async def begin(self, layers: list[bytes], base: int | None = None) -> None:
        """Put a program into memory, at ``base`` or at a random place, and start it."""
        env = self.env
        self.base = self._random_base() if base is None else base
        self.memory.contents.clear()
        self.memory.load(self.base, b"".join(layers) + END)
        env.set("program_address", self.base)
        env.set("units_idle", (1 << len(UNITS)) - 1)
        env.set("start", 1)
        await env.cycles(1)
        env.set("start", 0)

    def _random_base(self) -> int:
        env = self.env
        outside = env.rng.random() < 0.3
        if outside:
            cover("program_outside")
        size = env.config.read_bytes
        base = env.rng.randrange(1 << 31) // size * size
        if env.rng.random() < 0.5:  # the address carries far in the first instructions
            base = (1 << env.rng.randint(12, 30)) - env.rng.randint(1, 300 // size + 1) * size
        return base | outside << 31

    async def wait(self, name: str, limit: int = 3000) -> None:
        """Wait until an output is 1."""
        for _ in range(limit):
            if self.env.get(name):
                return
            await self.env.cycles(1)
        raise AssertionError(f"{name} did not come within {limit} cycles")

    async def expect(self, layers: list[dict[str, int]]) -> None:
        """Every unit got its fields of every layer, once and in order."""
        from kaniwa.hw.interfaces import unit_layout

        for unit, sink in self.sinks.items():
            names = unit_layout(unit, self.env.config).members
            expected = [{name: layer[name] for name in names} for layer in layers]
            check(await sink.take(len(layers), 2000 + 100 * len(layers)), expected, unit)

    async def reset(self) -> None:
        """Reset the sequencer between two runs."""
        for sink in self.sinks.values():
            check(len(sink.items), sink._taken, f"{sink.prefix}: nothing left over")
        self.env.set("rst", 1)
        self.env.set("retired", 0)
        await self.env.cycles(2)
        self.env.set("rst", 0)
        await self.env.cycles(1)


class SteadyMemory:
    """Answers each request a cycle later, to a sequencer whose units are always ready.

    A step is made only where the answered word changes, so programs may be long.
    """

    def __init__(self, env: Env) -> None:
        self.env = env
        self.address = 0
        for name in ("memory__request", *(f"o_{unit}" for unit in UNITS)):
            env.set(f"{name}__ready", 1)

    async def begin(self) -> None:
        """Start at a random address; ends in the middle of the first request's cycle."""
        from cocotb.triggers import Timer

        env, size = self.env, self.env.config.read_bytes
        self.address = env.rng.randrange(1 << 31) // size * size
        env.set("program_address", self.address)
        env.set("start", 1)
        await env.cycles(1)
        env.set("start", 0)
        await Timer(PERIOD_NS // 2, "ns")

    async def give(self, raw: bytes, count: int = 1) -> None:
        """Answer the fetches of ``count`` equal instructions, from the first request's cycle to
        that of the instruction after them."""
        from cocotb.triggers import Timer

        env, size = self.env, self.env.config.read_bytes
        words = fetched_words(env.config)
        runs = [(int.from_bytes(word, "little"), len(list(same))) for word, same in groupby(
            raw[at:at + size] for at in range(0, words * size, size))]
        for _ in range(count):
            check([env.get("memory__request__valid"), env.get("memory__request__payload")],
                  [1, self.address], "first request of an instruction")
            self.address = (self.address + INSTRUCTION_BYTES) % (1 << 32)
            await Timer(PERIOD_NS, "ns")
            env.set("memory__response__valid", 1)
            for word, length in runs:
                env.set("memory__response__payload", word)
                await Timer(length * PERIOD_NS, "ns")
            env.set("memory__response__valid", 0)
            await Timer(3 * PERIOD_NS, "ns")    # checked, decided, offered
