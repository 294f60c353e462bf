"""Float TFLite models through Google's quantiser for them, ai-edge-quantizer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.errors import InputError, ModelError
from kaniwa.extras import needed
from kaniwa.quantization.calibration import FloatInput, Sample
from kaniwa.quantization.errors_by_layer import (
    ActivationError,
    ActivationErrors,
    Outcome,
    WeightError,
    weight_error,
)
from kaniwa.quantization.quiet import quiet
from kaniwa.quantization.ranges import Ranges
from kaniwa.quantization.recipe import Recipe

__all__ = ["quantize_tflite", "tflite_inputs"]

Progress = Callable[[str], None]
BITS = {"int4": 4, "int8": 8, "int16": 16}


def tflite_inputs(path: Path) -> list[FloatInput]:
    """The inputs that a caller gives. Raises ModelError for a file that is no float model."""
    interpreter = _interpreter(path, path.read_bytes() if path.is_file() else b"")
    for detail in interpreter.get_tensor_details():
        if len(detail["quantization_parameters"]["scales"]):
            raise ModelError(f"{path}: is quantised already; `kaniwa compile` takes it as it is")
    return [FloatInput(detail["name"], tuple(map(int, detail["shape"])),
                       np.dtype(detail["dtype"]).name)
            for detail in interpreter.get_input_details()]


def quantize_tflite(path: Path, samples: Sequence[Sample], recipe: Recipe, compared: int,
                    progress: Progress) -> Outcome:
    """The model with integer weights and activations, and its errors over the first ``compared``
    samples.

    Raises InputError for what TFLite has no form of, ModelError where the quantiser fails.
    """
    _check(recipe)
    with needed("TFLite quantisation", "quantize"):
        from ai_edge_quantizer import quantizer
    content = path.read_bytes()
    with quiet():
        progress(f"calibrating with {len(samples)} samples")
        exact = _interpreter(path, content, every=True)
        ranges = Ranges(recipe)
        for sample in samples:
            ranges.take(_run(exact, sample))
        found = {name: {"min": _as_tensor(low, exact, name), "max": _as_tensor(high, exact, name)}
                 for name, (low, high) in ranges.found().items()}
        progress("quantising")
        try:
            given = quantizer.Quantizer(content, _own_recipe(recipe))
            done = given.quantize(found, enable_progress_bar=False, enable_progress_report=False)
        except Exception as error:    # its own kinds share no base
            raise ModelError(f"{path}: ai-edge-quantizer cannot quantise it: "
                             f"{str(error).splitlines()[0]}") from error
        data = bytes(done.quantized_model)
        progress(f"comparing {compared} samples")
        integer = _interpreter(path, data, every=True)
        return Outcome(data, _weights(exact, data, path),
                       _activations(exact, integer, samples[:compared]), len(samples))


def _check(recipe: Recipe) -> None:
    """What TFLite's int8 and int16 schemes have no form of."""
    if recipe.activations not in ("int8", "int16"):
        raise InputError(f"TFLite's activations are int8 or int16, not {recipe.activations}")
    if not recipe.symmetric_weights:
        raise InputError("TFLite's integer weights are symmetric: their zero point is 0")
    if recipe.activations == "int16" and not recipe.symmetric_activations:
        raise InputError("TFLite's int16 activations are symmetric: give --symmetric")


def _own_recipe(recipe: Recipe) -> Any:
    """The quantiser's form of it: static ranges for every operator that it knows."""
    from ai_edge_quantizer import recipe as recipes

    rules = (recipes.static_wi8_ai16 if recipe.activations == "int16"
             else recipes.static_wi8_ai8)()
    for rule in rules:
        config = rule["op_config"]
        config["activation_tensor_config"]["symmetric"] = recipe.symmetric_activations
        config["weight_tensor_config"]["num_bits"] = BITS[recipe.weights]
        config["weight_tensor_config"]["granularity"] = (
            recipes.QuantGranularity.CHANNELWISE if recipe.by_channel
            else recipes.QuantGranularity.TENSORWISE)
    return rules


def _interpreter(path: Path, content: bytes, every: bool = False) -> Any:
    with needed("TFLite quantisation", "quantize"):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    try:
        with quiet():
            interpreter = Interpreter(
                model_content=content, experimental_preserve_all_tensors=every, num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: LiteRT cannot read it: "
                         f"{str(error).strip().splitlines()[0]}") from None
    return interpreter


def _run(interpreter: Any, sample: Sample) -> dict[str, np.ndarray]:
    """Real values of the activations, by name."""
    for detail in interpreter.get_input_details():
        value = sample[detail["name"]]
        interpreter.set_tensor(detail["index"], _integers(value, detail))
    interpreter.invoke()
    constant = _constants(interpreter)
    found = {}
    for detail in interpreter.get_tensor_details():
        name = detail["name"]
        if name and name not in constant and name not in found and (
                detail["dtype"] is np.float32 or len(detail["quantization_parameters"]["scales"])):
            # A tensor that no operator gives has no values.
            with contextlib.suppress(ValueError):
                found[name] = _real(interpreter.get_tensor(detail["index"]), detail)
    return found


def _constants(interpreter: Any) -> set[str]:
    """Names of tensors that no operator writes, but for the inputs."""
    details = interpreter.get_tensor_details()
    written = {int(index) for op in interpreter._get_ops_details() for index in op["outputs"]}
    written |= {detail["index"] for detail in interpreter.get_input_details()}
    return {detail["name"] for detail in details if detail["index"] not in written}


def _integers(value: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if not scale:
        return value
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(value / scale) + zero_point, limits.min,
                   limits.max).astype(detail["dtype"])


def _real(value: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    real = (value.astype(np.float64) - zero_point) * scale if scale else value
    return np.asarray(real, np.float32)


def _as_tensor(value: float, interpreter: Any, name: str) -> np.ndarray:
    """As the quantiser has a range: of the rank of the tensor."""
    rank = next(len(detail["shape"]) for detail in interpreter.get_tensor_details()
                if detail["name"] == name)
    return np.full((1,) * rank, value, np.float32)


def _weights(exact: Any, data: bytes, path: Path) -> list[WeightError]:
    """Errors of the constants that have become int4 or int8."""
    from kaniwa.importers.tflite.importer import import_tflite

    floats = {detail["name"]: detail for detail in exact.get_tensor_details()}
    rows = []
    for tensor in import_tflite(data, path.name).tensors:
        q, detail = tensor.quantization, floats.get(tensor.name)
        if (tensor.data is None or q is None or detail is None
                or tensor.data.dtype != np.int8 or detail["dtype"] is not np.float32):
            continue
        value = exact.get_tensor(detail["index"])
        along = [1] * tensor.data.ndim
        along[q.axis or 0] = len(q.scales)
        real = tensor.data * np.reshape(q.scales, along if len(q.scales) > 1 else (1,))
        four = bool(tensor.data.min() >= -8 and tensor.data.max() <= 7)
        rows.append(weight_error(tensor.name, value, tensor.data, real, 4 if four else 8,
                                 len(q.scales)))
    return rows


def _activations(exact: Any, integer: Any, samples: Sequence[Sample]) -> list[ActivationError]:
    errors = ActivationErrors()
    for sample in samples:
        errors.take(_run(exact, sample), _run(integer, sample))
    return errors.rows([detail["name"] for detail in exact.get_tensor_details()])
