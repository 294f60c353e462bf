"""LAYER_NORM of 8 bits in quantised ONNX models, in fixed point: rule ``qdq_fixed_point``; and
GROUP_NORM of one group, which is the same with a whole map as its row; and INSTANCE_NORM, whose
rows have a gain and a bias each.

A root is no rational number, so no fixed number of bits decides how an exact value is rounded; as
for SOFTMAX (``onnx_softmax``) the rule says how the value is computed. Of a row of n integers q,
with scale sx, result's scale sy:

    d = n·q - Σ q,    v = n·Σ q² - (Σ q)²,    c = n²·epsilon / sx²     (d and v are exact)
    u = (v + c)·2^z in 29 bits,    r = 1 / √u by LiteRT's inverse root of 31 bits
    y = clamp(d·r·2^(z/2)·(Scale / sy) + B / sy, rounded half up + zero point)

Products have 31 bits, the sum as many behind the point as its largest value leaves room for. In
rows of more than SHORT_ROW values v would have more than 30 bits. There

    m = Σ q / n, an integer next to it,    e = Σ q - n·m,    a = Σ (q - m)²    (e and a are exact)
    u = (a - e² / n + c)·2^z in 29 bits,    c = n·epsilon / sx²

and Scale / (sy·√n) is in place of Scale / sy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kaniwa.golden.numbers.fixedpoint import inverse_square_root
from kaniwa.golden.numbers.rounding import saturating_rounding_doubling_high_mul as multiply
from kaniwa.golden.onnx.qdq import finish_integers
from kaniwa.golden.onnx.softmax import RULE
from kaniwa.golden.registry import Call, kernel, quantization

__all__ = ["RULE", "LayerNormNumbers", "LARGEST_MAP", "LONGEST_ROW", "by_root",
           "instance_norm", "layer_norm",
           "layer_norm_numbers", "map_norm", "map_norm_numbers", "shift_of"]

SHORT_ROW = 256             # v is below 2^30 then, and no value more than 16 deviations away
LONGEST_ROW = 4096
LARGEST_MAP = 1 << 16       # values; the sum of squares of differences is below 2^30 then
MOST_SHIFT = 28             # of v and c, an even number
LEAST_RESULT_BITS = 12


@dataclass(frozen=True, eq=False)
class LayerNormNumbers:
    """Constants of an operator as the rule's integers.

    ``epsilon``: c·2^``shift``, below 2^30. ``gains`` and ``biases`` int64 [n]: Scale / sy with
    ``result_bits`` + 6 bits behind the point (of long rows Scale / (sy·√n), with ``result_bits`` +
    31 - ``deviation_bits``; of RMS_NORM as ``rms_norm`` says), B / sy with ``result_bits``.
    """

    epsilon: int
    shift: int
    gains: np.ndarray
    biases: np.ndarray
    result_bits: int


def layer_norm_numbers(gain: np.ndarray, bias: np.ndarray | None, epsilon: float, scale: float,
                       output_scale: float) -> LayerNormNumbers | None:
    """The numbers for Scale and B, float32 [n]; None where the rule has none: of rows longer than
    LONGEST_ROW, without epsilon or with one too large, or with too large a gain."""
    return _numbers(gain, bias, epsilon, scale, output_scale, gain.size, LEAST_RESULT_BITS + 1
                    ) if gain.size <= LONGEST_ROW else None


def map_norm_numbers(gain: np.ndarray, bias: np.ndarray, epsilon: float, scale: float,
                     output_scale: float, count: int) -> LayerNormNumbers | None:
    """The numbers of each channel for a map of so many values; None where the rule has none: of
    maps of more than LARGEST_MAP, and else as of ``layer_norm_numbers``."""
    return _numbers(gain, bias, epsilon, scale, output_scale, count, LEAST_RESULT_BITS
                    ) if count <= LARGEST_MAP else None


def _numbers(gain: np.ndarray, bias: np.ndarray | None, epsilon: float, scale: float,
             output_scale: float, count: int, least_bits: int) -> LayerNormNumbers | None:
    """``least_bits`` of results behind the point, of long rows."""
    is_long = count > SHORT_ROW
    wanted = count * (1 if is_long else count) * epsilon / scale**2
    gains = gain.astype(np.float64).reshape(-1) / output_scale
    largest = float(np.abs(gains).max())
    if not (0 < wanted < 2.0**30 and 0 < largest < 2.0**20):
        return None
    shift = shift_of(wanted)
    # No value is more than √n deviations away.
    bits = min(27 - math.frexp(math.sqrt(count) * largest)[1] if is_long
               else 28 - math.frexp(16 * largest)[1], 20)
    if bits < (least_bits if is_long else LEAST_RESULT_BITS):
        return None
    biases = np.zeros(gain.size) if bias is None else (
        bias.astype(np.float64).reshape(-1) / output_scale)
    # What is beyond 2^30 is beyond every result's clamp, whatever is added.
    limited = np.clip(np.rint(np.ldexp(biases, bits)), -(2.0**30), 2.0**30)
    scaled = np.ldexp(gains / (math.sqrt(count) if is_long else 1),
                      bits + 31 - deviation_bits(count))
    return LayerNormNumbers(int(math.ldexp(wanted, shift)), shift,
                            np.rint(scaled).astype(np.int64), limited.astype(np.int64), bits)


def shift_of(wanted: float) -> int:
    """How far c < 2^30 is shifted to the left: an even number."""
    return min((30 - math.frexp(wanted)[1]) // 2 * 2, MOST_SHIFT)


def deviation_bits(count: int) -> int:
    """Bits behind the point of a deviation in rows of ``count`` values: of d / √(v + c), or in long
    rows of n times that, which is at most n."""
    return 25 if count <= SHORT_ROW else 29 - (count - 1).bit_length()


def layer_norm(x: np.ndarray, numbers: LayerNormNumbers) -> np.ndarray:
    """int64, of the shape of ``x`` (int8), along its last axis: results before zero point and
    clamp."""
    wide, count = x.astype(np.int64), x.shape[-1]
    total = wide.sum(axis=-1, keepdims=True)
    squares = np.square(wide).sum(axis=-1, keepdims=True)
    if count > SHORT_ROW:
        spread, rest = _around_mean(count, total, squares)
    else:
        spread, rest = count * squares - total**2, None
    return by_root(count * wide - total, spread, numbers, deviation_bits(count), rest, count)


def by_root(differences: np.ndarray, spread: np.ndarray, numbers: LayerNormNumbers, bits: int,
            rest: np.ndarray | None = None, count: int = 1) -> np.ndarray:
    """The rule's results of d, by the root of ``spread``, v or a, less ``rest``² / ``count``, plus
    c. ``bits`` behind the point of d times that root."""
    length = np.frexp(spread.astype(np.float64))[1].astype(np.int64)
    shift = np.minimum(30 - length, numbers.shift) // 2 * 2
    shifted = (spread << shift) + (numbers.epsilon >> (numbers.shift - shift))
    if rest is not None:
        shifted -= _square_by_count(count, rest, shift // 2)
    root, left = inverse_square_root(shifted >> 2)
    # The root's two highest bits are 0; 2^z is 4 times what is under it.
    places = bits - 2 - 1 + left + shift // 2
    factor = (root << 2) >> np.maximum(-places, 0)      # of maps alone less than 0
    deviation = multiply(differences << np.maximum(places, 0), factor)
    result = multiply(deviation, numbers.gains) + numbers.biases
    return (result + (1 << (numbers.result_bits - 1))) >> numbers.result_bits


def map_norm(x: np.ndarray, numbers: LayerNormNumbers) -> np.ndarray:
    """``layer_norm`` of a map [..., C] as one row, with a gain and a bias of each channel."""
    pixels = x.size // x.shape[-1]
    of_row = replace(numbers, gains=np.tile(numbers.gains, pixels),
                     biases=np.tile(numbers.biases, pixels))
    return layer_norm(x.reshape(1, -1), of_row).reshape(x.shape)


def instance_norm(x: np.ndarray, numbers: LayerNormNumbers) -> np.ndarray:
    """``layer_norm`` of rows [N, C, L] with a gain and a bias of each channel."""
    return layer_norm(x, replace(numbers, gains=numbers.gains[:, np.newaxis],
                                 biases=numbers.biases[:, np.newaxis]))


def _around_mean(count: int, total: np.ndarray, squares: np.ndarray,
                 ) -> tuple[np.ndarray, np.ndarray]:
    """a and -e of rows with these sums of values and of squares."""
    less_mean = multiply(-total, round(2**31 / count))
    rest = -total - count * less_mean
    return squares - less_mean * (rest - total), rest


def _square_by_count(count: int, rest: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(``rest``·2^``shift``)² / n: the square is below 2^29·n, so that both factors below have 31
    bits."""
    more = int(16.5 - math.log2(count) / 2)
    factor = rest << (shift + more)
    return multiply(factor, multiply(factor, round(2**(62 - 2 * more) / count)))


