"""Small float models, and samples to calibrate with."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kaniwa.benchmark.networks.tflite_file import ACTIVATION, PADDING, ModelBuilder

SIDE, CHANNELS, CLASSES = 12, 8, 5


@pytest.fixture(scope="package")
def float_onnx(tmp_path_factory) -> Path:
    """Conv, BatchNormalization, Relu, Gemm over [1, 1, 12, 12]."""
    rng = np.random.default_rng(1)
    half = SIDE // 2
    values = {"kernel": rng.normal(size=(CHANNELS, 1, 3, 3)), "bias": rng.normal(size=CHANNELS),
              "gamma": rng.uniform(0.5, 2, CHANNELS), "beta": rng.normal(size=CHANNELS),
              "mean": rng.normal(size=CHANNELS), "variance": rng.uniform(0.5, 2, CHANNELS),
              "dense": rng.normal(0, 0.1, (CLASSES, CHANNELS * half * half))}
    graph = helper.make_graph([
        helper.make_node("Conv", ["image", "kernel", "bias"], ["mixed"], pads=[1] * 4,
                         strides=[2, 2]),
        helper.make_node("BatchNormalization",
                         ["mixed", "gamma", "beta", "mean", "variance"], ["normal"]),
        helper.make_node("Relu", ["normal"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense"], ["scores"], transB=1)], "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name)
         for name, value in values.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("float") / "small.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="package")
def float_tflite(tmp_path_factory) -> Path:
    """CONV_2D with RELU, RESHAPE, FULLY_CONNECTED over [1, 12, 12, 1]."""
    rng = np.random.default_rng(2)
    half = SIDE // 2
    flat = CHANNELS * half * half
    b = ModelBuilder()

    def constant(name, values):
        return b.tensor(name, values.shape, str(values.dtype), data=values)

    def floats(name, *shape, deviation=1.0):
        return constant(name, rng.normal(0, deviation, shape).astype(np.float32))

    image = b.tensor("image", (1, SIDE, SIDE, 1), "float32")
    positive = b.tensor("positive", (1, half, half, CHANNELS), "float32")
    b.op("CONV_2D", (image, floats("kernel", CHANNELS, 3, 3, 1), floats("bias", CHANNELS)),
         (positive,), Padding=PADDING["SAME"], StrideH=2, StrideW=2, DilationHFactor=1,
         DilationWFactor=1, FusedActivationFunction=ACTIVATION["RELU"])
    row = b.tensor("row", (1, flat), "float32")
    b.op("RESHAPE", (positive, constant("shape", np.array([1, flat], np.int32))), (row,),
         NewShape=[1, flat])
    scores = b.tensor("scores", (1, CLASSES), "float32")
    b.op("FULLY_CONNECTED", (row, floats("dense", CLASSES, flat, deviation=0.1),
                             floats("offset", CLASSES)), (scores,))
    path = tmp_path_factory.mktemp("float") / "small.tflite"
    path.write_bytes(b.build((image,), (scores,)))
    return path


@pytest.fixture(scope="package")
def samples(tmp_path_factory) -> dict[str, Path]:
    """Samples for each of the two, by suffix."""
    images = np.random.default_rng(3).normal(size=(24, SIDE, SIDE)).astype(np.float32)
    paths = {}
    for suffix, axis in ((".onnx", 1), (".tflite", 3)):
        paths[suffix] = tmp_path_factory.mktemp("samples") / "samples.npz"
        np.savez(paths[suffix], image=np.expand_dims(images, axis))
    return paths
