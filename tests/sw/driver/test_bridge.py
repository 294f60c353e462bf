"""``kaniwa bridge``: a device's line over TCP, with real sockets on this machine.

Behind the bridge is the Python model of the link, or the far end of a pair of sockets.
"""

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from builders.pseudo_board import PseudoBoard

from kaniwa import Session, cli, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import bridge_protocol, devices
from kaniwa.driver.bridge import MOST_GUESTS, Bridge
from kaniwa.driver.bridge_line import ROOM, SimulatedLine
from kaniwa.driver.bridge_protocol import last_words, read_token, reason_in
from kaniwa.errors import DeviceError
from kaniwa.importers import load_model
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport
from kaniwa.sim.worlds.random_graphs import random_graph, random_input

CONFIG = PRESETS["small"]
GRAPH = random_graph(3, "conv", macs=1 << 12)
TOKEN = b"correct horse battery staple"
PACE = 123_456
LONG = 60.0     # seconds until a test is given up


class PairLine:
    """A line whose far end, ``device``, the test has."""

    name = "pair"
    stands_still = False

    def __init__(self):
        self._near, self.device = socket.socketpair()
        self._near.setblocking(False)
        self.closed = threading.Event()

    def fileno(self):
        return self._near.fileno()

    def offer(self, data):
        try:
            return self._near.send(data)
        except BlockingIOError:
            return 0

    def read(self, seconds):
        data = self._near.recv(ROOM)
        if not data:
            raise DeviceError("pair: connection lost")
        return data

    def close(self):
        self._near.close()
        self.closed.set()


@pytest.fixture
def pair():
    """Makes lines whose far end the test has."""
    with contextlib.ExitStack() as stack:
        def make():
            line = PairLine()
            stack.callback(line.device.close)
            stack.callback(line.close)
            return line

        yield make


class Served:
    """A bridge in a thread of its own; ``next`` waits for what it tells."""

    def __init__(self, connect, token=None, **options):
        self._told = queue.Queue()
        self.bridge = Bridge(connect, "127.0.0.1", 0, token, tell=self._told.put, **options)
        self.name = f"tcp:{self.bridge.place}"
        self.address = ("127.0.0.1", int(self.bridge.place.rpartition(":")[2]))
        self._thread = threading.Thread(target=self.bridge.serve, daemon=True)
        self._thread.start()

    def next(self):
        return self._told.get(timeout=LONG)

    def raw(self):
        return socket.create_connection(self.address, LONG)

    def end(self):
        self.bridge.stop()
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        self.bridge.close()


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:
        def start(connect, token=None, **options):
            served = Served(connect, token, **options)
            stack.callback(served.end)
            return served

        yield start


@pytest.fixture
def model():
    return LinkModel(EmulatedCore(CONFIG), pace=PACE)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_bytes(TOKEN + b"\n")
    return path


@pytest.fixture(scope="module")
def program():
    return compile(GRAPH, target=CONFIG)


@pytest.fixture(autouse=True)
def no_token_of_the_user(monkeypatch):
    monkeypatch.delenv("KANIWA_TOKEN", raising=False)


def to_model(model):
    """What opens a line to ``model``."""
    return lambda: SimulatedLine(ModelTransport(model))


def right(device, program, seed=1):
    inputs = random_input(GRAPH, seed)
    values, outputs = golden.run(GRAPH, inputs), Session(program, device).run(inputs)
    return all((outputs[t.name] == values[t.id]).all() for t in program.outputs)


