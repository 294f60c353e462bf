"""Comparisons and selections as LiteRT's reference kernels define them.

Sources: ``comparisons.cc``, ``comparisons.h`` and ``select.cc`` of its kernels.
"""

from __future__ import annotations

import numpy as np

from kaniwa.golden.numbers.rounding import multiply_by_quantized_multiplier, quantize_multiplier
from kaniwa.golden.registry import Call, Kernel, kernel

__all__: list[str] = []

LEFT_SHIFT = 8  # fractional bits of what quantised operands are compared in


def _on_one_scale(call: Call, position: int) -> np.ndarray:
    """The operand as it is compared: LESS and its kin take int16 as it is, EQUAL does not."""
    x = call.value(position)
    scaled = ("int8", "uint8", *(["int16"] if call.op.kind in ("EQUAL", "NOT_EQUAL") else []))
    if str(x.dtype) not in scaled:
        return x
    q = call.quantization(position)
    pair = quantize_multiplier(q.scale)
    return multiply_by_quantized_multiplier(
        (x.astype(np.int64) - q.zero_point) << LEFT_SHIFT, *pair)


def _comparison(compare: np.ufunc) -> Kernel:
    def run(call: Call) -> np.ndarray:
        return np.asarray(compare(_on_one_scale(call, 0), _on_one_scale(call, 1)))

    return run


kernel("EQUAL")(_comparison(np.equal))
kernel("NOT_EQUAL")(_comparison(np.not_equal))
kernel("LESS")(_comparison(np.less))
kernel("LESS_EQUAL")(_comparison(np.less_equal))
kernel("GREATER")(_comparison(np.greater))
kernel("GREATER_EQUAL")(_comparison(np.greater_equal))


@kernel("SELECT", "SELECT_V2")
def _select(call: Call) -> np.ndarray:
    condition, a, b = call.value(0), call.value(1), call.value(2)
    if call.op.kind == "SELECT" and condition.ndim == 1 and a.ndim > 1:
        condition = condition.reshape(-1, *[1] * (a.ndim - 1))  # one decision a row
    return np.where(condition, a, b)
