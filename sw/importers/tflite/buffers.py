"""Constants of TFLite files: their bytes, inside the flatbuffer or behind it, and their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kaniwa.errors import Error

__all__ = ["Buffers"]


class Buffers:
    """The buffers of the model in ``data``; ``fail`` makes the error of a message."""

    def __init__(self, data: bytes, model: Any, fail: Callable[[str], Error]) -> None:
        self._data = data
        self._model = model
        self._fail = fail

    def content(self, tensor: Any, where: str) -> np.ndarray:
        """The bytes of the tensor's buffer."""
        index = tensor.Buffer()
        if index >= self._model.BuffersLength():
            raise self._fail(f"{where}: buffer {index} does not exist")
        buffer = self._model.Buffers(index)
        if buffer.DataLength():
            return np.asarray(buffer.DataAsNumpy())
        return self.behind(buffer.Offset(), buffer.Size(), f"{where}: buffer {index} has")

    def options(self, operator: Any, where: str) -> bytes:
        """The options of a custom operator."""
        if operator.CustomOptionsLength():
            return bytes(operator.CustomOptionsAsNumpy())
        start, size = operator.LargeCustomOptionsOffset(), operator.LargeCustomOptionsSize()
        return bytes(self.behind(start, size, f"{where}: has options of"))

    def behind(self, start: int, size: int, what: str) -> np.ndarray:
        """Bytes of the file that stand behind the flatbuffer."""
        if start <= 1:  # a place that was never filled in, as LiteRT has it
            return np.empty(0, np.uint8)
        if start + size > len(self._data):
            raise self._fail(f"{what} {size} bytes from byte {start} on, outside the file of "
                             f"{len(self._data)} bytes")
        return np.frombuffer(self._data, np.uint8, size, start)

    def constant(self, content: np.ndarray, shape: tuple[int, ...], dtype: str, where: str,
                 packed: bool) -> np.ndarray | None:
        """The tensor's values, None where it has none; ``packed`` ones are int4, as int8 here."""
        if content.size == 0:
            return None
        count = math.prod(shape)
        expected = (count + 1) // 2 if packed else count * np.dtype(dtype).itemsize
        if content.size != expected:
            name = "int4" if packed else dtype
            raise self._fail(
                f"{where} has {content.size} bytes, {name}{list(shape)} needs {expected}"
            )
        if packed:
            return _unpacked(content, count).reshape(shape)
        return content.view(np.dtype(dtype)).reshape(shape)


def _unpacked(data: np.ndarray, count: int) -> np.ndarray:
    """int4 values as int8; the lower half of a byte comes first."""
    both = np.stack([data << 4, data & 0xF0], axis=-1).view(np.int8) >> 4
    values = both.reshape(-1)[:count]
    values.flags.writeable = False
    return values
