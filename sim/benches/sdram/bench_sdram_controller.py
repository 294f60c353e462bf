"""The SDRAM controller: what it reads and writes, the rules of the chip, and the cycles it takes.

The chip is a model by the data sheet (``sdram_chip``). The cycles are those of the cycle model.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from math import ceil
from typing import Any, NamedTuple

import cocotb
from cocotb.triggers import RisingEdge

from kaniwa.config import PRESETS, AcceleratorConfig
from kaniwa.cycles.sdram import Sdram
from kaniwa.sdram_parts import PARTS, ChipTiming
from kaniwa.sim.benches.sdram.sdram_chip import REFRESH, SdramChip
from kaniwa.sim.harness.bench import Bench, Dut, Env, check, cover, start
from kaniwa.sim.harness.payload import codec
from kaniwa.sim.worlds.memory_ports import config_of

POWER_UP_US = 2
RESET_CYCLES = 2     # the chip has power in these, too


class Kind(NamedTuple):
    """A controller under test."""

    config: AcceleratorConfig
    part: str
    mhz: int
    masked: bool = True


# Of several widths, clocks and CAS latencies; whole bursts and shorter writes.
KINDS = {
    "base_100": Kind(PRESETS["base"], "IS42S16160G", 100),
    "base_133": Kind(PRESETS["base"], "MT48LC16M16A2", 133),
    "small_80": Kind(PRESETS["small"], "AS4C16M16SA", 80),
    "small_wide": Kind(PRESETS["small"], "M12L64322A", 80),
    "base_slow": Kind(PRESETS["base"], "W9825G6KH", 25),
    "thin_writes": Kind(dataclasses.replace(PRESETS["base"], write_bytes=8, name="thin"),
                        "IS42S16160G", 143),
    "small_merged": Kind(PRESETS["small"], "EM638325", 80, masked=False),
    "base_merged": Kind(PRESETS["base"], "IS42S16160G", 133, masked=False),
}
SOON = 30      # cycles behind a request: a refresh then has waited for it
COLUMN = 4     # bytes of a write of small, in a column of the wide chip


def _duts() -> list[Dut]:
    from kaniwa.hw.sdram.controller import SdramController

    return [Dut(name, SdramController(kind.config, PARTS[kind.part], kind.mhz, masked=kind.masked,
                                      power_up_us=POWER_UP_US), config=kind.config)
            for name, kind in KINDS.items()]


BENCH = Bench("sdram_controller", _duts, required=[
    "hit", "miss", "conflict", "both_at_once", "read_behind_write", "write_behind_read",
    "refresh_with_open_rows", "refresh_with_none", "refresh_before_a_request", "masked_bytes",
    "no_bytes", "back_to_back",
    *(f"merge_of_{mask:04b}" for mask in range((1 << COLUMN) - 1)), "merge_behind_reads",
    "merge_behind_merge", "merge_in_new_row", "read_behind_merge_of_its_burst",
    "read_beside_merge_of_its_burst", "refresh_behind_merge", "refresh_before_merge"])


class World:
    """A chip at the pins, the ports' other side, and the cycle model beside them.

    ``reads`` and ``writes`` wait to be asked for, each in its cycle or later. ``merged``: the last
    write, if it is one that the controller merges.
    """

    def __init__(self, env: Env) -> None:
        from kaniwa.hw.interfaces import write_port

        self.env, config = env, config_of(env)
        kind = KINDS[env.dut_name]
        self.part, self.mhz, self.masked = PARTS[kind.part], kind.mhz, kind.masked
        self.read_bytes, self.write_bytes = config.read_bytes, config.write_bytes
        self.chip = SdramChip(self.part, self.mhz, 1000 * POWER_UP_US, now=RESET_CYCLES)
        self.timing = ChipTiming.of(self.part, self.mhz, 1, self.masked)
        self.model = Sdram(self.timing)
        request = write_port(config).members["request"].signature
        self.pack = codec(request.members["payload"].shape)[0]
        self.reads: deque[int] = deque()
        self.writes: deque[tuple[int, int, int]] = deque()
        self.bytes: dict[int, int] = {}
        self.stall = 0.0
        self.expected: deque[tuple[int, int, int]] = deque()   # cycle, word, address
        self.epoch: int | None = None    # the cycle in which the chip had been started
        self.next = 0                    # the first cycle in which a request may be taken
        self.taken_at = -1               # the last one was
        self.was_write = False
        self.merged: int | None = None
        self.refreshed = False           # since the last request
        self.rows: dict[int, int] = {}
        self.cycle = 0
        self._chip_word: int | None = None
        self.refreshes = 0
        cocotb.start_soon(self._run())

    async def finish(self, timeout: int = 200_000) -> None:
        """Wait until all has been asked for and answered."""
        for _ in range(timeout):
            if not (self.reads or self.writes or self.expected):
                return
            await self.env.cycles(1)
        raise AssertionError("requests without an answer")

    async def _run(self) -> None:
        edge = RisingEdge(self.env.dut.clk)
        offers = {"read": False, "write": False}
        while True:
            for port, queue in (("read", self.reads), ("write", self.writes)):
                if not offers[port]:
                    offers[port] = bool(queue) and self.env.rng.random() >= self.stall
                self.env.set(f"{port}__request__valid", offers[port])
                if offers[port]:
                    self.env.set(f"{port}__request__payload", self._payload(port))
            await edge
            # What is read now is of the cycle that has ended.
            self._clock_chip()
            self._check_word()
            taken = [port for port in ("write", "read")
                     if offers[port] and self.env.get(f"{port}__request__ready")]
            if len(taken) == 2:
                cover("both_at_once")
            for port in taken:
                offers[port] = False
                self._take(port)
            self.cycle += 1

    def _payload(self, port: str) -> int:
        if port == "read":
            return self.reads[0]
        address, data, mask = self.writes[0]
        return self.pack({"address": address, "data": data, "mask": mask})

    def _clock_chip(self) -> None:
        """A register at each pin, both ways."""
        env = self.env
        if self._chip_word is not None:
            env.set("pins__from_chip", self._chip_word)
        else:
            env.set("pins__from_chip", env.rng.getrandbits(8 * self.part.width))
        command = env.get("pins__command")
        if command == REFRESH and self.epoch is not None:
            self.refreshes += 1
            cover("refresh_with_open_rows" if self.rows else "refresh_with_none")
            if env.get("read__request__valid"):
                cover("refresh_before_a_request")
            if self.merged is not None and self.cycle - self.epoch - self.taken_at < SOON:
                cover("refresh_behind_merge")
            self.refreshed = True
            self.rows.clear()
        driven = env.get("pins__to_chip") if env.get("pins__drive") else None
        mask = env.get("pins__mask") if self.masked else 0
        self._chip_word = self.chip.clock(command, env.get("pins__bank"), env.get("pins__address"),
                                          mask, driven)

    def _take(self, port: str) -> None:
        """A request was taken in the cycle that ended."""
        if self.epoch is None:      # they wait for the chip; the first is taken a cycle after that
            self.epoch = self.cycle - 1
        write = port == "write"
        address = self.writes[0][0] if write else self.reads[0]
        now = self.cycle - self.epoch
        assert now >= self.next or (not write and now == self.taken_at), "too early"
        if now == self.next:
            cover("back_to_back")
        mask = self.writes[0][2] if write else 0
        merges = write and not self.masked and mask + 1 != 1 << self.write_bytes
        if merges:
            self._cover_merge(address, mask)
        elif not write and self.merged == address // self.read_bytes:
            cover("read_beside_merge_of_its_burst" if now == self.taken_at else
                  "read_behind_merge_of_its_burst")
        self.merged = address // self.read_bytes if merges else None
        self.refreshed = False
        self._cover_row(address)
        size = self.write_bytes if write else self.read_bytes
        after, used = self.model.access(now, address, size, write,
                                        self.read_bytes if merges else 0)
        self.next, self.taken_at = after, now
        if write:
            self._write(*self.writes.popleft())
            cover("write_behind_read" if self.expected else "write_alone")
        else:
            self.reads.popleft()
            cover("read_behind_write" if self.was_write else "read_behind_read")
            word = bytes(self._byte(address + i) for i in range(size))
            self.expected.append((self.epoch + used - 1, int.from_bytes(word, "little"), address))
        self.was_write = write

    def _cover_merge(self, address: int, mask: int) -> None:
        """What is before a write that is merged, and which bytes it has."""
        if self.write_bytes == COLUMN:
            cover(f"merge_of_{mask:04b}")
        row, bank = divmod(address // self.timing.row_bytes, self.timing.banks)
        for name, met in (("merge_behind_reads", self.expected),
                          ("merge_behind_merge", self.merged is not None),
                          ("merge_in_new_row", self.rows.get(bank) != row),
                          ("refresh_before_merge", self.refreshed)):
            if met:
                cover(name)

    def _cover_row(self, address: int) -> None:
        row, bank = divmod(address // self.timing.row_bytes, self.timing.banks)
        cover("miss" if bank not in self.rows else
              "hit" if self.rows[bank] == row else "conflict")
        self.rows[bank] = row

    def _write(self, address: int, data: int, mask: int) -> None:
        for i in range(self.write_bytes):
            if mask >> i & 1:
                self.bytes[address + i] = data >> 8 * i & 255
        cover("no_bytes" if not mask else
              "masked_bytes" if mask + 1 != 1 << self.write_bytes else "all_bytes")

    def _byte(self, address: int) -> int:
        """What was written, or the noise of the chip."""
        if address in self.bytes:
            return self.bytes[address]
        place, column = divmod(address, self.timing.row_bytes)
        row, bank = divmod(place, self.timing.banks)
        column, byte = divmod(column, self.part.width)
        return self.chip.noise(bank, row, column) >> 8 * byte & 255

    def _check_word(self) -> None:
        if not self.env.get("read__response__valid"):
            assert not self.expected or self.expected[0][0] > self.cycle, (
                f"no word in cycle {self.cycle}")
            return
        assert self.expected, "a word that nobody asked for"
        cycle, word, address = self.expected.popleft()
        check(self.cycle, cycle, f"cycle of the word of {address:#x}")
        check(self.env.get("read__response__payload"), word, f"word of {address:#x}")


async def _begin(dut: Any) -> World:
    return World(await start(dut, BENCH))


def _random_address(world: World, size: int) -> int:
    """In a few rows of each bank, at the ends of memory and of rows, too."""
    rng, part = world.env.rng, world.part
    row = rng.choice((0, 1, 2, part.rows - 1))
    place = row * world.timing.banks + rng.randrange(world.timing.banks)
    column = rng.choice((0, rng.randrange(world.timing.row_bytes), world.timing.row_bytes - 1))
    return (place * world.timing.row_bytes + column) // size * size


def _random_mask(world: World) -> int:
    rng, size = world.env.rng, world.write_bytes
    return rng.choice(((1 << size) - 1, (1 << size) - 1, rng.getrandbits(size), 0))


async def _traffic(dut: Any, stall: float, count: int) -> World:
    world = await _begin(dut)
    world.stall = stall
    rng = world.env.rng
    for _ in range(count):
        kind = rng.randrange(5)
        if kind == 0:     # neighbors, up to the next row
            first, length = _random_address(world, world.read_bytes), rng.randrange(1, 20)
            world.reads.extend((first + i * world.read_bytes) % world.part.size
                               for i in range(length))
        elif kind == 1:
            first, length = _random_address(world, world.write_bytes), rng.randrange(1, 20)
            for i in range(length):
                address = (first + i * world.write_bytes) % world.part.size
                world.writes.append((address, rng.getrandbits(8 * world.write_bytes),
                                     _random_mask(world)))
        elif kind == 2:   # written and read, one behind the other or at once
            for _ in range(rng.randrange(1, 6)):
                address = _random_address(world, world.write_bytes)
                world.writes.append((address, rng.getrandbits(8 * world.write_bytes),
                                     _random_mask(world)))
                if rng.random() < 0.5:
                    await world.finish()
                world.reads.append(address // world.read_bytes * world.read_bytes)
                await world.finish()
        else:
            for _ in range(rng.randrange(1, 6)):
                world.reads.append(_random_address(world, world.read_bytes))
                world.writes.append((_random_address(world, world.write_bytes),
                                     rng.getrandbits(8 * world.write_bytes), _random_mask(world)))
        await world.finish()
        if rng.random() < 0.1:
            await world.env.cycles(rng.randrange(2 * world.timing.refi))
    return world


@cocotb.test()
async def busy(dut: Any) -> None:
    await _traffic(dut, 0.0, 60)


@cocotb.test()
async def with_pauses(dut: Any) -> None:
    await _traffic(dut, 0.7, 40)


@cocotb.test()
async def bytes_of_a_word_alone(dut: Any) -> None:
    """Each set of the lowest bytes of a write, in each of the words of two bursts."""
    world = await _begin(dut)
    rng, size = world.env.rng, world.write_bytes
    for mask in range(1 << min(size, COLUMN)):
        for address in range(0, 2 * world.read_bytes, size):
            world.writes.append((address, rng.getrandbits(8 * size), mask))
            world.reads.append(address // world.read_bytes * world.read_bytes)
            await world.finish()


@cocotb.test()
async def refreshes_without_requests(dut: Any) -> None:
    world = await _begin(dut)
    world.reads.append(0)
    await world.finish()
    await world.env.cycles(10 * world.timing.refi)
    check(world.refreshes, 10, "refreshes")
    assert world.chip.late_refreshes() < 2 + POWER_UP_US * 1000 * world.part.refreshes / 64e6


@cocotb.test()
async def neighbors_at_full_rate(dut: Any) -> None:
    """Reads of neighbors use the bus for 95 of 100 clocks, refresh and new rows included."""
    world = await _begin(dut)
    world.reads.append(0)
    await world.finish()
    began, count = world.cycle, 600
    world.reads.extend(i * world.read_bytes for i in range(count))
    await world.finish()
    words = count * world.read_bytes // world.part.width
    took = world.cycle - began
    assert took * 0.95 <= words + 10, f"{took} cycles for {words} columns"


@cocotb.test()
async def waits_for_the_chip(dut: Any) -> None:
    """A request from the beginning on waits for the chip's start, however long it takes."""
    world = await _begin(dut)
    world.reads.append(world.part.size - world.read_bytes)
    await world.finish()
    assert world.epoch is not None and world.epoch >= ceil(POWER_UP_US * world.mhz)
