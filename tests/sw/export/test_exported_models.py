"""Models of every kind through `export` and the C driver: the answers of a session, with state."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
from builders.bus_window import BusWindow
from builders.c_driver import CDriver, Result, build, write_model
from builders.files.onnx_models import OnnxBuilder
from builders.graphs.odd_channels import odd_network
from builders.networks.random_states import random_states

import kaniwa
from kaniwa.compiler.pipeline import compile
from kaniwa.data.inputs import quantize
from kaniwa.data.labels import dequantize
from kaniwa.driver.session import Session
from kaniwa.errors import UnsupportedError
from kaniwa.export.interface import Port, interface
from kaniwa.export.sensor import is_fed_by_sensors
from kaniwa.importers.onnx.model import import_onnx
from kaniwa.program.program import TensorInfo

STEPS = 3


class Exported:
    """``program`` behind the C driver, loaded."""

    def __init__(self, program, folder):
        self.face = interface(program, transposed=True)
        self.window = BusWindow(program.config)
        self.driver = CDriver(build(folder, [write_model(folder, program)]), self.window)
        assert self.driver.call("kaniwa_open") == Result.OK
        self.load()

    def load(self):
        assert self.driver.call("model_load") == Result.OK

    def run(self, values):
        """The outputs for ``values``, both in the order of the C function."""
        answers = [np.full(p.shape, 77, p.tensor.dtype) for p in self.face.outputs]
        values = [np.ascontiguousarray(value) for value in values]
        assert self.driver.call("model_run", *values, *answers) == Result.OK
        assert self.window.faults == []
        return answers


def random_values(face, seed):
    rng = np.random.default_rng(seed)
    for port in face.inputs:
        limits = np.iinfo(port.tensor.dtype)
        yield rng.integers(limits.min, limits.max + 1, port.tensor.shape).astype(port.tensor.dtype)


def compare(program, folder, steps=STEPS):
    """Inferences in a row, those of a session and those of the driver."""
    exported = Exported(program, folder)
    session = Session(program, kaniwa.open("emulator"))
    for step in range(steps):
        values = list(random_values(exported.face, step))
        wanted = session.run(values)
        for answer, output in zip(exported.run(values), program.outputs, strict=True):
            np.testing.assert_array_equal(answer, wanted[output.name])
    return exported


@pytest.mark.parametrize("seed", [0, 1, 4, 12, 19])
def test_random_states(tmp_path, seed):
    """State that stays on the device, and state that the driver takes from place to place."""
    program = compile(random_states(seed), "base_vector")
    exported = compare(program, tmp_path)
    assert exported.face.states
    first = exported.run(random_values(exported.face, 0))
    assert exported.driver.call("model_reset") == Result.OK
    again = Session(program, kaniwa.open("emulator")).run(list(random_values(exported.face, 0)))
    for answer, output in zip(exported.run(random_values(exported.face, 0)), program.outputs,
                              strict=True):
        np.testing.assert_array_equal(answer, again[output.name])
    exported.load()       # as at first, too
    for answer, output in zip(exported.run(random_values(exported.face, 0)), program.outputs,
                              strict=True):
        np.testing.assert_array_equal(answer, again[output.name])
    assert any((one != again[output.name]).any()
               for one, output in zip(first, program.outputs, strict=True))


def test_the_random_states_are_of_every_kind():
    states = [state for seed in (0, 1, 4, 12, 19)
              for state in interface(compile(random_states(seed), "base_vector")).states]
    assert any(state.resident for state in states)
    assert any(not state.resident and state.following is not None for state in states)


def test_state_that_never_changes(tmp_path):
    for seed in range(100):
        program = compile(random_states(seed), "base_vector")
        try:
            states = interface(program).states
        except UnsupportedError:
            continue
        if any(state.following is None for state in states):
            compare(program, tmp_path)
            return
    raise AssertionError("no random model has a state that never changes")


def test_state_that_the_host_keeps_is_refused():
    """It becomes another state, which the device may have overwritten by then."""
    with pytest.raises(UnsupportedError, match="^states: cannot be exported: the host keeps the "
                                               "state 't1'$"):
        interface(compile(random_states(5), "base_vector"))


def test_an_lstm_keeps_its_state(models, tmp_path):
    program = kaniwa.compile(models / "tflm_mnist_lstm.tflite", target="base_recurrent")
    exported = compare(program, tmp_path)
    assert [state.resident for state in exported.face.states] == [True, True]


@pytest.mark.parametrize("seed", [101, 102, 113])
def test_random_networks_of_int8_and_uint8(tmp_path, seed):
    program = compile(odd_network(seed, unsigned=seed % 2 == 1), "base", require_accelerator=True)
    compare(program, tmp_path)


@pytest.mark.slow
def test_int16(models, tmp_path):
    program = kaniwa.compile(models / "digits_transformer_int16.tflite", target="base_vector")
    compare(program, tmp_path, steps=1)


def test_output_with_gaps(tmp_path):
    """A map that is stored with gaps, given as if it were the output."""
    for seed in range(100, 116):
        program = compile(odd_network(seed), "base", require_accelerator=True)
        spaced = [t for t in program.tensors
                  if t.axes is not None and t.overwritten is None and t.channels is None]
        if spaced:
            break
    step = replace(program.steps[0], gives=(spaced[0].id,))
    program = replace(program, steps=(step,), output_ids=(spaced[0].id,), graph=None)
    exported = compare(program, tmp_path)
    assert exported.face.outputs[0].tensor.bytes > np.prod(spaced[0].shape)


def test_float_edges_are_the_callers(models, tmp_path):
    """Quantized by the header's macros they give the floats of a session."""
    program = kaniwa.compile(models / "digits_gru_qdq.onnx", target="base_recurrent")
    assert program.inputs[0].dtype == "float32"
    exported = Exported(program, tmp_path)
    (port,), (result,) = exported.face.inputs, exported.face.outputs
    assert (port.name, result.name) == ("image", "scores")
    image = np.load(models / "inputs" / "digits_gru_qdq.npz")["x"][:1]
    wanted = Session(program, kaniwa.open("emulator")).run([image])["scores"]
    value = quantize(image, port.tensor).reshape(port.tensor.shape)
    (answer,) = exported.run([value])
    np.testing.assert_array_equal(dequantize(answer, result.tensor), wanted)


