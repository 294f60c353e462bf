"""The device's end of the link against its Python model, on lines good and bad."""

from __future__ import annotations

from typing import Any

import cocotb

from kaniwa.config import PRESETS
from kaniwa.driver.frames import (
    PAYLOAD_BYTES,
    REGISTERS,
    Flag,
    Operation,
    Request,
    encode_request,
)
from kaniwa.sim.benches.link.link_world import (
    BUFFER,
    CORES,
    OVERLAP,
    PACE,
    SEVERAL,
    SEVERAL_OVERLAP,
    SIZE,
    Device,
    group,
    several,
)
from kaniwa.sim.board.line_faults import Faults, FaultyStream
from kaniwa.sim.harness.bench import Bench, Driver, Dut, Monitor, check, cover, start

LOCAL = "local"             # the device that asks itself, too
CYCLES_A_BYTE = 50          # of the fastest UART: 5 cycles a bit


def _duts() -> list[Dut]:
    from kaniwa.hw.link.link import Link

    duts = [Dut(name, Link(PRESETS[name], pace=PACE, outside=outside), config=PRESETS[name])
            for name, outside in (("nano", False), ("base", True))]
    return [*duts, Dut(LOCAL, Link(PRESETS["nano"], pace=PACE, local=True),
                       config=PRESETS["nano"]),
            *(Dut(name, Link(PRESETS["small"], pace=PACE, cores=cores, overlap=overlap),
                  config=PRESETS["small"])
              for name, cores, overlap in ((SEVERAL, CORES, False), (OVERLAP, 1, True),
                                           (SEVERAL_OVERLAP, CORES, True)))]


BENCH = Bench("link", _duts, long=(SEVERAL,), required=[
    "write", "read", "register", "open", "behind", "gap", "garbled", "busy_write", "busy_read",
    "register_while_busy", "link_registers", "no_session", "coalesced", "overflow", "goodput",
    "full_speed", "back_in_step", "outside", "beside_a_busy_core", "no_such_core",
    "write_during_run", "read_during_run", "register_of_a_run", "command_while_busy",
    "own_write", "own_read", "own_register", "own_open", "own_refused", "own_not_whole",
    *(f"core_{number}" for number in range(CORES))])


async def _open(device: Device) -> None:
    await device.both(b"\0" + encode_request(Request(Operation.OPEN, 0, 9), 0))


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5], faults=[False, True])
async def does_what_the_model_does(dut: Any, stall: float, faults: bool) -> None:
    env = await start(dut, BENCH)
    device = Device(env, stall, stall)
    rng = env.rng
    line = FaultyStream(Faults(bit_error=2e-4, drop=5e-4, duplicate=5e-4, insertion=5e-4,
                               swap=5e-4) if faults else Faults(), rng.getrandbits(30))
    if faults:
        await _open(device)
    for _ in range(16):
        device.busy(rng)
        await device.both(line.pass_on(group(device, rng)) + b"\0" * faults)
    if env.dut_name == "base":
        assert any(address >> 31 for address in device.addresses)
    assert bool(line.counts) == faults


@cocotb.test()
@cocotb.parametrize(fastest=[False, True])
async def bulk_writes_fill_the_line(dut: Any, fastest: bool) -> None:
    """95 % of the line's bytes are data, at a bit in 5 cycles; a byte takes 10 cycles at most."""
    env = await start(dut, BENCH)
    if several(env) or (not fastest and env.dut_name != "nano"):
        return    # the longest test; the frames are the same for all
    device = Device(env)
    await _open(device)
    rng, frames = env.rng, 16
    data = [rng.choice([rng.randbytes(PAYLOAD_BYTES), bytes(PAYLOAD_BYTES)]) for _ in range(frames)]
    line = b"".join(encode_request(Request(Operation.WRITE, i * 244, PAYLOAD_BYTES, part), i)
                    for i, part in enumerate(data))
    began = env.cycle
    if fastest:
        device.driver.send(line)
    else:
        for byte in line:
            device.driver.send([byte])
            await env.cycles(CYCLES_A_BYTE)
    replies = await device.replies()
    check(replies[-1].expected, frames, "frames done")
    assert all(reply.flags == 0 for reply in replies)
    check(bytes(device.core.memory[:frames * 244]), b"".join(data), "memory")
    span = device.monitor.cycles[-1] - began
    if fastest:
        assert span <= 10 * len(line) + 300, span
        cover("full_speed")
    else:
        assert frames * PAYLOAD_BYTES * CYCLES_A_BYTE >= 0.95 * span, span
        cover("goodput")


@cocotb.test()
@cocotb.parametrize(address=[0, REGISTERS])
async def an_answer_takes_nine_cycles_a_byte(dut: Any, address: int) -> None:
    env = await start(dut, BENCH)
    device = Device(env)
    await _open(device)
    before, count = len(device.monitor.cycles), 64
    device.driver.send(encode_request(Request(Operation.READ, address, count), 0))
    await device.replies()
    data = device.monitor.cycles[before:][-count - 8:-8]   # CRC, last code and end follow
    check(data[-1] - data[0], 9 * (count - 1), "cycles of an answer's bytes")


