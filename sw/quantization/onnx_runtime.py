"""Float ONNX models through ONNX Runtime's quantiser."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kaniwa.data.inputs import Inputs
from kaniwa.errors import InputError, ModelError
from kaniwa.extras import needed
from kaniwa.quantization.attention import drop_guards, hide
from kaniwa.quantization.calibration import FloatInput
from kaniwa.quantization.errors_by_layer import (
    ActivationError,
    ActivationErrors,
    Outcome,
    WeightError,
    weight_error,
)
from kaniwa.quantization.functions import inner_operators
from kaniwa.quantization.normalizations import NORMALIZATIONS, join_normalizations
from kaniwa.quantization.onnx_prepared import check_weights, prepare, settle_biases
from kaniwa.quantization.quiet import quiet
from kaniwa.quantization.recipe import Progress, Recipe

__all__ = ["onnx_inputs", "quantize_onnx"]

# ONNX's numbers of element types that an input may have here; float16 becomes float32.
DTYPES = {1: "float32", 10: "float32", 6: "int32", 7: "int64", 9: "bool"}
RECURRENT = {"LSTM", "GRU", "RNN"}     # left in float32 unless all kinds are named
SUMS = ("ReduceMean", "ReduceSum")     # which it would leave in float32, too
SIGNS = {"int8": "QInt8", "uint8": "QUInt8", "int16": "QInt16", "uint16": "QUInt16",
         "int4": "QInt4"}
BYTES = ("int8", "uint8")
WARNINGS, ERRORS = 2, 3     # severities of what ONNX Runtime prints; WARNINGS is its default
METHODS = {"minmax": "MinMax", "percentile": "Percentile", "entropy": "Entropy"}


def onnx_inputs(path: Path) -> list[FloatInput]:
    """The inputs that a caller gives. Raises ModelError for a file that is no float model."""
    with needed("ONNX quantisation", "quantize"):
        import onnx

    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(str(path))    # by its path: weights may be in other files
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except Exception as error:    # protobuf's and the checker's own, which share no base
        raise ModelError(f"{path}: is no ONNX model: {str(error).splitlines()[0]}") from None
    kinds = {node.op_type for node in model.graph.node}
    if kinds & {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv"}:
        raise ModelError(f"{path}: is quantised already; `kaniwa compile` takes it as it is")
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = []
    for value in model.graph.input:
        if value.name not in constants:
            kind = value.type.tensor_type
            if kind.elem_type not in DTYPES:
                raise ModelError(f"{path}: input '{value.name}' has element type "
                                 f"{kind.elem_type}; float32, integers and bool can be calibrated")
            # An open size is 0 or, of some exporters, -1.
            shape = tuple(size.dim_value if size.dim_value > 0 else None
                          for size in kind.shape.dim)
            inputs.append(FloatInput(value.name, shape, DTYPES[kind.elem_type]))
    return inputs


def quantize_onnx(path: Path, samples: Inputs, recipe: Recipe, compared: int,
                  progress: Progress) -> Outcome:
    """The model in QDQ form, and its errors over the first ``compared`` samples.

    Raises InputError for what ONNX Runtime has no form of, ModelError where it cannot quantise the
    model.
    """
    if recipe.by_channel and not recipe.symmetric_weights:
        raise InputError("ONNX Runtime's weights by channel are symmetric: give --by tensor for "
                         "asymmetric ones")
    with needed("ONNX quantisation", "quantize"):
        import onnx
        import onnxruntime.quantization as of_runtime
    with (tempfile.TemporaryDirectory(prefix="kaniwa-quantize-") as made, quiet(),
          _quiet_sessions()):
        prepared, quantised = Path(made) / "prepared.onnx", Path(made) / "quantised.onnx"
        progress("folding constants and batch normalisation")
        with _failing(path):
            prepare(path, prepared, recipe)
            of_runtime.quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
        progress(f"calibrating with {len(samples)} samples")
        signs = of_runtime.QuantType
        with _failing(path):
            model = onnx.load(prepared)
            ranges = _settle(model, samples)
            check_weights(path, model.graph)
            onnx.save(model, prepared)
            kinds, order, in_float = _asked(model.graph, recipe)
            of_runtime.quantize_static(
                prepared, quantised, _reader(samples), quant_format=of_runtime.QuantFormat.QDQ,
                op_types_to_quantize=kinds, nodes_to_exclude=in_float,
                per_channel=recipe.by_channel,
                activation_type=signs[SIGNS[recipe.activations]],
                weight_type=signs[SIGNS[recipe.weights]],
                calibrate_method=of_runtime.CalibrationMethod[METHODS[recipe.method]],
                extra_options={"ActivationSymmetric": recipe.symmetric_activations,
                               "WeightSymmetric": recipe.symmetric_weights,
                               "CalibTensorRangeSymmetric": recipe.symmetric_activations,
                               **({"TensorQuantOverrides": ranges} if ranges else {}),
                               **({"CalibPercentile": recipe.percentile}
                                  if recipe.method == "percentile" else {})})
        progress(f"comparing {compared} samples")
        return Outcome(quantised.read_bytes(), _weights(prepared, quantised, recipe),
                       _activations(prepared, quantised, samples[:compared], order, ranges),
                       len(samples))


@contextmanager
def _quiet_sessions() -> Iterator[None]:
    """Within it ONNX Runtime's sessions print errors alone, not what they leave out of a model."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(ERRORS)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(WARNINGS)


