"""The adapter on a pseudo-terminal and on a TCP port, as another runner would meet it."""

import json
import queue
import signal
import socket
import subprocess
import sys
import threading

import pytest
import serial

from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError, InputError
from kaniwa.importers import load_model
from kaniwa.mlperf_tiny.benchmarks import BENCHMARKS
from kaniwa.mlperf_tiny.dut import DutAdapter
from kaniwa.mlperf_tiny.runner import Connection, Rules, measure_performance
from kaniwa.mlperf_tiny.serve import check_place, serve

LIMIT = 60     # seconds until a test gives up


@pytest.fixture
def adapter(models):
    program = compile(load_model(models / "mlperf_sww_1d.tflite"), target=PRESETS["base"])
    return DutAdapter(Session(program, EmulatorDevice(PRESETS["base"])), BENCHMARKS["sww01"])


def served(adapter, place):
    """Where ``adapter`` is served, in a thread that ends with the process."""
    places = queue.Queue()
    threading.Thread(target=serve, args=(adapter, place, places.put), daemon=True).start()
    return places.get(timeout=LIMIT)


class Port:
    """A host's end of the line: sends a command, gives the lines up to m-ready."""

    def __init__(self, send, receive):
        self.send, self.receive = send, receive

    def feed(self, data):
        self.send(data)
        answer = b""
        while not answer.endswith(b"m-ready\r\n"):
            answer += self.receive(4096)
        return answer


def measure(port):
    connection = Connection(port, "device")
    connection.identify(BENCHMARKS["sww01"])
    return measure_performance(connection, [bytes(1200)], Rules(0.0, 1, 2, 0)).rate


def test_a_host_at_a_tcp_port_and_the_next_one(adapter):
    place = served(adapter, "tcp:127.0.0.1:0")
    address = ("127.0.0.1", int(place.rsplit(":", 1)[1]))
    for _ in range(2):
        with socket.create_connection(address, timeout=LIMIT) as line:
            assert measure(Port(line.sendall, line.recv)) == pytest.approx(1e8 / 8258, rel=0.02)
    with socket.create_connection(address, timeout=LIMIT) as line:
        line.sendall(b"infer 1")       # a command that is cut off, with its host gone
    with socket.create_connection(address, timeout=LIMIT) as line:
        assert b"e-[" in Port(line.sendall, line.recv).feed(b"%")
    with pytest.raises(DeviceError, match="cannot listen"):
        serve(adapter, f"tcp:127.0.0.1:{address[1]}", str)


def test_a_host_at_a_pseudo_terminal(adapter):
    path = served(adapter, "pty")
    for _ in range(2):
        with serial.Serial(path, 115200, timeout=LIMIT) as line:
            assert measure(Port(line.write, lambda count, of=line: of.read_until(b"\n"))) > 0


def test_the_command_serves_until_it_is_ended():
    command = [sys.executable, "-m", "kaniwa", "mlperf-tiny", "sww01", "--json", "--serve-dut"]
    serving = subprocess.Popen([*command, "tcp:127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = serving.stdout.readline()
            assert line, f"ended: {text}"
            text += line
        told = json.loads(text)
        assert told["benchmark"] == "sww01" and told["target"] == "base"
        address = ("127.0.0.1", int(told["place"].rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=LIMIT) as line:
            assert measure(Port(line.sendall, line.recv)) == pytest.approx(1e8 / 8258, rel=0.02)
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(LIMIT) == 0
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()


@pytest.mark.parametrize("place", ["", "tcp:", "tcp:a:b", "tcp:localhost:70000", "serial:/dev/x"])
def test_another_place_is_one_line(place):
    with pytest.raises(InputError, match="expected pty or tcp:HOST:PORT"):
        check_place(place)
