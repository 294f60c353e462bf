"""The host's part of a program: its operators, their operands, and what they keep.

A program has all of it, constants included, so that it runs without the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kaniwa.graph import Quantization, Tensor

__all__ = ["HostOp", "HostState", "HostTensor"]


@dataclass(frozen=True)
class HostOp:
    """An operator that the host runs; tensors by id, -1 for an absent operand.

    ``source`` is its index in the model file, ``why`` the reason that the device does not run it.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, object]
    rule: str
    source: int | None
    why: str


@dataclass(frozen=True)
class HostTensor:
    """An operand or result of the host's operators, as the model has it.

    ``scales`` is empty where it is not quantized. ``data`` has a constant's bytes, in C order.
    """

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None
    data: bytes | None

    @classmethod
    def of(cls, tensor: Tensor) -> HostTensor:
        """``tensor`` of the model."""
        q = tensor.quantization
        return cls(tensor.id, tensor.name, tensor.shape, tensor.dtype, q.scales if q else (),
                   q.zero_points if q else (), q.axis if q else None,
                   None if tensor.data is None else tensor.data.tobytes())

    def tensor(self) -> Tensor:
        """The tensor of a graph; raises ValueError where the bytes do not fit the shape."""
        q = Quantization(self.scales, self.zero_points, self.axis) if self.scales else None
        data = None
        if self.data is not None:
            data = np.frombuffer(self.data, self.dtype).reshape(self.shape)
        return Tensor(self.id, self.name, self.shape, self.dtype, q, data)


@dataclass(frozen=True)
class HostState:
    """A tensor that keeps its value from one inference to the next: then it has ``following``'s.

    ``initial`` has the bytes of its first value.
    """

    tensor: int
    following: int
    initial: bytes
