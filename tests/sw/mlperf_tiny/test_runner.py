"""The runner's modes: how many inferences it asks for, what its scores are, and all five models."""

import json

import numpy as np
import pytest

import kaniwa
from kaniwa import cli, golden
from kaniwa.compiler.pipeline import compile
from kaniwa.config import PRESETS
from kaniwa.cycles.estimate import estimate
from kaniwa.data.inputs import quantize
from kaniwa.data.labels import dequantize
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import EmulatorDevice, open as open_device
from kaniwa.driver.link_time import link_time
from kaniwa.errors import DeviceError, InputError
from kaniwa.evaluation.roc import area_under_roc
from kaniwa.importers import load_model
from kaniwa.isa import Register
from kaniwa.mlperf_tiny.benchmarks import BENCHMARKS
from kaniwa.mlperf_tiny.energy import estimate_energy
from kaniwa.mlperf_tiny.runner import (
    Connection,
    Log,
    Rules,
    Sample,
    measure_performance,
    measure_quality,
)
from kaniwa.mlperf_tiny.samples import own_samples, shipped_samples
from kaniwa.mlperf_tiny.suite import Plan, run_benchmark
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

BASE = PRESETS["base"]
QUICK = Rules(seconds=0.0, iterations=2, runs=5, warmups=0)
# Cycles of an inference on `base`, counted by the RTL: docs/performance.md.
CYCLES = {"ad01": 12_421, "ic01": 98_701, "kws01": 24_503, "vww01": 42_573, "sww01": 8_258}


@pytest.fixture(scope="module")
def programs(models):
    return {name: compile(load_model(models / f"{benchmark.model}.tflite"), target=BASE)
            for name, benchmark in BENCHMARKS.items()}


class Steady:
    """A device whose inferences last ``times`` microseconds, one after the other, then the last."""

    def __init__(self, *times, results="0.1,0.9"):
        self.times, self.now, self.asked, self.results = list(times), 0, [], results

    def feed(self, data):
        words = data.decode().rstrip("%").split()
        lines = []
        if words[0] == "infer":
            self.asked.append((int(words[1]), int(words[2])))
            lines = [f"m-lap-us-{self.now}"]
            for _ in range(int(words[1])):
                self.now += self.times.pop(0) if len(self.times) > 1 else self.times[0]
            lines += [f"m-lap-us-{self.now}", f"m-results-[{self.results}]"]
        elif words[1] != "load":
            lines = ["m-load-done"]
        return "\r\n".join([*lines, "m-ready", ""]).encode()


def test_a_run_lasts_as_long_as_the_rules_say_and_the_score_is_the_median():
    device = Steady(1_000_000)
    found = measure_performance(Connection(device, "device"), [b"a"], Rules())
    assert device.asked == 5 * [(1, 1), (11, 0)]      # 10 s, and two in a hundred more
    assert found.rate == 1.0 and found.latency == 1.0
    assert (found.iterations, found.seconds) == (55, 55.0)
    quick = Steady(10, 10, 20, 20, 40, 40, 30, 30, 50, 50)
    found = measure_performance(Connection(quick, "device"), [b"a", b"b"], QUICK)
    assert quick.asked == 5 * [(2, 0)]
    assert found.rates == pytest.approx([1e5, 5e4, 2.5e4, 1e6 / 30, 2e4])
    assert found.rate == pytest.approx(1e6 / 30)


def test_a_run_that_was_too_short_is_done_again_longer():
    device = Steady(2_000_000, 500_000)     # the first inference is slow
    found = measure_performance(Connection(device, "device"), [b"a"], Rules(10.0, 10, 1, 0))
    assert device.asked == [(1, 0), (10, 0), (21, 0)] and found.rate == 2.0


def test_a_clock_that_stands_still_is_an_error():
    for rules in (QUICK, Rules()):
        with pytest.raises(DeviceError, match="clock stands still"):
            measure_performance(Connection(Steady(0), "device"), [b"a"], rules)


