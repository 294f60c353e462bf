"""What PyTorch's exporter and ONNX Runtime's quantiser make of a network of images, as ONNX files,
and ONNX Runtime's answers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from parts.exported import save_exported
from parts.recorded import save_recorded
from torch import nn


class Samples(CalibrationDataReader):
    """Images to calibrate with, one at a time."""

    def __init__(self, images: np.ndarray) -> None:
        self._left: Iterator[np.ndarray] = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image[None]}


def export(network: nn.Module, path: Path) -> None:
    """Write the network in float32, with fixed shapes and all weights in the file."""
    image = (torch.zeros(1, 8, 8, 1),)
    program = torch.onnx.export(network.eval(), image, dynamo=True, opset_version=20,
                                input_names=["image"], output_names=["scores"], verbose=False)
    save_exported(program, path)


def save_quantized(network: nn.Module, samples: np.ndarray, path: Path,
                   kinds: list[str] | None = None) -> None:
    """Write the network in QDQ form; its ranges are those of ``samples``. ``kinds``: the operators
    to quantise, where they are not those that the quantiser takes by itself."""
    plain = path.with_suffix(".float.onnx")
    export(network, plain)
    quantize_static(plain, path, Samples(samples), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
                    op_types_to_quantize=kinds)
    plain.unlink()


def quantized_values(model: onnx.ModelProto) -> list[str]:
    """The names of activations that QuantizeLinear gives."""
    return [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]


def save_answers(path: Path, x: np.ndarray, labels: np.ndarray) -> float:
    """ONNX Runtime's answers for x float32 [n, 8, 8, 1], beside the model; the share that is right.

    inputs/NAME.npz has ``x``, ``labels`` and ``expected``, the outputs [n, classes]; refs/NAME.npz
    and .json the first input of each class and two of noise, with the quantised values of the
    first. One thread, on the CPU.
    """
    model = onnx.load(path)
    names = quantized_values(model)
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    expected = np.concatenate([session.run(["scores"], {"image": image[None]})[0] for image in x])
    rng = np.random.default_rng(0)
    samples = {f"class{c}": x[labels == c][:1] for c in range(10)}
    samples |= {f"rand{i}": rng.uniform(0, 1, (1, 8, 8, 1)).astype(np.float32) for i in range(2)}
    arrays = {"samples": np.array(list(samples))}
    for number, sample in enumerate(samples.values()):
        scores, *values = session.run(["scores", *names], {"image": sample})
        arrays |= {f"in0_{number}": sample, f"out0_{number}": scores}
        if number == 0:
            arrays |= {f"q:{name}": value for name, value in zip(names, values, strict=True)}
    facts = {"reference": f"ONNX Runtime {metadata.version('onnxruntime')}, CPU, one thread, graph "
                          "optimisation off",
             "samples": list(samples), "intermediates_of": "class0"}
    return save_recorded(path, x, labels, expected, arrays, facts)
