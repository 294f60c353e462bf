"""Bench of the register BOOT behind the link: what it tells, when it is taken, and when not."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.driver.frames import PAYLOAD_BYTES, REGISTERS, Operation, Request, encode_request
from kaniwa.sim.benches.link.link_world import PACE, SIZE, Device, group
from kaniwa.sim.board.link_model import MemoryCore
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Env, check, cover, start
from kaniwa.standalone.format import BOOT, BOOT_ABLE, BOOT_IN_TURN, BOOT_KEY, BOOT_KEY_BIT

# The own slot of each device, and whether it can start the one behind it alone.
DEVICES = {"free": (2, False), "in_turn": (1, True)}
QUIET = 64          # cycles without anything to send before it leaves
LONG = 600          # cycles after which nothing leaves any more


def _duts() -> list[Dut]:
    from amaranth.lib import stream
    from amaranth.lib.wiring import Component, In, Out, connect, flipped

    from kaniwa.hw.link.link import Link
    from kaniwa.hw.standalone.boot import Boot

    class Board(Component):
        """Link and register as they are on a board; ``sending`` is what the line tells."""

        def __init__(self, own: int, in_turn: bool) -> None:
            self.link = Link(PRESETS["nano"], pace=PACE, local=True)
            self.boot = Boot(own, in_turn)
            ports = {port: member for port, member in self.link.signature.members.items()
                     if port != "local"}
            super().__init__({**ports, "request": In(stream.Signature(8)), "more": In(1),
                              "enabled": In(1), "sending": In(1), "leave": Out(1), "slot": Out(2)})

        def elaborate(self, platform: Any) -> Any:
            from amaranth import Module

            m = Module()
            m.submodules.link, m.submodules.boot = link, boot = self.link, self.boot
            for port, member in link.signature.members.items():
                if port == "local":
                    continue
                if not member.is_port:
                    connect(m, getattr(link, port), flipped(getattr(self, port)))
                elif member.flow == Out:
                    m.d.comb += getattr(self, port).eq(getattr(link, port))
                else:
                    m.d.comb += getattr(link, port).eq(getattr(self, port))
            local = link.local
            connect(m, flipped(self.request), local.request)
            m.d.comb += [
                local.more.eq(self.more), local.reply.ready.eq(1),
                boot.enabled.eq(self.enabled), boot.owing.eq(local.owing | self.sending),
                local.csr_read_data.eq(boot.csr_read_data),
                *(getattr(boot, name).eq(getattr(local, name))
                  for name in ("csr_address", "csr_write", "csr_write_data")),
                self.leave.eq(boot.leave), self.slot.eq(boot.slot)]
            return m

    return [Dut(name, Board(*about), config=PRESETS["nano"]) for name, about in DEVICES.items()]


BENCH = Bench("boot", _duts, required=[
    "told", "in_time", "slow_line", "batch", "second", "behind_a_write", "later", "key",
    "index", "read", "damaged", "twice", "no_session", "disabled", "own_request",
    *(f"slot_{slot}" for slot in range(4))])


class Beside(MemoryCore):
    """A core's registers with ``told`` beside them, at the place of BOOT."""

    told = 0

    def read_register(self, index: int) -> int:
        return self.told if index == BOOT else super().read_register(index)


class World:
    """The DUT on a line that is busy for ``hold`` cycles behind each byte.

    No line is faster than the link, which gives a byte in 9 cycles.
    """

    def __init__(self, env: Env, hold: int = 20) -> None:
        self.env, self.hold = env, hold
        self.device = device = Device(env)
        device.core = device.cores[0] = Beside(SIZE)
        device.model.core = device.wanted[0] = wanted = Beside(SIZE)
        own, in_turn = DEVICES[env.dut_name]
        wanted.told = BOOT_ABLE | BOOT_IN_TURN * in_turn | own
        self.ended = self.left = 0      # cycles: the line's last one with a byte, and leaving
        self.left_slot = -1
        env.set("enabled", 1)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        env, busy_to = self.env, 0
        while True:
            await env.cycles(1)
            if env.get("leave"):
                assert not self.left or self.left_slot == env.get("slot"), "another slot"
                if not self.left:
                    self.left, self.left_slot = env.cycle, env.get("slot")
            else:
                assert not self.left, "it stays"
            if env.get("tx__valid") and env.get("tx__ready"):
                busy_to = env.cycle + self.hold
            sending = env.cycle < busy_to
            env.set("sending", sending)
            if sending or (env.get("tx__valid") and env.get("tx__ready")):
                self.ended = env.cycle

    async def open(self) -> None:
        await self.device.both(b"\0" + encode_request(Request(Operation.OPEN, 0, 5), 0))

    def frame(self, slot: int, index: int = BOOT, key: int = BOOT_KEY) -> bytes:
        """The next request of the session, which starts ``slot``."""
        return encode_request(Request(Operation.REGISTER, key << BOOT_KEY_BIT | slot, index),
                              self.device.model.expected)

    async def stays(self, what: str) -> None:
        await self.env.cycles(LONG)
        check(self.left, 0, f"cycle of leaving, {what}")
        cover(what)


@cocotb.test()
async def tells_its_slot(dut: Any) -> None:
    world = World(await start(dut, BENCH))
    await world.open()
    for at in (0, 1, 2, 3, -4, -1, 4, *(world.env.rng.randrange(-40, 40) for _ in range(20))):
        size = world.env.rng.randrange(1, 9)
        await world.device.both(encode_request(
            Request(Operation.READ, REGISTERS + 4 * BOOT + at, size),
            world.device.model.expected))
    for _ in range(3):
        await world.device.both(group(world.device, world.env.rng))
    await world.stays("told")


