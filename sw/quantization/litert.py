"""Float TFLite models through Google's quantiser for them, ai-edge-quantizer."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import Inputs, quantize
from kaniwa.errors import InputError, ModelError
from kaniwa.extras import needed
from kaniwa.quantization.calibration import FloatInput
from kaniwa.quantization.custom_operators import as_builtin
from kaniwa.quantization.errors_by_layer import (
    ActivationErrors,
    Outcome,
    WeightError,
    weight_error,
)
from kaniwa.quantization.finite import check_finite
from kaniwa.quantization.quiet import quiet
from kaniwa.quantization.ranges import Ranges
from kaniwa.quantization.recipe import Progress, Recipe
from kaniwa.quantization.tidied import tidied

__all__ = ["quantize_tflite", "tflite_inputs"]

BITS = {"int4": 4, "int8": 8}


def tflite_inputs(path: Path) -> list[FloatInput]:
    """The inputs that a caller gives. Raises ModelError for a file that is no float model."""
    model = _Model(path, _read(path))
    if model.has_quantized_activations:
        raise ModelError(f"{path}: is quantised already; `kaniwa compile` takes it as it is")
    return [FloatInput(tensor.name, tensor.shape, tensor.dtype) for tensor in model.inputs]


def quantize_tflite(path: Path, samples: Inputs, recipe: Recipe, compared: int,
                    progress: Progress) -> Outcome:
    """The model with integer weights and activations, and its errors over the first ``compared``
    samples.

    Raises InputError for what TFLite has no form of, ModelError where the quantiser fails.
    """
    _check(recipe)
    with needed("TFLite quantisation", "quantize"):
        from ai_edge_quantizer import quantizer
    content = _read(path)
    with quiet():
        progress(f"calibrating with {len(samples)} samples")
        given = _Model(path, content)
        given.run(next(iter(samples)))
        plain = tidied(content, given.value, given.real)
        exact = given if plain is content else _Model(path, plain)
        recipe.check_found(name for _, results in exact.operators for name in results)
        for name, values in exact.constants():
            check_finite(path, name, values)
        ranges = Ranges(recipe)
        for sample in samples:
            ranges.take(exact.run(sample))
        found = {name: {which: np.full((1,) * len(exact.tensors[name].shape), value, np.float32)
                        for which, value in zip(("min", "max"), ends, strict=True)}
                 for name, ends in ranges.found().items()}
        progress("quantising")
        try:
            own = quantizer.Quantizer(plain, _own_recipe(recipe, exact))
            # One of its bars minds no argument.
            with contextlib.redirect_stderr(io.StringIO()):
                done = own.quantize(found, enable_progress_bar=False, enable_progress_report=False)
        except Exception as error:    # its own kinds share no base
            raise ModelError(f"{path}: ai-edge-quantizer cannot quantise it: "
                             f"{str(error).splitlines()[0]}") from error
        data = bytes(done.quantized_model)
        progress(f"comparing {compared} samples")
        integer, errors = _Model(path, data), ActivationErrors()
        for sample in samples[:compared]:
            errors.take(exact.run(sample), integer.run(sample))
        return Outcome(data, list(_weights(exact, integer, data)), errors.rows([*exact.tensors]),
                       len(samples))


def _check(recipe: Recipe) -> None:
    """What TFLite's int8 and int16 schemes have no form of."""
    if recipe.activations not in ("int8", "int16"):
        raise InputError(f"TFLite's activations are int8 or int16, not {recipe.activations}")
    if not recipe.symmetric_weights:
        raise InputError("TFLite's integer weights are symmetric: their zero point is 0")
    if recipe.activations == "int16" and not recipe.symmetric_activations:
        raise InputError("TFLite's int16 activations are symmetric: give --symmetric")


def _own_recipe(recipe: Recipe, model: _Model) -> Any:
    """The quantiser's form of it: static ranges for every operator that it knows, but for those
    that stay in float32, and for inputs that only these read."""
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
    kept = [results for _, results in model.operators if recipe.stays_in_float(results)]
    for tensor in model.inputs:
        readers = [results for read, results in model.operators if tensor.name in read]
        if readers and all(results in kept for results in readers):
            kept.append([tensor.name])
    # The last rule that fits counts. The quantiser's name of an operator is its results' names.
    return [*rules, *({**rules[0], "regex": f"^{re.escape(''.join(f'{name};' for name in names))}$",
                       "algorithm_key": "no_quantize"} for names in kept)]


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(f"{path}: no such file")
    return as_builtin(path.read_bytes(), str(path))


