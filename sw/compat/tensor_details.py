"""Details of a TensorFlow Lite model's tensors, as LiteRT gives them: dicts with its keys."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from kaniwa.compat.errors import ArgumentTypeError
from kaniwa.errors import InputError
from kaniwa.importers.tflite.text import one_line

__all__ = ["Details", "QuantizationParameters", "TensorDetails", "tensor_index"]

# By the number in the file; others are not imported. LiteRT gives a variable's handle as bytes.
DTYPES: dict[int, type[np.generic]] = {
    0: np.float32, 2: np.int32, 3: np.uint8, 4: np.int64, 6: np.bool_, 7: np.int16, 9: np.int8,
    13: np.void, 17: np.int8}
NAME = 10      # slot of the name in the table of a tensor


class QuantizationParameters(TypedDict):
    """``real = scales * (q - zero_points)`` along ``quantized_dimension``; empty without any."""

    scales: np.ndarray
    zero_points: np.ndarray
    quantized_dimension: int
    block_size: int


class TensorDetails(TypedDict):
    """What is known of a tensor; ``quantization`` is (scale, zero point), (0.0, 0) if not one."""

    name: str
    index: int
    shape: np.ndarray
    shape_signature: np.ndarray
    dtype: type[np.generic]
    quantization: tuple[float, int]
    quantization_parameters: QuantizationParameters
    sparsity_parameters: dict[str, Any]


def tensor_index(value: Any, count: int) -> int:
    """``value`` as the index of one of ``count`` tensors.

    Raises ArgumentTypeError for what is no integer, InputError where there is no such tensor.
    """
    try:
        index = value.__index__()
    except (AttributeError, TypeError):
        raise ArgumentTypeError(f"a tensor's index must be an integer, not "
                                f"{type(value).__name__}: take it from 'index' in the details"
                                ) from None
    if not 0 <= index < count:
        raise InputError(f"there is no tensor {index}: the model has {count}; take the index from "
                         "get_input_details() or get_output_details()")
    return int(index)


class Details:
    """Details of all tensors of ``data``, a file that was imported."""

    def __init__(self, data: bytes) -> None:
        import tflite

        self._model = tflite.Model.GetRootAs(data, 0)

    @property
    def subgraphs(self) -> int:
        """How many subgraphs the file has."""
        return int(self._model.SubgraphsLength())

    def count(self, subgraph: int = 0) -> int:
        """How many tensors a subgraph has."""
        return int(self._model.Subgraphs(subgraph).TensorsLength())

    def all(self, subgraph: int) -> list[TensorDetails]:
        """The details of a subgraph's tensors; raises InputError where there is no such subgraph.
        """
        if not 0 <= subgraph < self.subgraphs:
            raise InputError(f"there is no subgraph {subgraph}: the model has {self.subgraphs}")
        return [self.of(i, subgraph) for i in range(self.count(subgraph))]

    def of(self, index: int, subgraph: int = 0) -> TensorDetails:
        """The details of one tensor, in arrays of the caller's own."""
        table = self._model.Subgraphs(subgraph).Tensors(tensor_index(index, self.count(subgraph)))
        shape = _int32(table.ShapeAsNumpy(), table.ShapeLength())
        open_shape = _int32(table.ShapeSignatureAsNumpy(), table.ShapeSignatureLength())
        parameters = _quantization(table.Quantization())
        scales, zero_points = parameters["scales"], parameters["zero_points"]
        one = len(scales) == 1
        return {"name": one_line(table, NAME), "index": index, "shape": shape,
                "shape_signature": open_shape if len(open_shape) else shape.copy(),
                "dtype": DTYPES[table.Type()],
                "quantization": (float(scales[0]), int(zero_points[0])) if one else (0.0, 0),
                "quantization_parameters": parameters, "sparsity_parameters": {}}


def _int32(values: Any, count: int) -> np.ndarray:
    """A vector of the file; the reader gives 0 for one that is absent."""
    return np.array(values if count else (), np.int32)


def _quantization(table: Any) -> QuantizationParameters:
    count = 0 if table is None else table.ScaleLength()
    if not count:
        return {"scales": np.array([], np.float32), "zero_points": np.array([], np.int32),
                "quantized_dimension": 0, "block_size": 0}
    return {"scales": np.array(table.ScaleAsNumpy(), np.float32),
            "zero_points": table.ZeroPointAsNumpy().astype(np.int32),
            "quantized_dimension": int(table.QuantizedDimension()), "block_size": 0}
