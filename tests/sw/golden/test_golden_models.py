"""Golden on the shipped models: equal to recorded vectors at every tensor, and what it refuses."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from kaniwa import golden
from kaniwa.benchmark.networks.tflite_file import ModelBuilder
from kaniwa.data.inputs import load_inputs
from kaniwa.errors import InputError, ModelError
from kaniwa.importers import load_model
from kaniwa.importers.tflite.importer import import_tflite
from kaniwa.verify.litert import verify

MODELS = [
    "mlperf_ic_resnet8",
    "mlperf_kws_dscnn",
    "mlperf_vww_mbv1_96",
    "mlperf_ad_fc_ae",
    "mlperf_sww_1d",
    "cfu_mbv2_160_035",
    "tflm_micro_speech",
    "tflm_mnist_lstm",
    "coral_mbv1_025_128_u8",
]


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_equals_the_recorded_one(models: Path, name: str) -> None:
    facts = verify(models / f"{name}.tflite", "recorded", layers=True)
    assert facts["mismatches"] == 0, facts["first_mismatch"]
    recorded = json.loads((models / "refs" / f"{name}.json").read_text())["tensors"].values()
    # LiteRT's own scratch tensors have no name, and those that only carry a scale no elements.
    assert facts["tensors"] >= len([t for t in recorded if t["name"] and 0 not in t["shape"]])


def test_resnet8_has_the_recorded_sha256_at_every_tensor(models: Path) -> None:
    """As above, without the code of ``verify``."""
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    recorded = json.loads((models / "refs/mlperf_ic_resnet8.json").read_text())["tensors"]
    arrays = np.load(models / "refs/mlperf_ic_resnet8.npz")
    values = golden.run(graph, [arrays["in0_0"]])
    for index, facts in recorded.items():
        value = values.get(int(index), graph.tensors[int(index)].data)
        assert value is not None and value.shape == tuple(facts["shape"])
        assert hashlib.sha256(value.tobytes()).hexdigest() == facts["sha256"], facts["name"]


def test_resnet8_classifies_the_ten_images(models: Path) -> None:
    graph = load_model(models / "mlperf_ic_resnet8.tflite")
    path = models / "inputs/resnet8_ten.npz"
    samples = load_inputs(path, [graph.tensors[i] for i in graph.inputs])
    outputs = [golden.run(graph, sample, keep=graph.outputs)[graph.outputs[0]][0]
               for sample in samples]
    np.testing.assert_array_equal(np.stack(outputs), np.load(path)["expected"])


def test_inputs_are_checked_by_name_shape_and_dtype(models: Path) -> None:
    graph = load_model(models / "tflm_micro_speech.tflite")
    good = np.zeros((1, 1960), np.int8)
    for inputs, message in (
        (
            [good.astype(np.int16)],
            "input 'Reshape_1': expected int8[1, 1960], found int16[1, 1960]",
        ),
        ([good[:, 1:]], "input 'Reshape_1': expected int8[1, 1960], found int8[1, 1959]"),
        ({"x": good}, "expected inputs ['Reshape_1'], found ['x']"),
        ([], "expected 1 inputs, found 0"),
    ):
        with pytest.raises(InputError) as error:
            golden.run(graph, inputs)
        assert str(error.value) == f"tflm_micro_speech.tflite: {message}"


def test_an_accumulator_beyond_int32_is_an_error() -> None:
    b = ModelBuilder()
    x = b.tensor("x", [1, 1], scale=1.0, zero_point=0)
    w = b.tensor("w", [1, 1], scale=1.0, zero_point=0, data=np.array([[127]], np.int8))
    bias = b.tensor(
        "b", [1], "int32", scale=1.0, zero_point=0, data=np.array([2**31 - 100], np.int32)
    )
    y = b.tensor("y", [1, 1], scale=1.0, zero_point=0)
    b.op("FULLY_CONNECTED", [x, w, bias], [y], FusedActivationFunction=0)
    graph = import_tflite(b.build([x], [y]), "m.tflite")
    assert golden.run(graph, [np.array([[0]], np.int8)])[y].item() == 127
    with pytest.raises(ModelError) as error:
        golden.run(graph, [np.array([[1]], np.int8)])
    assert str(error.value) == (
        "m.tflite: op 0 FULLY_CONNECTED 'y': an accumulator of 2147483675 does not fit int32"
    )
