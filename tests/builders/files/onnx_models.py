"""Small quantised ONNX models, built in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

__all__ = ["OnnxBuilder"]

TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8,
         "int32": TensorProto.INT32, "int64": TensorProto.INT64, "int16": TensorProto.INT16,
         "uint16": TensorProto.UINT16}


class OnnxBuilder:
    """Collects nodes in QDQ form; every method returns the name of the value that it made."""

    def __init__(self, seed: int = 0, dtype: str = "int8", opset: int = 17) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.input_shapes: dict[str, tuple[int, ...]] = {}

    def constant(self, data: np.ndarray) -> str:
        """A constant of the file."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(data), name))
        return name

    def node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        """A node with one output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{len(self.nodes) + 1}",
                                           domain=attributes.pop("domain", ""), **attributes))
        return name

    def nodes_of(self, kind: str, inputs: list[str], count: int,
                 **attributes: object) -> list[str]:
        """A node with several outputs."""
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=f"n{len(self.nodes) + 1}",
                                           **attributes))
        return names

    def scale(self, low: float = 0.005, high: float = 0.1) -> float:
        """A random float32."""
        return float(np.float32(self.rng.uniform(low, high)))

    def zero_point(self) -> np.ndarray:
        """A random zero point of the activations' type."""
        limits = np.iinfo(self.dtype)
        return self.rng.integers(limits.min, limits.max, (), self.dtype, endpoint=True)

    def quantized(self, x: str, scale: float | None = None,
                  zero_point: np.ndarray | None = None) -> str:
        """``x`` through QuantizeLinear and DequantizeLinear."""
        parameters = [self.constant(np.float32(self.scale() if scale is None else scale)),
                      self.constant(self.zero_point() if zero_point is None else zero_point)]
        return self.node("DequantizeLinear",
                         [self.node("QuantizeLinear", [x, *parameters]), *parameters])

    def input(self, shape: tuple[int, ...], dtype: str = "float32") -> str:
        """A model input."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], shape))
        self.input_shapes[name] = shape
        return name

    def activation(self, shape: tuple[int, ...], scale: float | None = None) -> str:
        """A float input, quantised."""
        return self.quantized(self.input(shape), scale)

    def weights(self, shape: tuple[int, ...], dtype: str = "int8", axis: int | None = None,
                zero_points: bool = False) -> str:
        """Random constant weights behind DequantizeLinear; scales along ``axis`` if given."""
        limits = np.iinfo(dtype)
        data = self.rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        size = () if axis is None else (shape[axis],)
        scales = self.rng.uniform(0.001, 0.02, size).astype(np.float32)
        zeros = (self.rng.integers(limits.min, limits.max, size, dtype) if zero_points
                 else np.full(size, 128 if dtype == "uint8" else 0, dtype))
        self.last_scales = scales
        return self.node("DequantizeLinear", [
            self.constant(data), self.constant(scales), self.constant(zeros)],
            **({} if axis is None else {"axis": axis}))

    def bias(self, channels: int, input_scale: float) -> str:
        """Random int32 biases in steps of ``input_scale`` times the last weights' scales."""
        scales = (self.last_scales * np.float32(input_scale)).astype(np.float32)
        data = self.rng.integers(-5000, 5000, channels, np.int32)
        zeros = np.zeros(scales.shape, np.int32)
        return self.node("DequantizeLinear", [
            self.constant(data), self.constant(scales), self.constant(zeros)],
            **({"axis": 0} if scales.ndim else {}))

    def model(self, *outputs: str, dtype: str = "float32") -> bytes:
        """The file, with these outputs."""
        infos = [helper.make_tensor_value_info(o, TYPES[dtype], None) for o in outputs]
        graph = helper.make_graph(self.nodes, "test", self.inputs, infos, self.constants)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=9)
        return model.SerializeToString()

    def samples(self, spread: float = 4.0) -> dict[str, np.ndarray]:
        """Random float inputs."""
        return {name: self.rng.normal(0, spread, shape).astype(np.float32)
                for name, shape in self.input_shapes.items()}
