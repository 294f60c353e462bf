"""USB: a host at D+ and D- with a clock that is off by what is allowed; damage, pauses, resets."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.sim.benches.link.usb_world import World, begin
from kaniwa.sim.harness.bench import Bench, Dut, check, cover
from kaniwa.sim.usb.host import Serial
from kaniwa.sim.usb.line import Pid, data_packet

CLOCKS = ["nominal", "fast", "slow"]
SIZES = [0, 1, 2, 17, 63, 64, 64]      # of packets to the device
MOST_STEPS = 3000
HELD_OUT = 2 * 64 + 16 + 8      # bytes between the host and `o`, at most
HELD_IN = 2 * 63 + 16 + 8       # between `i` and the host
DROPS = 3                       # of what endpoints hold, in an enumeration
CHANCES = {"token": 0.12, "data": 0.12, "ack": 0.12, "answer": 0.12, "pause": 0.02, "other": 0.05}
SEEN = ["damaged_OUT", "damaged_IN", "damaged_ACK", "lost_ack", "lost_data", "repeated_data",
        "nak_in", "nak_out", "pause", "other_IN", "other_OUT"]


def _duts() -> list[Dut]:
    from kaniwa.hw.link.usb import UsbSerial

    return [Dut("usb", UsbSerial("a board"))]


BENCH = Bench("usb", _duts, required=[
    "enumerated", "full_out", "full_in", "empty_out", "full_rate", "damaged_data", "cut_data",
    "cut_token", "held_out", "held_in", "late_ack", "reset", "reset_in_packet", "halt_cleared",
    *SEEN])


async def _opened(dut: Any, clock: str = "nominal", stall: float = 0.0, slow: float = 0.0
                  ) -> tuple[World, Serial]:
    world = await begin(dut, BENCH, clock, stall, slow)
    return world, await world.do(world.host.enumerate())


class _Sender:
    """Bytes to the device, in packets; one that was not taken is sent again, as it was."""

    def __init__(self, world: World, serial: Serial, data: bytes, first: bytes | None = None
                 ) -> None:
        self.world, self.serial, self.left = world, serial, data
        self._packet = first

    async def step(self) -> None:
        if self._packet is None:
            self._packet = self.left[:self.world.rng.choice(SIZES)]
        if await self.world.do(self.serial.offer(self._packet)):
            if len(self._packet) in (0, 64):
                cover("full_out" if self._packet else "empty_out")
            self.left = self.left[len(self._packet):]
            self._packet = None


async def _poll(world: World, serial: Serial) -> bytes:
    got = await world.do(serial.poll())
    if len(got) == 63:
        cover("full_in")
    return got


async def _exchange(world: World, serial: Serial, there: int, back: int) -> None:
    """Random bytes both ways, a packet after the other, until all have come."""
    sent, answers = world.rng.randbytes(there), world.rng.randbytes(back)
    world.driver.send(answers)
    sender, got = _Sender(world, serial, sent), b""
    for _ in range(MOST_STEPS):
        if sender.left and world.rng.random() < 0.5:
            await sender.step()
        else:
            got += await _poll(world, serial)
        if not sender.left and len(got) >= len(answers):
            break
    check(await world.monitor.take(len(sent)), sent, "bytes to the device")
    check(got, answers, "bytes from the device")


def _cover_counts(world: World) -> None:
    for name in SEEN:
        if world.host.counts[name]:
            cover(name)
    for name, kinds in (("damaged_data", ("damaged_DATA0", "damaged_DATA1")),
                        ("cut_data", ("cut_DATA0", "cut_DATA1")),
                        ("cut_token", ("cut_IN", "cut_OUT"))):
        if any(world.host.counts[kind] for kind in kinds):
            cover(name)


@cocotb.test()
@cocotb.parametrize(clock=CLOCKS)
async def a_host_finds_a_serial_port(dut: Any, clock: str) -> None:
    world, serial = await _opened(dut, clock)
    check(serial.names, ["kaniwa", "a board"], "names")
    check(serial.device[8:12], (0x1209).to_bytes(2, "little") + (1).to_bytes(2, "little"), "IDs")
    cover("enumerated")


@cocotb.test()
@cocotb.parametrize(clock=CLOCKS)
async def bytes_go_both_ways(dut: Any, clock: str) -> None:
    world, serial = await _opened(dut, clock, stall=0.5, slow=0.5)
    await _exchange(world, serial, 400, 400)
    await world.nothing_more(serial)


@cocotb.test()
@cocotb.parametrize(clock=CLOCKS)
async def what_is_damaged_or_lost_comes_once(dut: Any, clock: str) -> None:
    """A bit is wrong or the end is missing in tokens, data and ACKs; answers get lost."""
    world, serial = await _opened(dut, clock, stall=0.9, slow=0.9)
    world.faults(**CHANCES)
    await _exchange(world, serial, 700, 700)
    world.faults()
    await world.nothing_more(serial)
    _cover_counts(world)


@cocotb.test()
async def an_accelerator_that_does_not_read_holds_the_host(dut: Any) -> None:
    world, serial = await _opened(dut, stall=1.0)
    sent, taken = world.rng.randbytes(600), 0
    for _ in range(40):
        taken += 64 * await world.do(serial.offer(sent[taken:taken + 64]))
    assert 64 <= taken <= HELD_OUT, taken
    check(world.monitor.items, [], "bytes")
    world.monitor.stall = 0.95
    sender = _Sender(world, serial, sent[taken:], sent[taken:taken + 64])    # that got NAK
    while sender.left:
        await sender.step()
    check(await world.monitor.take(len(sent)), sent, "bytes to the device")
    await world.nothing_more(serial)
    _cover_counts(world)
    cover("held_out")


@cocotb.test()
async def a_host_that_does_not_read_holds_the_accelerator(dut: Any) -> None:
    world, serial = await _opened(dut)
    answers = world.rng.randbytes(500)
    await world.answer(answers)
    held = world.driver.sent
    assert 63 <= held <= HELD_IN, held
    await world.do(serial.write(answers[:200]))     # the other way goes on
    check(await world.monitor.take(200), answers[:200], "bytes to the device")
    check(world.driver.sent, held, "bytes that were taken")
    got = b""
    while len(got) < len(answers):
        got += await _poll(world, serial)
    check(got, answers, "bytes from the device")
    cover("held_in")


@cocotb.test()
async def packets_follow_each_other_at_the_rate_of_the_bus(dut: Any) -> None:
    """One after the other is taken, and has come, without NAK."""
    world, serial = await _opened(dut)
    sent = world.rng.randbytes(64 * 12)
    world.host.counts.clear()
    for at in range(0, len(sent), 64):
        check(await world.do(serial.offer(sent[at:at + 64])), True, "taken")
    check(await world.monitor.take(len(sent)), sent, "bytes to the device")
    await world.answer(sent)
    sizes: list[int] = []
    while sum(sizes) < len(sent):
        sizes.append(len(await _poll(world, serial)))
    check(sizes[:12], [63] * 12, "sizes of packets to the host")
    check(world.host.counts["nak_in"] + world.host.counts["nak_out"], 0, "NAKs")
    cover("full_rate")


@cocotb.test()
async def an_ack_of_another_devices_data_is_none(dut: Any) -> None:
    """The host did not get our data, then takes those of another device of the bus."""
    world, serial = await _opened(dut)
    answers = world.rng.randbytes(30)
    await world.answer(answers)
    world.faults(answer=1.0)
    check(await world.do(serial.poll()), b"", "data that got lost")
    world.faults()
    await world.do(world.host.ask_other(Pid.IN))
    check(await world.do(serial.poll()), answers, "data again")
    cover("late_ack")


@cocotb.test()
async def a_reset_begins_anew(dut: Any) -> None:
    """It drops what the endpoints hold. No byte comes twice or changed; none behind is missing."""
    world, serial = await _opened(dut, stall=0.97, slow=0.9)
    for number in range(4):
        there, back = world.rng.randbytes(300), world.rng.randbytes(300)
        world.driver.send(back)
        sender, got = _Sender(world, serial, there), b""
        for _ in range(world.rng.randrange(2, 14)):
            await sender.step()
            got += await _poll(world, serial)
        if number % 2:
            await world.hold_part(data_packet(Pid.DATA0, bytes(40)))
            cover("reset_in_packet")
        serial = await world.do(world.host.enumerate(world.rng.randrange(1, 128)))
        came, rest = await world.settle(serial)
        check(came, there[:len(came)], "bytes to the device, up to the reset")
        sent = len(there) - len(sender.left)
        assert sent - HELD_OUT <= len(came) <= sent, (len(came), sent)
        check(got, back[:len(got)], "bytes from the device, up to the reset")
        check(rest, back[len(back) - len(rest):], "bytes from the device, behind the reset")
        lost = len(back) - len(got) - len(rest)
        assert 0 <= lost <= DROPS * HELD_IN, lost
        cover("reset")
    await _exchange(world, serial, 200, 200)
    await world.nothing_more(serial)


@cocotb.test()
async def endpoints_that_were_halted_begin_with_data0(dut: Any) -> None:
    world, serial = await _opened(dut)
    for waits in (False, True, False):
        data = world.rng.randbytes(30)
        await world.do(serial.write(data))
        check(await world.monitor.take(30), data, "bytes to the device")
        await world.answer(data)
        check(await world.do(serial.poll()), data, "bytes from the device")
        if waits:       # a packet that has its toggle already
            await world.answer(data)
        await world.do(serial.clear_halt())
        if waits:
            check(await world.do(serial.poll()), data, "bytes from before")
        cover("halt_cleared")
