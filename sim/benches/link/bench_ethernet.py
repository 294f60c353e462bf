"""Ethernet link: which datagrams are taken, which are answered, and what replies are made of.

The other end is not ours: frames are cocotbext-eth's, packets are scapy's.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import cocotb

from kaniwa.sim.benches.link.ethernet_refusals import REFUSED
from kaniwa.sim.benches.link.ethernet_world import (
    ADDRESS,
    GAP,
    MAC,
    PEERS,
    Peer,
    Reply,
    Sent,
    World,
    arp_request,
    begin,
    datagram,
    draw_frame,
    pack,
)
from kaniwa.sim.harness.bench import TALLY, Bench, Dut, check, cover

# Periods of the line in ps beside a core's of 10,000: the core's clock is slower, and faster.
SLOWER, FASTER = 8006, 13_998
PERIODS = [SLOWER, FASTER]
SIZES = {"large": {"ring_bytes": 8192, "bank_bytes": 2048},
         "small": {"ring_bytes": 2048, "bank_bytes": 1024}}
HERE, THERE = PEERS
STRANGER = Peer("02:00:00:00:00:01", "192.168.1.99", 5555)   # sends nothing that is right
LONGEST = 256              # bytes of a frame of the link, on the line
CLOSE_CYCLES = 128         # without another byte
CROSSING = 12              # cycles of the line at most from one clock to the other
FIRST_BYTE_CYCLES = 12 + CROSSING    # from a request's end on the line
ANSWER_CYCLES = 22                   # the same, until the preamble of an answer without frames
REPLY_CYCLES = 32                    # until its preamble, once a datagram's time is over
BETWEEN_CYCLES = 12                  # from a datagram to the next one, beside the gap
CORE_BYTE_CYCLES = 1.05              # of the core, for a byte of replies that find room
FRAME_CYCLES = 1538 + GAP            # of the longest frame


def _duts() -> list[Dut]:
    from kaniwa.hw.ethernet.ethernet_link import EthernetLink

    address = int.from_bytes(map(int, ADDRESS.split(".")), "big")
    return [Dut(name, EthernetLink(int(MAC.replace(":", ""), 16), address, **sizes))
            for name, sizes in SIZES.items()]


BENCH = Bench("ethernet", _duts, required=[
    "arp_broadcast", "arp_unicast", "arp_refused", "padded_request", "plain_request",
    "longest_request", "no_frames", "nobody_heard", "back_to_back", "short_preamble",
    "number_ahead", "number_behind", "number_same", "number_half_ahead", "numbers_wrap",
    "no_room", "room_to_the_last_byte", "padded_reply", "plain_reply", "several_frames",
    "reply_full", "reply_in_time", "line_full", "core_waits", "two_peers", "arp_beside_replies",
    *(f"refused_{name}" for name in REFUSED)])


async def _opened(dut: Any, period_ps: int = SLOWER) -> World:
    """A device whose peer is HERE, behind its first reply."""
    world = await begin(dut, BENCH, period_ps, SIZES[os.environ["KANIWA_DUT"]])
    world.give(HERE, pack(0))
    check([(reply.last, reply.to) for reply in await _answers(world)], [(0, HERE)], "the opening")
    return world


async def _answers(world: World) -> list[Reply]:
    """Replies until nothing comes any more."""
    await world.quiet()
    return world.replies()


def _next(world: World, frames: bytes = b"", ahead: int = 1) -> bytes:
    """Payload of a request whose number is so much ahead."""
    return pack(world.contract.last + ahead, frames)


@cocotb.test()
async def answers_those_who_ask_for_its_mac(dut: Any) -> None:
    from scapy.layers.l2 import ARP, Ether

    world = await _opened(dut)
    for asker in (HERE, THERE):
        for changes in ({"op": 2}, {"hwtype": 6}, {"ptype": 0x86DD}, {"hwlen": 7}, {"plen": 5},
                        {"pdst": _another(world)}, {"pdst": _another(world)}):
            world.send(arp_request(asker, **changes))
            cover("arp_refused")
        world.send(arp_request(asker), damage=1 << world.rng.randrange(32))
        question = Ether(arp_request(asker))
        if asker == THERE:
            question.dst = MAC
        cover("arp_unicast" if asker == THERE else "arp_broadcast")
        world.send(bytes(question))
        check(await _answers(world), [], "replies")
        check(len(world.arps), 1, "answers")
        answer = world.arps.pop()
        arp = answer[ARP]
        check((answer.dst, arp.op, arp.hwtype, arp.ptype, arp.hwlen, arp.plen),
              (asker.mac, 2, 1, 0x0800, 6, 4), "head of an answer")
        check((arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst),
              (MAC, ADDRESS, asker.mac, asker.address), "addresses of an answer")
    world.driver.send(b"\1\2\0")   # who asks is not who gets replies
    check([reply.to for reply in await _answers(world)], [HERE], "peer")


def _another(world: World) -> str:
    """An address with one bit that is not the device's."""
    value = int.from_bytes(map(int, ADDRESS.split(".")), "big") ^ 1 << world.rng.randrange(32)
    return ".".join(map(str, value.to_bytes(4, "big")))