def test_answers_of_another_length_are_an_error():
    device = Steady(5)
    answers = iter(["0.1,0.9", "0.2,0.3,0.5"])

    def samples():
        for answer in answers:
            device.results = answer
            yield Sample([b"a"], 1)

    with pytest.raises(DeviceError, match="sample 1: expected 2 results"):
        measure_quality(Connection(device, "device"), BENCHMARKS["vww01"], samples(), 2)


@pytest.mark.parametrize("name", list(BENCHMARKS))
def test_every_benchmark_runs_on_the_emulator(programs, models, name):
    benchmark, log = BENCHMARKS[name], Log()
    with EmulatorDevice(BASE) as device:
        found = run_benchmark(benchmark, programs[name], device,
                              Plan(models, rules=QUICK, limit=3), clock_mhz=50.0, log=log)
    assert found.cycles == CYCLES[name]
    assert found.performance is not None and found.performance.iterations == 10
    assert found.latency == pytest.approx(CYCLES[name] / 50e6, abs=1e-6)
    assert (found.quality is not None) == bool(benchmark.data)
    assert len(found.notes) == (not benchmark.data)
    assert "the device is simulated" in found.reasons
    assert "runs of 0 s and 2 inferences, not of 10 s and 10" in found.reasons
    assert log.text.count(" dut: infer 2 0%\n") == 5 and f"m-model-[{name}]" in log.text


@pytest.mark.parametrize(("name", "limit"), [("ic01", None), ("kws01", 40)])
def test_accuracy_is_that_of_evaluate(programs, models, name, limit):
    benchmark = BENCHMARKS[name]
    data = models / "inputs" / benchmark.data
    with EmulatorDevice(BASE) as device:
        found = run_benchmark(benchmark, programs[name], device,
                              Plan(models, performance=False, limit=limit), clock_mhz=100.0,
                              log=Log()).quality
    expected = kaniwa.evaluate(models / f"{benchmark.model}.tflite", data, limit=limit,
                               device="emulator", target="base")
    assert found is not None and found.samples == expected.inferences
    assert found.value == expected.accuracy


def test_all_clips_of_the_official_set_are_no_reason(programs, models):
    found = shipped_samples(BENCHMARKS["kws01"], models, programs["kws01"].inputs[0])
    assert found.count == BENCHMARKS["kws01"].official == 1000


def test_anomaly_detection_scores_files_by_their_windows(programs, models, tmp_path):
    """AUC of the files' mean errors, as NumPy has them from the golden model's outputs."""
    generator = np.random.default_rng(5)
    files = generator.normal(-25, 6, (6, 7, 128)).astype(np.float32)
    labels = np.array([0, 1, 0, 1, 1, 0])
    files[labels == 1] += generator.normal(0, 4, (3, 7, 128)).astype(np.float32)
    path = tmp_path / "cars.npz"
    np.savez(path, x=files, y=labels)
    program, graph = programs["ad01"], load_model(models / "mlperf_ad_fc_ae.tflite")
    (tensor,), (output,) = program.inputs, program.outputs
    scores = []
    for file in files:
        errors = []
        for at in range(3):
            real = file[at:at + 5].reshape(1, 640)
            got = golden.run(graph, {tensor.name: quantize(real, tensor)})[graph.outputs[0]]
            errors.append(np.mean((dequantize(got, output).astype(float) - real) ** 2))
        scores.append(np.mean(errors))
    with EmulatorDevice(BASE) as device:
        found = run_benchmark(BENCHMARKS["ad01"], program, device,
                              Plan(models, performance=False, data=path), clock_mhz=100.0,
                              log=Log())
    assert found.quality is not None and found.quality.measure == "AUC"
    assert found.quality.value == pytest.approx(area_under_roc(np.array(scores), labels))
    assert (found.quality.samples, found.quality.inferences) == (6, 18)
    assert any("6 samples of cars.npz, the official set has 248" in r for r in found.reasons)