@kernel("LAYER_NORM", rule=RULE)
def _layer_norm(call: Call) -> np.ndarray:
    numbers = layer_norm_numbers(call.value(1), call.optional(2), call.attribute("epsilon"),
                                 call.quantization(0).scale, quantization(call.output).scale)
    if numbers is None:
        raise OverflowError(f"rule {RULE} has no numbers for this Scale, epsilon and quantization")
    return finish_integers(call, layer_norm(call.value(0), numbers))


@kernel("GROUP_NORM", rule=RULE)
def _map_norm(call: Call) -> np.ndarray:
    x = call.value(0)
    numbers = map_norm_numbers(call.value(1), call.value(2), call.attribute("epsilon"),
                               call.quantization(0).scale, quantization(call.output).scale, x.size)
    if numbers is None or call.attribute("groups") != 1 or x.shape[0] != 1:
        raise OverflowError(f"rule {RULE} has no numbers for these groups and their quantization")
    return finish_integers(call, map_norm(x, numbers))


@kernel("INSTANCE_NORM", rule=RULE)
def _instance_norm(call: Call) -> np.ndarray:
    x = call.value(0)
    numbers = map_norm_numbers(call.value(1), call.value(2), call.attribute("epsilon"),
                               call.quantization(0).scale, quantization(call.output).scale,
                               x.shape[-1])
    if numbers is None:
        raise OverflowError(f"rule {RULE} has no numbers for these rows and their quantization")
    return finish_integers(call, instance_norm(x, numbers))
