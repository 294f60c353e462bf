"""Requantization parameters equal the frameworks' rules for every accumulator."""

import numpy as np
import pytest

from kaniwa.compiler.plan.rescale import (
    Rescale,
    affine,
    average_pool,
    double_rounding,
    exact,
    first_reaching,
    float_half_away,
    prove,
    prove_values,
    quantize_multiplier as own_quantize_multiplier,
)
from kaniwa.errors import CompileError
from kaniwa.golden.numbers.rounding import multiply_by_quantized_multiplier, quantize_multiplier
from kaniwa.golden.tflite.matrix import requantize_float
from kaniwa.isa import Rounding

INT32 = (-(1 << 31), (1 << 31) - 1)


def hardware(acc: np.ndarray, r: Rescale, bits: int) -> np.ndarray:
    """The contract's formula in Python's integers, one channel a row."""
    result = np.zeros(acc.shape, np.int64)
    for (channel, i), value in np.ndenumerate(acc):
        m, s, v = int(r.multiplier[channel]), int(r.shift[channel]), int(value)
        half = 1 << (s - 1) if s else 0
        b = half
        if r.rounding == Rounding.DOUBLE and s > bits:
            b = half + (1 << (bits - 1)) * (1 if v >= 0 else -1)
        elif r.rounding == Rounding.AWAY and s and v < 0:
            b = half - 1
        q = (v * m + b) >> s
        result[channel, i] = min(max(q + r.zero_point, r.act_min), r.act_max)
    return result


def samples(rng: np.random.Generator, low: np.ndarray, high: np.ndarray,
            reals: np.ndarray) -> np.ndarray:
    """Accumulators of each channel: ends, random ones, and both sides of every half."""
    levels = np.arange(-256, 256) + 0.5
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        near = np.nan_to_num(levels / reals[:, None], posinf=2.0**40, neginf=-2.0**40)
    near = np.clip(near, -2.0**40, 2.0**40).astype(np.int64)
    anywhere = rng.integers(low[:, None], high[:, None], (len(low), 64), endpoint=True)
    acc = np.concatenate([near, near + 1, near - 1, anywhere, low[:, None], high[:, None],
                          np.zeros((len(low), 1), np.int64)], axis=1)
    return np.clip(acc, low[:, None], high[:, None])


