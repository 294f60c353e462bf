"""The world around the device's end of the link: its Python model, memory and registers, and random
requests on its line."""

from __future__ import annotations

import random
from collections import deque

import cocotb

from kaniwa.driver.frames import (
    CORE_BIT,
    INDEX_CORE_BIT,
    LINK_REGISTERS,
    MOST_CORES,
    PAYLOAD_BYTES,
    REGISTERS,
    SEQUENCES,
    Flag,
    Operation,
    Reply,
    Request,
    Splitter,
    decode_reply,
    encode_request,
)
from kaniwa.isa import Command, Register
from kaniwa.sim.board.link_model import LinkModel, MemoryCore
from kaniwa.sim.harness.bench import Driver, Env, Input, Monitor, check, cover
from kaniwa.sim.worlds.memory_ports import ReadServer, WriteServer

__all__ = ["BUFFER", "CORES", "OVERLAP", "PACE", "SEVERAL", "SEVERAL_OVERLAP", "SIZE", "Device",
           "group", "several"]

PACE, SIZE = 123_456, 4096
SEVERAL, CORES = "several", 3   # the device with more than one core
OVERLAP = "overlap"             # the one that serves memory during runs
SEVERAL_OVERLAP = "several_overlap"
OF_A_RUN = (Register.CONTROL, Register.PROGRAM_ADDRESS, Register.WATCHDOG)
IDLE_CYCLES = 1200          # without a byte: nothing more will come
EXTRA_CYCLES = 150          # for what should not come
BUFFER = 512


def several(env: Env) -> bool:
    """True for a device with more than one core."""
    return env.dut_name in (SEVERAL, SEVERAL_OVERLAP)


class Device:
    """The DUT with memory and registers like the model's, and the model."""

    def __init__(self, env: Env, stall: float = 0.0, line_stall: float = 0.0) -> None:
        from kaniwa.hw.interfaces import write_port

        config = env.config
        self.env = env
        count = CORES if several(env) else 1
        self.serves = env.dut_name in (OVERLAP, SEVERAL_OVERLAP)
        self.cores = [MemoryCore(SIZE) for _ in range(count)]
        self.wanted = [MemoryCore(SIZE) for _ in range(count)]
        self.core = self.cores[0]
        self.model = LinkModel(*self.wanted, pace=PACE, outside=env.dut_name == "base",
                               serves=self.serves)
        layout = write_port(config).members["request"].signature.members["payload"].shape
        self.addresses: list[int] = []
        self.driver = Driver(env, "rx", 8, line_stall)
        self.monitor = Monitor(env, "tx", 8, stall)
        self.own: Driver | None = None     # of requests that the device makes itself
        self.refused = 0                   # of those
        self._taken = 0
        self._splitter = Splitter()
        latency = config.memory_latency
        ReadServer(env, "read", self._read_word, stall, (latency, latency + round(6 * stall)))
        WriteServer(env, "write", layout, self._write_word, stall)
        cocotb.start_soon(self._registers())

    def _read_word(self, address: int) -> int:
        size = self.env.config.read_bytes
        assert address % size == 0
        self.addresses.append(address)
        core = self._core_of(address)
        return int.from_bytes(bytes(core.read(address + i) for i in range(size)), "little")

    def _write_word(self, item: dict[str, int]) -> None:
        assert item["address"] % self.env.config.write_bytes == 0
        self.addresses.append(item["address"])
        core = self._core_of(item["address"])
        for i in range(self.env.config.write_bytes):
            if item["mask"] >> i & 1:
                core.write(item["address"] + i, item["data"] >> 8 * i & 255)

    def _core_of(self, address: int) -> MemoryCore:
        return self.core if len(self.cores) == 1 else self.cores[address >> CORE_BIT & 15]

    async def _registers(self) -> None:
        """``csr_read_data`` belongs to the address of two cycles before."""
        env, before, core_before = self.env, 0, self.core
        read_data = Input(env.dut.csr_read_data)
        while True:
            await env.cycles(1)
            address, core = env.get("csr_address"), self.core
            if len(self.cores) > 1:
                number = env.get("csr_core")
                core = self.cores[number] if number < CORES else MemoryCore(SIZE)
            if env.get("csr_write"):
                core.write_register(address, env.get("csr_write_data"))
            read_data.set(core_before.read_register(before))
            before, core_before = address, core

    def busy(self, rng: random.Random) -> None:
        """Have each core busy, or not, from now on."""
        for core in self.wanted:
            core.busy = rng.random() < (0.6 if self.serves else 0.2)
        self.env.set("busy", sum(core.busy << i for i, core in enumerate(self.wanted)))

    async def replies(self, expected: list[Reply] | None = None) -> list[Reply]:
        """Answers from now on, until nothing comes any more or all of ``expected`` did."""
        await self.driver.drain()
        found: list[Reply] = []
        quiet = 0
        while quiet < IDLE_CYCLES:
            await self.env.cycles(1)
            data = bytes(self.monitor.items[self._taken:])
            quiet = 0 if data else quiet + 1
            self._taken += len(data)
            for frame in self._splitter.feed(data):
                reply = decode_reply(frame)
                assert reply is not None, f"a damaged reply: {frame.hex()}"
                found.append(reply)
            # Of fewer, which the DUT may give, one may still be to come.
            if quiet > EXTRA_CYCLES and expected is not None and len(found) == len(expected):
                break
        return found

    async def both(self, data: bytes) -> None:
        """Give ``data`` to DUT and model and compare what they answer and did.

        The DUT may answer several requests with one acknowledgement.
        """
        expected = [reply for frame in Splitter().feed(self.model.receive(data))
                    if (reply := decode_reply(frame)) is not None]
        self.driver.send(data)
        replies = await self.replies(expected)
        answers = deque(replies)
        flags = Flag(0)
        for reply in expected:
            flags |= reply.flags & ~Flag.DATA
            if Flag.DATA in reply.flags:
                while answers and Flag.DATA not in answers[0].flags:
                    answers.popleft()
                assert answers, f"no answer to the READ at {reply.address:#x}"
                got = answers.popleft()
                check((got.expected, got.session, got.address, got.data),
                      (reply.expected, reply.session, reply.address, reply.data), "answer")
        assert all(Flag.DATA not in reply.flags for reply in answers), "an answer too many"
        check(bool(replies), bool(expected), "whether there is an answer")
        if expected:
            last = expected[-1]
            check((replies[-1].expected, replies[-1].session), (last.expected, last.session),
                  "state at the end")
            seen = Flag(0)
            for got in replies:
                seen |= got.flags & ~Flag.DATA
            check(seen, flags, "notices")
            if len(replies) < len(expected):
                cover("coalesced")
        for core, wanted in zip(self.cores, self.wanted, strict=True):
            check(bytes(core.memory), bytes(wanted.memory), "memory")
            check(core.log, wanted.log, "registers written")
        for flag, name in ((Flag.GAP, "gap"), (Flag.GARBLED, "garbled")):
            if flag in flags:
                cover(name)


