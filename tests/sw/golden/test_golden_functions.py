"""Fixed-point and table kernels against real numbers; equality with LiteRT is tested elsewhere."""

import sys

import numpy as np
import pytest

from kaniwa.golden.numbers import fixedpoint, fixedpoint16, libm, tables
from kaniwa.golden.numbers.roots import rsqrt_int8, sqrt
from kaniwa.golden.tflite.activation import hard_swish
from kaniwa.golden.tflite.sigmoid import logistic_int16, sigmoid_table, tanh_int16

softmax = sys.modules["kaniwa.golden.tflite.softmax"]
EVERY = np.arange(-128, 128).astype(np.int8)
EVERY_16 = np.arange(-32768, 32768).astype(np.int16)


def test_exponential_and_reciprocal() -> None:
    a = np.arange(0, -(31 << 26), -(1 << 20) + 7)
    error = fixedpoint.exp_on_negative_values(a) / 2.0**31 - np.exp(a / 2.0**26)
    assert np.abs(error).max() < 2.0**-21
    x = np.array([1 << 19, (1 << 19) + 1, 3 << 20, 12345678, (1 << 31) - 1])
    mantissa, shift = fixedpoint.reciprocal(x, 12)
    assert np.allclose(mantissa / 2.0**31 / 2.0**shift, 2.0**19 / x, rtol=2.0**-27)


def test_logarithm_and_inverse_root() -> None:
    x = np.unique(np.geomspace(1 << 19, (1 << 31) - 1, 5000).astype(np.int64))
    assert np.abs(fixedpoint.log_from_one(x) / 2.0**26 - np.log(x / 2.0**19)).max() < 1e-6
    x = np.unique(np.geomspace(1, (1 << 31) - 1, 5000).astype(np.int64))
    multiplier, shift = fixedpoint.inverse_square_root(x)
    assert np.allclose(multiplier * 2.0 ** (shift - 31), 1 / np.sqrt(x), rtol=1e-5)
    assert (shift <= 0).all() and (multiplier < 1 << 31).all()
    assert fixedpoint.inverse_square_root(np.array([0]))[0] == (1 << 31) - 1


@pytest.mark.parametrize("integer_bits", range(7))
def test_16_bit_tanh(integer_bits: int) -> None:
    error = fixedpoint16.tanh(EVERY_16.astype(np.int64), integer_bits) / 2.0**15
    error -= np.tanh(EVERY_16 / 2.0 ** (15 - integer_bits))
    assert np.abs(error).max() < 2.0**-10


def test_16_bit_logistic_by_two_ways() -> None:
    real = 1 / (1 + np.exp(EVERY_16 / -(2.0**12)))
    for result in (fixedpoint16.logistic(EVERY_16.astype(np.int64)),
                   logistic_int16(EVERY_16, scale=2.0**-12)):
        assert np.abs(result / 2.0**15 - real).max() < 2.0**-10
    error = tanh_int16(EVERY_16, scale=0.0007) / 2.0**15 - np.tanh(EVERY_16 * 0.0007)
    assert np.abs(error).max() < 2.0**-10
    table = sigmoid_table()
    assert table[0] == 32768 and table[-1] == 65535 and (np.diff(table) >= 0).all()


def test_tables_round_half_away_and_clamp() -> None:
    table = tables.byte_table(lambda x: x, dtype="int8", scales=(0.5, 1.0), zero_points=(0, 0))
    assert table[[128 + 1, 128 + 3, 128 - 1, 128 - 3]].tolist() == [1, 2, -1, -2]
    table = tables.byte_table(lambda x: x, dtype="uint8", scales=(2.0, 1.0), zero_points=(100, 9))
    assert (table[0], table[100], table[101], table[255]) == (0, 9, 11, 255)
    assert tables.look_up_bytes(table, np.array([[101]], np.uint8)).tolist() == [[11]]
    with pytest.raises(OverflowError, match="for input 100 does not fit an integer"):
        tables.byte_table(lambda x: np.where(x < 100, 0, np.float32(1e30)), dtype="int8",
                          scales=(1.0, 1.0), zero_points=(0, 0))


def test_a_table_for_the_smallest_output_scale_is_refused() -> None:
    with pytest.raises(OverflowError, match="no value"):
        tables.int16_table(np.tanh, scales=(1e-3, 1e-45), zero_points=(0, 0))


def test_table_of_a_line_is_exact_in_int16() -> None:
    table = tables.int16_table(lambda x: x, scales=(1e-3, 1e-3), zero_points=(0, 0))
    assert np.abs(tables.look_up_int16(table, EVERY_16) - EVERY_16.astype(np.int64)).max() <= 1


def test_softmax_adds_up_in_every_form() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (5, 40)).astype(np.int8)
    for dtype, step in (("int8", 2.0**-8), ("int16", 2.0**-16)):
        y = softmax.softmax(x, beta=1.0, scale=0.03, dtype=dtype).astype(np.int64)
        assert np.allclose((y - np.iinfo(dtype).min).sum(axis=1) * step, 1, atol=25 * step)
    y = softmax.softmax_int16(x.astype(np.int16) * 200, beta=1.0, scale=0.0002)
    assert np.allclose(y.sum(axis=1) / 2.0**15, 1, atol=2.0**-9)
    log = softmax.log_softmax(x, scale=0.03).astype(np.int64)
    real = x * 0.03 - np.log(np.exp(x * 0.03).sum(axis=1, keepdims=True))
    assert np.abs((log - 127) / 16 - real).max() < 1 / 16


def test_roots_and_hard_swish() -> None:
    pairs = {"scales": (0.02, 0.05), "zero_points": (-128, -128)}
    real = np.sqrt((EVERY + 128.0) * 0.02)
    root = (sqrt(EVERY, **pairs) + 128.0) * 0.05
    assert (np.abs(real - 0.025 - root) < 0.0251).all()  # truncated
    inverse = rsqrt_int8(EVERY[20:], **pairs)
    assert np.abs((inverse + 128.0) * 0.05 - np.minimum(1 / real[20:], 255 * 0.05)).max() < 0.05
    with pytest.raises(OverflowError, match="an input is negative"):
        sqrt(EVERY, scales=(0.02, 0.05), zero_points=(0, 0))
    value = (EVERY - 3.0) * 0.05
    swish = hard_swish(EVERY, scales=(0.05, 0.05), zero_points=(3, 0)) * 0.05
    assert np.abs(swish - value * np.clip(value + 3, 0, 6) / 6).max() < 0.06


def test_c_library_keeps_signs_and_shapes() -> None:
    x = np.array([[0.0, -0.0], [np.inf, 1.0]], np.float32)
    y = libm.tanh(x)
    assert y.shape == (2, 2) and np.signbit(y).tolist() == [[False, True], [False, False]]
    assert y[1, 0] == 1 and libm.exp(np.float32(0)) == 1
