"""Clients that send too much, too slowly, or nothing, that do not read, go away, or have no token.

Times are limits that must pass, and waits for what must come: none is measured.
"""

import contextlib
import json
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders.gated_device import WAIT, Gated
from builders.serving import Client, serving, tensor

from kaniwa.errors import DeviceError, Error
from kaniwa.serve import Server

MOST = 20_000     # bytes of a body


@pytest.fixture(scope="module")
def patient(words):
    with serving({"kws": words.program}, ["emulator"], limits={"max_body": MOST}) as server:
        yield server


@pytest.fixture(scope="module")
def hasty(words):
    """A server with a limit of 0.2 seconds for everything."""
    with serving({"kws": words.program}, ["emulator"], limits={"seconds": 0.2}) as server:
        yield server


@contextlib.contextmanager
def line_to(server):
    host, port = Client(server).address.split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT) as line:
        yield line


def received(line):
    """All bytes until the server closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := line.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end


def word(words, number=0):
    return tensor("input_1", words.inputs[number], "INT8")


HEAD = b"POST /v2/models/kws/infer HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"


def test_a_body_that_is_too_long(patient, words):
    client = Client(patient)
    assert client.infer("kws", word(words)).status == 200
    for size in (MOST + 1, 100 * MOST):
        reply = client.post("/v2/models/kws/infer", b" " * size)
        assert reply.status == 413 and reply.json["error"] == (
            f"expected a body of at most {MOST} bytes, found {size}")
    assert client.infer("kws", word(words)).status == 200


def test_a_body_that_is_longer_than_it_tells(patient):
    with line_to(patient) as line:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
                     + 30 * (b"400\r\n" + b" " * 1024 + b"\r\n") + b"0\r\n\r\n")
        answer = received(line)
    assert answer.startswith(b"HTTP/1.1 413") and b"at most 20000 bytes, found more" in answer


def test_a_client_that_asks_first_is_answered_before_it_sends(patient):
    with line_to(patient) as line:
        line.sendall(HEAD + b"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
        assert received(line).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("begin", [
    b"", b"GET /v2 HT",
    HEAD + b"Content-Length: 100\r\n\r\n", HEAD + b"Content-Length: 100\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"])
def test_a_request_that_does_not_come_is_cut(hasty, begin):
    with line_to(hasty) as line:
        line.sendall(begin)
        assert received(line) == b""


def test_a_request_that_drips_is_cut(hasty):
    """Each byte comes in time, all of them do not."""
    with line_to(hasty) as line, pytest.raises(ConnectionError):
        line.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
        while True:
            line.sendall(b" ")


def test_a_client_that_does_not_read_is_cut(hasty):
    """It asks until it cannot send, for nobody takes it in, and then until the server gives up."""
    with line_to(hasty) as line, pytest.raises(ConnectionError):
        while True:
            line.sendall(64 * b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")


def test_what_is_no_http_is_answered_and_closed(patient):
    with line_to(patient) as line:
        line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert received(line).startswith(b"HTTP/1.1 400")


def test_an_answer_that_takes_too_long(words):
    device = Gated("base")
    with serving({"kws": words.program}, [device], limits={"seconds": 2.0}) as server:
        client = Client(server)
        with ThreadPoolExecutor(2) as threads:
            for reply in threads.map(lambda n: client.infer("kws", word(words, n)), range(2)):
                assert reply.status == 504
                assert reply.json["error"] == "model 'kws': no answer within 2 s"
        assert server.queue.held == 1     # what runs cannot be taken back, what waits can
        device.may.set()
        until(lambda: server.queue.held == 0)
        assert server.pool.stats[0].inferences == 1
        reply = client.infer("kws", word(words, 3))
        assert reply.json["outputs"][0]["data"] == words.answers[3].ravel().tolist()


def test_what_a_client_that_goes_away_has_asked_for_is_left_out(words):
    device = Gated("base")
    with serving({"kws": words.program}, [device]) as server:
        client = Client(server)
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(client.infer, "kws", word(words))
            assert device.begun.wait(WAIT)
            body = json.dumps({"inputs": [word(words, 1)]}).encode()
            with line_to(server) as line:
                line.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                until(lambda: server.queue.held == 2)
            until(lambda: server.queue.held == 1)
            device.may.set()
            assert first.result(WAIT).status == 200
        assert server.pool.stats[0].inferences == 1


def test_bodies_take_bounded_room_together(words):
    """Nine clients begin bodies of the largest size: one of them is told to come again."""
    with serving({"kws": words.program}, ["emulator"], limits={"max_body": 4000}) as server:
        with contextlib.ExitStack() as lines:
            part = HEAD + b"Content-Length: 4000\r\n\r\n" + b" " * 3999
            opened = [lines.enter_context(line_to(server)) for _ in range(9)]
            for line in opened:
                line.sendall(part)
            (refused,), _, _ = select.select(opened, [], [], WAIT)
            answer = received(refused)
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"the bodies of other requests take all room" in answer
            for line in opened:
                if line is not refused:
                    line.sendall(b" ")
                    assert received(line).startswith(b"HTTP/1.1 400")


def test_a_token_is_asked_of_every_request(words):
    with serving({"kws": words.program}, ["emulator"], token="s3cret") as server:
        for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer s3cre"},
                        {"Authorization": "Bearer s3crets"}, {"Authorization": "Basic s3cret"},
                        {"Authorization": "s3cret"}, {"Authorization": "Bearer \xe9"}):
            client = Client(server, headers)
            for reply in (client.get("/v2/health/live"), client.get("/metrics"),
                          client.infer("kws", word(words)), client.get("/nothing")):
                assert reply.status == 401 and reply.headers["www-authenticate"] == "Bearer"
                assert "expected the header Authorization" in reply.json["error"]
        for scheme in ("Bearer", "bearer"):
            client = Client(server, {"Authorization": f"{scheme} s3cret"})
            assert client.infer("kws", word(words)).status == 200


@pytest.mark.parametrize(("options", "text"), [
    ({"host": "0.0.0.0"}, "0.0.0.0:0: others than this machine could use the device: give --token"),
    ({"host": "::"}, ":::0: others than this machine"),
    ({"host": "192.0.2.1"}, "192.0.2.1:0: others than this machine"),
    ({"token": ""}, "a token is one word of printable ASCII characters"),
    ({"token": "two words"}, "a token is one word of printable ASCII characters"),
    ({"host": "192.0.2.1", "token": "x"}, "192.0.2.1:0: cannot listen"),
])
def test_a_server_that_cannot_be(words, options, text):
    with pytest.raises(Error, match=text):
        Server({"kws": words.program}, ["emulator"], **options)


def test_a_server_whose_devices_cannot_be_opened_gives_its_port_back(words):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"device 0 \(serial:/dev/none\): .*no such port"):
            Server({"kws": words.program}, ["serial:/dev/none"], port=port)


def test_an_error_that_nobody_expected_is_one_line(patient, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr("kaniwa.serve.app.read_request", broken)
    reply = Client(patient).post("/v2/models/kws/infer", b"{}")
    assert reply.status == 500 and reply.json == {"error": "internal error, RuntimeError"}
    until(lambda: "internal error, RuntimeError: a bug" in caplog.text)     # behind the answer
