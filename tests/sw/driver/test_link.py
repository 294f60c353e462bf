"""The host's link against the Python model of a device: faults cost a retry, never a result."""

import random

import pytest

from kaniwa.driver.frames import LINK_REGISTERS, PAYLOAD_BYTES, REGISTERS, Operation, Request
from kaniwa.driver.link import Link, reads, writes
from kaniwa.errors import DeviceError
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.link_model import LinkModel, MemoryCore
from kaniwa.sim.board.model_transport import ModelTransport

SIZE = 1 << 16
FRAMES = 2000
KINDS = {
    "bit_error": Faults(bit_error=1e-4),
    "drop": Faults(drop=5e-4),
    "duplicate": Faults(duplicate=5e-4),
    "insertion": Faults(insertion=5e-4),
    "swap": Faults(swap=5e-4),
    "stall": Faults(stall=1e-4),
    "all": Faults(bit_error=5e-5, drop=1e-4, duplicate=1e-4, insertion=1e-4, swap=1e-4,
                  stall=2e-5),
}


def model_link(faults=None, seed=0):
    """A link that is open, the model behind it and the transport."""
    core = MemoryCore(SIZE)
    transport = ModelTransport(LinkModel(core), seed=seed)
    line = FaultyTransport(transport, faults or Faults(), seed)
    link = Link(line)
    link.open()
    return link, transport.model, line


def random_batch(link, rng, memory):
    """Requests, and what the READs among them must give, keeping ``memory`` up to date."""
    kind = rng.choice(["write", "read", "register", "mixed"])
    address = rng.randrange(SIZE - 4096)
    length = rng.choice([1, 7, PAYLOAD_BYTES, PAYLOAD_BYTES + 1, rng.randrange(1, 4096)])
    data = rng.choice([rng.randbytes(length), bytes(length), bytes([255]) * length])
    if kind == "register":
        return [Request(Operation.REGISTER, rng.getrandbits(32), rng.randrange(128))], []
    requests, expected = [], []
    if kind != "read":
        requests += writes(link, address, data)
        memory[address:address + length] = data
    if kind != "write":
        wanted = reads(link, address, length)
        requests += wanted
        expected = [bytes(memory[r.word:r.word + r.count]) for r in wanted]
    return requests, expected


@pytest.mark.parametrize("kind", KINDS)
def test_2000_frames_with_faults_are_all_done_once_and_right(kind):
    link, model, line = model_link(KINDS[kind], seed=1)
    rng = random.Random(7)
    memory = bytearray(SIZE)
    writes_of_registers = []
    while link.statistics.requests + link.statistics.replies < FRAMES:
        requests, expected = random_batch(link, rng, memory)
        writes_of_registers += [(r.count, r.word) for r in requests
                                if r.operation == Operation.REGISTER]
        results = link.exchange(requests)
        assert [result for result in results if result != b""] == expected
    assert model.core.memory == memory
    assert model.core.log == writes_of_registers    # each of them once, in order
    assert line.counts[kind] or kind == "all"
    assert sum(line.counts.values()) > (20 if kind != "stall" else 3)
    if kind not in ("stall",):
        assert link.statistics.repeated


def test_without_faults_nothing_is_repeated():
    link, model, _ = model_link()
    data = random.Random(1).randbytes(50_000)
    link.exchange(writes(link, 100, data))
    assert b"".join(link.exchange(reads(link, 100, len(data)))) == data
    statistics = link.statistics
    assert statistics.repeated == statistics.timeouts == statistics.damaged == 0
    assert bytes(model.core.memory[100:50_100]) == data


def test_bulk_writes_reach_95_percent_of_the_line_rate():
    for data in (bytes(100_000), random.Random(2).randbytes(100_000), bytes([255]) * 100_000):
        link, _, _ = model_link()
        link.exchange(writes(link, 0, data[:60_000]))
        before = link.statistics.bytes_sent
        link.exchange(writes(link, 0, data[:60_000]))
        assert 60_000 / (link.statistics.bytes_sent - before) >= 0.95


