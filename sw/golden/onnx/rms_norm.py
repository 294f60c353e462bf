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

import numpy as np

from kaniwa.golden.onnx.float import results_in_float32
from kaniwa.golden.onnx.layer_norm import LONGEST_ROW, RULE, LayerNormNumbers, by_root, shift_of
from kaniwa.golden.onnx.qdq import finish_integers, output_step, real_operand, register_real
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["rms_norm", "rms_norm_numbers"]

DEVIATION_BITS = 29         # behind the point, of d / √(a + c), which is at most 1
LEAST_RESULT_BITS = 13


def rms_norm_numbers(gain: np.ndarray, epsilon: float, scale: float, output_scale: float,
                     ) -> LayerNormNumbers | None:
    """The numbers for Scale, float32 [n]; None where the rule has none: of rows longer than
    LONGEST_ROW, or with too large an epsilon or gain.

    ``gains`` are Scale·√n / sy with ``result_bits`` + 2 bits behind the point, ``biases`` are 0.
    """
    count = gain.size
    wanted = count * epsilon / scale**2
    gains = gain.astype(np.float64).reshape(-1) * math.sqrt(count) / output_scale
    largest = float(np.abs(gains).max())
    if not (count <= LONGEST_ROW and 0 <= wanted < 2.0**30 and 0 < largest < 2.0**20):
        return None
    bits = min(27 - math.frexp(largest)[1], 20)
    if bits < LEAST_RESULT_BITS:
        return None
    shift = shift_of(wanted)
    scaled = np.rint(np.ldexp(gains, bits + 31 - DEVIATION_BITS)).astype(np.int64)
    return LayerNormNumbers(int(math.ldexp(wanted, shift)), shift, scaled, np.zeros_like(scaled),
                            bits)


def rms_norm(differences: np.ndarray, numbers: LayerNormNumbers) -> np.ndarray:
    """int64, of the shape of ``differences`` (integers less their zero point), along the last axis:
    results before zero point and clamp."""
    wide = differences.astype(np.int64)
    squares = np.square(wide).sum(axis=-1, keepdims=True)
    return by_root(wide, squares, numbers, DEVIATION_BITS)


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
