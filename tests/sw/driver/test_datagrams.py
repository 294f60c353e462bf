"""The host's end of the link over UDP, against a model of the device on a network of this process.

Datagrams are lost, doubled, late or damaged; that costs a retry, never a result.
"""

import functools
import random
from dataclasses import replace

import pytest
from builders.graphs.inferences import wrong_answers_of

from kaniwa import Session
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.datagrams.format import MOST_BYTES, NUMBERS, REPLY_HEAD, REQUEST_HEAD, is_ahead
from kaniwa.driver.datagrams.row import LATE, LEAP, HostRow, number_of_the_time
from kaniwa.driver.datagrams.transport import QUESTION, DatagramTransport
from kaniwa.driver.frames import SEQUENCES, Operation, Request
from kaniwa.driver.link import Link, reads, writes
from kaniwa.errors import DeviceError
from kaniwa.sim.board.datagram_faults import DatagramFaults, FaultyPath
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel, MemoryCore
from kaniwa.sim.board.udp_model import DatagramModel, ModelNetwork
from kaniwa.sim.worlds.random_graphs import random_graph

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 14)
wrong_answers = functools.partial(wrong_answers_of, GRAPH)
KINDS = DatagramFaults().kinds
CASES = {"none": {}, **{kind: {kind: 0.05} for kind in KINDS}, "damaged": {"damaged": 0.02},
         "a little of all": dict.fromkeys(KINDS, 0.003), "all": dict.fromkeys(KINDS, 0.01)}
FIRST = 1000       # what the clock of a row gives in tests of numbers


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


def network(faults=None, seed=0, core=None):
    """No garbage goes to the device: it may take it, and then the host is to hear of it."""
    faults = faults or DatagramFaults()
    link = LinkModel(core or EmulatedCore(CONFIG))
    return ModelNetwork(DatagramModel(link, seed), FaultyPath(replace(faults, garbage=0), seed),
                        FaultyPath(faults, seed + 1))


def transport(net, address="host", clock=None):
    """A transport whose numbers follow the network's clock."""
    return DatagramTransport(net.socket(address), clock or (lambda: time_of(net, 1)))


def time_of(net, first):
    """As ``number_of_the_time``, by the clock of ``net`` and from ``first`` on."""
    return (first + int(net.clock * 62_500)) % (NUMBERS - LATE)


def board(net, address="host", clock=None):
    return BoardDevice(address, connect=lambda: transport(net, address, clock))


def reply(number, told, frames=b""):
    return number.to_bytes(4, "little") + told.to_bytes(4, "little") + frames


def begun(number=7, told=0):
    """A row that has sent three requests, the first one number FIRST."""
    row = HostRow(lambda: (told + LEAP + FIRST) % NUMBERS)
    assert row.begin(reply(number, told))
    first = int.from_bytes(row.request(b"")[:4], "little")
    row.request(b"")
    row.request(b"")
    return row, first


@pytest.mark.parametrize("case", CASES)
def test_200_inferences_on_a_bad_network_are_all_right(case, program):
    net = network(DatagramFaults(**CASES[case]), seed=4)
    with board(net) as device:
        session = Session(program, device)
        assert sum(wrong_answers(session, seed) for seed in range(200)) == 0
        repeated = device.link_statistics.repeated
    counts = net.there.counts + net.back.counts
    assert set(counts) == set(CASES[case])
    assert (repeated > 20) == bool(set(counts) - {"doubled", "garbage"})
    assert net.device.link.core.runs == 200


