"""A model under the name that clients use, and its tensors in the protocol's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaniwa.program.program import Program, TensorInfo
from kaniwa.serve.limits import Refused

__all__ = ["DATATYPES", "VERSION", "Model", "model_of"]

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


def model_of(models: Mapping[str, Model], name: str, version: str) -> Model:
    """The model that a request names, of the version that it names, if it does.

    Raises Refused (404) where there is none.
    """
    if name not in models:
        raise Refused(404, f"no model '{name:.80}': the models are {sorted(models)}")
    if version and version != VERSION:
        raise Refused(404, f"model '{name}' has version {VERSION}, not '{version:.80}'")
    return models[name]
