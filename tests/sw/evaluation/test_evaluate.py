"""``kaniwa.evaluate``: every form of data gives the same count, by one formula."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kaniwa
from kaniwa import cli
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.evaluation.accuracy import Accuracy, rank
from kaniwa.importers.tflite.importer import import_tflite

RIGHT = 0.9     # of ResNet-8's ten images


class Tensor:
    """What there is of a PyTorch tensor that needs its gradient and lies on another device."""

    def __init__(self, array: np.ndarray, state: str = "attached") -> None:
        self._array, self._state = array, state

    def detach(self) -> Tensor:
        return Tensor(self._array, "detached")

    def cpu(self) -> Tensor:
        assert self._state == "detached"
        return Tensor(self._array, "cpu")

    def numpy(self) -> np.ndarray:
        assert self._state == "cpu"
        return self._array


class Loader:
    """Batches of tensors, again and again, as a DataLoader gives them."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch: int) -> None:
        self._x, self._y, self._batch = x, y, batch

    def __iter__(self) -> Iterator[list[Tensor]]:
        for i in range(0, len(self._x), self._batch):
            yield [Tensor(self._x[i:i + self._batch]), Tensor(self._y[i:i + self._batch])]


@pytest.fixture(scope="module")
def resnet(models: Path) -> Path:
    return models / "mlperf_ic_resnet8.tflite"


