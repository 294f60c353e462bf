"""Keywords: MLPerf Tiny's clips, its network as a PyTorch module, and clips made from others.

Features of 1,000 test clips of Speech Commands v2 (P. Warden, 2018, CC BY 4.0), computed for MLPerf
Tiny by MLCommons and EEMBC: 49 frames of 10 coefficients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kaniwa.graph import Graph, Op, Tensor
from kaniwa.importers import load_model

MODELS = Path(__file__).parent.parent.parent / "models"
MODEL = MODELS / "mlperf_kws_dscnn.tflite"
CLIPS = MODELS / "inputs" / "kws01_1000.npz"
FRAMES = 49


def clips(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features int8 [n, 49, 10, 1] as the network takes them, and classes int64 [n]."""
    with np.load(path) as data:
        return data["x"], data["y"]


def real(features: np.ndarray) -> np.ndarray:
    """int8 features as float32 [n, 1, 49, 10]."""
    graph = load_model(MODEL)
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None
    values = (features.astype(np.float32) - quantization.zero_point) * quantization.scale
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)


def network() -> nn.Module:
    """MLPerf Tiny's DS-CNN with its weights of int8 as float32; it gives scores, no softmax."""
    graph = load_model(MODEL)
    layers: list[nn.Module] = []
    for op in graph.ops:
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            layers += _convolution(graph, op)
        elif op.kind == "AVERAGE_POOL_2D":
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif op.kind == "FULLY_CONNECTED":
            weights = _values(graph.tensors[op.inputs[1]])
            layers.append(_filled(nn.Linear(weights.shape[1], weights.shape[0]), weights,
                                  graph.tensors[op.inputs[2]]))
    return nn.Sequential(*layers).eval()


def _convolution(graph: Graph, op: Op) -> list[nn.Module]:
    """Zeros around it, where they differ by side, the convolution, and ReLU."""
    weights = _values(graph.tensors[op.inputs[1]])
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    weights = weights.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    of: dict[str, Any] = dict(op.attributes)
    (top, bottom), (left, right) = of["padding"]
    layers: list[nn.Module] = []
    padding = (top, left)
    if (top, left) != (bottom, right):
        layers.append(nn.ZeroPad2d((left, right, top, bottom)))
        padding = (0, 0)
    groups = len(weights) if depthwise else 1
    layer = nn.Conv2d(weights.shape[1] * groups, len(weights), weights.shape[2:],
                      of["stride"], padding, groups=groups)
    return [*layers, _filled(layer, weights, graph.tensors[op.inputs[2]]), nn.ReLU()]


def _values(tensor: Tensor) -> np.ndarray:
    """The real values of a constant."""
    assert tensor.data is not None and tensor.quantization is not None
    scales = np.array(tensor.quantization.scales)
    shape = [1] * tensor.data.ndim
    if tensor.quantization.axis is not None and len(scales) > 1:
        shape[tensor.quantization.axis] = -1
    return tensor.data * scales.reshape(shape)


def _filled(layer: nn.Module, weights: np.ndarray, bias: Tensor) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
        layer.bias.copy_(torch.from_numpy(_values(bias)))
    return layer


def varied(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip made from each of x float32 [n, 1, 49, 10]: its pace, place, microphone and noise
    changed, and one in three with another clip in the background."""
    count, deviation = len(x), x.std((0, 1, 2))
    place = (np.arange(FRAMES) - 24) * rng.uniform(0.85, 1.15, (count, 1)) + 24
    place = np.clip(place + rng.integers(-6, 7, (count, 1)), 0, FRAMES - 1)
    low = np.minimum(place.astype(int), FRAMES - 2)
    part = (place - low)[..., None]
    clip = np.arange(count)[:, None]
    made = x[clip, 0, low] * (1 - part) + x[clip, 0, low + 1] * part
    made += rng.normal(0, 0.12, (count, 1, 10)) * deviation
    made += rng.normal(0, 1, made.shape) * deviation * rng.uniform(0, 0.25, (count, 1, 1))
    made[:, :, 0] += rng.normal(0, 6, (count, 1))
    share = np.where(rng.random(count) < 0.3, rng.uniform(0, 0.4, count), 0)[:, None, None]
    made = (1 - share) * made + share * x[rng.integers(0, count, count), 0]
    return made[:, None].astype(np.float32)