@pytest.mark.parametrize("seed", range(20))
def test_back_in_step_within_one_frame(seed):
    """After garbage on the line, at most one frame that follows it is lost."""
    link, model, line = model_link()
    rng = random.Random(seed)
    line.write(rng.randbytes(rng.randrange(1, 600)))
    before = link.statistics.requests
    link.exchange(writes(link, 0, bytes(range(1, 201))))
    assert bytes(model.core.memory[:200]) == bytes(range(1, 201))
    assert link.statistics.requests - before <= 2


@pytest.mark.parametrize("seed", range(5))
def test_on_a_bad_line_little_goes_again_for_each_loss(seed):
    """Every fifth frame is lost; with all that a good line holds in flight it would be tenfold."""
    link, model, line = model_link(Faults(bit_error=1e-4, drop=1e-4, duplicate=1e-4), seed)
    data = random.Random(seed).randbytes(SIZE)
    link.exchange(writes(link, 0, data))
    assert bytes(model.core.memory) == data
    assert line.counts.total() > 50
    assert link.statistics.bytes_sent < 3 * SIZE


def test_every_single_fault_in_a_short_exchange_is_harmless():
    """A run command, a write before it and a read behind: each byte of both directions damaged."""
    requests = [Request(Operation.WRITE, 5, 3, b"abc"), Request(Operation.REGISTER, 1, 8),
                Request(Operation.READ, 4, 5)]
    for damage in (lambda b: bytes([b[0] ^ 0x10]), lambda b: b"", lambda b: b + b,
                   lambda b: b + b"\0", lambda b: b + b"\x07"):
        for direction in ("write", "read"):
            position = 0
            while True:
                link, model, line = model_link()
                hit = damage_at(line, direction, position, damage)
                assert link.exchange(requests) == [b"", b"", b"\0abc\0"]
                assert model.core.log == [(8, 1)]
                if not hit:
                    break
                position += 1
            assert position > 20


def damage_at(line, direction, position, damage):
    """Damage one byte of what goes through ``line`` from now on; a list that tells when it was."""
    seen, hit = [0], []
    original = getattr(line, direction)

    def change(data):
        at = position - seen[0]
        seen[0] += len(data)
        if not 0 <= at < len(data) or hit:
            return data
        hit.append(True)
        return data[:at] + damage(data[at:at + 1]) + data[at + 1:]

    if direction == "write":
        line.write = lambda data: original(change(data))
    else:
        line.read = lambda seconds: change(original(seconds))
    return hit


def test_reads_between_commands_are_given_or_missed_never_wrong():
    """A counter's READ may be missed once the next selection is on its way: then it is None."""
    link, model, _ = model_link(Faults(drop=2e-3), seed=3)
    missed = 0
    for _ in range(30):
        batch = []
        for tag in range(10):
            batch += [Request(Operation.REGISTER, tag, 16),
                      Request(Operation.READ, REGISTERS + 4 * 16, 4)]
        answers = link.exchange(batch)[1::2]
        for tag, answer in enumerate(answers):
            assert answer in (None, tag.to_bytes(4, "little"))
            missed += answer is None
    assert missed
    assert len(model.core.log) == 300


def test_hello_tells_frame_size_buffer_and_pace():
    model = LinkModel(MemoryCore(), pace=1234, payload_bytes=100)
    link = Link(ModelTransport(model))
    link.open()
    assert (link.payload_bytes, link.pace) == (100, 1234.0)
    assert max(r.count for r in writes(link, 0, bytes(1000))) == 100


def test_a_stale_reply_of_an_earlier_session_is_not_taken(monkeypatch):
    """Whatever session the earlier host had, its replies are through before a session counts."""
    for earlier in (5, 6):
        monkeypatch.setattr("random.randrange", lambda *_: 5)
        core = MemoryCore(SIZE)
        transport = ModelTransport(LinkModel(core))
        Link(transport).open()
        transport.model.session = earlier
        transport.write(b"\1garbage\0")       # its reply waits
        link = Link(transport)
        link.open()
        link.exchange([Request(Operation.REGISTER, 1, 8)])
        assert core.log == [(8, 1)]


def test_reset_of_the_device_is_named_and_the_next_session_works():
    link, model, line = model_link()
    link.exchange(writes(link, 0, b"abc"))
    model.reset()
    with pytest.raises(DeviceError, match="model: the device was reset: run again"):
        link.exchange(reads(link, 0, 3))
    again = Link(line)
    again.open()
    assert again.exchange(reads(again, 0, 3)) == [b"abc"]