class _Tensor:
    """A tensor as LiteRT describes it; ``scale`` is None where its values are real."""

    def __init__(self, detail: dict[str, Any]) -> None:
        self.name, self.index = str(detail["name"]), int(detail["index"])
        self.shape = tuple(map(int, detail["shape"]))
        self.dtype = np.dtype(detail["dtype"]).name
        steps = detail["quantization_parameters"]    # of a channel each, which only constants have
        self.scales, zero_points = steps["scales"], steps["zero_points"]
        self.scale = float(self.scales[0]) if len(self.scales) else None
        self.zero_point = int(zero_points[0]) if len(self.scales) else 0
        self._axis = int(steps["quantized_dimension"])

    def real(self, values: np.ndarray) -> np.ndarray:
        """What its values stand for."""
        if self.scale is None:
            return values
        along = [1] * values.ndim
        if len(self.scales) > 1:
            along[self._axis] = len(self.scales)
        steps = self.scales.astype(np.float64).reshape(along)
        return np.asarray((values.astype(np.float64) - self.zero_point) * steps, np.float32)


class _Model:
    """A model on LiteRT's own kernels, with all tensors kept.

    ``tensors`` by name; ``activations`` are those of real or quantised values that are computed or
    given.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        with needed("TFLite quantisation", "quantize"):
            from ai_edge_litert.interpreter import Interpreter, OpResolverType

        try:
            with quiet():
                self._interpreter = Interpreter(
                    model_content=content, experimental_preserve_all_tensors=True, num_threads=1,
                    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: LiteRT cannot read it: "
                             f"{str(error).strip().splitlines()[0]}") from None
        details = self._interpreter.get_tensor_details()
        self.tensors: dict[str, _Tensor] = {}
        for detail in details:
            if detail["name"]:
                self.tensors.setdefault(detail["name"], _Tensor(detail))
        self.inputs = [_Tensor(detail) for detail in self._interpreter.get_input_details()]
        self._operators = operators = self._interpreter._get_ops_details()
        self._read = {int(index) for op in operators for index in op["inputs"]}
        self._written = {int(index) for op in operators
                         for index in op["outputs"]} | {tensor.index for tensor in self.inputs}
        self._activations = [tensor for tensor in self.tensors.values()
                             if tensor.index in self._written
                             and (tensor.dtype == "float32" or tensor.scale is not None)]

    @property
    def has_quantized_activations(self) -> bool:
        """True where what is given or computed is quantised, not only weights."""
        return any(tensor.scale is not None and tensor.index in self._written
                   for tensor in self.tensors.values())

    def run(self, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Real values of the activations, by name."""
        for tensor in self.inputs:
            value = sample[tensor.name]
            self._interpreter.set_tensor(
                tensor.index, value if tensor.scale is None else quantize(value, tensor))
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ModelError(f"{self._path}: LiteRT cannot run it: "
                             f"{str(error).strip().splitlines()[0]}") from None
        return {tensor.name: tensor.real(self.constant(tensor)) for tensor in self._activations}

    @property
    def operators(self) -> list[tuple[list[str], list[str]]]:
        """The names of what each operator reads, and of its results."""
        names = {tensor.index: name for name, tensor in self.tensors.items()}
        return [([names[i] for i in map(int, operator["inputs"]) if i in names],
                 [names[i] for i in map(int, operator["outputs"]) if i in names])
                for operator in self._operators]

    def constants(self) -> Iterator[tuple[str, np.ndarray]]:
        """Names and values of what operators read, but none writes and nobody gives."""
        for name, tensor in self.tensors.items():
            if tensor.index in self._read - self._written:
                yield name, self.constant(tensor)

    def constant(self, tensor: _Tensor) -> np.ndarray:
        """The values that a tensor has, of a constant at any time."""
        return self.value(tensor.index)

    def real(self, number: int) -> np.ndarray:
        """What the values of the tensor of this number stand for."""
        return _Tensor(self._interpreter._get_tensor_details(number, 0)).real(self.value(number))

    def value(self, number: int) -> np.ndarray:
        """What the tensor of this number holds."""
        detail = self._interpreter._get_tensor_details(number, 0)
        if 0 in detail["shape"]:      # LiteRT gives no array of no elements
            return np.zeros(detail["shape"], detail["dtype"])
        return np.asarray(self._interpreter.get_tensor(number))


def _weights(exact: _Model, integer: _Model, data: bytes) -> Iterator[WeightError]:
    """Errors of the constants that have become int4 or int8; ``data`` is the file of ``integer``.
    """
    import tflite

    stored = tflite.Model.GetRootAs(data).Subgraphs(0)
    for name, values in integer.constants():
        tensor, own = integer.tensors[name], exact.tensors.get(name)
        if tensor.dtype != "int8" or tensor.scale is None or own is None or own.dtype != "float32":
            continue
        bits = 4 if stored.Tensors(tensor.index).Type() == tflite.TensorType.INT4 else 8
        yield weight_error(name, exact.constant(own), values, tensor.real(values), bits,
                           len(tensor.scales))