def ranges(rng: np.random.Generator, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Accumulator ranges of all sizes, with biases up to the ends of int32."""
    width = (2.0 ** rng.uniform(0, 31.9, channels)).astype(np.int64)
    center = rng.integers(INT32[0], INT32[1], channels)
    center = np.where(rng.random(channels) < 0.7, 0, center)
    return np.clip(center - width // 2, *INT32), np.clip(center + width // 2, *INT32)


def test_quantized_multiplier_is_the_references() -> None:
    rng = np.random.default_rng(1)
    for real in [0.0, 1.0, 0.5, 1 - 2**-40, 2**-32, 2**-33, *2.0 ** rng.uniform(-40, 20, 500)]:
        assert own_quantize_multiplier(float(real)) == quantize_multiplier(float(real))


@pytest.mark.parametrize("bits", [31, 30])
@pytest.mark.parametrize("seed", range(4))
def test_double_rounding_is_litert_for_all_scales(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = 24
    reals = 2.0 ** rng.uniform(-40, 12, channels)
    reals[:6] = (2.0**-33, 1.0, 0.5, 2.0**-8, 2.0**-31, 2.0**30)
    low, high = ranges(rng, channels)
    zero_point = int(rng.integers(-128, 128))
    bounds = (-128, 127) if seed % 2 else (max(-128, zero_point), 127)
    try:
        result = prove(double_rounding(reals), low, high, zero_point, bounds, bits, "layer")
    except CompileError:
        assert bits < 31
        return
    acc = samples(rng, low, high, reals)
    pairs = np.array([quantize_multiplier(float(r)) for r in reals])
    golden = multiply_by_quantized_multiplier(acc, pairs[:, :1], pairs[:, 1:]) + zero_point
    np.testing.assert_array_equal(hardware(acc, result, bits), np.clip(golden, *bounds))


@pytest.mark.parametrize("seed", range(4))
def test_float_half_away_is_litert(seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = 16
    reals = 2.0 ** rng.uniform(-24, -4, channels)
    reals[:4] = (2.0**-8, 2.0**-16, 3 * 2.0**-12, 1e-30)
    low, high = (rng.integers(0, 99, channels) + end for end in (-(1 << 22), 1 << 22))
    result = prove(float_half_away(reals), low, high, -7, (-128, 127), 31, "layer")
    acc = samples(rng, low, high, reals)
    golden = np.stack([requantize_float(row, real, -7, (-128, 127))
                       for row, real in zip(acc, reals, strict=True)])
    np.testing.assert_array_equal(hardware(acc, result, 31), golden)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 25, 49, 64, 125, 196, 1024])
def test_mean_is_exact_for_every_sum(count: int) -> None:
    low, high = np.array([-128 * count]), np.array([127 * count])
    result = prove(average_pool(count, 1), low, high, 0, (-128, 127), 31, "pool")
    acc = np.arange(low[0], high[0] + 1)[None]
    truncated = np.trunc((acc + np.where(acc > 0, 1, -1) * (count // 2)) / count)
    np.testing.assert_array_equal(hardware(acc, result, 31), truncated)


def test_identity_passes_every_byte() -> None:
    result = prove(exact(1), np.array([-128]), np.array([127]), 0, (-128, 127), 28, "identity")
    acc = np.arange(-128, 128)[None]
    np.testing.assert_array_equal(hardware(acc, result, 28), acc)


def test_values_with_gaps_are_proved_at_the_gaps() -> None:
    values = np.array([-900, -801, -3, 0, 5, 700, 100000])
    rule = double_rounding(0.1)
    result = prove_values(rule, values, 3, (-128, 127), 31, "sum")
    np.testing.assert_array_equal(hardware(values[None], result, 31),
                                  np.clip(rule.function(values[None]) + 3, -128, 127))


def test_affine_is_the_contract() -> None:
    rng = np.random.default_rng(5)
    acc = np.append(rng.integers(*INT32, 60), [0, -1, 1, *INT32])[None]
    for bits in (28, 31):
        for rounding in (Rounding.UP, Rounding.DOUBLE, Rounding.AWAY):
            for shift in (0, 1, bits, bits + 1, 45, 62):
                m = int(rng.integers(0, 1 << bits))
                r = Rescale(np.array([m]), np.array([shift]), rounding, 0, -(1 << 62), 1 << 62)
                np.testing.assert_array_equal(affine(acc, m, shift, rounding, bits),
                                              hardware(acc, r, bits))


def test_ties_to_even_clear_the_lowest_bit() -> None:
    acc = np.arange(-9, 10)[None]
    np.testing.assert_array_equal(affine(acc, 1, 1, Rounding.EVEN, 31), np.rint(acc / 2))
    np.testing.assert_array_equal(affine(acc, 3, 2, Rounding.EVEN, 31), np.rint(acc * 3 / 4))


def test_the_first_accumulator_that_reaches_a_level() -> None:
    rng = np.random.default_rng(3)
    acc = np.arange(-3000, 3000)
    for rounding in Rounding:
        for _ in range(60):
            shift, bits = int(rng.integers(0, 14)), int(rng.integers(4, 12))
            multiplier = int(rng.choice([1 << max(shift - 2, 0), rng.integers(1, 1 << bits)]))
            results = affine(acc, multiplier, shift, rounding, bits)
            assert (np.diff(results) >= 0).all()
            for level in range(max(int(results[0]) + 1, -99), min(int(results[-1]), 99)):
                found = first_reaching(level, multiplier, shift, rounding, bits)
                assert found == acc[np.searchsorted(results, level)]


def test_channel_without_a_multiplier_is_named() -> None:
    # 27 bits cannot tell these steps apart over the whole of int32.
    reals = np.array([0.01, 127 / (1 << 31) * 1.0000000123])
    low, high = np.array([-5, INT32[0]]), np.array([5, INT32[1]])
    with pytest.raises(CompileError, match=r"^fc: channel 1: no 12-bit multiplier reproduces"):
        prove(float_half_away(reals), low, high, 0, (-128, 127), 12, "fc")


def test_search_finds_a_multiplier_beside_the_derived_one() -> None:
    # A mean of 6 has ties that the multiplier rounded down would miss.
    result = prove(average_pool(6, 1), np.array([-768]), np.array([762]), 0, (-128, 127), 31, "p")
    assert int(result.multiplier[0]) * 6 >= 1 << int(result.shift[0])