def test_channels_are_where_the_model_has_them(tmp_path):
    """The device has them last; the driver, or the driver's reader, puts elements in order."""
    b = OnnxBuilder(3)
    x = b.activation((1, 3, 10, 13), 0.02)
    y = b.quantized(b.node("Conv", [x, b.weights((5, 3, 3, 3))]), 0.05)
    program = compile(import_onnx(b.model(y), "channels.onnx"), "base")
    exported = Exported(program, tmp_path)
    (port,), (result,) = exported.face.inputs, exported.face.outputs
    assert (port.shape, result.shape) == ((1, 3, 10, 13), (1, 5, 8, 11))
    assert port.tensor.shape[-1] == 3 and result.tensor.shape[-1] == 5
    session = Session(program, kaniwa.open("emulator"))
    for seed in range(STEPS):
        image = np.random.default_rng(seed).normal(size=port.shape).astype(np.float32)
        (wanted,) = session.run([image]).values()
        (answer,) = exported.run([quantize(image, port.tensor)])
        np.testing.assert_array_equal(dequantize(answer, result.tensor), wanted)
    assert not is_fed_by_sensors(exported.face)
    with pytest.raises(UnsupportedError, match="the host would run TRANSPOSE"):
        interface(program)


def test_what_joins_results_at_the_edge_is_the_devices(tmp_path):
    """As detectors join those of their scales: the host would do it as it reads them."""
    b = OnnxBuilder(4)
    x = b.activation((1, 3, 9, 8), 0.02)
    parts = [b.quantized(b.node("Conv", [x, b.weights((4, 3, 3, 3))]), 0.05) for _ in range(2)]
    y = b.quantized(b.node("Concat", parts, axis=2), 0.05)
    graph = import_onnx(b.model(y), "joined.onnx")
    with pytest.raises(UnsupportedError, match="the host would run CONCATENATION"):
        interface(compile(graph, "base"), transposed=True)
    program = compile(graph, "base", moves_on_device=True)
    exported = Exported(program, tmp_path)
    (port,), session = exported.face.inputs, Session(program, kaniwa.open("emulator"))
    image = np.random.default_rng(1).normal(size=port.shape).astype(np.float32)
    (wanted,) = session.run([image]).values()
    (answer,) = exported.run([quantize(image, port.tensor)])
    np.testing.assert_array_equal(dequantize(answer, exported.face.outputs[0].tensor), wanted)


def test_other_orders_of_wider_elements():
    """The bytes of an element are its last axis."""
    tensor = TensorInfo(0, "p", (2, 3, 4), "int16", None, None, 64, "input", 0, -1, None)
    port = Port("p", tensor, True, (1, 2, 0))
    assert port.shape == (4, 2, 3) and port.axes == ((2, 6), (3, 2), (4, 12), (2, 1))
    port = replace(port, is_input=False)
    assert port.shape == (3, 4, 2) and port.axes == ((3, 8), (4, 2), (2, 24), (2, 1))


FLOATS = """
#include "model.h"
int quantized(double value);
float real(int value);
int quantized(double value) { return MODEL_IMAGE_QUANTIZE(value); }
float real(int value) { return MODEL_SCORES_DEQUANTIZE(value); }
"""


def test_float_helpers_are_the_hosts_numbers(models, tmp_path):
    program = kaniwa.compile(models / "digits_gru_qdq.onnx", target="base_recurrent")
    face = interface(program)
    path = write_model(tmp_path, program)
    (tmp_path / "floats.c").write_text(FLOATS)
    c = ctypes.CDLL(str(build(tmp_path, [path, tmp_path / "floats.c"], ["-DKANIWA_FLOAT"])))
    c.quantized.argtypes, c.real.restype = [ctypes.c_double], ctypes.c_float
    scale = face.inputs[0].tensor.scale
    reals = np.concatenate([np.arange(-600, 600) * scale / 2, [1e30, -1e30, 1e308, -1e308, 0.0]])
    wanted = quantize(reals, face.inputs[0].tensor)
    assert [c.quantized(real) for real in reals] == wanted.tolist()
    assert c.quantized(float("inf")) == 127 and c.quantized(float("-inf")) == -128
    values = np.arange(-128, 128, dtype=np.int8)
    assert [c.real(int(v)) for v in values] == dequantize(values, face.outputs[0].tensor).tolist()
