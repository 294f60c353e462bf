"""The command from start to end: begun requests are answered, and its exit status is 0."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from builders.gated_device import WAIT, Gated
from builders.serving import Client, serving, tensor

from kaniwa import cli


@pytest.fixture
def kws(models):
    return str(models / "mlperf_kws_dscnn.tflite")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_without_a_word(kws, words, number, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with subprocess.Popen(
            [sys.executable, "-m", "kaniwa", "serve", kws, "--port", "0", "--device",
             "emulator,emulator", "--token-file", str(token)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        line = process.stdout.readline()
        names, _, url = line.strip().rpartition(": ")
        assert names == "mlperf_kws_dscnn on emulator, emulator" and url.endswith("/v2")
        client = Client(SimpleNamespace(url=url), {"Authorization": "Bearer s3cret"})
        reply = client.infer("mlperf_kws_dscnn", tensor("input_1", words.inputs[0], "INT8"))
        assert reply.json["outputs"][0]["data"] == words.answers[0].ravel().tolist()
        process.send_signal(number)
        assert process.wait(WAIT) == 0
        assert process.stdout.read() == process.stderr.read() == ""


def test_json_tells_the_address(kws):
    with subprocess.Popen(
            [sys.executable, "-m", "kaniwa", "serve", kws, "--port", "0", "--json"],
            stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        lines = iter(process.stdout.readline, "}\n")
        told = json.loads("".join(lines) + "}")
        assert told["models"] == ["mlperf_kws_dscnn"] and told["devices"] == ["emulator"]
        assert Client(SimpleNamespace(url=told["url"])).get("/v2/health/ready").status == 200
        process.terminate()
        assert process.wait(WAIT) == 0


def test_a_request_that_was_begun_is_answered(words):
    device = Gated("base")
    with ThreadPoolExecutor(1) as threads:
        with serving({"kws": words.program}, [device]) as server:
            asked = threads.submit(Client(server).infer, "kws",
                                   tensor("input_1", words.inputs[1], "INT8"))
            assert device.begun.wait(WAIT)
            server.stop()
            device.may.set()
            reply = asked.result(WAIT)
            assert reply.json["outputs"][0]["data"] == words.answers[1].ravel().tolist()
    with pytest.raises(OSError), socket.create_connection(
            tuple(server.url.removeprefix("http://").split(":")), timeout=WAIT):
        pass


def test_a_second_stop_does_not_wait(words, caplog):
    device = Gated("base")
    with ThreadPoolExecutor(1) as threads:
        with serving({"kws": words.program}, [device]) as server:
            asked = threads.submit(Client(server).infer, "kws",
                                   tensor("input_1", words.inputs[1], "INT8"))
            assert device.begun.wait(WAIT)
            server.stop()
            server.stop()
        reply = asked.result(WAIT)
        assert reply.status == 503 and reply.json == {"error": "the server ends"}
        assert "an inference did not end within 0 s" in caplog.text
        device.may.set()


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"]])
def test_help_does_not_load_the_server(arguments):
    code = f"""
import sys
from kaniwa import cli
try:
    cli.main({arguments!r})
except SystemExit:
    pass
heavy = {{"uvicorn", "starlette", "prometheus_client", "h11", "asyncio", "kaniwa.serve"}}
sys.exit(", ".join(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "" and "Usage: kaniwa" in done.stdout


def test_a_port_in_use_is_one_line(kws, capsys):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            cli.main(["serve", kws, "--port", str(port)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        f"kaniwa: 127.0.0.1:{port}: cannot listen (Address already in use): choose another --port "
        "or --host\n")
