"""The InferenceSession against ONNX Runtime's: the same facts, answers and errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import kaniwa
from kaniwa.compat import errors
from kaniwa.driver.devices import EmulatorDevice

MODELS = ("digits_gru_qdq", "digits_transformer_qdq", "onnx_mlperf_ic_qdq", "pytorch_shapes_qdq")
# Softmax is float32 there; all else of these models is equal to the bit.
TOLERANCE = {"onnx_mlperf_ic_qdq": 1e-6}
RESNET = "onnx_mlperf_ic_qdq.onnx"


def theirs(model: Path | bytes, **keywords: Any) -> onnxruntime.InferenceSession:
    """ONNX Runtime's session, which computes in the model's own steps."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, **keywords)


def noise(session: Any, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {taken.name: generator.uniform(0, 1, taken.shape).astype(np.float32)
            for taken in session.get_inputs()}


@pytest.mark.parametrize("name", MODELS)
def test_inputs_outputs_and_metadata_are_those_of_onnx_runtime(name: str, models: Path) -> None:
    path = models / f"{name}.onnx"
    ours, reference = kaniwa.InferenceSession(path, device="golden"), theirs(path)
    assert [str(arg) for arg in (*ours.get_inputs(), *ours.get_outputs())] == [
        str(arg) for arg in (*reference.get_inputs(), *reference.get_outputs())]
    found, expected = ours.get_modelmeta(), reference.get_modelmeta()
    for key in ("producer_name", "graph_name", "domain", "description", "graph_description",
                "version", "custom_metadata_map"):
        assert getattr(found, key) == getattr(expected, key), key


def test_all_models_are_compared(models: Path) -> None:
    assert {path.stem for path in models.glob("*.onnx")} == set(MODELS)


@pytest.mark.parametrize("device", ["golden", "emulator"])
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_onnx_runtime(name: str, device: str, models: Path) -> None:
    path = models / f"{name}.onnx"
    with kaniwa.InferenceSession(path, device=device) as ours:
        reference = theirs(path)
        for seed in range(2):
            for got, expected in zip(ours.run(None, noise(ours, seed)),
                                     reference.run(None, noise(ours, seed)), strict=True):
                assert got.dtype == expected.dtype and got.flags.writeable
                np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE.get(name, 0))


def test_a_list_of_numbers_and_bytes_are_taken(models: Path) -> None:
    path = models / "pytorch_shapes_qdq.onnx"
    ours = kaniwa.InferenceSession(path.read_bytes())
    feed = noise(ours)
    lists = {name: value.tolist() for name, value in feed.items()}
    np.testing.assert_array_equal(ours.run([], lists)[0], ours.run(["scores"], feed)[0])
    assert len(ours.run(["scores", "scores"], feed)) == 2


def test_open_dimensions_have_their_names() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    scale = helper.make_tensor("s", TensorProto.FLOAT, [], [0.1])
    zero = helper.make_tensor("z", TensorProto.INT8, [], [3])
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("Relu", ["d"], ["r"]),
             helper.make_node("QuantizeLinear", ["r", "s", "z"], ["t"]),
             helper.make_node("DequantizeLinear", ["t", "s", "z"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y], [scale, zero]),
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data = model.SerializeToString()
    assert onnx.load_model_from_string(data).graph.name == "g"
    ours, reference = kaniwa.InferenceSession(data), theirs(data)
    assert str(ours.get_inputs()[0]) == str(reference.get_inputs()[0])
    assert str(ours.get_outputs()[0]) == str(reference.get_outputs()[0])
    feed = {"x": np.array([[-1, 0.25, 3, 100]], np.float32)}
    np.testing.assert_array_equal(ours.run(None, feed)[0], reference.run(None, feed)[0])
    with pytest.raises(errors.InvalidArgument, match=r"float32\[1, 4\], found float32\[2, 4\]"):
        ours.run(None, {"x": np.zeros((2, 4), np.float32)})


