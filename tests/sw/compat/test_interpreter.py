"""The Interpreter against LiteRT's: the same details, answers, state and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

import kaniwa
from kaniwa import lite
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.driver.devices import EmulatorDevice

MODELS = ("cfu_mbv2_160_035", "coral_mbv1_025_128_u8", "digits_transformer",
          "digits_transformer_int16", "keyword_transformer", "mlperf_ad_fc_ae",
          "mlperf_ic_resnet8", "mlperf_kws_dscnn", "mlperf_sww_1d", "mlperf_vww_mbv1_96",
          "tflm_micro_speech", "tflm_mnist_lstm")
SMALL = ("digits_transformer_int16", "mlperf_ad_fc_ae", "mlperf_sww_1d", "tflm_micro_speech",
         "tflm_mnist_lstm")
THEIRS = partial(litert.Interpreter,
                 experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
Make = Callable[..., Any]


def noise(interpreter: Any, count: int = 3, seed: int = 0) -> Iterator[np.ndarray]:
    """Values for the only input."""
    (taken,), generator = interpreter.get_input_details(), np.random.default_rng(seed)
    limits = np.iinfo(taken["dtype"])
    for _ in range(count):
        yield generator.integers(limits.min, limits.max, taken["shape"], taken["dtype"],
                                 endpoint=True)


def answers(interpreter: Any, inputs: Iterator[np.ndarray]) -> list[np.ndarray]:
    """The first outputs of some inferences in turn."""
    found = []
    for value in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return found


def two_signatures() -> bytes:
    """A sum of two inputs, with two names for all."""
    b = ModelBuilder()
    first, second, total = (b.tensor(name, [1, 4], scale=0.5, zero_point=1)
                            for name in ("first", "second", "total"))
    b.op("ADD", [first, second], [total])
    b.signatures = {"sum": ({"y": second, "x": first}, {"z": total}),
                    "again": ({"a": first, "b": second}, {"c": total})}
    return b.build([first, second], [total])


def float_model() -> bytes:
    b = ModelBuilder()
    x, y = b.tensor("x", [1, 4], "float32"), b.tensor("y", [1, 2], "float32")
    weights = b.tensor("weights", [2, 4], "float32", data=np.ones((2, 4), np.float32))
    b.op("FULLY_CONNECTED", [x, weights, -1], [y])
    return b.build([x], [y])


@pytest.mark.parametrize("name", MODELS)
def test_details_are_those_of_litert(name: str, models: Path) -> None:
    path = models / f"{name}.tflite"
    ours, theirs = lite.Interpreter(path, device="golden"), litert.Interpreter(path)
    np.testing.assert_equal(ours.get_tensor_details(), theirs.get_tensor_details())
    np.testing.assert_equal(ours.get_input_details(), theirs.get_input_details())
    np.testing.assert_equal(ours.get_output_details(), theirs.get_output_details())
    assert ours.get_signature_list() == theirs.get_signature_list()
    assert ours.num_subgraphs() == theirs.num_subgraphs()


def test_all_models_are_compared(models: Path) -> None:
    assert {path.stem for path in models.glob("*.tflite")} == set(MODELS)


@pytest.mark.parametrize("device", ["golden", "emulator"])
@pytest.mark.parametrize("name", SMALL)
def test_answers_are_those_of_litert(name: str, device: str, models: Path) -> None:
    """Three inferences in turn, so that state goes on from one to the next."""
    path = models / f"{name}.tflite"
    ours, theirs = lite.Interpreter(path, device=device), THEIRS(path)
    for each in (ours, theirs):
        each.allocate_tensors()
    for got, expected in zip(answers(ours, noise(ours)), answers(theirs, noise(theirs)),
                             strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


def test_variables_keep_their_values_until_they_are_reset(models: Path) -> None:
    path = models / "tflm_mnist_lstm.tflite"
    found = []
    for each in (lite.Interpreter(path), THEIRS(path)):
        each.allocate_tensors()
        same = next(noise(each))
        first = answers(each, iter([same, same]))
        each.allocate_tensors()     # nothing is allocated anew
        later = answers(each, iter([same]))
        each.reset_all_variables()
        found.append([*first, *later, *answers(each, iter([same]))])
    np.testing.assert_equal(found[0], found[1])
    assert not np.array_equal(found[0][0], found[0][1])
    assert np.array_equal(found[0][0], found[0][3])


def test_preserved_tensors_are_those_of_litert(models: Path) -> None:
    path = models / "tflm_micro_speech.tflite"
    ours, theirs = (make(model_path=path, experimental_preserve_all_tensors=True)
                    for make in (lite.Interpreter, THEIRS))
    for each in (ours, theirs):
        each.allocate_tensors()
        answers(each, noise(each, 1))
    for details in ours.get_tensor_details():
        np.testing.assert_array_equal(ours.get_tensor(details["index"]),
                                      theirs.get_tensor(details["index"]), strict=True)


def test_a_tensor_inside_the_model_is_there_only_where_all_are_kept(models: Path) -> None:
    ours = lite.Interpreter(models / "tflm_micro_speech.tflite")
    ours.allocate_tensors()
    ours.invoke()
    inside = next(d["index"] for d in ours.get_tensor_details() if d["name"] == "Relu")
    with pytest.raises(ValueError, match="experimental_preserve_all_tensors"):
        ours.get_tensor(inside)


@pytest.mark.parametrize("key", ["sum", "again"])
def test_a_signature_takes_and_gives_by_name(key: str) -> None:
    found = []
    for each in (lite.Interpreter(model_content=two_signatures()),
                 THEIRS(model_content=two_signatures())):
        runner = each.get_signature_runner(key)
        names = each.get_signature_list()[key]["inputs"]
        values = {name: np.array([[i, 20, -30, 127]], np.int8) for i, name in enumerate(names)}
        found.append((each.get_signature_list(), runner.get_input_details(),
                      runner.get_output_details(), runner(**values)))
    np.testing.assert_equal(found[0], found[1])


def test_a_view_is_what_set_tensor_and_get_tensor_work_on(models: Path) -> None:
    ours = lite.Interpreter(models / "tflm_micro_speech.tflite")
    ours.allocate_tensors()
    taken, given = ours.get_input_details()[0]["index"], ours.get_output_details()[0]["index"]
    value, view, result = next(noise(ours)), ours.tensor(taken), ours.tensor(given)
    view()[...] = value
    np.testing.assert_array_equal(ours.get_tensor(taken), value)
    ours.invoke()
    np.testing.assert_array_equal(result(), ours.get_tensor(given))
    copy = ours.get_tensor(given)
    copy[...] = 0
    assert result().any()
    with pytest.raises(ValueError, match="read-only"):
        ours.tensor(0)()[...] = 0       # a constant


def test_the_same_shape_is_taken_and_another_refused(models: Path) -> None:
    ours = lite.Interpreter(models / "mlperf_ic_resnet8.tflite", device="golden")
    index = ours.get_input_details()[0]["index"]
    ours.allocate_tensors()
    ours.resize_tensor_input(index, (1, 32, 32, 3))
    ours.invoke()
    with pytest.raises(ValueError, match=r"\[1, 32, 32, 3\] to \[8, 32, 32, 3\]: the program is"):
        ours.resize_tensor_input(index, [8, 32, 32, 3])


def test_an_open_device_is_used_and_left_open(models: Path) -> None:
    path = models / "tflm_micro_speech.tflite"
    with EmulatorDevice("small") as device:
        for _ in range(2):
            with lite.Interpreter(path, device=device) as ours:
                ours.allocate_tensors()
                answers(ours, noise(ours, 1))
                assert ours.program.config.name == "small"
                assert ours.statistics is not None and ours.statistics.cycles > 0
        assert device.config is not None


def test_a_closed_interpreter_says_so(models: Path) -> None:
    ours = lite.Interpreter(models / "tflm_micro_speech.tflite")
    ours.allocate_tensors()
    ours.close()
    ours.close()
    with pytest.raises(RuntimeError, match="is closed"):
        ours.invoke()


@pytest.mark.rtl
def test_the_simulated_core_gives_the_same(models: Path) -> None:
    path = models / "tflm_micro_speech.tflite"
    with lite.Interpreter(path, device="sim", target="nano") as ours:
        theirs = THEIRS(path)
        for each in (ours, theirs):
            each.allocate_tensors()
        assert np.array_equal(answers(ours, noise(ours, 1)), answers(theirs, noise(theirs, 1)))


# What is done to an allocated interpreter of ResNet-8; both must refuse.
WRONG: dict[str, Callable[[Any], Any]] = {
    "index too large": lambda i: i.set_tensor(99, np.zeros((1, 32, 32, 3), np.int8)),
    "negative index": lambda i: i.get_tensor(-1),
    "index of a view": lambda i: i.tensor(99)(),
    "index that is no integer": lambda i: i.get_tensor("a"),
    "index that is a float": lambda i: i.set_tensor(0.0, np.zeros((1, 32, 32, 3), np.int8)),
    "dtype": lambda i: i.set_tensor(0, np.zeros((1, 32, 32, 3), np.float32)),
    "list of integers": lambda i: i.set_tensor(0, np.zeros((1, 32, 32, 3), int).tolist()),
    "dimensions": lambda i: i.set_tensor(0, np.zeros((32, 32, 3), np.int8)),
    "size": lambda i: i.set_tensor(0, np.zeros((1, 32, 31, 3), np.int8)),
    "text": lambda i: i.set_tensor(0, "zeros"),
    "nothing": lambda i: i.set_tensor(0, None),
    "subgraph of a value": lambda i: i.get_tensor(0, 1),
    "subgraph of details": lambda i: i.get_tensor_details(1),
    "negative subgraph": lambda i: i.get_tensor_details(-1),
    "no signature": lambda i: i.get_signature_runner(),
    "unknown signature": lambda i: i.get_signature_runner("main"),
}
# The same before its tensors are allocated.
EARLY: dict[str, Callable[[Any], Any]] = {
    "invoke": lambda i: i.invoke(),
    "set_tensor": lambda i: i.set_tensor(0, np.zeros((1, 32, 32, 3), np.int8)),
    "get_tensor": lambda i: i.get_tensor(37),
    "view": lambda i: i.tensor(0)(),
}
CONSTRUCTED: dict[str, Callable[[Make, Path], Any]] = {
    "nothing": lambda make, models: make(),
    "both": lambda make, models: make(model_path="a.tflite", model_content=b"TFL3"),
    "no file": lambda make, models: make(model_path="none.tflite"),
    "folder": lambda make, models: make(model_path=str(models)),
    "text file": lambda make, models: make(model_path=models / "README.md"),
    "bytes": lambda make, models: make(model_content=b"no model at all"),
    "text content": lambda make, models: make(model_content="TFL3"),
    "path of a wrong type": lambda make, models: make(model_path=3),
    "no threads": lambda make, models: make(model_path="a", num_threads=0),
    "half a thread": lambda make, models: make(model_path="a", num_threads=0.5),
    "resolver": lambda make, models: make(model_path="a", experimental_op_resolver_type=7),
    "unknown keyword": lambda make, models: make(model_path="a", threads=3),
}


def refused(act: Callable[[], Any]) -> BaseException:
    with pytest.raises((Exception, SystemError)) as found:
        act()
    return found.value


def assert_the_same_kind(ours: BaseException, theirs: BaseException) -> None:
    assert isinstance(ours, type(theirs)), f"{ours!r} for {theirs!r}"
    assert "\n" not in str(ours)


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_as_litert_does(what: str, models: Path) -> None:
    path = models / "mlperf_ic_resnet8.tflite"
    errors = []
    for each in (lite.Interpreter(path, device="golden"), THEIRS(path)):
        each.allocate_tensors()
        errors.append(refused(lambda each=each: WRONG[what](each)))
    assert_the_same_kind(*errors)
    assert isinstance(errors[0], kaniwa.Error)


@pytest.mark.parametrize("what", EARLY)
def test_what_is_done_before_allocation_is_refused_as_litert_does(what: str,
                                                                  models: Path) -> None:
    path = models / "mlperf_ic_resnet8.tflite"
    ours, theirs = (refused(lambda each=each: EARLY[what](each))
                    for each in (lite.Interpreter(path, device="golden"), THEIRS(path)))
    assert_the_same_kind(ours, theirs)
    assert isinstance(ours, kaniwa.Error) and "allocate" in str(ours)


@pytest.mark.parametrize("what", CONSTRUCTED)
def test_what_cannot_be_opened_is_refused_as_litert_does(what: str, models: Path) -> None:
    ours, theirs = (refused(lambda make=make: CONSTRUCTED[what](make, models))
                    for make in (lite.Interpreter, litert.Interpreter))
    assert_the_same_kind(ours, theirs)
    assert isinstance(ours, kaniwa.Error) or what == "unknown keyword"


@pytest.mark.parametrize("what", ["number", "name", "dtype"])
def test_what_a_signature_does_not_take_is_refused_as_litert_does(what: str) -> None:
    zeros = np.zeros((1, 4), np.int8)
    inputs = {"number": {"x": zeros}, "name": {"x": zeros, "q": zeros},
              "dtype": {"x": zeros, "y": zeros.astype(np.float32)}}[what]
    ours, theirs = (refused(lambda each=each: each.get_signature_runner("sum")(**inputs))
                    for each in (lite.Interpreter(model_content=two_signatures()),
                                 THEIRS(model_content=two_signatures())))
    assert_the_same_kind(ours, theirs)
    assert isinstance(ours, kaniwa.Error)


def test_one_of_several_signatures_must_be_named() -> None:
    for make in (lite.Interpreter, THEIRS):
        with pytest.raises(ValueError):
            make(model_content=two_signatures()).get_signature_runner()


def test_a_float_model_is_refused_in_one_line() -> None:
    with pytest.raises(kaniwa.UnsupportedError, match="is a float model") as found:
        lite.Interpreter(model_content=float_model())
    assert isinstance(found.value, ValueError) and "\n" not in str(found.value)


def test_a_model_that_does_not_fit_the_target_is_refused_in_one_line(models: Path) -> None:
    with pytest.raises(kaniwa.CompileError) as found:
        lite.Interpreter(models / "cfu_mbv2_160_035.tflite", target="nano")
    assert isinstance(found.value, ValueError) and "\n" not in str(found.value)


def test_delegates_are_refused() -> None:
    with pytest.raises(ValueError, match="takes no delegate"):
        lite.Interpreter("a.tflite", experimental_delegates=[object()])
    with pytest.raises(ValueError, match="takes no delegate"):
        lite.load_delegate("libedgetpu.so.1")


@pytest.mark.parametrize(("options", "error"), [
    ({"device": "toaster"}, kaniwa.DeviceError), ({"target": "none"}, kaniwa.ConfigError)])
def test_an_unknown_device_or_target_is_refused(options: dict[str, Any], error: type[Exception],
                                                models: Path) -> None:
    with pytest.raises(error):
        lite.Interpreter(models / "tflm_micro_speech.tflite", **options)


def test_damaged_signatures_end_in_an_error(models: Path) -> None:
    """Each byte of the tables of signatures, and what points to them, is damaged in turn."""
    data = two_signatures()
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        try:
            ours = lite.Interpreter(model_content=bytes(damaged), device="golden")
            for key in ours.get_signature_list():
                runner = ours.get_signature_runner(key)
                runner.get_input_details()
                runner.get_output_details()
        except kaniwa.Error as error:
            assert "\n" not in str(error)