@pytest.fixture(scope="module")
def images(models: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(models / "inputs" / "resnet8_ten.npz") as data:
        return data["input_1_int8"], data["labels"]


@pytest.fixture(scope="module")
def program(resnet: Path) -> kaniwa.Program:
    return kaniwa.compile(resnet)


@pytest.mark.parametrize("form", ["arrays", "samples", "batches", "list", "loader", "floats",
                                  "uint8", "prepared", "file"])
def test_every_form_of_data_counts_the_same(
        form: str, program: kaniwa.Program, models: Path,
        images: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = images
    pixels = x.astype(np.int16) + 128
    data: dict[str, Any] = {
        "arrays": (x, y), "samples": zip(x, y, strict=True),
        "batches": iter([(x[:4], y[:4]), (x[4:], y[4:].tolist())]),
        "list": [(x[:4], y[:4]), (x[4:], y[4:])], "loader": Loader(x, y, 3),
        "floats": (pixels.astype(np.float64), y), "uint8": (pixels.astype(np.uint8), y),
        "prepared": Loader(np.moveaxis(pixels, 3, 1).astype(np.float32) / 255, y, 5),
        "file": models / "inputs" / "resnet8_ten.npz"}
    found = kaniwa.evaluate(
        program, data[form], uint8=form == "uint8", top=(1, 2),
        **({"prepare": lambda a: np.moveaxis(a, 1, 3) * 255} if form == "prepared" else {}))
    assert (found.inferences, found.correct, found.accuracy) == (10, 9, RIGHT)
    assert found.top[1] == RIGHT and found.top[2] == 1.0
    assert found.predictions.tolist() == [6, 4, 5, 4, 9, 6, 0, 6, 5, 8]
    assert found.labels.tolist() == y.tolist()
    assert found.confusion.shape == (10, 10) and found.confusion.trace() == 9
    assert found.confusion[4, 6] == 1
    assert (found.device, found.target) == ("emulator", "base")
    assert found.cycles == 10 * kaniwa.estimate(program).cycles


def test_the_command_counts_the_same(resnet: Path, models: Path,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    data = models / "inputs" / "resnet8_ten.npz"
    with pytest.raises(SystemExit):
        cli.main(["evaluate", str(resnet), "--data", str(data), "--json"])
    told = json.loads(capsys.readouterr().out)
    found = kaniwa.evaluate(resnet, data)
    assert (told["inferences"], told["correct"], told["accuracy"]) == (
        found.inferences, found.correct, found.accuracy)


def test_golden_counts_no_cycles_and_a_limit_ends_it(resnet: Path, images: Any) -> None:
    found = kaniwa.evaluate(resnet, images, device="golden", limit=3)
    assert (found.inferences, found.cycles, found.device) == (3, 0, "golden")


def test_an_open_device_stays_open(resnet: Path, images: Any) -> None:
    with EmulatorDevice("large") as device:
        assert kaniwa.evaluate(resnet, images, device=device, limit=2).target == "large"
        assert device.config is not None


def test_each_inference_begins_with_cleared_state(models: Path) -> None:
    with np.load(models / "inputs" / "mnist_1000.npz") as data:
        x, y = data["x"][:20], data["y"][:20]
    lstm = models / "tflm_mnist_lstm.tflite"
    there = kaniwa.evaluate(lstm, (x.astype(np.float32) / 255, y))
    back = kaniwa.evaluate(lstm, (x[::-1].astype(np.float32) / 255, y[::-1]))
    assert there.predictions.tolist() == back.predictions[::-1].tolist()
    assert there.correct >= 19


def test_an_onnx_model_takes_floats(models: Path) -> None:
    with np.load(models / "inputs" / "digits_gru_qdq.npz") as data:
        found = kaniwa.evaluate(models / "digits_gru_qdq.onnx",
                                (data["x"][:30].astype(np.float64), data["labels"][:30]))
    assert found.accuracy == 1.0


@pytest.mark.parametrize("x", ["dict", "list"])
def test_a_model_of_two_inputs_takes_a_dict_or_a_list(x: str) -> None:
    b = ModelBuilder()
    first, second, total = (b.tensor(name, [1, 4], scale=0.5, zero_point=0)
                            for name in ("first", "second", "total"))
    b.op("ADD", [first, second], [total])
    graph = import_tflite(b.build([first, second], [total]), "two")
    ones, ramp = np.ones((3, 4), np.int8), np.arange(12, dtype=np.int8).reshape(3, 4)
    item = ({"second": ramp, "first": ones} if x == "dict" else [ones, ramp], [3, 3, 0])
    found = kaniwa.evaluate(graph, [item])
    assert found.predictions.tolist() == [3, 3, 3] and found.correct == 2


@pytest.mark.parametrize(("data", "said"), [
    (3, "data must be"), ([], "at least one inference"), ([np.zeros(3)], "expected a pair"),
    ([(np.zeros((32, 32, 3), np.int8), "a")], "expected numbers"),
    ([(np.zeros((32, 32, 3), np.int8), 1.5)], "labels: expected integers"),
    ([(np.zeros((32, 32, 3), np.int8), 10)], "classes 0 to 9"),
    ([(np.zeros((32, 32, 3), np.int8), -1)], "classes 0 to 9"),
    ([(np.zeros((3, 32, 32), np.int8), 1)], "expected shape"),
    ([(np.zeros((32, 32, 3), np.int32), 1)], "expected int8, found int32"),
    ([(np.full((32, 32, 3), np.nan), 1)], "finite"),
    ((np.zeros((2, 32, 32, 3), np.int8), [1]), "2 inferences but 1 labels"),
    ([({"none": np.zeros((32, 32, 3), np.int8)}, 1)], "expected inputs"),
    ([([[1], [1, 2]], 1)], "ragged"), ("none.npz", "no such file")])
def test_data_that_do_not_fit_are_refused_in_one_line(data: Any, said: str,
                                                      program: kaniwa.Program) -> None:
    with pytest.raises(kaniwa.InputError, match=said) as found:
        kaniwa.evaluate(program, data, device="emulator")
    assert "\n" not in str(found.value)


def test_a_wrong_top_or_keyword_is_refused(program: kaniwa.Program, images: Any) -> None:
    with pytest.raises(kaniwa.InputError, match="top must be"):
        kaniwa.evaluate(program, images, top=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        kaniwa.evaluate(program, images, colour=3)      # type: ignore[call-arg]


def test_a_place_is_the_classes_number_in_the_order_of_falling_values() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        values = generator.integers(-3, 4, 6, np.int8)
        order = sorted(range(6), key=lambda i: -int(values[i]))
        assert [rank(values, label) for label in order] == list(range(6))
        assert order[0] == np.argmax(values)


def test_no_inference_has_accuracy_zero() -> None:
    assert Accuracy().accuracy == 0.0