@pytest.mark.parametrize(("name", "x", "y", "message"), [
    ("ad01", np.zeros((2, 640), np.int8), [0, 1], "expected finite floats, found int8"),
    ("ad01", np.zeros((2, 600), np.float32), [0, 1], "expected shape"),
    ("ad01", np.zeros((2, 4, 128), np.float32), [0, 1], "with 5 slices or more"),
    ("ad01", np.zeros((2, 5, 128), np.float32), [1, 1], "needs samples of both labels"),
    ("ic01", np.zeros((2, 32, 32), np.uint8), [0, 1], "expected shape"),
    ("ic01", np.zeros((2, 32, 32, 3), np.float32), [0, 1], "float32"),
    ("kws01", np.zeros((3, 49, 10, 1), np.int8), [0, 1], "3 samples but 2 labels"),
    ("sww01", np.zeros((1, 30, 1, 40), np.int8), [0], "has no accuracy over single samples"),
])
def test_data_of_another_form_is_one_line(programs, tmp_path, name, x, y, message):
    path = tmp_path / "x.npz"
    np.savez(path, x=x, y=np.array(y))
    with pytest.raises(InputError, match=message) as error:
        list(own_samples(BENCHMARKS[name], path, programs[name].inputs[0]).samples)
    assert "\n" not in str(error.value)


def test_performance_is_measured_where_the_reader_of_images_is_missing(programs, models,
                                                                      monkeypatch):
    def missing(path, tensor):
        raise InputError("the reader of images needs Pillow")

    monkeypatch.setattr("kaniwa.preprocess.image.load_image", missing)
    with EmulatorDevice(BASE) as device:
        found = run_benchmark(BENCHMARKS["vww01"], programs["vww01"], device,
                              Plan(models, rules=QUICK), clock_mhz=100.0, log=Log())
    assert found.quality is None and found.performance is not None
    assert found.notes == ("the reader of images needs Pillow",)


def test_uint8_data_is_the_same_as_int8(programs, models, tmp_path):
    shipped = models / "inputs" / "resnet8_ten.npz"
    arrays = np.load(shipped)
    path = tmp_path / "x.npz"
    np.savez(path, x=(arrays["input_1_int8"].astype(int) + 128).astype(np.uint8),
             y=arrays["labels"])
    tensor = programs["ic01"].inputs[0]
    own, given = (list(own_samples(BENCHMARKS["ic01"], file, tensor).samples)
                  for file in (path, shipped))
    assert own == given and len(own) == 10
    assert np.frombuffer(own[0].inputs[0], np.uint8)[0] == np.load(path)["x"].ravel()[0]


class Core(EmulatedCore):
    """A core whose runs take their cycles on the line's clock, at 100 MHz."""

    def _run(self):
        super()._run()
        self.transport.wait(self.read_register(Register.CYCLES) / 100e6)


def test_time_on_the_line_counts(programs, models):
    program, pace = programs["sww01"], 300_000
    core = Core(BASE)
    core.transport = ModelTransport(LinkModel(core, pace=pace), pace)
    with BoardDevice("board?pace", BASE, connect=lambda: core.transport) as device:
        found = run_benchmark(BENCHMARKS["sww01"], program, device,
                              Plan(models, quality=False, rules=QUICK), clock_mhz=1.0, log=Log())
    on_line = link_time(program, pace).seconds
    assert found.cycles == CYCLES["sww01"]
    assert found.latency == pytest.approx(on_line + CYCLES["sww01"] / 100e6, rel=0.15)


def test_energy_is_the_sum_of_what_was_counted(programs):
    found = estimate_energy(programs["ic01"])
    assert found.products == 98_344 * 128      # cycles with a step, docs/performance.md
    assert found.outside_bytes == 0 and found.on_chip_bytes > programs["ic01"].weight_bytes
    assert found.joules == pytest.approx(found.products * 0.3e-12 + found.on_chip_bytes * 2.5e-12)


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["mlperf-tiny", *arguments])
    return int(stopped.value.code or 0), *capsys.readouterr()


def test_command_in_80_columns_with_its_log(capsys, tmp_path):
    log = tmp_path / "session.log"
    status, out, err = call(capsys, "ic01", "ad01", "--iterations", "1", "--limit", "2", "--log",
                            str(log))
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "ic01       2        top-1 1.000" in out and "est. uJ: an estimate by activity" in out
    assert "not a valid submission: the device is simulated\n" in out
    assert "ad01: accuracy is not measured: no labelled data are shipped" in out
    assert log.read_text().count(" dut: infer 1 1%\n") == 10