@cocotb.test()
@cocotb.parametrize(period_ps=PERIODS)
async def takes_requests_of_any_size(dut: Any, period_ps: int) -> None:
    world = await _opened(dut, period_ps)
    for size in (0, 1, 2, 13, 14, 15, 16, 1467, 1468, 1):
        sent = world.give(HERE, _next(world, world.rng.randbytes(size)))
        before = len(world.monitor.items)
        await world.sent()
        assert sent.ended is not None
        while size and len(world.monitor.items) == before:
            await world.env.cycles(1)
            assert world.cycle - sent.ended <= FIRST_BYTE_CYCLES, "the first byte comes late"
        if size:
            TALLY.measure("cycles until the first byte", world.cycle - sent.ended)
        replies = await _answers(world)
        check([(reply.last, reply.frames) for reply in replies],
              [] if size else [(world.contract.last, b"")], "replies")
        if not size:
            _check_answer(sent, replies[0])
        cover("longest_request" if size == 1468 else "plain_request" if size >= 14
              else "padded_request" if size else "no_frames")


def _check_answer(sent: Sent, reply: Reply) -> None:
    """``reply``, without frames, began soon after the request."""
    assert sent.ended is not None
    TALLY.measure("cycles until an answer", reply.began - sent.ended)
    assert reply.began - sent.ended <= ANSWER_CYCLES, reply.began - sent.ended


@cocotb.test()
async def takes_nothing_of_what_is_wrong(dut: Any) -> None:
    """Behind a wrong frame a right one of the same number comes whole, without an answer."""
    world = await _opened(dut)
    for _ in range(3):
        for name, send in REFUSED.items():
            send(world, THERE, _next(world, world.rng.randbytes(world.rng.randrange(60, 80))))
            world.give(HERE, _next(world, b"%s\0" % name.encode()))
            cover(f"refused_{name}")
        check(await _answers(world), [], "replies")
    world.give(HERE, _next(world))
    check([(reply.last, reply.to) for reply in await _answers(world)],
          [(world.contract.last, HERE)], "the last answer")
    check(world.arps, [], "answers of ARP")


@cocotb.test()
async def takes_what_is_ahead_and_answers_the_rest(dut: Any) -> None:
    world = await _opened(dut)
    half = 1 << 31
    drawn = [world.rng.randrange(-half, half) for _ in range(16)]
    for ahead in (1, 0, -1, 2, half - 1, half, half - 1, half + 1, half - 1, -half + 1, 77, *drawn):
        frames = world.rng.randbytes(world.rng.randrange(1, 30))
        before = world.contract.last
        sent = world.give(HERE, _next(world, frames, ahead))
        replies = await _answers(world)
        check([(reply.last, reply.frames) for reply in replies],
              [(world.contract.last, b"")] * sent.answered, "answers")
        if sent.answered:
            _check_answer(sent, replies[0])
        cover("number_same" if not ahead else "number_half_ahead" if ahead == half
              else "number_behind" if sent.answered else "number_ahead")
        if world.contract.last < before:
            cover("numbers_wrap")


