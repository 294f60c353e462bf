"""TFLite files of int8 with parts in float32, as quantisers leave them."""

from __future__ import annotations

import numpy as np

from kaniwa.benchmark.networks.tflite_file import ModelBuilder

__all__ = ["SCALE", "ZERO", "Islands", "slopes_between"]

SCALE, ZERO = 0.05, -7


class Islands(ModelBuilder):
    """A file of int8 tensors, with parts in float32."""

    def numbers(self, name: str, values: object, dtype: str = "int32") -> int:
        data = np.array(values, dtype)
        return self.tensor(name, data.shape, dtype, data=data)

    def float32(self, kind: str, inputs: tuple[int, ...], *shapes: tuple[int, ...],
                **options: object) -> int:
        """An operator whose results have these shapes; the number of the first one."""
        made = [self.tensor(f"{kind}{len(self.tensors) + i}", shape, "float32")
                for i, shape in enumerate(shapes)]
        self.op(kind, inputs, tuple(made), **options)
        return made[0]

    def bytes_of(self, x: int, scale: float = SCALE, zero_point: int = ZERO) -> int:
        """``x`` in int8."""
        y = self.tensor(f"bytes{len(self.tensors)}", self.tensors[x].shape, scale=scale,
                        zero_point=zero_point)
        self.op("QUANTIZE", (x,), (y,))
        return y

    def real(self, x: int) -> int:
        """``x`` in float32."""
        return self.float32("DEQUANTIZE", (x,), tuple(self.tensors[x].shape))


def slopes_between(slopes: np.ndarray, scales: tuple[float, float],
                   zero_points: tuple[int, int]) -> bytes:
    """PRELU in float32 of every int8 in each channel."""
    b, shape = Islands(), (1, 256, 1, len(slopes))
    x = b.tensor("x", shape, scale=scales[0], zero_point=zero_points[0])
    alpha = b.numbers("alpha", slopes.reshape(1, 1, -1), "float32")
    made = b.float32("PRELU", (b.real(x), alpha), shape)
    return b.build((x,), (b.bytes_of(made, scales[1], zero_points[1]),))
