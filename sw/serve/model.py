"""A model under the name that clients use, and its tensors in the protocol's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kaniwa.program.program import Program, TensorInfo

__all__ = ["DATATYPES", "VERSION", "Model"]

VERSION = "1"     # of every model: a server has one of each

# The protocol's names of dtypes (Open Inference Protocol, version 2, "Tensor Data Types").
DATATYPES = {"bool": "BOOL", "int8": "INT8", "uint8": "UINT8", "int16": "INT16",
             "uint16": "UINT16", "int32": "INT32", "int64": "INT64", "float32": "FP32"}


@dataclass(frozen=True)
class Model:
    """``program`` as ``name``; ``number`` is its place among the programs of the pool."""

    name: str
    program: Program
    number: int

    @property
    def batched(self) -> bool:
        """Whether the first axis of all inputs and outputs is a batch of one."""
        return all(t.shape[:1] == (1,) for t in (*self.program.inputs, *self.program.outputs))

    def metadata(self) -> dict[str, Any]:
        """The protocol's model metadata; -1 stands for a batch of any size."""
        return {"name": self.name, "versions": [VERSION], "platform": "kaniwa",
                "inputs": [self._metadata(t) for t in self.program.inputs],
                "outputs": [self._metadata(t) for t in self.program.outputs]}

    def shape(self, tensor: TensorInfo) -> list[int]:
        """The shape that clients are told."""
        return [-1, *tensor.shape[1:]] if self.batched else list(tensor.shape)

    def _metadata(self, tensor: TensorInfo) -> dict[str, Any]:
        return {"name": tensor.name, "datatype": DATATYPES[tensor.dtype],
                "shape": self.shape(tensor)}