@cocotb.test()
@cocotb.parametrize(slot=[0, 1, 2, 3], hold=[20, 3000])
async def leaves_once_all_is_sent(dut: Any, slot: int, hold: int) -> None:
    world = World(await start(dut, BENCH), hold)
    env, device = world.env, world.device
    await world.open()
    for _ in range(2):
        await device.both(encode_request(Request(Operation.WRITE, 3, 4, env.rng.randbytes(4)),
                                         device.model.expected))
    check(world.left, 0, "cycle of leaving")
    await device.both(world.frame(slot))
    while not world.left:
        await env.cycles(1)
        assert env.cycle < world.ended + QUIET + 8, "too late"
    assert world.left >= world.ended + QUIET, (world.left, world.ended)
    check(world.left_slot, slot, "slot")
    cover(f"slot_{slot}")
    cover("slow_line" if hold > QUIET else "in_time")
    await device.both(world.frame(slot ^ 1))     # by then a board is no more
    await env.cycles(LONG)
    check((world.left_slot, env.get("leave")), (slot, 1), "slot, and leaving, later")
    cover("later")


@cocotb.test()
@cocotb.parametrize(hold=[20, 300])
async def the_first_of_two_stands(dut: Any, hold: int) -> None:
    """A batch with two of them, and READs around: all of them are answered before it leaves."""
    world = World(await start(dut, BENCH), hold)
    env, device = world.env, world.device
    await world.open()
    slots, data = env.rng.sample(range(4), 2), b""
    for position in range(4):
        expected = device.model.expected + min(max(position - 1, 0), 2)
        data += encode_request(
            Request(Operation.REGISTER, BOOT_KEY << BOOT_KEY_BIT | slots[position - 1], BOOT)
            if position in (1, 2) else Request(Operation.READ, 40 * position, 20), expected)
    await device.both(data)
    await env.cycles(LONG + hold)
    assert world.left >= world.ended + QUIET
    check(world.left_slot, slots[0], "slot")
    cover("batch")
    cover("second")


@cocotb.test()
async def waits_for_an_answer_behind_a_long_write(dut: Any) -> None:
    """Both wait in the buffer while READs are answered, so one answer comes of both, much later."""
    world = World(await start(dut, BENCH))
    env, device = world.env, world.device
    await world.open()
    expected = device.model.expected
    read = encode_request(Request(Operation.READ, 0, PAYLOAD_BYTES), expected)
    write = Request(Operation.WRITE, 9, PAYLOAD_BYTES, env.rng.randbytes(PAYLOAD_BYTES))
    await device.both(2 * read + world.frame(3) + encode_request(write, expected + 1))
    await env.cycles(LONG)
    assert world.left >= world.ended + QUIET, (world.left, world.ended)
    cover("behind_a_write")


@cocotb.test()
async def nothing_else_makes_it_leave(dut: Any) -> None:
    world = World(await start(dut, BENCH))
    env, device = world.env, world.device
    rng = env.rng
    await device.both(b"\0" + world.frame(1))
    await world.stays("no_session")
    await world.open()
    for bit in range(16):
        await device.both(world.frame(rng.randrange(4), key=BOOT_KEY ^ 1 << bit))
    await world.stays("key")
    for bit in range(7):
        await device.both(world.frame(rng.randrange(4), index=BOOT ^ 1 << bit))
    await world.stays("index")
    value = (BOOT_KEY << BOOT_KEY_BIT | 1).to_bytes(4, "little")
    await device.both(encode_request(Request(Operation.WRITE, 4 * BOOT, 4, value),
                                     device.model.expected))
    await device.both(encode_request(Request(Operation.READ, REGISTERS + 4 * BOOT, 4),
                                     device.model.expected))
    await device.both(encode_request(Request(Operation.READ, BOOT_KEY << BOOT_KEY_BIT, BOOT),
                                     device.model.expected))
    await world.stays("read")
    for _ in range(12):     # no zero of it, so that it stays one frame
        frame = bytearray(world.frame(rng.randrange(4)))
        at, flip = rng.randrange(len(frame) - 1), 1 << rng.randrange(8)
        if frame[at] != flip:
            frame[at] ^= flip
            await device.both(bytes(frame))
    await world.stays("damaged")
    for ahead in (-1, 1, 31, 32):
        await device.both(encode_request(
            Request(Operation.REGISTER, BOOT_KEY << BOOT_KEY_BIT, BOOT),
            device.model.expected + ahead))
    await world.stays("twice")
    env.set("enabled", 0)
    await device.both(world.frame(3))
    env.set("enabled", 1)
    await world.stays("disabled")


@cocotb.test()
async def an_image_does_not_start_another(dut: Any) -> None:
    """Requests of the device's own come while it loads: then nothing is taken."""
    world = World(await start(dut, BENCH))
    env, device = world.env, world.device
    env.set("enabled", 0)
    own = Driver(env, "request", 8)
    env.set("more", 1)
    value = BOOT_KEY << BOOT_KEY_BIT | 2
    own.send(bytes([Operation.REGISTER << 6]) + value.to_bytes(4, "little") + bytes([BOOT]))
    await own.drain()
    env.set("more", 0)
    await env.cycles(16 * 2)      # of the flash's clock, between the body and the end of the image
    env.set("enabled", 1)
    device.wanted[0].write_register(BOOT, value)
    await world.open()
    await world.stays("own_request")
    await device.both(world.frame(0))
    await env.cycles(LONG)
    check(world.left_slot, 0, "slot")