@pytest.mark.parametrize(("providers", "options", "device", "names"), [
    (None, None, "emulator", ["KaniwaExecutionProvider", "CPUExecutionProvider"]),
    (["KaniwaExecutionProvider"], [{"device": "golden", "target": "small"}], "golden",
     ["CPUExecutionProvider"]),
    ([("KaniwaExecutionProvider", {"target": "small"}), "CPUExecutionProvider"], None, "emulator",
     ["KaniwaExecutionProvider", "CPUExecutionProvider"]),
    (["CPUExecutionProvider"], None, "golden", ["CPUExecutionProvider"]),
])
def test_providers_name_the_device(providers: Any, options: Any, device: str, names: list[str],
                                   models: Path) -> None:
    ours = kaniwa.InferenceSession(models / "pytorch_shapes_qdq.onnx", None, providers, options)
    assert ours.get_providers() == names
    if device == "emulator":
        assert ours.get_provider_options()["KaniwaExecutionProvider"]["device"] == device
    assert ours.program.config.name == ("small" if "small" in str((providers, options)) else "base")


def test_keywords_go_before_providers_and_others_are_passed_over(models: Path) -> None:
    path = models / "pytorch_shapes_qdq.onnx"
    ours = kaniwa.InferenceSession(path, providers=["CPUExecutionProvider"], device="emulator")
    assert ours.get_providers()[0] == "KaniwaExecutionProvider"
    with pytest.warns(UserWarning, match="no provider 'CUDAExecutionProvider'"):
        ours.set_providers(["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert kaniwa.get_available_providers() == ["KaniwaExecutionProvider", "CPUExecutionProvider"]
    assert kaniwa.get_device() == "KANIWA"


def test_set_providers_changes_the_device(models: Path) -> None:
    ours = kaniwa.InferenceSession(models / "pytorch_shapes_qdq.onnx")
    before = ours.run(None, noise(ours))
    ours.set_providers(["CPUExecutionProvider"])
    assert ours.get_providers() == ["CPUExecutionProvider"]
    np.testing.assert_array_equal(ours.run(None, noise(ours)), before)


def test_options_are_kept() -> None:
    for ours, reference in ((kaniwa.SessionOptions(), onnxruntime.SessionOptions()),
                            (kaniwa.RunOptions(), onnxruntime.RunOptions())):
        for name in dir(reference):
            value = getattr(reference, name)
            if not name.startswith("_") and not callable(value) and name != "execution_order":
                assert getattr(ours, name) == (
                    int(value) if hasattr(value, "__members__") else value), name
        with pytest.raises(AttributeError):
            ours.unknown = 3    # type: ignore[union-attr]
    options = kaniwa.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.load_model_format", "ONNX")
    assert options.get_session_config_entry("session.load_model_format") == "ONNX"
    assert options.intra_op_num_threads == 2
    with pytest.raises(errors.Fail, match="no setting"):
        options.get_session_config_entry("none")
    assert {m.name: m.value for m in kaniwa.GraphOptimizationLevel} == {
        name: member.value for name, member in
        onnxruntime.GraphOptimizationLevel.__members__.items()}


def test_a_session_keeps_its_options(models: Path) -> None:
    options = kaniwa.SessionOptions(intra_op_num_threads=1)
    ours = kaniwa.InferenceSession(models / "pytorch_shapes_qdq.onnx", options)
    assert ours.get_session_options() is options


def test_an_open_device_is_used_and_left_open(models: Path) -> None:
    with EmulatorDevice("small") as device:
        with kaniwa.InferenceSession(models / "pytorch_shapes_qdq.onnx", device=device) as ours:
            ours.run(None, noise(ours))
            assert ours.statistics is not None and ours.statistics.cycles > 0
        assert device.config is not None
        with pytest.raises(kaniwa.DeviceError, match="is closed"):
            ours.run(None, noise(ours))


@pytest.mark.rtl
def test_the_simulated_core_gives_the_same(models: Path) -> None:
    path = models / "pytorch_shapes_qdq.onnx"
    with kaniwa.InferenceSession(path, device="sim", target="nano") as ours:
        np.testing.assert_array_equal(ours.run(None, noise(ours)),
                                      theirs(path).run(None, noise(ours)))


ZEROS = np.zeros((1, 32, 32, 3), np.float32)
RUNS: dict[str, Callable[[Any], Any]] = {
    "no input": lambda s: s.run(None, {}),
    "another input": lambda s: s.run(None, {"none": ZEROS}),
    "one input too many": lambda s: s.run(None, {"input_1": ZEROS, "none": ZEROS}),
    "no such output": lambda s: s.run(["none"], {"input_1": ZEROS}),
    "double": lambda s: s.run(None, {"input_1": ZEROS.astype(np.float64)}),
    "dimensions": lambda s: s.run(None, {"input_1": ZEROS[0]}),
    "batch": lambda s: s.run(None, {"input_1": np.concatenate([ZEROS, ZEROS])}),
    "size": lambda s: s.run(None, {"input_1": ZEROS[:, :, :-1]}),
    "run options": lambda s: s.run(None, {"input_1": ZEROS}, 7),
}
CONSTRUCTED: dict[str, Callable[[Any, Path], Any]] = {
    "nothing": lambda make, models: make(),
    "no file": lambda make, models: make("none.onnx"),
    "text file": lambda make, models: make(models / "README.md"),
    "bytes": lambda make, models: make(b"xxxx"),
    "no bytes": lambda make, models: make(b""),
    "path of a wrong type": lambda make, models: make(3),
    "options of a wrong type": lambda make, models: make(models / RESNET, 3),
}


def refused(act: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as found:
        act()
    return found.value


def assert_the_same_kind(ours: BaseException, reference: BaseException) -> None:
    """ONNX Runtime's own classes have no base: ours has the name."""
    kind = type(reference)
    if kind.__module__.startswith("onnxruntime"):
        assert type(ours).__name__ == kind.__name__, f"{ours!r} for {reference!r}"
    else:
        assert isinstance(ours, kind), f"{ours!r} for {reference!r}"
    assert "\n" not in str(ours)


@pytest.mark.parametrize("what", RUNS)
def test_what_is_wrong_is_refused_as_onnx_runtime_does(what: str, models: Path) -> None:
    path = models / RESNET
    ours, reference = (refused(lambda each=each: RUNS[what](each)) for each in (
        kaniwa.InferenceSession(path, device="golden"), theirs(path)))
    assert_the_same_kind(ours, reference)
    assert isinstance(ours, kaniwa.Error)


@pytest.mark.parametrize("what", CONSTRUCTED)
def test_what_cannot_be_opened_is_refused_as_onnx_runtime_does(what: str, models: Path) -> None:
    ours, reference = (refused(lambda make=make: CONSTRUCTED[what](make, models))
                       for make in (kaniwa.InferenceSession, onnxruntime.InferenceSession))
    assert_the_same_kind(ours, reference)
    assert isinstance(ours, kaniwa.Error) or what == "nothing"


@pytest.mark.parametrize(("providers", "options", "said"), [
    ("CPUExecutionProvider", None, "must be a list"),
    ([3], None, "a name or"),
    (["KaniwaExecutionProvider"], [], "a list of 1 dicts"),
    (["KaniwaExecutionProvider"], [{"speed": 3}], "no option 'speed'"),
])
def test_providers_of_a_wrong_form_are_refused(providers: Any, options: Any, said: str,
                                               models: Path) -> None:
    with pytest.raises(ValueError, match=said) as found:
        kaniwa.InferenceSession(models / RESNET, providers=providers, provider_options=options)
    assert isinstance(found.value, kaniwa.Error)


@pytest.mark.parametrize(("keywords", "error"), [
    ({"device": "toaster"}, kaniwa.DeviceError), ({"target": "none"}, kaniwa.ConfigError),
    ({"target": "nano", "outside": "ideal"}, errors.Fail), ({"colour": 3}, TypeError)])
def test_an_unknown_device_target_or_keyword_is_refused(
        keywords: dict[str, Any], error: type[Exception], models: Path) -> None:
    with pytest.raises(error) as found:
        kaniwa.InferenceSession(models / RESNET, **keywords)
    assert "\n" not in str(found.value)


def test_a_float_model_is_refused_in_one_line() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 2], [1.0] * 8)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y],
                              [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(kaniwa.UnsupportedError, match="quantise the model to int8") as found:
        kaniwa.InferenceSession(model.SerializeToString())
    assert type(found.value) is errors.ModelNotSupported and "\n" not in str(found.value)


def test_a_model_with_a_damaged_graph_is_refused(models: Path) -> None:
    model = onnx.load(models / "pytorch_shapes_qdq.onnx")
    del model.graph.initializer[0]
    with pytest.raises(errors.InvalidGraph) as found:
        kaniwa.InferenceSession(model.SerializeToString())
    assert "\n" not in str(found.value)