@cocotb.test()
async def takes_frames_one_behind_the_other(dut: Any) -> None:
    world = await _opened(dut)
    rng = world.rng
    for _ in range(40):
        preamble = rng.choice([7, 7, 6, 1, 9])
        if preamble < 7:
            cover("short_preamble")
        payload = _next(world, rng.randbytes(rng.choice([0, 1, 5, 17, 60, 100])),
                        rng.choice([1, 1, 1, 0, -3, 5]))
        world.contract.give(HERE, payload)
        world.send(datagram(HERE, payload), preamble=preamble)
        cover("back_to_back")
    world.give(HERE, _next(world))
    check((await _answers(world))[-1].last, world.contract.last, "the last answer")


@cocotb.test()
async def an_answer_goes_to_one_address_whole(dut: Any) -> None:
    """MAC, address and port of a reply are those of one sender, whoever sends meanwhile."""
    world = await _opened(dut)
    rng = world.rng
    for _ in range(300):
        sender = rng.choice([HERE, THERE, STRANGER])
        payload = _next(world, rng.randbytes(rng.randrange(40)), 0)   # old: it is answered
        if sender != STRANGER:
            world.contract.give(sender, payload)
        # A PHY may drop most of a preamble, so a head can come this soon behind another frame.
        world.send(datagram(sender, payload), preamble=1, damage=int(sender == STRANGER))
    replies = await _answers(world)
    assert len(replies) >= 100, len(replies)
    check({reply.to for reply in replies}, {HERE, THERE}, "addresses of replies")
    check(replies[-1].to, world.contract.peer, "address of the last one")