def _request(rng: random.Random, outside: bool, cores: int, serves: bool) -> Request:
    address, core = rng.randrange(SIZE - PAYLOAD_BYTES), 0
    if cores > 1:
        core = rng.randrange(cores) if rng.random() < 0.9 else rng.randrange(cores, 16)
        address += core << CORE_BIT
    if outside and rng.random() < 0.5:
        address += 1 << 31
    size = rng.choice([1, 2, 3, 9, rng.randrange(1, PAYLOAD_BYTES + 1), PAYLOAD_BYTES])
    kind = rng.choice(["write", "read", "register", "registers", "link", "open"])
    if kind == "write":
        data = rng.choice([rng.randbytes(size), bytes(size), bytes([255]) * size])
        return Request(Operation.WRITE, address, size, data)
    if kind == "read":
        return Request(Operation.READ, address, size)
    if kind == "registers":
        return Request(Operation.READ, REGISTERS + (core << CORE_BIT) + rng.randrange(400),
                       rng.randrange(1, 60))
    if kind == "link":
        cover("link_registers")
        return Request(Operation.READ, LINK_REGISTERS + rng.randrange(4), rng.randrange(1, 5))
    if kind == "open" and rng.random() < 0.2:
        return Request(Operation.OPEN, 0, rng.randrange(16))
    index = rng.randrange(1 << INDEX_CORE_BIT if cores > 1 else 128)
    if serves and rng.random() < 0.7:
        index = rng.choice(OF_A_RUN)
    if cores > 1:
        index |= core % MOST_CORES << INDEX_CORE_BIT
    return Request(Operation.REGISTER, rng.getrandbits(32), index)


def _disturbs(request: Request, serves: bool, cores: int) -> bool:
    """True for what is left out while the core runs."""
    if not serves:
        return request.operation == Operation.WRITE or (
            request.operation == Operation.READ and request.word >> 30 != 1)
    index = request.count % (1 << INDEX_CORE_BIT) if cores > 1 else request.count
    if request.operation != Operation.REGISTER or index not in OF_A_RUN:
        return False
    if index == Register.CONTROL and not request.word & Command.RUN:
        cover("command_while_busy")
        return False
    return True


def _core(request: Request) -> int:
    """Number of the core that a request is for, of several."""
    if request.operation == Operation.REGISTER:
        return request.count >> INDEX_CORE_BIT
    return request.word >> CORE_BIT & 15


def group(device: Device, rng: random.Random) -> bytes:
    """Frames that fit into the buffer together, most of them in turn."""
    outside = device.env.dut_name == "base"
    expected, session = device.model.expected, device.model.session
    data, stored = b"\0" if rng.random() < 0.5 else b"", 0
    while True:
        request = _request(rng, outside, len(device.cores), device.serves)
        stored += request.stored_bytes + 2
        if stored > BUFFER - 20:
            return data
        sequence = expected
        if rng.random() < 0.1:
            sequence = expected + rng.choice([-1, 1, 31, 32, 33, rng.randrange(SEQUENCES)])
            cover("behind" if (sequence - expected) % SEQUENCES >= SEQUENCES // 2 else "write")
        in_turn = not (sequence - expected) % SEQUENCES
        if request.operation == Operation.OPEN:
            expected, session = 0, request.count
            cover("open")
        elif not session:
            cover("no_session")
        elif in_turn:
            name = request.operation.name.lower()
            number = _core(request) if len(device.cores) > 1 else 0
            absent = number >= len(device.cores)
            busy = absent or device.wanted[number].busy
            left_out = busy and (absent or _disturbs(request, device.serves, len(device.cores)))
            memory = request.operation == Operation.WRITE or (
                request.operation == Operation.READ and request.word >> 30 != 1)
            if absent:
                cover("no_such_core")
            elif busy and memory:
                cover(f"busy_{name}" if left_out else f"{name}_during_run")
            elif busy:
                cover("register_of_a_run" if left_out else "register_while_busy")
            else:
                cover("outside" if request.word >> 31 and memory else name)
                if len(device.cores) > 1:
                    cover(f"core_{number}")
                    if any(core.busy for core in device.wanted):
                        cover("beside_a_busy_core")
            expected = (expected + (request.numbered and not left_out)) % SEQUENCES
        data += encode_request(request, sequence)
