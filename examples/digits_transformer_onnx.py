"""A vision transformer for handwritten digits of 8x8 pixels, as a quantised ONNX file.

    pip install torch==2.15.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 scikit-learn==1.9.1
    python examples/digits_transformer_onnx.py --output models/digits_transformer_qdq.onnx

The network of `digits_transformer.py` as one writes it in PyTorch, with `nn.LayerNorm` and
`nn.GELU`: PyTorch's exporter writes them as the operators that ONNX has for them, ONNX Runtime's
`quantize_static` puts QuantizeLinear and DequantizeLinear around each (QDQ form, int8, weights by
output channel, ranges from calibration). Beside the model go `refs/` (ONNX Runtime's values, graph
optimisation off) and `inputs/NAME.npz`: the 360 test digits, their labels, and its answers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from digits import TRAINING, digits, varied_digits
from onnx_file import save_onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from recorded import save_recorded
from torch import nn
from transformer import Block, Transformer, accuracy, train


class PlainBlock(Block):
    """With PyTorch's own layer normalisation, which has a gain and a bias."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, heads, hidden, first=True, activation=nn.GELU())
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))


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
    save_onnx(program, path)


def save_quantized(network: nn.Module, samples: np.ndarray, path: Path) -> None:
    """Write the network in QDQ form; its ranges are those of ``samples``."""
    plain = path.with_suffix(".float.onnx")
    export(network, plain)
    quantize_static(plain, path, Samples(samples), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QInt8, weight_type=QuantType.QInt8)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("digits_transformer_qdq.onnx"))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    x, labels = digits()
    network = Transformer(16, 32, 10, (2, 2), (2, 2), [PlainBlock(32, 2, 64) for _ in range(2)])
    train(network, *varied_digits(x, labels), options.epochs)
    save_quantized(network, x[:256], options.output)
    correct = save_answers(options.output, x[TRAINING:], labels[TRAINING:])
    in_float = accuracy(network, x[TRAINING:], labels[TRAINING:])
    print(f"{options.output}: right in float32 {in_float:.1%}, quantised {correct:.1%}")


if __name__ == "__main__":
    main()