def everything(connection):
    """All that comes until the end of a connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(4096):
            data += chunk
    return data


def refusal(served, said):
    """The reason that a client hears which says ``said`` in place of an answer."""
    with served.raw() as client:
        client.sendall(said)
        return reason_in(everything(client))


def test_keyword_spotting_through_a_bridge_is_exact(serve, models):
    path = models / "mlperf_kws_dscnn.tflite"
    program, graph = compile(path, target="base"), load_model(path)
    served = serve(to_model(LinkModel(EmulatedCore(PRESETS["base"]), pace=PACE)))
    with devices.open(served.name) as device:
        assert device.pace == PACE      # the link tells the client the line's pace by itself
        session = Session(program, device)
        for inputs in recorded_inputs(path, program.inputs)[:2]:
            outputs, values = session.run(inputs), golden.run(graph, inputs)
            assert all((outputs[t.name] == values[t.id]).all() for t in program.outputs)
        assert device.link_statistics.damaged == 0
        sent = device.link_statistics.bytes_sent
        received = device.link_statistics.bytes_received
    assert served.next().endswith(": connected")
    assert served.next().endswith(f": ended after {sent:,} bytes to the device and {received:,} "
                                  "from it: it has left")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_bytes_pass_unchanged_in_both_directions(serve, pair, token):
    line = pair()
    served = serve(lambda: line, token)
    there, back = random.Random(1).randbytes(1 << 20), random.Random(2).randbytes(1 << 20)
    with served.raw() as client:
        if token is not None:
            bridge_protocol.ask_for_the_device(client, token, "bridge")
            client.settimeout(LONG)
        senders = [threading.Thread(target=end.sendall, args=(data,), daemon=True)
                   for end, data in ((client, there), (line.device, back))]
        arrived = {}

        def take(end, key):
            with end.dup() as same, same.makefile("rb") as file:
                arrived[key] = file.read(1 << 20)

        takers = [threading.Thread(target=take, args=(end, key), daemon=True)
                  for end, key in ((line.device, "there"), (client, "back"))]
        for thread in (*senders, *takers):
            thread.start()
        for thread in (*senders, *takers):
            thread.join(LONG)
        assert arrived["there"] == there and arrived["back"] == back


def test_a_client_with_the_token_has_the_device(serve, model, program, token_file, monkeypatch):
    served = serve(to_model(model), TOKEN)
    with devices.open(f"{served.name}?token-file={token_file}") as device:
        assert right(device, program)
    monkeypatch.setenv("KANIWA_TOKEN", TOKEN.decode())
    with devices.open(served.name) as device:
        assert right(device, program)


@pytest.mark.parametrize("token, reason", [
    ("wrong horse battery staple", "wrong token"),
    (None, "a token is needed: set KANIWA_TOKEN, or add ?token-file=PATH to the device's name"),
])
def test_who_does_not_know_the_token_is_refused(serve, model, models, token, reason, monkeypatch,
                                                capsys):
    served = serve(to_model(model), TOKEN)
    if token is not None:
        monkeypatch.setenv("KANIWA_TOKEN", token)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", str(models / "tflm_micro_speech.tflite"), "--target", "small", "--device",
                  served.name, "--limit", "1"])
    assert stopped.value.code == 1      # as of every device that cannot be opened
    place = served.name.removeprefix("tcp:")
    assert capsys.readouterr().err == (f"kaniwa: {place}: the bridge ended the connection: "
                                       f"{reason}\n")
    who, _, why = served.next().partition(": refused: ")
    assert who.startswith("127.0.0.1:") and why == reason
    assert model.session == 0 and model.core.runs == 0     # not a byte reached the device


def test_an_answer_is_good_for_one_challenge_only(serve, model):
    """Who listens to the line does not learn the token, nor what opens the device again."""
    served = serve(to_model(model), TOKEN)
    with served.raw() as first, served.raw() as second:
        asked = [client.makefile("rb").readline() for client in (first, second)]
        assert asked[0] != asked[1] and all(line.startswith(b"kaniwa bridge 1 ") for line in asked)
        answer = bridge_protocol.answer_to(asked[0].strip(), TOKEN) + b"\n"
        assert TOKEN not in answer
        second.sendall(answer)
        assert reason_in(everything(second)) == "wrong token"
        first.sendall(answer)
        assert first.makefile("rb").readline() == b"kaniwa bridge ready\n"


def test_a_client_with_a_token_wants_a_bridge_that_asks(serve, model, monkeypatch):
    served = serve(to_model(model))
    monkeypatch.setenv("KANIWA_TOKEN", TOKEN.decode())
    monkeypatch.setattr(bridge_protocol, "ANSWER_SECONDS", 0.1)
    with pytest.raises(DeviceError, match="the server asked for no token: leave KANIWA_TOKEN and "
                                          "token-file away, or give the bridge the token too"):
        devices.open(served.name)


@pytest.mark.parametrize("said", [
    b"\0\5\1\1\1\1", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"\n", TOKEN + b"\n",
    b"kaniwa client 2 " + bytes(64) + b"\n", b"kaniwa client 1 " + b"a" * 100, bytes(1 << 22),
])
def test_garbage_in_place_of_an_answer_is_refused_at_once(serve, model, program, token_file, said):
    served = serve(to_model(model), TOKEN, patience=10 * LONG)
    assert refusal(served, said) == bridge_protocol.NEEDED
    with devices.open(f"{served.name}?token-file={token_file}") as device:
        assert right(device, program)


@pytest.mark.parametrize("said", [b"", b"kaniwa client 1 00"])
def test_who_gives_no_answer_is_given_up(serve, model, said):
    served = serve(to_model(model), TOKEN, patience=0.05)
    assert refusal(served, said) == "no answer to the challenge"


def test_strangers_do_not_keep_the_device_from_clients(serve, model, program, token_file):
    """Who has not answered yet does not count as a client, and hears nothing of others."""
    served = serve(to_model(model), TOKEN, patience=10 * LONG)
    with served.raw() as stranger, devices.open(f"{served.name}?token-file={token_file}") as device:
        stranger.sendall(b"kaniwa client 1 00\n")
        assert reason_in(everything(stranger)) == "wrong token"
        assert right(device, program)


def test_many_strangers_do_not_keep_the_device_from_clients(serve, model, program, token_file):
    """The oldest of those that say nothing goes where another one comes."""
    served = serve(to_model(model), TOKEN, patience=10 * LONG)
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(served.raw()) for _ in range(MOST_GUESTS + 4)]
        assert right(stack.enter_context(devices.open(f"{served.name}?token-file={token_file}")),
                     program)
        assert everything(strangers[0]).endswith(b"\n")     # asked, then closed


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_second_client_is_told_who_has_the_device(serve, model, program, token, monkeypatch):
    if token is not None:
        monkeypatch.setenv("KANIWA_TOKEN", token.decode())
    served = serve(to_model(model), token)
    with devices.open(served.name) as device:
        first = served.next().removesuffix(": connected")
        with pytest.raises(DeviceError) as caught:
            devices.open(served.name)
        assert str(caught.value) == (f"{served.name.removeprefix('tcp:')}: the bridge ended the "
                                     f"connection: in use by {first}")
        assert right(device, program)
    with devices.open(served.name) as device:      # and then it is free
        assert right(device, program)


def test_a_client_that_has_gone_in_the_middle_leaves_a_free_device(serve, model, program):
    served = serve(to_model(model))
    for seed in range(20):
        with served.raw() as client:
            client.sendall(random.Random(seed).randbytes(1 + 3 * seed))
        with devices.open(served.name) as device:
            assert right(device, program, seed)


def test_a_client_that_does_not_read_costs_no_memory_and_is_given_up(serve, pair):
    line = pair()
    served = serve(lambda: line, still=0.2)
    with served.raw():
        assert served.next().endswith("connected")
        line.device.settimeout(LONG)
        chunk, passed = bytes(ROOM), 0
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while not line.closed.is_set():     # it is closed with the client
                passed += line.device.send(chunk)
        assert passed < 16 << 20      # the system's own buffers, and a bounded one of the bridge
        assert served.next().endswith(": the client takes no data")


def test_a_device_that_takes_no_bytes_ends_the_connection(serve, pair):
    line = pair()
    served = serve(lambda: line, still=0.2)
    with served.raw() as client:
        sender = threading.Thread(target=_send_until_it_ends, args=(client.dup(),), daemon=True)
        sender.start()
        assert reason_in(everything(client)) == ("pair: the line takes no data: is the other side "
                                                 "stopped?")
        sender.join(LONG)
    assert line.closed.wait(LONG)


def _send_until_it_ends(client):
    with client, contextlib.suppress(OSError):
        while True:
            client.sendall(bytes(ROOM))


def test_a_device_that_goes_away_ends_the_connection_with_the_reason(serve, pair):
    lines = [pair(), pair()]
    waiting = iter(lines)
    served = serve(lambda: next(waiting))
    with served.raw() as client:
        lines[0].device.sendall(b"half of a fra")
        lines[0].device.close()
        said = everything(client)
        assert said.startswith(b"half of a fra")
        assert reason_in(said) == "pair: connection lost"
    with served.raw() as client:
        lines[1].device.sendall(b"it is back")
        assert client.recv(100) == b"it is back"


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])
def test_other_addresses_need_a_token(host, model):
    with pytest.raises(DeviceError, match="others than this machine could use the device: give "
                                          "--token-file, or listen on 127.0.0.1"):
        Bridge(to_model(model), host, 0)
    Bridge(to_model(model), host, 0, TOKEN).close()


def test_a_port_that_is_taken_is_named(model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(DeviceError, match=f"^127.0.0.1:{port}: cannot listen .Address already "
                                              "in use.: choose another --port or --host$"):
            Bridge(to_model(model), "127.0.0.1", port)


@pytest.mark.parametrize("text, message", [
    (None, "the token cannot be read .No such file"),
    (b"short\n", "a token has 16 to 4096 bytes, this one 5"),
    (bytes(4097), "a token has 16 to 4096 bytes, this one 4097"),
])
def test_a_token_that_is_none_is_named(tmp_path, text, message):
    path = tmp_path / "token"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DeviceError, match=f"^{path}: {message}"):
        read_token(path)
    with pytest.raises(DeviceError, match=f"^{path}: {message}"):
        devices.open(f"tcp:127.0.0.1:1?token-file={path}")


def test_last_words_are_one_line_that_no_frames_are_taken_for():
    assert reason_in(b"frames\0" + last_words("a\nreason\x1b[0m")) == "a reason?[0m"
    assert reason_in(last_words("x" * 1000)) == "x" * 300
    rng = np.random.default_rng(1)
    assert reason_in(rng.bytes(1000)) is None
    assert reason_in(last_words("reason") + b"\0") is None


KANIWA = [sys.executable, "-m", "kaniwa.cli"]


def heed_interrupts():
    """A shell's background job ignores SIGINT, and so does what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def command(device, *options):
    """The real command; yields the process and what it says first."""
    process = subprocess.Popen(
        [*KANIWA, "bridge", device, "--port", "0", "--json", *map(str, options)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def board(tmp_path):
    made = PseudoBoard(tmp_path / "ttyUSB0")
    yield made
    made.unplug()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_leaves_nothing(board, program, token_file, end):
    port = f"serial:{board.path}"
    with command(port, "--token-file", token_file) as (process, said):
        assert said == {"offered": port, "device": said["device"], "token": True}
        with devices.open(f"{said['device']}?token-file={token_file}") as device:
            assert right(device, program)
            with pytest.raises(DeviceError, match="in use by another program"):
                devices.open(port)
            process.send_signal(end)
            out, told = process.communicate(timeout=LONG)
            with pytest.raises(DeviceError, match="the bridge ended the connection: the bridge was "
                                                  "ended$"):
                right(device, program)
        assert process.returncode == 0 and out == ""
        assert told.splitlines()[0].endswith(": connected")
        assert told.splitlines()[1].endswith("from it: the bridge was ended")
    host, listened = said["device"].removeprefix("tcp:").split(":")
    socket.create_server((host, int(listened))).close()      # the port is free, and so is the line
    with devices.open(port) as device:
        assert right(device, program)


def test_an_unplugged_board_is_waited_for(board, program):
    with command(f"serial:{board.path}") as (process, said):
        with devices.open(said["device"]) as device:
            assert right(device, program)
            board.unplug()
            with pytest.raises(DeviceError) as caught:
                right(device, program)
            assert str(caught.value).startswith(
                f"{said['device'].removeprefix('tcp:')}: the bridge ended the connection: "
                f"{board.path}: connection lost")
            board.path.unlink()
            with pytest.raises(DeviceError, match=f"{board.path}: no such port"):
                right(device, program)
            board.program("small")
            board.plug()
            assert right(device, program)
        assert process.poll() is None


@pytest.mark.parametrize("options, message", [
    (["serial:/dev/null/none"], "/dev/null/none: cannot be opened (Not a directory)"),
    (["emulator"], "device 'emulator': a bridge offers serial:PORT[?baud=B], udp:HOST[:PORT] or "
                   "sim:BOARD"),
    (["tcp:localhost:1"], "device 'tcp:localhost:1': a bridge offers serial:PORT[?baud=B], "
                          "udp:HOST[:PORT] or sim:BOARD"),
    (["serial:/dev/null", "--host", "0.0.0.0"],
     "0.0.0.0:0: others than this machine could use the device: give --token-file, or listen on "
     "127.0.0.1"),
])
def test_what_cannot_be_offered_is_named(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bridge", "--port", "0", *options])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"kaniwa: {message}\n"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b"])
def test_a_host_that_is_none_is_named(host, model):
    with pytest.raises(DeviceError, match=f"^{host}:0: cannot listen .*: choose another --port or"):
        Bridge(to_model(model), host, 0)
    with pytest.raises(DeviceError, match=f"^{host}:7413: no connection .*: is the device's serv"):
        devices.open(f"tcp:{host}:7413")


def test_the_files_of_this_process_are_as_many_as_before(serve, model, program):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    served = Served(to_model(model), TOKEN)
    assert refusal(served, b"garbage") == bridge_protocol.NEEDED
    served.end()
    assert before == (len(os.listdir("/proc/self/fd")) if before else 0)