def test_second_host_is_named():
    link, model, line = model_link()
    other = Link(line)
    while other._session in (0, link._session):   # each draws one of 15
        other.open()
    with pytest.raises(DeviceError, match="another program has opened the device"):
        link.exchange(reads(link, 0, 3))


def test_memory_is_refused_while_a_run_has_it_but_not_registers():
    link, model, _ = model_link()
    model.core.busy = True
    for batch in (reads(link, 0, 3), writes(link, 0, b"abc")):
        with pytest.raises(DeviceError, match="still running a program"):
            link.exchange(batch)
    assert link.exchange([Request(Operation.READ, REGISTERS, 4)]) == [bytes(4)]
    assert not any(model.core.memory)


class Dead(ModelTransport):
    """Answers with ``noise`` only."""

    noise = b""

    def write(self, data):
        self._arrived += self.noise[:len(data)]


@pytest.mark.parametrize("noise, message", [
    (b"", "model: no answer: is the device powered and programmed"),
    (b"\x80\xff\x07" * 9, "model: .* bytes came and no frame among them: wrong baud"),
    (b"\0" * 30, "model: .* bytes came and no frame among them: wrong baud"),
])
def test_silence_and_garbage_at_opening_are_told_apart(noise, message):
    transport = Dead(LinkModel(MemoryCore()))
    transport.noise = noise
    with pytest.raises(DeviceError, match=message):
        Link(transport).open()
    assert transport.now() < 10


def test_silence_later_ends_in_a_named_error_in_bounded_time():
    link, _, line = model_link()
    line.write = lambda data: None
    began = line.now()
    with pytest.raises(DeviceError, match="the device stopped answering"):
        link.exchange(writes(link, 0, bytes(10_000)))
    assert line.now() - began < 15


def test_slow_devices_are_waited_for():
    """Waits are as long as the line takes: at 2,000 bytes a second, seconds for a window."""

    class Slow(ModelTransport):
        """Answers arrive when the line has brought them."""

        def __init__(self, model):
            super().__init__(model, pace=2000.0)
            self.queue = []
            self.free_at = self.back_free_at = 0.0

        def write(self, data):
            for byte in data:
                self.free_at = max(self.free_at, self._clock) + 1 / self._rate
                answer = self.model.receive(bytes([byte]))
                if answer:
                    begins = max(self.free_at, self.back_free_at)
                    self.back_free_at = begins + len(answer) / self._rate
                    self.queue.append((self.back_free_at, answer))

        def read(self, seconds):
            if self.queue and self.queue[0][0] <= self._clock + seconds:
                at, answer = self.queue.pop(0)
                self._clock = max(self._clock, at)
                return answer
            self._clock += seconds
            return b""

    transport = Slow(LinkModel(MemoryCore(), pace=2000))
    link = Link(transport)
    link.open()
    link.exchange(writes(link, 0, bytes(20_000)))
    link.exchange(reads(link, 0, 20_000))
    assert transport.now() > 20
    assert link.statistics.repeated == link.statistics.timeouts == 0


def test_damaged_requests_and_replies_are_refused():
    from kaniwa.driver.frames import decode_reply, decode_request, encode_reply, encode_request

    model = LinkModel(MemoryCore())
    request = Request(Operation.WRITE, 0x1234, 3, b"\0a\0")
    frame = encode_request(request, 9)[:-1]
    assert decode_request(frame) == (request, 9)
    reply = model._do(Request(Operation.OPEN, 0, 7), 0)
    back = encode_reply(reply)[:-1]
    assert decode_reply(back) == reply
    for decode, good in ((decode_request, frame), (decode_reply, back)):
        for at in range(len(good)):
            for bit in range(8):
                bad = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1:]
                assert 0 in bad or decode(bad) is None
        assert decode(good[:-1]) is None and decode(good + b"\x01") is None


def test_the_link_constants_are_registers_of_their_own():
    link, _, _ = model_link()
    (data,) = link.exchange([Request(Operation.READ, LINK_REGISTERS, 8)])
    assert data[1] == PAYLOAD_BYTES