@pytest.mark.parametrize("first", [0, NUMBERS // 2 - LATE - LEAP, NUMBERS // 2 - LEAP,
                                   NUMBERS // 8 * 7, NUMBERS - LATE - 400 * LEAP])
def test_late_datagrams_of_earlier_sessions_change_nothing(program, first):
    """Each session is one of the same host at the same port, and now and then the power is cut."""
    net = network(DatagramFaults(delayed=0.1, lost=0.02, longest_delay=300), seed=8)
    for number in range(24):
        if number % 4 == 3:
            net.device.reset()
            net.device.link.core = EmulatedCore(CONFIG)
            net.clock += 10.0
        with board(net, clock=lambda: time_of(net, first)) as device:
            session = Session(program, device)
            assert sum(wrong_answers(session, 10 * number + i) for i in range(3)) == 0


def stale_data():
    """What a link reads after a reply of an earlier run of the same session came once more.

    Address, session and sequence number of both are the same, after 64 numbered requests.
    """
    core = MemoryCore()
    net = network(core=core)
    link = Link(transport(net))
    link.open()

    def write_and_read(data, late=()):
        pass_on, kept = net.back.pass_on, []
        link.exchange([*writes(link, 0, data), *(
            Request(Operation.REGISTER, 0, 1) for _ in range(SEQUENCES - 1))])
        net.back.pass_on = lambda datagram: kept.append(datagram) or [*late, *pass_on(datagram)]
        answers = link.exchange(reads(link, 0, len(data)))
        net.back.pass_on = pass_on
        return answers[0], kept

    read, kept = write_and_read(b"old!")
    assert read == b"old!"
    return write_and_read(b"new!", kept)[0]


def test_a_reply_of_an_earlier_run_is_never_taken():
    assert stale_data() == b"new!"


def test_without_the_rule_of_numbers_it_would_be_taken(monkeypatch):
    """So the test above can fail: the link's own numbers do not tell that reply from a new one."""
    monkeypatch.setattr(HostRow, "take", lambda row, datagram: datagram[REPLY_HEAD:])
    assert stale_data() == b"old!"


def test_numbers_go_round():
    assert is_ahead(0, NUMBERS - 1) and is_ahead(NUMBERS // 2 - 1, 0)
    assert not is_ahead(0, 0) and not is_ahead(NUMBERS // 2, 0) and not is_ahead(NUMBERS - 1, 0)


@pytest.mark.parametrize("number", [7, NUMBERS - 3, NUMBERS // 2 - 2])
@pytest.mark.parametrize("told", [0, 5, NUMBERS - LEAP - FIRST - 2, NUMBERS // 2])
def test_a_reply_is_taken_once_and_in_order(number, told):
    row, first = begun(number, told)
    assert is_ahead(first, told)
    numbers = [(number + 1 + i) % NUMBERS for i in range(5)]
    assert row.take(reply(number, first)) is None             # the probe's own number
    assert row.take(reply(numbers[0], first, b"a\0")) == b"a\0"
    assert row.take(reply(numbers[0], first, b"a\0")) is None
    assert row.take(reply(numbers[3], first + 1, b"d\0")) == b"d\0"
    assert row.take(reply(numbers[2], first + 1, b"c\0")) is None
    assert row.heard
    assert row.take(reply(numbers[4], (first + 2) % NUMBERS)) == b""
    assert not row.heard


def test_a_reply_has_to_tell_of_a_request_of_this_row():
    row, first = begun()
    for told in (0, first - 1, first + 3, first + NUMBERS // 2):
        assert row.take(reply(20, told, b"a\0")) is None
    assert row.take(reply(20, first + 1, b"a\0")) == b"a\0"
    assert row.take(reply(21, first, b"b\0")) is None        # not before what was told already
    assert row.take(reply(22, first + 1, b"c\0")) == b"c\0"


@pytest.mark.parametrize("datagram", [
    b"", bytes(REPLY_HEAD - 1), reply(8, 0, b"\5a"), reply(8, 0, bytes(MOST_BYTES)),
    reply(8, 0, b"a\0")])
def test_what_does_not_answer_the_probe_begins_no_row(datagram):
    row = HostRow(lambda: FIRST)
    assert not row.begin(datagram)
    assert row.begin(reply(9, 3))


def test_a_row_begins_ahead_of_all_that_was_sent(monkeypatch):
    """By the clock, or by a leap where another host's clock is ahead of this one's."""
    late, half = FIRST + LEAP, NUMBERS // 2
    for now, told, first in ((late, 0, late), (late, late, late + LEAP), (late, NUMBERS - 1, late),
                             (half - 1, 0, half - 1), (half, 0, LEAP), (half + 9, 9, 9 + LEAP)):
        row = HostRow(lambda now=now: now)
        assert row.begin(reply(1, told))
        assert row.request(b"")[:4] == first.to_bytes(4, "little")
    monkeypatch.setattr("time.time", lambda: (NUMBERS - LATE) / 62_500 + 2.0)
    assert number_of_the_time() == 125_000


def test_a_row_knows_anothers_number_from_its_own_with_a_damaged_bit():
    for told, overtaken in ((lambda last: last ^ 1 << 25, False), (lambda last: last + LEAP, True),
                            (lambda last: last - 9, False), (lambda last: last + 3 * LEAP, True),
                            (lambda last: last - 1 ^ 1 << 20, False)):
        row, first = begun()
        assert row.take(reply(8, told(first + 2))) is None
        assert row.take(reply(8, first - 3)) is None
        assert row.overtaken is overtaken


def test_a_row_that_begins_again_takes_any_number_but_only_new_replies():
    row, first = begun()
    assert row.take(reply(8, first)) == b""
    assert row.take(reply(4, first + 9)) is None
    row.begin_again()
    later = int.from_bytes(row.request(b"")[:4], "little")
    assert is_ahead(later, first + 9)
    assert row.take(reply(9, first + 2, b"a\0")) is None
    assert row.take(reply(3, later, b"a\0")) == b"a\0"
    assert row.take(reply(3, later, b"a\0")) is None


class Recorder:
    """A socket that keeps what is sent and answers the probe."""

    name = "recorder"

    def __init__(self, answers=(bytes(REPLY_HEAD),)):
        self.sent, self.answers, self.clock, self.closed = [], list(answers), 0.0, False

    def send(self, datagram):
        self.sent.append(datagram)

    def receive(self, seconds):
        if self.answers:
            return self.answers.pop(0)
        self.clock += seconds
        return None

    def now(self):
        return self.clock

    def close(self):
        self.closed = True


def test_frames_go_whole_and_as_many_as_fit():
    socket = Recorder()
    line = DatagramTransport(socket, lambda: FIRST + LEAP)
    assert len(socket.sent) == 1 and len(socket.sent[0]) == REQUEST_HEAD     # the probe
    rng = random.Random(3)
    frames = [rng.randbytes(rng.randrange(260)).replace(b"\0", b"\1") + b"\0" for _ in range(300)]
    data, at = b"".join(frames), 0
    while at < len(data):
        size = rng.choice([0, 1, 5, 300, 5000])
        line.write(data[at:at + size])
        at += size
    sent = socket.sent[1:]
    assert b"".join(datagram[REQUEST_HEAD:] for datagram in sent) == data
    assert all(datagram[-1] == 0 and len(datagram) <= MOST_BYTES for datagram in sent)
    numbers = [int.from_bytes(datagram[:REQUEST_HEAD], "little") for datagram in sent]
    assert numbers == list(range(numbers[0], numbers[0] + len(sent)))


def test_in_one_write_no_datagram_has_room_for_the_next_frame():
    socket = Recorder()
    DatagramTransport(socket).write(b"".join(bytes([1]) * 366 + b"\0" for _ in range(9)))
    assert [len(datagram) for datagram in socket.sent[1:]] == [1472, 1472, 4 + 367]
    assert 4 * 367 + REQUEST_HEAD == MOST_BYTES


@pytest.mark.parametrize("data", [bytes([1]) * 1468, bytes([1]) * 1468 + b"\0"])
def test_a_frame_that_fits_into_no_datagram_is_named(data):
    line = DatagramTransport(Recorder())
    with pytest.raises(DeviceError, match="^recorder: a frame of over 1,468 bytes fits into no "
                                          "datagram: only the link's frames go this way$"):
        line.write(data)


def test_no_more_is_in_flight_than_a_device_has_room_for():
    class Burst(Recorder):
        def receive(self, seconds):
            waiting.append(sum(len(datagram) - 4 for datagram in self.sent[1:]))
            return super().receive(seconds)

    waiting = []
    link = Link(DatagramTransport(Burst()))
    with pytest.raises(DeviceError, match="^recorder: the device stopped answering"):
        link.exchange(writes(link, 0, bytes(65536)))
    assert 1600 < waiting[1] <= 2048
    with pytest.raises(DeviceError, match="stopped answering"):
        link = Link(DatagramTransport(Burst()))
        waiting.clear()
        link.exchange([Request(Operation.WRITE, 0, 1, b"a")] * 64)
    assert waiting[1] <= 2048


@pytest.mark.parametrize("answers, message", [
    ([], "recorder: no answer: is the device powered, programmed and on this network, and the "
         "address right?"),
    ([b"HTTP/1.1 400 Bad Request", b""],
     "recorder: 2 datagrams came and no right answer among them: is that port of a kaniwa "
     "device?"),
])
def test_an_opening_without_an_answer_is_named(answers, message):
    socket = Recorder(answers)
    with pytest.raises(DeviceError) as caught:
        DatagramTransport(socket)
    assert str(caught.value) == message and socket.closed
    assert [len(datagram) for datagram in socket.sent] == [REQUEST_HEAD] * 5


@pytest.mark.parametrize("first", [FIRST, NUMBERS // 2 - 300, NUMBERS // 2 + FIRST,
                                   NUMBERS // 4 * 3 + FIRST, NUMBERS - LATE - LEAP])
@pytest.mark.parametrize("cold", [True, False])
def test_a_device_that_lost_its_power_is_named_and_works_again(program, first, cold):
    """It begins anew with its numbers, which are behind those of before."""
    net = network()
    with board(net, clock=lambda: time_of(net, first)) as device:
        session = Session(program, device)
        assert not wrong_answers(session, 1)
        net.device.reset()
        if cold:
            net.device.link.core = EmulatedCore(CONFIG)
        with pytest.raises(DeviceError, match="^model: the device was reset: run again$"):
            wrong_answers(session, 2)
        assert not wrong_answers(session, 3)
        assert not wrong_answers(session, 4)


def test_requests_from_before_a_loss_of_power_are_not_taken(program):
    net = network()
    sent = []
    receive = net.device.receive

    def keep(content):
        sent.append(content)
        return receive(content)

    net.device.receive = keep
    with board(net) as device:
        assert not wrong_answers(Session(program, device), 1)
    net.device.reset()
    net.device.receive = receive
    with board(net) as device:
        session = Session(program, device)
        assert not wrong_answers(session, 2)
        taken, runs = net.device.taken, net.device.link.core.runs
        for content in sent:
            net.device.receive(content)
        assert (net.device.taken, net.device.link.core.runs) == (taken, runs)
        assert not wrong_answers(session, 3)


ANOTHER = "^model: another program sends to the device: end that one, then run again$"


def test_the_second_of_two_hosts_has_the_device_and_the_first_is_told(program, monkeypatch):
    """Even if both chance upon the same session, of which there are but 15."""
    monkeypatch.setattr("kaniwa.driver.link.random.randrange", lambda *span: 3)
    net = network()
    with board(net, "one") as one, board(net, "two") as two:   # the second opens it anew
        second = Session(program, two)
        assert not wrong_answers(second, 1)
        memory = two.read(0, CONFIG.memory_bytes)
        with pytest.raises(DeviceError, match=ANOTHER):
            one.write(0, bytes(2000))
        assert two.read(0, CONFIG.memory_bytes) == memory
        assert not wrong_answers(second, 2)
        first = Session(program, one)      # opens it again
        assert not wrong_answers(first, 3)
        with pytest.raises(DeviceError, match=ANOTHER):
            wrong_answers(second, 4)
        assert not wrong_answers(first, 5)


def test_garbage_that_the_device_takes_for_a_request_is_named(program):
    """It might have been another host's: whose the device is now cannot be known."""
    net = network()
    with board(net) as device:
        session = Session(program, device)
        assert not wrong_answers(session, 1)
        for distance, taken in ((-5, False), (3 << 21, True)):
            number = (net.device.taken + distance) % NUMBERS
            net.inboxes["stranger"] = []
            net.send("stranger", number.to_bytes(4, "little") + b"hello")
            assert (net.device.taken == number) is taken
            if taken:
                with pytest.raises(DeviceError, match=ANOTHER):
                    wrong_answers(session, 2)
            assert not wrong_answers(session, 3)


@pytest.mark.parametrize("eighth", range(8))
def test_a_probe_that_is_late_or_of_another_host_does_not_disturb(program, eighth):
    """Wherever the numbers are, at a device that is new and one that was used."""
    net = network()

    def clock():
        return time_of(net, eighth * NUMBERS // 8 + 10 * LEAP)

    sent = []
    receive = net.device.receive
    net.device.receive = lambda content: sent.append(content) or receive(content)
    for _ in range(2):
        sent.clear()
        with board(net, clock=clock) as device:
            session = Session(program, device)
            assert not wrong_answers(session, 1)
            net.send("host", sent[0])
            assert not wrong_answers(session, 2)
            transport(net, "another", clock).close()
            assert not wrong_answers(session, 3)
            assert device.link_statistics.repeated == 0


@pytest.mark.parametrize("place", [3, 7])
@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("path", ["there", "back"])
def test_a_damaged_number_costs_a_retry(path, place, bit):
    """The highest and lowest byte of a request's number, or of what a reply tells; or of its own.

    UDP's checksum of 16 bits is not relied upon.
    """
    place -= 4 * (path == "there")
    net = network(core=MemoryCore())
    link = Link(transport(net))
    link.open()
    for at in (place, place - 3):
        damaged, pass_on = [], getattr(net, path).pass_on

        def damage(datagram, at=at, damaged=damaged, pass_on=pass_on):
            if not damaged:
                damaged.append(datagram)
                content = bytearray(datagram.content)
                content[at % len(content)] ^= 1 << bit
                datagram = datagram._replace(content=bytes(content))
            return pass_on(datagram)

        getattr(net, path).pass_on = damage
        data = bytes([at + 4, bit]) * 300
        answers = link.exchange([*writes(link, 64, data), *reads(link, 64, len(data))])
        assert b"".join(answers) == data and damaged


def test_a_row_out_of_step_asks_before_it_goes_on():
    """Nothing that changes a device goes to it before it has told whose it is."""
    net = network(core=MemoryCore())
    link = Link(transport(net))
    link.open()
    net.device.taken ^= 1 << 20
    sent = []
    receive = net.device.receive
    net.device.receive = lambda content: sent.append(content[4:]) or receive(content)
    link.exchange(writes(link, 0, b"abcd"))
    assert net.device.link.core.memory[:4] == b"abcd"
    assert sent[-2] == QUESTION and sent[-1] == sent[0]