def _settle(model: Any, samples: Inputs) -> dict[str, Any]:
    """Bring a model, whose operators are fused by now, into the form that is quantised; the ranges
    of what calibration is not to find."""
    join_normalizations(model)
    drop_guards(model.graph)
    ranges = hide(model, samples)
    settle_biases(model.graph)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    return ranges


def _asked(graph: Any, recipe: Recipe) -> tuple[list[str] | None, list[str], list[str]]:
    """The kinds to quantise, None for those that the quantiser takes by itself, the names of values
    in the order in which they are computed, and those of operators that stay in float32."""
    names = {node.name: (node.name, *node.output) for node in graph.node}
    recipe.check_found(name for each in names.values() for name in each)
    kinds = {node.op_type for node in graph.node}
    order = [value.name for value in graph.input] + [
        name for node in graph.node for name in node.output]
    named = None
    if kinds & RECURRENT:
        named = sorted(kinds)
    elif kinds.intersection(more := (*NORMALIZATIONS, *SUMS)):
        named = sorted({*_quantised_by_itself(), *more})
    in_float = [name for name, each in names.items() if recipe.stays_in_float(each)]
    if recipe.activations in BYTES:      # of which there are tables
        in_float += inner_operators(graph)
    return named, order, [*dict.fromkeys(in_float)]


def _quantised_by_itself() -> set[str]:
    """The kinds of operators that the quantiser takes where none are named."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return {*QDQRegistry, *QLinearOpsRegistry}


def _reader(samples: Inputs) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        """One sample at a time."""

        def __init__(self) -> None:
            self._left: Iterator[dict[str, np.ndarray]] = iter(samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._left, None)

    return Reader()


def _weights(prepared: Path, quantised: Path, recipe: Recipe) -> list[WeightError]:
    """Errors of the weights, which QDQ has with ``_quantized`` behind their names."""
    import onnx
    from onnxruntime.quantization.qdq_loss_debug import create_weight_matching

    stored = {tensor.name: tensor for tensor in onnx.load(quantised).graph.initializer}
    bits = int(recipe.weights.removeprefix("int"))
    rows = []
    with quiet(logging.CRITICAL):       # what it does not find, biases among it, is no error here
        matching = create_weight_matching(str(prepared), str(quantised))
    for name, pair in matching.items():
        integers = onnx.numpy_helper.to_array(stored[f"{name}_quantized"])
        if integers.dtype == np.int32:      # a bias
            continue
        scale, zero = (onnx.numpy_helper.to_array(stored[f"{name}_{part}"])
                       for part in ("scale", "zero_point"))
        real = pair["dequantized"]
        if zero.any():      # less which the bytes of the tool's own go beyond a byte
            real = (integers.astype(np.float64) - zero) * scale
        rows.append(weight_error(name, pair["float"], integers.astype(np.int8), real, bits,
                                 scale.size))
    return rows


def _activations(prepared: Path, quantised: Path, samples: Inputs, order: list[str],
                 ranges: Mapping[str, Any]) -> list[ActivationError]:
    """Errors of what operators give; beyond ``ranges`` that are given it makes no difference."""
    from onnxruntime.quantization.qdq_loss_debug import (
        collect_activations,
        create_activation_matching,
        modify_model_output_intermediate_tensors,
    )

    every = []
    for name, model in (("float", prepared), ("quantised", quantised)):
        every.append(str(prepared.with_name(f"every_{name}.onnx")))
        modify_model_output_intermediate_tensors(str(model), every[-1])
    errors = ActivationErrors()
    for sample in samples:
        exact, got = (collect_activations(model, _reader([sample])) for model in every)
        pairs = create_activation_matching(got, exact)
        errors.take({name: np.clip(pair["float"][0], ranges[name][0]["rmin"],
                                   ranges[name][0]["rmax"])
                     if name in ranges else pair["float"][0]
                     for name, pair in pairs.items() if pair["float"]},
                    {name: pair["post_qdq"][0] for name, pair in pairs.items()})
    return errors.rows(order)


@contextmanager
def _failing(path: Path) -> Iterator[None]:
    """The quantiser's own errors, which share no base, as one line."""
    try:
        yield
    except (InputError, ModelError, KeyboardInterrupt):
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        raise ModelError(f"{path}: ONNX Runtime cannot quantise it: "
                         f"{text[0] if text else type(error).__name__}") from error
