"""`kaniwa hil` tries a board with all there is, and says what is not as it was."""

import copy
import dataclasses
import json
import shutil

import numpy as np
import pytest

from kaniwa import cli
from kaniwa.config import PRESETS
from kaniwa.driver.board_device import BoardDevice
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.errors import DeviceError, InputError
from kaniwa.hil.compare import changes, load_report
from kaniwa.hil.suite import hil, models_in
from kaniwa.selftest.suite import MODEL
from kaniwa.sim.board.line_faults import Faults, FaultyTransport
from kaniwa.sim.board.link_model import EmulatedCore, LinkModel
from kaniwa.sim.board.model_transport import ModelTransport

CONFIG = dataclasses.replace(PRESETS["small"], memory_bytes=24 << 10, name="tiny")
PARTS = ["link", "memory", "array", "model", "models", "soak"]


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    """Two models with answers, one of which is too large for the board, and one without."""
    place = tmp_path_factory.mktemp("models")
    (place / "refs").mkdir()
    for name in (MODEL, "mlperf_ic_resnet8.tflite"):
        shutil.copy(models / name, place)
        for file in (models / "refs").glob(f"{name.removesuffix('.tflite')}.*"):
            shutil.copy(file, place / "refs")
    shutil.copy(models / "mlperf_kws_dscnn.tflite", place)
    return place


def board(faults=None):
    model = LinkModel(EmulatedCore(CONFIG))
    seeds = iter(range(100))
    return BoardDevice("board", CONFIG, connect=lambda: FaultyTransport(
        ModelTransport(model), faults or Faults(), next(seeds)))


@pytest.fixture(scope="module")
def sound(folder):
    with board() as device:
        return hil(device, models_in(folder), soak_seconds=0, memory="quick")


def part(report, name):
    return next(p for p in report.parts if p.name == name)


def test_a_sound_board_passes_every_part(sound):
    assert [p.name for p in sound.parts] == PARTS and sound.verdict == "PASS"
    models = part(sound, "models")
    assert [row["name"] for row in models.values["models"]] == [MODEL]
    assert list(models.values["left_out"]) == ["mlperf_ic_resnet8.tflite"]
    assert "cycles as estimated; 1 do not fit" in models.text
    soak = part(sound, "soak").values
    assert (soak["inferences"], soak["wrong"], soak["repeated"]) == (1, 0, 0)
    assert soak["cycles"] == models.values["models"][0]["cycles"]


def test_models_with_state_begin_each_sample_anew(models):
    """The recorded answers of the LSTM are of samples by themselves."""
    with EmulatorDevice("base") as device:
        report = hil(device, [models / MODEL, models / "tflm_mnist_lstm.tflite"], soak_seconds=0,
                     memory="quick")
    assert report.passed and len(part(report, "models").values["models"]) == 2


def test_a_soak_on_a_bad_line_counts_what_was_repeated(folder):
    with board(Faults(bit_error=2e-4)) as device:
        report = hil(device, models_in(folder)[1:], soak_seconds=1, memory="quick")
    soak = part(report, "soak")
    assert report.passed and soak.values["wrong"] == 0
    assert soak.values["inferences"] > 1 and soak.values["repeated"] > 0


class Unsteady(EmulatorDevice):
    """Gives wrong answers of four bytes while ``spoilt``."""

    spoilt = False

    def read(self, address, count):
        data = super().read(address, count)
        return bytes(a ^ 0x7F for a in data) if self.spoilt and count == 4 else data


def test_a_soak_finds_what_goes_wrong_late(folder):
    with Unsteady("small") as device:
        report = hil(device, models_in(folder)[1:], soak_seconds=0, memory="quick",
                     progress=lambda text: setattr(device, "spoilt", text.startswith("soak")))
    assert report.verdict == "FAIL: soak"
    assert f"1 of 1 inferences of {MODEL} differ from golden, the first with seed 1" in part(
        report, "soak").text


def test_a_board_that_goes_away_is_not_tried_further(folder):
    class Gone(EmulatorDevice):
        def run(self, program_address, tags=()):
            raise DeviceError("connection lost")

    with Gone("small") as device:
        report = hil(device, models_in(folder), soak_seconds=0, memory="quick")
    assert [p.result for p in report.parts] == ["none", "pass", "fail", "fail", "not run",
                                                "not run"]
    assert part(report, "soak").text == "left out, for array failed"


def test_changes_name_what_is_not_as_it_was(sound):
    before = json.loads(json.dumps(sound.as_dict()))
    assert changes(before, copy.deepcopy(before)) == []
    after = copy.deepcopy(before)
    after["target"] = "other"
    link, _, array, _, models, soak = after["parts"]
    link["host_bytes_per_second"] *= 0.8
    layer = array["layers"][0]
    layer["cycles"] += 1
    models["models"][0]["mismatches"] = 3
    soak["result"] = "fail"
    assert [what for what, *_ in changes(before, after)] == [
        "target", "link, host bytes per second", f"{layer['name']}, cycles",
        f"{MODEL}, mismatches", "soak"]


def test_a_report_is_written_and_compared_on_the_command_line(folder, tmp_path, capsys):
    arguments = ["hil", "--device", "emulator", "--target", "small", "--models", str(folder),
                 "--soak", "0", "--memory", "quick"]
    first = tmp_path / "first.json"
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, "-o", str(first)])
    assert not stopped.value.code
    assert load_report(first)["passed"] is True
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, "--against", str(first)])
    shown = capsys.readouterr().out
    assert not stopped.value.code and f"all as in {first}" in shown and shown.endswith("PASS\n")


@pytest.mark.parametrize("text", ["", "{}", '{"parts": [{"part": "link"}]}', "[]"])
def test_another_file_is_no_report(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="a.json: is no report of kaniwa hil"):
        load_report(tmp_path / "a.json")


def test_a_folder_without_answers_is_an_error(tmp_path):
    np.savez(tmp_path / "x.npz")
    with pytest.raises(InputError, match="no models with recorded answers"):
        models_in(tmp_path)
