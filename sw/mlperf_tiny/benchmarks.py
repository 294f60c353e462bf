"""The five benchmarks of MLPerf Tiny: model, bytes of an input, answer, and quality target.

Sources, all of the repository mlcommons/tiny: ``benchmark/MLPerfTiny_Rules.adoc`` (version 1.2)
for the quality targets; ``benchmark/evaluation/datasets/README.md`` for the forms of inputs and
the sizes of the accuracy sets; ``benchmark/reference_submissions/`` for what a device does with
the bytes of an input, and what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kaniwa.data.inputs import quantize
from kaniwa.data.labels import dequantize
from kaniwa.errors import InputError

__all__ = ["BENCHMARKS", "Benchmark", "find_benchmark"]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark. ``name`` is what a device answers to ``profile``.

    ``model`` and ``data``: the shipped files, of ``models/``; ``data`` is "" where none has
    labels. ``form``: of an input on the line, "int8", "uint8" (the model takes x - 128) or
    "float32" (little endian, quantized on the device). ``quality``: "top-1" or "AUC", "" where it
    cannot be had from single inferences. ``target``: the closed division's, of ``quality``.
    ``official``: samples of the accuracy set. ``whole``: ``data`` has all of them.
    """

    name: str
    title: str
    model: str
    form: str
    quality: str
    target: float | None
    official: int
    data: str = ""
    whole: bool = False

    def input_bytes(self, tensor: Any) -> int:
        """Bytes of an input on the line."""
        return int(np.prod(tensor.shape)) * np.dtype(self.form).itemsize

    def encode(self, values: np.ndarray) -> bytes:
        """The line's bytes of an input: int8 as the model takes it, or real numbers."""
        if self.form == "float32":
            return values.astype("<f4").tobytes()
        values = values.astype(np.int8, casting="equiv")
        return (values.view(np.uint8) ^ np.uint8(128) if self.form == "uint8" else values).tobytes()

    def decode(self, data: bytes, tensor: Any) -> np.ndarray:
        """The model's input of the line's bytes. Raises InputError for numbers not finite."""
        if self.form == "float32":
            real = self.real(data)
            if not np.isfinite(real).all():
                raise InputError("expected finite numbers, found inf or nan")
            return quantize(real, tensor).reshape(tensor.shape)
        values = np.frombuffer(data, np.uint8)
        values = values ^ np.uint8(128) if self.form == "uint8" else values
        return values.view(np.int8).reshape(tensor.shape)

    def answer(self, data: bytes, output: np.ndarray, tensor: Any) -> list[float]:
        """What the device answers: the real outputs, or of an autoencoder its error.

        The error is the mean of the squared differences of output and input, real numbers both.
        """
        real = np.ravel(dequantize(output, tensor)).astype(np.float64)
        if self.form != "float32":
            return [float(value) for value in real]
        return [float(np.mean((real - self.real(data)) ** 2))]

    def check(self, program: Any) -> None:
        """Raise InputError unless ``program`` has the one input and output that this needs."""
        inputs, outputs = program.inputs, program.outputs
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].dtype != "int8":
            raise InputError(f"{program.name}: {self.name} needs a model with one input of int8 "
                             "and one output")
        if self.form == "float32" and inputs[0].shape != outputs[0].shape:
            raise InputError(f"{program.name}: {self.name} needs a model whose output has the "
                             "shape of its input")

    @staticmethod
    def real(data: bytes) -> np.ndarray:
        """The numbers of an input in the form float32, as float64."""
        return np.frombuffer(data, "<f4").astype(np.float64)


BENCHMARKS = {benchmark.name: benchmark for benchmark in (
    Benchmark("ad01", "anomaly detection", "mlperf_ad_fc_ae", "float32", "AUC", 0.85, 248),
    Benchmark("ic01", "image classification", "mlperf_ic_resnet8", "uint8", "top-1", 0.85, 200,
              "resnet8_ten.npz"),
    Benchmark("kws01", "keyword spotting", "mlperf_kws_dscnn", "int8", "top-1", 0.90, 1000,
              "kws01_1000.npz", whole=True),
    Benchmark("vww01", "visual wake words", "mlperf_vww_mbv1_96", "uint8", "top-1", 0.80, 1000,
              "pictures"),
    Benchmark("sww01", "streaming wakeword", "mlperf_sww_1d", "int8", "", None, 0),
)}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises InputError listing all."""
    if name not in BENCHMARKS:
        raise InputError(f"no benchmark '{name}': give {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]
