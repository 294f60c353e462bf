"""A PyTorch network, quantised with PT2E, as an ONNX file that kaniwa runs.

    pip install '.[torch]'
    python examples/pytorch_export.py --output shapes.onnx
    kaniwa run shapes.onnx --device sim --input shapes.npz --check

Six kinds of drawn shapes, 16x16: a small network learns them in a minute, is calibrated, and
exported in QDQ form, with activations int8 by tensor and weights int8 by output channel. Test
images and what they show go to a file beside the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import _needs  # noqa: F401
import numpy as np
import torch
from parts.exported import save_exported
from torch import nn
from torch.nn import functional
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
from torchao.testing.pt2e._xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)

SHAPES = ("disc", "ring", "frame", "plus", "cross", "bars")
SIZE = 16


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [count, 1, 16, 16] in 0..1, and their classes int64 [count]."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(SHAPES), count)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    images = np.empty((count, 1, SIZE, SIZE), np.float32)
    for image, kind in zip(images, kinds, strict=True):
        center, size = rng.uniform(6, 9, 2), rng.uniform(3.5, 6)
        dx, dy = np.abs(x - center[0]), np.abs(y - center[1])
        radius, edge = np.hypot(dx, dy), np.maximum(dx, dy)
        shape = (radius < size, np.abs(radius - size) < 1, np.abs(edge - size) < 1,
                 (np.minimum(dx, dy) < 1) & (edge < size), (np.abs(dx - dy) < 1.2) & (edge < size),
                 (np.floor(y / 2) % 2 == 0) & (edge < size))[kind]
        image[0] = shape * rng.uniform(0.5, 1) + rng.normal(0, 0.15, (SIZE, SIZE))
    return np.clip(images, 0, 1), kinds


class Network(nn.Module):
    """Convolution, a separable one around which its input goes on, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16),
                                   nn.ReLU(), nn.MaxPool2d(2))
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
                                       nn.BatchNorm2d(16), nn.ReLU())
        self.pointwise = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.last = nn.Sequential(nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False),
                                  nn.BatchNorm2d(24), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(24, len(SHAPES))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.first(image)
        x = functional.relu(x + self.pointwise(self.depthwise(x)))
        return self.linear(self.pool(self.last(x)).flatten(1))


def train(network: nn.Module, steps: int, rate: float = 3e-3) -> None:
    """Show the network ``steps`` batches of 64 images."""
    optimizer = torch.optim.Adam(network.parameters(), rate)
    for step in range(steps):
        images, kinds = map(torch.from_numpy, draw(64, seed=1000 + step))
        loss = functional.cross_entropy(network(images), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def quantizer(training: bool = False) -> XNNPACKQuantizer:
    """int8 everywhere, weights by output channel."""
    return XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_qat=training))


def quantize(network: nn.Module, images: torch.Tensor) -> nn.Module:
    """The network with quantize and dequantize operators, their ranges taken from ``images``."""
    exported = torch.export.export(network.eval(), (images[:1],)).module()
    prepared = prepare_pt2e(exported, quantizer())
    for image in images:
        prepared(image[None])
    return convert_pt2e(prepared)


def quantize_in_training(network: nn.Module, images: torch.Tensor, steps: int) -> nn.Module:
    """The same, with ranges and weights that get used to the rounding in ``steps`` more batches."""
    batch = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(network.train(), (images,), dynamic_shapes=batch).module()
    prepared = prepare_qat_pt2e(exported, quantizer(training=True))
    train(prepared, steps, 1e-3)
    move_exported_model_to_eval(prepared)
    return convert_pt2e(prepared)


def export(network: nn.Module, path: Path) -> None:
    """Write the quantised network in QDQ form, with fixed shapes and all weights in the file."""
    image = (torch.zeros(1, 1, SIZE, SIZE),)
    program = torch.onnx.export(torch.export.export(network, image), image, dynamo=True,
                                input_names=["image"], output_names=["scores"], verbose=False)
    save_exported(program, path)


def accuracy(network: nn.Module, images: np.ndarray, kinds: np.ndarray) -> float:
    """The share of images that it names right."""
    with torch.no_grad():
        scores = torch.cat([network(torch.from_numpy(image[None])) for image in images])
    return float((scores.argmax(1).numpy() == kinds).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path("shapes.onnx"))
    parser.add_argument("--steps", type=int, default=300, help="batches of training")
    parser.add_argument("--qat", type=int, default=0, metavar="STEPS",
                        help="batches of training after that, quantised (default: calibrate)")
    options = parser.parse_args()
    torch.set_num_threads(1)      # the same file every time
    torch.manual_seed(0)
    network = Network()
    train(network, options.steps)
    samples = torch.from_numpy(draw(64, seed=1)[0])
    images, kinds = draw(400, seed=2)
    in_float = accuracy(network.eval(), images, kinds)
    quantized = (quantize_in_training(network, samples, options.qat) if options.qat
                 else quantize(network, samples))
    export(quantized, options.output)
    np.savez_compressed(options.output.with_suffix(".npz"), image=images[:16], labels=kinds[:16])
    print(f"{options.output}: right in float32 {in_float:.1%}, "
          f"quantised {accuracy(quantized, images, kinds):.1%}")


if __name__ == "__main__":
    main()
