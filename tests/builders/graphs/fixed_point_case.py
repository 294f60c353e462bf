"""SOFTMAX and normalisations of quantised ONNX models as graphs of one operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kaniwa.golden.onnx.softmax import RULE
from kaniwa.graph import Graph, Op, Quantization, Tensor

__all__ = ["fixed_softmax", "instance_norm", "layer_norm", "map_norm", "random_case", "rms_norm",
           "values"]

INT8 = (-128, 127)


def fixed_softmax(shape: tuple[int, ...], scale: float, step: float = 1 / 256,
                  zero_point: int = -128, bounds: tuple[int, int] = INT8,
                  axis: int | None = None) -> Graph:
    """A SOFTMAX along ``axis``, else the last one; results in steps of ``step``."""
    tensors = (Tensor(0, "x", shape, "int8", Quantization((scale,), (3,)), None),
               Tensor(1, "y", shape, "int8", Quantization((step,), (zero_point,)), None))
    op = Op("SOFTMAX", "softmax", (0,), (1,), {
        "axis": len(shape) - 1 if axis is None else axis, "bounds": bounds}, RULE, 0)
    return Graph("softmax", tensors, (op,), (0,), (1,), "0" * 64)


def layer_norm(shape: tuple[int, ...], scale: float, step: float, gain: np.ndarray,
               bias: np.ndarray | None, epsilon: float = 1e-5, zero_point: int = 0,
               bounds: tuple[int, int] = INT8) -> Graph:
    """A LAYER_NORM; ``gain`` and ``bias`` are float32 [columns]."""
    tensors = [Tensor(0, "x", shape, "int8", Quantization((scale,), (3,)), None),
               Tensor(1, "y", shape, "int8", Quantization((step,), (zero_point,)), None)]
    tensors += [Tensor(i, name, data.shape, "float32", None, data)
                for i, (name, data) in enumerate((("gain", gain), ("bias", bias)), 2)
                if data is not None]
    op = Op("LAYER_NORM", "norm", (0, *range(2, len(tensors))), (1,),
            {"epsilon": epsilon, "bounds": bounds}, RULE, 0)
    return Graph("norm", tuple(tensors), (op,), (0,), (1,), "0" * 64)


def map_norm(shape: tuple[int, ...], scale: float, step: float, gain: np.ndarray,
             bias: np.ndarray, epsilon: float = 1e-5, zero_point: int = 0,
             bounds: tuple[int, int] = INT8) -> Graph:
    """A GROUP_NORM of one group; ``gain`` and ``bias`` are float32 [channels]."""
    graph = layer_norm(shape, scale, step, gain, bias, epsilon, zero_point, bounds)
    op = Op("GROUP_NORM", "norm", (0, 2, 3), (1,),
            {"epsilon": epsilon, "bounds": bounds, "groups": 1}, RULE, 0)
    return replace(graph, ops=(op,))


def instance_norm(shape: tuple[int, ...], scale: float, step: float, gain: np.ndarray,
                  bias: np.ndarray, epsilon: float = 1e-5, zero_point: int = 0,
                  bounds: tuple[int, int] = INT8) -> Graph:
    """An INSTANCE_NORM of [N, C, L]; ``gain`` and ``bias`` are float32 [C]."""
    graph = layer_norm(shape, scale, step, gain, bias, epsilon, zero_point, bounds)
    op = Op("INSTANCE_NORM", "norm", (0, 2, 3), (1,), {"epsilon": epsilon, "bounds": bounds}, RULE,
            0)
    return replace(graph, ops=(op,))


def rms_norm(shape: tuple[int, ...], scale: float, step: float, gain: np.ndarray,
             epsilon: float = 1e-5, zero_point: int = 0, bounds: tuple[int, int] = INT8,
             of_input: int = 3) -> Graph:
    """An RMS_NORM of values with zero point ``of_input``; ``gain`` is float32 [columns]."""
    tensors = (Tensor(0, "x", shape, "int8", Quantization((scale,), (of_input,)), None),
               Tensor(1, "y", shape, "int8", Quantization((step,), (zero_point,)), None),
               Tensor(2, "gain", gain.shape, "float32", None, gain))
    op = Op("RMS_NORM", "norm", (0, 2), (1,), {"epsilon": epsilon, "bounds": bounds}, RULE, 0)
    return Graph("norm", tensors, (op,), (0,), (1,), "0" * 64)


def random_case(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Graph:
    """One of them, with scales over three decades, with and without a clamp and a bias."""
    scale = float(10 ** rng.uniform(-3, 0.3))
    bounds = INT8 if rng.random() < 0.7 else (-100, 90)
    zero_point = int(rng.integers(-128, 128))
    if kind == "SOFTMAX":
        step = float(rng.choice([1 / 256, 1 / 255, 1 / 128, 0.001]))
        return fixed_softmax(shape, scale, step, int(rng.choice([-128, zero_point])), bounds)
    if kind == "RMS_NORM":
        gain = rng.normal(1, 0.5, shape[-1:]).astype(np.float32)
        if rng.random() < 0.5:
            gain /= np.float32(np.sqrt(gain.size))
        return rms_norm(shape, scale, float(10 ** rng.uniform(-2.3, -0.5)), gain,
                        float(rng.choice([0, 1e-5, 1e-3])), zero_point, bounds,
                        int(rng.choice([-128, 0, rng.integers(-128, 128)])))
    of_gain = shape[1:2] if kind == "INSTANCE_NORM" else shape[-1:]
    gain, bias = (rng.normal(mean, 0.5, of_gain).astype(np.float32) for mean in (1, 0))
    if kind == "INSTANCE_NORM":
        return instance_norm(shape, scale, float(10 ** rng.uniform(-1.6, -0.5)), gain, bias,
                             float(rng.choice([1e-5, 1e-3])), zero_point, bounds)
    if kind == "GROUP_NORM":
        return map_norm(shape, scale, float(10 ** rng.uniform(-1.6, -0.5)), gain, bias,
                        float(rng.choice([1e-5, 1e-3])), zero_point, bounds)
    return layer_norm(shape, scale, float(10 ** rng.uniform(-2.3, -0.5)), gain,
                      bias if rng.random() < 0.7 else None,
                      float(rng.choice([1e-5, 1e-12, 1e-3])), zero_point, bounds)


def values(shape: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """int8: all numbers, a few about one, one number, and one that stands out."""
    near = rng.normal(rng.integers(-100, 100), rng.uniform(0.2, 40), shape)
    same, peak = np.full(shape, rng.integers(-128, 128)), np.full(shape, -128)
    peak[..., 0] = rng.integers(-127, 128)
    return [np.clip(x, -128, 127).astype(np.int8)
            for x in (rng.integers(-128, 128, shape), near, same, peak)]
