"""The adapter against exchanges as the reference firmware has them, and against bad input."""

import random

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.data.labels import dequantize
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.driver.session import Session
from kaniwa.errors import DeviceError, InputError
from kaniwa.importers import load_model
from kaniwa.mlperf_tiny.benchmarks import BENCHMARKS
from kaniwa.mlperf_tiny.dut import COMMAND_BYTES, DutAdapter
from kaniwa.mlperf_tiny.runner import Connection, Log

SWW = BENCHMARKS["sww01"]
INPUT_BYTES = 30 * 40
CYCLES = 8258     # of the model on `base`, as docs/performance.md has them

# Commands and the lines of their answers, in order, as benchmark/api/internally_implemented.cpp of
# mlcommons/tiny answers them.
RECORDED = [
    ("name%", ["m-name-dut-[kaniwa]", "m-ready"]),
    ("profile%", ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[sww01]", "m-ready"]),
    ("timestamp%", ["m-lap-us-0", "m-ready"]),
    ("db load 4%", ["m-[Expecting 4 bytes]", "m-ready"]),
    ("db 0aB1%", ["m-ready"]),
    ("db print%", ["m-buffer-0a-b1", "m-ready"]),
    ("db c2ff00%", ["m-load-done", "m-ready"]),
    ("db print%", ["m-buffer-0a-b1-c2-ff", "m-ready"]),
    ("db load 9%", ["m-[Expecting 9 bytes]", "m-ready"]),
    ("db 000102030405060708%", ["m-load-done", "m-ready"]),
    ("db print%", ["m-buffer-00-01-02-03-04-05-06-07", "m-buffer-08", "m-ready"]),
    ("db print 2 7%", ["m-buffer-07-08", "m-ready"]),
    ("reboot%", ["e-[Unknown command: reboot]", "m-ready"]),
    ("db%", ["e-[Command 'db' requires a subcommand]", "m-ready"]),
    ("db load%", ["e-[Command 'db load' requires the # of bytes]", "m-ready"]),
    ("infer 0%", ["e-[Inference iterations must be 1 to 1000000]", "m-ready"]),
]
# What the reference crashes at, or takes without a word: an error here.
REFUSED = [
    ("%", "Empty command"),
    ("db load 0%", "must be 1 to 27648 bytes"),
    ("db load 27649%", "must be 1 to 27648 bytes"),
    ("db load -4%", "expected a number, found '-4'"),
    ("db 00%", "No bytes are expected"),
    ("db load 2%db 0%", "Insufficient number of hex digits"),
    ("db load 2%db 0g%", "Invalid hex digit '0g'"),
    ("infer 1 0%", f"Input db has 0 bytes, expected {INPUT_BYTES}"),
    ("db load 8%db 0011%infer 1 0%", f"Input db has 2 bytes, expected {INPUT_BYTES}"),
    ("infer x%", "expected a number, found 'x'"),
    ("infer 1 x%", "expected a number, found 'x'"),
    ("results%", "No results yet"),
    (f"db {'0' * COMMAND_BYTES}%", "Command longer than 80 characters"),
    ("\xb2nfer%", "Unknown command: ??nfer"),
]


@pytest.fixture(scope="module")
def graph(models):
    return load_model(models / "mlperf_sww_1d.tflite")


@pytest.fixture(scope="module")
def program(graph):
    return compile(graph, target=PRESETS["base"])


@pytest.fixture
def adapter(program):
    return DutAdapter(Session(program, EmulatorDevice(PRESETS["base"])), SWW)


def lines(adapter, text):
    answer = adapter.feed(text.encode()).decode("ascii")
    assert answer == "" or answer.endswith("\r\n")
    return answer.split("\r\n")[:-1]


def loaded(adapter, data):
    connection = Connection(adapter, "device")
    connection.load(data)
    return connection


def test_answers_are_those_of_the_recorded_exchanges(adapter):
    for command, expected in RECORDED:
        assert lines(adapter, command) == expected, command


def test_boot_says_mode_time_and_ready(adapter):
    assert adapter.boot() == (b"m-timestamp-mode-performance\r\nm-lap-us-0\r\nm-init-done\r\n"
                              b"m-ready\r\n")


def test_help_names_every_command(adapter):
    told = "\n".join(lines(adapter, "help%"))
    for command in ("name", "profile", "timestamp", "db load", "db HEX", "db print", "infer",
                    "results"):
        assert f"\n{command} " in told


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_bad_commands_get_one_line_and_the_adapter_goes_on(adapter, text, message):
    answer = lines(adapter, text)
    errors = [line for line in answer if line.startswith("e-[")]
    assert len(errors) == 1 and message in errors[0]
    assert answer[-1] == "m-ready" and answer.count("m-ready") == text.count("%")
    assert lines(adapter, "name%") == ["m-name-dut-[kaniwa]", "m-ready"]


def test_commands_may_come_in_pieces_and_several_at_once(adapter):
    assert adapter.feed(b"na") == b"" and adapter.feed(b"me") == b""
    assert adapter.feed(b"%\r\ntimestamp%") == (
        b"m-name-dut-[kaniwa]\r\nm-ready\r\nm-lap-us-0\r\nm-ready\r\n")


def test_an_inference_is_that_of_the_model_and_takes_the_devices_time(adapter, graph):
    values = np.random.default_rng(1).integers(-128, 128, INPUT_BYTES, np.int8)
    loaded(adapter, values.tobytes())
    tensor = graph.tensors[graph.outputs[0]]
    output = golden.run(graph, {graph.tensors[graph.inputs[0]].name: values.reshape(1, 30, 1, 40)})
    real = dequantize(output[graph.outputs[0]], adapter._output).ravel()
    results = f"m-results-[{','.join(f'{value:.3f}' for value in real)}]"
    assert tensor.name == adapter._output.name
    start = round(2 * CYCLES / 100)      # microseconds at 100 MHz of two that warm up
    end = round(5 * CYCLES / 100)
    assert lines(adapter, "infer 3 2%") == [
        "m-warmup-start-2", "m-warmup-done", "m-infer-start-3", f"m-lap-us-{start}",
        f"m-lap-us-{end}", "m-infer-done", results, "m-ready"]
    assert lines(adapter, "results%") == [results, "m-ready"]
    assert lines(adapter, "timestamp%") == [f"m-lap-us-{end}", "m-ready"]
    assert (adapter.inferences, adapter.cycles) == (5, 5 * CYCLES)
    assert lines(adapter, "infer%")[:3] == ["m-warmup-start-10", "m-warmup-done",
                                            "m-infer-start-1"]


def test_random_bytes_never_stop_the_adapter(adapter):
    generator = random.Random(7)
    words = [b"db ", b"load ", b"print ", b"infer ", b"results", b"name", b"profile", b" ", b"%",
             b"1", b"0", b"ff", b"\r\n", b"-3", b"999", b"timestamp%", b"help%"]
    for _ in range(300):
        text = b"".join(generator.choice(words) if generator.random() < 0.8 else
                        generator.randbytes(generator.randrange(1, 90))
                        for _ in range(generator.randrange(1, 12)))
        answer = adapter.feed(text)
        assert answer.isascii() and answer.count(b"m-ready\r\n") == text.count(b"%")
    adapter.feed(b"%")
    assert lines(adapter, "name%") == ["m-name-dut-[kaniwa]", "m-ready"]


class Failing(EmulatorDevice):
    """Fails in its first run."""

    failed = False

    def run(self, program_address, tags=()):
        if not self.failed:
            self.failed = True
            raise DeviceError("the cable was pulled: plug it in")
        return super().run(program_address, tags)


def test_a_device_that_fails_is_an_error_and_runs_again(program):
    adapter = DutAdapter(Session(program, Failing(PRESETS["base"])), SWW)
    connection = loaded(adapter, bytes(INPUT_BYTES))
    with pytest.raises(DeviceError, match="^device: 'infer 1 0': the cable was pulled: plug it in"):
        connection.infer(1, 0)
    assert len(connection.infer(1, 0).results) == 3


def test_a_program_of_another_form_is_refused(program):
    with pytest.raises(InputError, match="ad01 needs a model whose output has the shape"):
        DutAdapter(Session(program, EmulatorDevice(PRESETS["base"])), BENCHMARKS["ad01"])


def test_a_float_input_is_quantized_and_must_be_finite(models):
    graph = load_model(models / "mlperf_ad_fc_ae.tflite")
    benchmark = BENCHMARKS["ad01"]
    adapter = DutAdapter(Session(compile(graph, target=PRESETS["base"]),
                                 EmulatorDevice(PRESETS["base"])), benchmark)
    real = np.random.default_rng(2).normal(-20, 8, 640).astype(np.float32)
    connection = loaded(adapter, real.tobytes())
    tensor, output = adapter._input, adapter._output
    quantized = benchmark.decode(real.tobytes(), tensor)
    expected = golden.run(graph, {tensor.name: quantized})[graph.outputs[0]]
    error = np.mean((dequantize(expected, output).astype(np.float64) - real) ** 2)
    assert connection.infer(1, 0).results == (pytest.approx(error, abs=5.1e-4),)
    real[7] = np.nan
    with pytest.raises(DeviceError, match="expected finite numbers, found inf or nan"):
        loaded(adapter, real.tobytes()).infer(1, 0)


class Answers:
    """A device that answers with what it is given, one text after the other."""

    def __init__(self, *texts):
        self.texts = list(texts)

    def feed(self, data):
        return self.texts.pop(0).encode()


@pytest.mark.parametrize(("answer", "message"), [
    ("", "no m-ready to 'infer 1 0': the device does not answer"),
    ("m-warmup-start-0\r\nm-lap-us-", "no m-ready"),
    ("m-lap-us-1\r\nm-results-[1]\r\nm-ready\r\n", "expected two m-lap-us and one m-results, found "
                                                   "1 and 1"),
    ("m-lap-us-9\r\nm-lap-us-2\r\nm-results-[1]\r\nm-ready\r\n", "the clock went back by 7"),
    ("m-lap-us-1\r\nm-lap-us-2\r\nm-results-[nan]\r\nm-ready\r\n", "results that are no numbers"),
    ("m-lap-us-1\r\nm-lap-us-2\r\nm-results-[a,b]\r\nm-ready\r\n", "results that are no numbers"),
    ("e-[broken]\r\nm-ready\r\n", "'infer 1 0': broken"),
])
def test_the_runner_says_in_one_line_what_a_device_answers_wrongly(answer, message):
    with pytest.raises(DeviceError) as error:
        Connection(Answers(answer), "device").infer(1, 0)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_lost_bytes_and_another_model_are_told(adapter):
    with pytest.raises(DeviceError, match="no m-load-done after 3 bytes"):
        Connection(Answers("m-ready\r\n", "m-ready\r\n"), "device").load(b"abc")
    with pytest.raises(DeviceError, match="has the model of sww01, not of ic01"):
        Connection(adapter, "device").identify(BENCHMARKS["ic01"])


def test_the_log_has_every_command_and_answer_with_its_time(adapter):
    from datetime import datetime

    connection = Connection(adapter, "device", Log(lambda: datetime(2026, 3, 4, 15, 6, 7)))
    connection.command("name")
    assert connection.log.text == ("0304.150607 dut: name%\n0304.150607 dut: m-name-dut-[kaniwa]\n"
                                   "0304.150607 dut: m-ready\n")