@cocotb.test()
async def what_the_buffer_cannot_hold_is_refused_whole(dut: Any) -> None:
    env = await start(dut, BENCH)
    if several(env):
        return    # the buffer knows of no core
    device = Device(env)
    await _open(device)
    device.monitor.stall = 1.0
    requests = [Request(Operation.READ, i, 200) for i in range(80)]
    device.driver.send(b"".join(encode_request(request, 0) for request in requests))
    await device.driver.drain()
    device.monitor.stall = 0.0
    replies = await device.replies()
    answered = [reply.address for reply in replies if Flag.DATA in reply.flags]
    check(answered, list(range(len(answered))), "answered, from the first on")
    assert (BUFFER - 1) // 10 <= len(answered) < 80, len(answered)
    assert any(Flag.GARBLED in reply.flags for reply in replies)
    cover("overflow")
    await device.both(encode_request(Request(Operation.WRITE, 3, 5, b"after"), 0))


@cocotb.test()
async def back_in_step_within_one_frame(dut: Any) -> None:
    env = await start(dut, BENCH)
    device = Device(env)
    await _open(device)
    for number in range(12):
        garbage = env.rng.randbytes(env.rng.choice([1, 2, 10, 300, 700]))
        device.driver.send(garbage)
        frame = encode_request(Request(Operation.REGISTER, number, 7), number)
        device.driver.send(frame + frame)
        await device.replies()
        check(device.core.log, [(7, i) for i in range(number + 1)], "registers written")
        cover("back_in_step")


def _own(device: Device) -> Request:
    """A request of the device's own."""
    rng = device.env.rng
    operation = rng.choice(list(Operation))
    if operation == Operation.WRITE:
        data = rng.randbytes(rng.randrange(1, 40))
        return Request(operation, rng.randrange(SIZE - 40), len(data), data)
    if operation == Operation.READ:
        return Request(operation, rng.choice([0, REGISTERS]) + rng.randrange(400),
                       rng.randrange(1, 60))
    return Request(operation, rng.getrandbits(32), rng.randrange(1, 16))


async def _ask(device: Device, monitor: Monitor, request: Request) -> None:
    """Have the device ask itself, and compare with the model's core."""
    env, core = device.env, device.wanted[0]
    data = (bytes([request.operation << 6]) + request.word.to_bytes(4, "little")
            + bytes([request.count]) + request.data)
    whole = env.rng.random() < 0.8
    registers = request.word >> 30 == 1
    memory = request.operation == Operation.WRITE or (
        request.operation == Operation.READ and not registers)
    if not whole:
        cover("own_not_whole")
        data = data[:env.rng.randrange(1, len(data))]
        request = Request(request.operation, request.word, request.count, data[6:])
    done = whole or (request.operation == Operation.WRITE and len(data) >= 6)
    before = device.refused
    env.set("local__more", 1)
    assert device.own is not None
    device.own.send(data)
    await device.own.drain()
    env.set("local__more", 0)
    answer: list[int] = []
    if done and memory and core.busy:
        cover("own_refused")
    elif done:
        cover(f"own_{request.operation.name.lower()}")
        if request.operation == Operation.READ:
            answer = [device.model._read_register(core, request.word + i) if registers
                      else core.read(request.word + i) for i in range(request.count)]
        elif request.operation == Operation.REGISTER:
            core.write_register(request.count, request.word)
        for i, value in enumerate(request.data):
            core.write(request.word + i, value)
    last = len(answer) - 1
    check(await monitor.take(len(answer)), [byte + 256 * (i == last) for i, byte in
                                            enumerate(answer)], "answer to the device itself")
    await env.cycles(4)
    check(device.refused - before, done and memory and core.busy, "requests refused")
    check(len(monitor.items), monitor._taken, "answers to the device itself")


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def its_own_requests_leave_no_trace(dut: Any, stall: float) -> None:
    """The line finds sessions, numbers and notices as if the device had asked nothing."""
    env = await start(dut, BENCH)
    if env.dut_name != LOCAL:
        return
    device = Device(env, stall, stall)
    device.own = Driver(env, "local__request", 8, stall)
    cocotb.start_soon(_count_refused(device))
    monitor = Monitor(env, "local__reply", 9, stall)
    for number in range(40):
        device.busy(env.rng)
        if number % 20 == 10:     # until then the device knows of no session
            await _open(device)
        for _ in range(env.rng.randrange(1, 4)):
            await _ask(device, monitor, _own(device))
        if number % 3 == 0:
            await device.both(group(device, env.rng))


async def _count_refused(device: Device) -> None:
    while True:
        await device.env.cycles(1)
        device.refused += device.env.get("local__refused")
