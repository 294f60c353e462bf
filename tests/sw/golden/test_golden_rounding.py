"""The vectorised roundings equal gemmlowp's definitions, written out in plain integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from kaniwa.golden.numbers.rounding import (
    INT32_MAX,
    INT32_MIN,
    activation_range,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturating_left_shift,
    saturating_rounding_doubling_high_mul,
)

int32 = st.integers(INT32_MIN, INT32_MAX)
EDGES = [INT32_MIN, INT32_MIN + 1, -(1 << 30), -2, -1, 0, 1, 2, 1 << 30, INT32_MAX - 1, INT32_MAX]


def high_mul(a: int, b: int) -> int:
    """gemmlowp: a nudge by the product's sign, then a division that truncates."""
    if a == b == INT32_MIN:
        return INT32_MAX
    product = a * b
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    return abs(nudged) // (1 << 31) * (1 if nudged >= 0 else -1)


def half_away(x: Fraction) -> int:
    return math.floor(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


@given(int32, int32)
def test_high_mul_is_gemmlowps(a: int, b: int) -> None:
    for x, y in ((a, b), *((e, f) for e in EDGES for f in EDGES)):
        assert int(saturating_rounding_doubling_high_mul(np.array(x), y)) == high_mul(x, y)


@given(int32, st.integers(0, 31))
def test_divide_by_pot_rounds_half_away(x: int, exponent: int) -> None:
    expected = half_away(Fraction(x, 1 << exponent))
    assert int(rounding_divide_by_pot(np.array(x), exponent)) == expected


@given(int32, st.integers(1 << 30, INT32_MAX), st.integers(-31, 31))
def test_double_rounding_is_its_two_steps(x: int, multiplier: int, shift: int) -> None:
    left = min(max(x << max(shift, 0), INT32_MIN), INT32_MAX)
    expected = half_away(Fraction(high_mul(left, multiplier), 1 << max(-shift, 0)))
    assert int(multiply_by_quantized_multiplier(np.array(x), multiplier, shift)) == expected


def test_left_shift_saturates_at_any_distance() -> None:
    x = np.array([-3, 0, 3])
    for shift in (31, 40, 500):
        assert saturating_left_shift(x, shift).tolist() == [INT32_MIN, 0, INT32_MAX]


@given(st.floats(-1e12, 1e12))
def test_float_rounds_half_away_and_saturates(x: float) -> None:
    expected = min(max(half_away(Fraction(x)), INT32_MIN), INT32_MAX)
    assert int(round_half_away(np.array(x))) == expected


@pytest.mark.parametrize("x, expected", [(0.49999999999999994, 0), (0.5, 1), (-0.5, -1), (2.5, 3)])
def test_float_next_to_a_tie(x: float, expected: int) -> None:
    assert int(round_half_away(np.array(x))) == expected


@given(st.floats(1e-8, 1e8))
def test_quantized_multiplier_is_within_half_a_step(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 1 << 30 <= multiplier <= INT32_MAX
    assert abs(Fraction(real) - Fraction(multiplier) * Fraction(2) ** (shift - 31)) <= (
        Fraction(2) ** (shift - 32)
    )


@pytest.mark.parametrize(
    "real, expected",
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),
        (1e-40, (0, 0)),
        (1 - 2.0**-33, (1 << 30, 1)),
    ],
)
def test_quantized_multiplier_at_its_ends(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@pytest.mark.parametrize(
    "activation, scale, zero_point, expected",
    [
        ("NONE", 0.1, 5, (-128, 127)),
        ("RELU", 0.1, 5, (5, 127)),
        ("RELU6", 0.1, 5, (5, 65)),
        ("RELU_N1_TO_1", 0.1, 5, (-5, 15)),
        ("RELU6", 0.01, -128, (-128, 127)),
        ("RELU6", 3e-35, 0, (0, 127)),
    ],
)
def test_activation_range(
    activation: str, scale: float, zero_point: int, expected: tuple[int, int]
) -> None:
    assert activation_range(activation, scale, zero_point) == expected