@cocotb.test()
@cocotb.parametrize(period_ps=PERIODS)
async def what_finds_no_room_is_dropped_whole(dut: Any, period_ps: int) -> None:
    world = await _opened(dut, period_ps)
    rng = world.rng
    for _ in range(2):
        world.monitor.stall = 1.0
        await world.env.cycles(2)
        room = world.ring - 1
        sizes = [1468] * (room // 1468) + [room % 1468]
        for size in sizes:
            world.give(HERE, _next(world, rng.randbytes(size)))
        cover("room_to_the_last_byte")
        for size in (1468, 100, 300):
            world.send(datagram(HERE, _next(world, rng.randbytes(size))))
            cover("no_room")
        await world.sent()
        world.monitor.stall = 0.3
        check(await _answers(world), [], "replies")
        world.give(HERE, _next(world, rng.randbytes(200)))
        world.give(HERE, _next(world))
        check([reply.last for reply in await _answers(world)], [world.contract.last], "answers")


@cocotb.test()
async def nothing_is_sent_before_somebody_was_heard(dut: Any) -> None:
    world = await begin(dut, BENCH, SLOWER, SIZES[os.environ["KANIWA_DUT"]])
    world.driver.send(b"\0\1\0")
    check(await _answers(world), [], "replies to nobody")
    world.give(HERE, pack(0))
    check([(reply.to, reply.frames) for reply in await _answers(world)], [(HERE, b"")],
          "the opening")
    cover("nobody_heard")


@cocotb.test()
@cocotb.parametrize(period_ps=PERIODS)
async def a_reply_goes_out_behind_its_last_frame(dut: Any, period_ps: int) -> None:
    world = await _opened(dut, period_ps)
    world.give(HERE, _next(world, b"\7\0"))   # a reply tells of it
    ended = 0
    for sizes in ((1,), (9,), (10,), (11,), (LONGEST,), (5, 30, 2)):
        frames = [draw_frame(world.rng, size) for size in sizes]
        for frame in frames:
            world.driver.send(frame)
            await world.driver.drain()
            ended = world.cycle
            await world.cycles(CLOSE_CYCLES // 2)
        replies = await _answers(world)
        check([(reply.last, reply.frames) for reply in replies],
              [(world.contract.last, b"".join(frames))], "replies")
        waited = replies[0].began - ended
        TALLY.measure("cycles until a reply", waited)
        assert CLOSE_CYCLES <= waited <= CLOSE_CYCLES + REPLY_CYCLES, waited
        cover("several_frames" if len(sizes) > 1 else "padded_reply" if sizes[0] <= 10
              else "plain_reply")
        cover("reply_in_time")
    # What is begun when a datagram's time is over goes with it, or into the next one.
    world.driver.send(b"\1\2\0\3\4")
    await world.cycles(3 * CLOSE_CYCLES)
    world.driver.send(b"\5\0")
    check(b"".join(reply.frames for reply in await _answers(world)), b"\1\2\0\3\4\5\0", "frames")


@cocotb.test()
@cocotb.parametrize(period_ps=PERIODS)
async def replies_fill_the_line_or_the_core_waits(dut: Any, period_ps: int) -> None:
    world = await _opened(dut, period_ps)
    sizes = [LONGEST] if period_ps == FASTER else [LONGEST, 20, 200]
    frames = [draw_frame(world.rng, world.rng.choice(sizes)) for _ in range(40)]
    for frame in frames:
        world.driver.send(frame)
    replies = await _answers(world)
    check(b"".join(reply.frames for reply in replies), b"".join(frames), "frames")
    for reply in replies[:-1]:   # another of the longest frames might not fit
        assert world.room - LONGEST < len(reply.frames), len(reply.frames)
        cover("reply_full")
    if period_ps == FASTER:
        gaps = [after.began - before.ended for before, after in pairwise(replies)]
        TALLY.measure("cycles between two replies", max(gaps))
        assert max(gaps) <= GAP + BETWEEN_CYCLES, gaps
        cover("line_full")
        waits = [after - before for before, after in pairwise(world.driver.cycles)]
        if max(waits) > 50:
            cover("core_waits")
    else:
        cycles = world.driver.cycles
        assert cycles[-1] - cycles[0] <= CORE_BYTE_CYCLES * len(cycles), (cycles[-1], len(cycles))


@cocotb.test()
async def an_answer_finds_frames_and_takes_them_along(dut: Any) -> None:
    world = await _opened(dut)
    for number in (1, 0):   # ahead, and the same once more
        world.driver.send(b"\1\2\3\0")
        await world.driver.drain()
        world.give(THERE, _next(world, ahead=number))
        await world.cycles(CLOSE_CYCLES // 2)
        replies = await _answers(world)
        check([(reply.last, reply.frames, reply.to) for reply in replies],
              [(world.contract.last, b"\1\2\3\0", THERE)], "replies")


@cocotb.test()
@cocotb.parametrize(period_ps=PERIODS, stall=[0.0, 0.4])
async def traffic_both_ways(dut: Any, period_ps: int, stall: float) -> None:
    """Requests, wrong frames and questions for the MAC, while replies go out."""
    world = await _opened(dut, period_ps)
    world.monitor.stall = world.driver.stall = stall
    rng = world.rng
    frames = []
    answered: list[Sent] = []
    asked = 0
    for _ in range(60):
        what = rng.random()
        if what < 0.5:
            frames += [draw_frame(rng, rng.choice([2, 9, 40, LONGEST])) for _ in range(3)]
            for frame in frames[-3:]:
                world.driver.send([*frame, *[None] * rng.choice([0, 0, 5, 200])])
        if what < 0.1:
            world.send(arp_request(rng.choice(PEERS)))
            asked += 1
        elif what < 0.25:
            rng.choice(list(REFUSED.values()))(world, STRANGER, _next(world, rng.randbytes(70)))
        else:
            frames_in = rng.randbytes(rng.choice([0, 1, 10, 100, 400]))
            sent = world.give(rng.choice(PEERS),
                              _next(world, frames_in, rng.choice([1, 1, 1, 9, 0])))
            answered += [sent] * sent.answered
        await world.sent()
        await world.make_room(400)
        await world.cycles(rng.choice([1, 1, 30, 200]))
    last = world.give(HERE, _next(world))
    replies = await _answers(world)
    check(b"".join(reply.frames for reply in replies), b"".join(frames), "frames")
    _check_traffic(world, replies, [*answered, last])
    assert 1 <= len(world.arps) <= asked
    cover("arp_beside_replies")


def _check_traffic(world: World, replies: list[Reply], answered: list[Sent]) -> None:
    """Numbers told are of requests taken, in their order; answers come; strangers get nothing."""
    order = {number: index for index, number in enumerate(world.contract.taken)}
    told = [order[reply.last] for reply in replies]
    check(told, sorted(told), "order of the last request's number")
    check((replies[-1].last, replies[-1].to), (world.contract.last, world.contract.peer), "the end")
    assert {reply.to for reply in replies} == set(PEERS)
    cover("two_peers")
    for sent in answered:
        assert sent.ended is not None
        ended = sent.ended
        wait = min(reply.began for reply in replies if reply.began > ended) - ended
        assert wait <= ANSWER_CYCLES + 2 * FRAME_CYCLES, wait
