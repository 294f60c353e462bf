"""A PyTorch network's way to a TFLite file with int8 or int16 throughout, and LiteRT's answers.

    pip install litert-torch==0.10.0 torch==2.14.1 ai-edge-quantizer==0.10.0 ai-edge-litert==2.3.0

`litert-torch` writes the network as float32 TFLite, `ai-edge-quantizer` quantises that: weights
int8 by output channel, activations int8 or int16 by tensor, ranges from calibration.
"""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import quantizer, recipe
from parts.recorded import save_recorded
from torch import nn


def save_quantized(network: nn.Module, samples: np.ndarray, path: Path,
                   activations: str = "int8") -> None:
    """Write the network as TFLite with activations of int8 or int16; its ranges are those of
    ``samples``."""
    plain = path.with_suffix(".float.tflite")
    example = torch.from_numpy(samples[:1])
    litert_torch.convert(network.eval(), (), {"x": example}).export(str(plain))
    recipes = {"int8": recipe.static_wi8_ai8, "int16": recipe.static_wi8_ai16}
    tool = quantizer.Quantizer(plain, recipes[activations]())
    ranges: dict[str, dict[str, np.ndarray]] = {}
    for sample in samples:      # together the tool averages the extremes, which cuts them off
        found = tool.calibrate({"serving_default": [{"x": sample[None]}]}, num_threads=1)
        for tensor, seen in found.items():
            known = ranges.setdefault(tensor, seen)
            known["min"] = np.minimum(known["min"], seen["min"])
            known["max"] = np.maximum(known["max"], seen["max"])
    path.write_bytes(tool.quantize(ranges).quantized_model)
    plain.unlink()


def save_answers(path: Path, x: np.ndarray, labels: np.ndarray) -> float:
    """LiteRT's answers for x float32 [n, ...], beside the model; the share that is right.

    inputs/NAME.npz has ``x`` as the model takes it, ``labels`` and ``expected``, the outputs [n,
    classes];
    refs/NAME.npz and .json the first input of each class and two of noise, with the tensors of the
    first and the sha256 of each. Reference kernels (BUILTIN_REF), one thread.
    """
    interpreter = Interpreter(
        str(path), num_threads=1, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (fed,), (read,) = interpreter.get_input_details(), interpreter.get_output_details()

    def answer(sample: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(fed["index"], sample)
        interpreter.invoke()
        return interpreter.get_tensor(read["index"])

    scale, zero_point = fed["quantization"]
    dtype, limits = fed["dtype"], np.iinfo(fed["dtype"])
    inputs = np.clip(np.round(x / scale) + zero_point, limits.min, limits.max).astype(dtype)
    expected = np.concatenate([answer(sample[None]) for sample in inputs])
    rng = np.random.default_rng(0)
    samples = {f"class{c}": inputs[labels == c][:1] for c in range(expected.shape[1])}
    samples |= {f"rand{i}": rng.integers(limits.min, limits.max + 1, fed["shape"], dtype)
                for i in range(2)}
    arrays, tensors = {"samples": np.array(list(samples))}, {}
    for number, sample in enumerate(samples.values()):
        arrays[f"in0_{number}"], arrays[f"out0_{number}"] = sample, answer(sample)
        for tensor in interpreter.get_tensor_details() if number == 0 else ():
            try:
                value = interpreter.get_tensor(tensor["index"])
            except ValueError:      # scratch space of an operator
                continue
            if value.size < 4000:       # not the weights, which the model has
                arrays[f"t{tensor['index']}"] = value
            tensors[tensor["index"]] = {
                "name": tensor["name"], "shape": list(value.shape), "dtype": str(value.dtype),
                "sha256": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}
    facts = {"reference": f"LiteRT {metadata.version('ai-edge-litert')}, BUILTIN_REF, one thread",
             "samples": list(samples), "intermediates_of": "class0", "tensors": tensors}
    return save_recorded(path, inputs, labels, expected, arrays, facts)