def test_command_with_json(capsys):
    status, out, _ = call(capsys, "sww01", "--board", "ulx3s_85f", "--mode", "performance",
                          "--iterations", "1", "--json")
    values = json.loads(out)
    assert status == 0 and values["clock_mhz"] == 100.0 and values["not_a_valid_submission"]
    (row,) = values["benchmarks"]
    assert row["cycles"] == CYCLES["sww01"] and row["quality"] is None
    assert row["estimated_energy"]["joules"] > 0


def test_outside_memory_makes_a_model_fit_and_takes_energy(capsys):
    arguments = ["ad01", "--target", "small", "--mode", "performance", "--iterations", "1",
                 "--json"]
    status, _, err = call(capsys, *arguments)
    assert status == 1 and "give it --outside sdram" in err
    status, out, _ = call(capsys, *arguments, "--outside", "sdram")
    energy = json.loads(out)["benchmarks"][0]["estimated_energy"]
    assert status == 0 and energy["outside_bytes"] > 100_000
    assert energy["joules"] > energy["outside_bytes"] * 162.5e-12


def test_a_log_is_written_of_a_failure_too(capsys, tmp_path, monkeypatch):
    def fail(self, address, tags=()):
        raise DeviceError("the cable was pulled")

    monkeypatch.setattr(EmulatorDevice, "run", fail)
    log = tmp_path / "session.log"
    status, out, err = call(capsys, "kws01", "--log", str(log))
    assert (status, out) == (1, "")
    assert err == "kaniwa: emulator: 'infer 1 0': the cable was pulled\n"
    last = [line.partition(" ")[2] for line in log.read_text().splitlines()[-2:]]
    assert last == ["dut: e-[the cable was pulled]", "dut: m-ready"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["no_such"], "no benchmark 'no_such': give ad01, ic01, kws01, vww01, sww01"),
    (["--device", "golden"], "golden has no clock"),
    (["ic01", "--data", "kws01=x.npz"], "expected NAME=FILE, NAME one of ic01"),
    (["--data", "x.npz"], "expected NAME=FILE"),
    (["ad01", "--mode", "accuracy"], "no labelled data are shipped"),
    (["ad01", "sww01", "--mode", "accuracy"], "nothing was measured: ad01: accuracy is not"),
    (["ic01", "--data", "no_such.npz"], "no_such.npz"),
    (["sww01", "--log", "/no/such/folder/session.log"], "cannot be written"),
    (["--serve-dut", "pty"], "name one benchmark"),
    (["ic01", "--serve-dut", "here"], "expected pty or tcp:HOST:PORT"),
    (["--board", "icebreaker", "--device", "sim:icebreaker"], "is a board itself"),
    (["ad01", "--target", "nano"], "268"),
])
def test_mistakes_are_one_line(capsys, arguments, message):
    status, out, err = call(capsys, *arguments)
    assert status == 1 and out == "" and err.count("\n") == 1 and message in err


def test_a_virtual_board_has_the_line_of_a_real_one(capsys, monkeypatch):
    opened = []

    def refuse(name, target, **options):
        opened.append((name, target.name))
        raise DeviceError("not here")

    monkeypatch.setattr("kaniwa.driver.devices.open", refuse)
    for device in ("sim:icebreaker", "sim:icebreaker?baud=1000000"):
        assert call(capsys, "kws01", "--device", device)[0] == 1
    assert opened == [("sim:icebreaker?baud=3000000", "nano"),
                      ("sim:icebreaker?baud=1000000", "nano")]


@pytest.mark.rtl
def test_a_virtual_board(models):
    """Time of the line and of the core, and the host's pauses between two looks at the status."""
    program = compile(load_model(models / "mlperf_kws_dscnn.tflite"), target="nano")
    with open_device("sim:icebreaker?baud=3000000") as device:
        found = run_benchmark(BENCHMARKS["kws01"], program, device,
                              Plan(models, quality=False, rules=Rules(0.0, 1, 1, 0)),
                              clock_mhz=1.0, log=Log())
    assert found.cycles == pytest.approx(estimate(program).cycles, rel=0.001)
    least = link_time(program, 300_000).seconds + found.cycles / 20.25e6
    assert least < found.latency < 2.2 * least
