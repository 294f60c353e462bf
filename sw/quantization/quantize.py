"""A float model in, a quantised one and its errors out: by the quantiser of its framework."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from os import PathLike
from pathlib import Path

from kaniwa.data.arguments import expect, file_path
from kaniwa.errors import InputError, ModelError
from kaniwa.quantization.calibration import FloatInput, load_samples
from kaniwa.quantization.errors_by_layer import Outcome
from kaniwa.quantization.recipe import Progress, Recipe

__all__ = ["float_inputs", "quantize"]


def quantize(model: str | PathLike[str], calibration: str | PathLike[str],
             recipe: Recipe | None = None,
             limit: int | None = None, compared: int = 16,
             progress: Progress = lambda text: None) -> Outcome:
    """Quantise a float32 .onnx or .tflite file with the samples in the .npz file ``calibration``.

    ``limit``: samples to calibrate with, all by default; errors are those over the first
    ``compared`` of them. Raises ModelError for a file that is no float model or cannot be
    quantised, InputError for samples that do not fit it and for a recipe that it has no form of,
    UnsupportedError without the extra ``quantize``.
    """
    recipe = recipe or Recipe()
    model, calibration = file_path("model", model), file_path("calibration", calibration)
    if expect("compared", compared, Integral) < 1:
        raise InputError(f"compared: expected one sample at least, found {compared}")
    inputs = float_inputs(model)
    if not inputs:
        raise InputError(f"{model}: has no inputs to calibrate")
    if model.suffix == ".onnx":
        from kaniwa.quantization.onnx_runtime import quantize_onnx as by_framework
    else:
        from kaniwa.quantization.litert import quantize_tflite as by_framework
    samples = load_samples(calibration, inputs, limit)
    outcome = by_framework(model, samples, recipe, min(compared, len(samples)), progress)
    return replace(outcome, shapes={of.name: samples[0][of.name].shape for of in inputs
                                    if None in of.shape})


def float_inputs(model: Path) -> list[FloatInput]:
    """What a float32 .onnx or .tflite file has to be calibrated with. Raises ModelError for a file
    that is no float model."""
    if model.suffix == ".onnx":
        from kaniwa.quantization.onnx_runtime import onnx_inputs as inputs_of
    elif model.suffix == ".tflite":
        from kaniwa.quantization.litert import tflite_inputs as inputs_of
    else:
        raise ModelError(f"{model}: a float model is a .onnx or a .tflite file")
    return inputs_of(model)
