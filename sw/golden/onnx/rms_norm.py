"""RMS_NORM of 8 bits in quantised ONNX models: each row by the root of its mean square.

Sources: RMSNormalization (opset 23) and LpNormalization (opset 1) in the ONNX operator
specification, ``docs/Operators.md``:

    y = x / sqrt(mean(x²) + epsilon) · Scale      y = x / sqrt(Σ x²), and 0 for a row of zeros

the second one being the first with epsilon 0 and Scale 1 / √n. Rule ``qdq`` is that in float64,
rule ``qdq_fixed_point`` (``layer_norm``) of a row of n integers q with zero point zx and scale sx:

    d = q - zx,    a = Σ d²,    c = n·epsilon / sx²      (d and a are exact)
    u = (a + c)·2^z in 29 bits,    r = 1 / √u by LiteRT's inverse root of 31 bits
    y = clamp(d·r·2^(z/2)·(Scale·√n / sy), rounded half up + zero point)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kaniwa.golden.numbers.fixedpoint import inverse_square_root
from kaniwa.golden.numbers.rounding import saturating_rounding_doubling_high_mul as multiply
from kaniwa.golden.onnx.float import results_in_float32
from kaniwa.golden.onnx.qdq import finish_integers, output_step, real_operand, register_real
from kaniwa.golden.onnx.softmax import RULE
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["RULE", "RmsNormNumbers", "rms_norm", "rms_norm_numbers"]

LONGEST_ROW = 4096
MOST_SHIFT = 28             # of a and c, an even number
DEVIATION_BITS = 29         # behind the point, of d / √(a + c), which is at most 1
LEAST_RESULT_BITS = 13


@dataclass(frozen=True, eq=False)
class RmsNormNumbers:
    """Constants of an operator as the rule's integers.

    ``epsilon``: c·2^``shift``, below 2^30. ``gains`` int64 [n]: Scale·√n / sy with ``result_bits``
    + 2 bits behind the point.
    """

    epsilon: int
    shift: int
    gains: np.ndarray
    result_bits: int


def rms_norm_numbers(gain: np.ndarray, epsilon: float, scale: float, output_scale: float,
                     ) -> RmsNormNumbers | None:
    """The numbers for Scale, float32 [n]; None where the rule has none: of rows longer than
    LONGEST_ROW, or with too large an epsilon or gain."""
    count = gain.size
    wanted = count * epsilon / scale**2
    gains = gain.astype(np.float64).reshape(-1) * math.sqrt(count) / output_scale
    largest = float(np.abs(gains).max())
    if not (count <= LONGEST_ROW and 0 <= wanted < 2.0**30 and 0 < largest < 2.0**20):
        return None
    bits = min(27 - math.frexp(largest)[1], 20)
    if bits < LEAST_RESULT_BITS:
        return None
    shift = min((30 - math.frexp(wanted)[1]) // 2 * 2, MOST_SHIFT)
    return RmsNormNumbers(int(math.ldexp(wanted, shift)), shift,
                          np.rint(np.ldexp(gains, bits + 31 - DEVIATION_BITS)).astype(np.int64),
                          bits)


def rms_norm(differences: np.ndarray, numbers: RmsNormNumbers) -> np.ndarray:
    """int64, of the shape of ``differences`` (integers less their zero point), along the last axis:
    results before zero point and clamp."""
    wide = differences.astype(np.int64)
    squares = np.square(wide).sum(axis=-1, keepdims=True)
    length = np.frexp(squares.astype(np.float64))[1].astype(np.int64)
    shift = np.minimum(30 - length, numbers.shift) // 2 * 2
    under_root = ((squares << shift) + (numbers.epsilon >> (numbers.shift - shift))) >> 2
    root, left = inverse_square_root(under_root)
    # The root's two highest bits are 0; 2^z is 4 times what is under it.
    places = np.maximum(DEVIATION_BITS - 2 - 1 + left + shift // 2, 0)
    deviation = multiply(wide << places, root << 2)
    return (multiply(deviation, numbers.gains) + (1 << (numbers.result_bits - 1))
            ) >> numbers.result_bits


@kernel("RMS_NORM", rule=RULE)
def _rms_norm(call: Call) -> np.ndarray:
    numbers = rms_norm_numbers(call.value(1), call.attribute("epsilon"),
                               call.quantization(0).scale, quantization(call.output).scale)
    if numbers is None:
        raise OverflowError(f"rule {RULE} has no numbers for this Scale, epsilon and quantization")
    differences = call.value(0).astype(np.int64) - call.quantization(0).zero_point
    return finish_integers(call, rms_norm(differences, numbers))


@register_real("RMS_NORM")
def _real_rms_norm(call: Call) -> np.ndarray:
    x = real_operand(call, 0)
    root = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + call.attribute("epsilon"))
    y = np.divide(x, root, out=np.zeros_like(x), where=root > 0)
    return y * call.value(1).astype(np.float64) / output_step(call)


results_in_float32("RMS_NORM")
