"""diff names the first stored value on which two devices disagree."""

import numpy as np
import pytest
from builders.graphs.cell_case import inputs_of, random_cell
from builders.networks.random_mixed import random_mixed
from builders.networks.random_wide import random_wide

from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import recorded_inputs
from kaniwa.driver import devices
from kaniwa.driver.devices import EmulatorDevice
from kaniwa.errors import InputError
from kaniwa.verify.diff import diff

MODEL = "mlperf_ic_resnet8.tflite"


@pytest.fixture(scope="module", params=[False, True], ids=["fused", "materialized"])
def program(request, models):
    return compile(models / MODEL, target="base", materialize=request.param)


@pytest.fixture
def inputs(program, models):
    return recorded_inputs(models / MODEL, program.inputs)[0]


class Faulty(EmulatorDevice):
    """Computes channel 0 of one instruction wrong, as a broken core would."""

    name = "faulty"

    def __init__(self, instruction):
        super().__init__()
        self.instruction = instruction

    def run(self, program_address, tags=()):
        emulator = self._emulator
        prepared = (emulator._programs.get(program_address)
                    or emulator._prepare(program_address))
        biases = [layer.bias for layer in prepared.steps[self.instruction:][:1]]
        for bias in biases:
            bias[0] += 1 << 16
        statistics = super().run(program_address)
        for bias in biases:
            bias[0] -= 1 << 16
        return statistics


def test_same_devices_agree(program, inputs):
    result = diff(program, ["emulator", "emulator"], inputs)
    stored = [t for t in program.tensors if t.address is not None and t.kind != "input"]
    assert result == {"devices": ["emulator", "emulator"], "tensors": len(stored),
                      "first_difference": None}


@pytest.mark.parametrize("instruction", [0, 2, 5, 9])
def test_first_difference_is_named(program, inputs, instruction):
    with devices.open("emulator") as good, Faulty(instruction) as bad:
        good.load_target(program.config)
        bad.load_target(program.config)
        result = diff(program, [good, bad], inputs)
    found = result["first_difference"]
    assert result["devices"] == ["emulator", "faulty"]
    assert found["instruction"] == instruction
    layer = next(x for x in program.layers if instruction in x.instructions)
    assert found["layer"] == layer.name
    tensor = next(t for t in program.tensors if t.name == found["tensor"])
    assert tensor.ready == instruction
    assert found["index"][-1] == 0
    assert found["values"]["emulator"] != found["values"]["faulty"]
    assert 0 < found["different"] <= found["elements"] == np.prod(tensor.shape)


def test_two_devices_are_needed(program, inputs):
    with pytest.raises(InputError, match="expected two devices, found 1"):
        diff(program, ["emulator"], inputs)


@pytest.mark.parametrize("name", ["digits_transformer_qdq.onnx", "digits_transformer_int16.tflite",
                                  "tflm_mnist_lstm.tflite", "digits_gru_qdq.onnx"])
def test_what_programs_of_the_vector_unit_write_is_known(name, models):
    program = compile(models / name, target="base_vector")
    inputs = recorded_inputs(models / name, program.inputs)[0]
    assert diff(program, ["golden", "emulator"], inputs)["first_difference"] is None


def test_every_stored_tensor_of_random_cells_equals_golden():
    for seed in range(20):
        graph = random_cell(seed)
        inputs = {name: value.astype(np.int8) for name, value in inputs_of(graph, seed)[0].items()}
        result = diff(compile(graph, "base_vector"), ["golden", "emulator"], inputs)
        assert result["first_difference"] is None, seed


@pytest.mark.parametrize("make", [random_mixed, random_wide])
def test_every_stored_tensor_of_random_networks_equals_golden(make):
    for seed in range(20):
        graph = make(seed)
        x = graph.tensors[graph.inputs[0]]
        limits, rng = np.iinfo(x.dtype), np.random.default_rng(seed)
        value = rng.integers(limits.min, limits.max + 1, x.shape).astype(x.dtype)
        result = diff(compile(graph, "base_vector"), ["golden", "emulator"], {x.name: value})
        assert result["first_difference"] is None, seed
